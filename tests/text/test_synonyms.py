"""Files of synonyms."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnclip.errors import SourceError
from cnclip.text.synonyms import group_synonyms, read_synonyms


def read(tmp_path: Path, content: str | bytes) -> dict[str, tuple[str, ...]]:
    path = tmp_path / "同义词.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_synonyms(path).others


def test_groups_in_every_form(tmp_path: Path) -> None:
    others = read(
        tmp_path, "\ufeff# 服装\r\n连衣裙 裙子\t长裙\r\n\r\n番茄=西红柿,圣女果\n手机，移动电话、手提电话\n"
    )
    assert others["连衣裙"] == ("裙子", "长裙")
    assert others["圣女果"] == ("番茄", "西红柿")
    assert others["移动电话"] == ("手机", "手提电话")
    assert len(others) == 9


def test_a_word_of_two_groups_has_the_others_of_both(tmp_path: Path) -> None:
    assert read(tmp_path, "猫 喵星人\n猫 猫咪 喵星人\n")["猫"] == ("喵星人", "猫咪")


def test_lines_of_the_thesaurus(tmp_path: Path) -> None:
    others = read(
        tmp_path,
        "Aa01A01= 人 士 人物\nAa01B03# 良民 顺民\nAa01A06@ 众学生\n"
        "Bo21A01= 汽车 小车\nHg01A01= 打 揍\nHb03A01= 打 采\n",
    )
    assert others["人物"] == ("人", "士") and others["小车"] == ("汽车",)
    assert "良民" not in others and "众学生" not in others
    assert "打" not in others and others["揍"] == ("打",)  # which of its senses is meant nobody knows


def test_the_longest_word_is_known() -> None:
    assert group_synonyms([["番茄", "西红柿"]]).longest == 3
    assert group_synonyms([]).longest == 0


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("猫 猫咪\n狗\n".encode(), 2),
        ("猫 猫咪\n\n狗 狗\n".encode(), 3),
        ("=西红柿\n".encode(), 1),
        ("Aa01A01= 人\n".encode(), 1),
        (b"Aa01A01=\n", 1),
        (("猫 " + "很" * 33).encode(), 1),
        ("猫 猫咪\n".encode() + "狗 小狗\n".encode("gb18030"), 2),
    ],
)
def test_a_bad_line_is_named(content: bytes, line: int, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        read(tmp_path, content)
    assert caught.value.where == f"{tmp_path / '同义词.txt'}:{line}"
    assert caught.value.fix


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"没有\.txt"):
        read_synonyms(tmp_path / "没有.txt")
