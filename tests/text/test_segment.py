"""Chinese words."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cnclip.errors import SourceError
from cnclip.text.segment import segment_words


def test_a_caption_is_split_into_words() -> None:
    assert segment_words("我来到北京清华大学") == ["我", "来到", "北京", "清华大学"]
    assert segment_words("红色的 水果，好吃！") == ["红色", "的", "水果", "，", "好吃", "！"]
    assert segment_words("") == [] == segment_words(" \n")


def test_first_use_from_eight_threads_gives_one_answer(tmp_path: Path) -> None:
    words = tmp_path / "线程.txt"
    words.write_text("云上猫 3 n\n", encoding="utf-8")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: segment_words("一只云上猫", user_dictionary=words), range(8)))
    assert answers == [["一只", "云上猫"]] * 8


def test_words_of_the_user_dictionary_stay_whole_there_only(tmp_path: Path) -> None:
    words = tmp_path / "词典.txt"
    words.write_bytes("\ufeff杰尼龟\r\n\r\n石墨烯 5\n创新办 3 i\n八一双鹿 nz\n".encode())
    caption = "八一双鹿的杰尼龟"
    assert segment_words(caption, user_dictionary=words) == ["八一双鹿", "的", "杰尼龟"]
    assert segment_words(caption)[0] == "八"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("好 1\n坏 三 四 五\n".encode(), 2),
        ("坏 0\n".encode(), 1),
        ("坏 -3\n".encode(), 1),
        ("坏 1.5 n\n".encode(), 1),
        ("好\n".encode() + "坏\n".encode("gb18030"), 2),
    ],
)
def test_a_bad_dictionary_line_is_named(content: bytes, line: int, tmp_path: Path) -> None:
    words = tmp_path / "bad.txt"
    words.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        segment_words("猫", user_dictionary=words)
    assert caught.value.where == f"{words}:{line}"


def test_a_missing_dictionary_is_named_and_read_once_it_is_there(tmp_path: Path) -> None:
    words = tmp_path / "later.txt"
    with pytest.raises(SourceError, match=r"later\.txt"):
        segment_words("杰尼龟", user_dictionary=words)
    words.write_text("杰尼龟", encoding="utf-8")
    assert segment_words("杰尼龟", user_dictionary=words) == ["杰尼龟"]


def test_segmenting_writes_no_cache_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    segment_words("一只猫")
    assert not list(tmp_path.iterdir())
