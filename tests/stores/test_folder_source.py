"""A folder of pictures with caption files: what belongs together, what is refused."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import SourceError
from cnclip.stores.raw import SourceOptions, read_source


@pytest.fixture
def photos(tmp_path: Path, raw: Any) -> Path:
    root = tmp_path / "照片"
    (root / "狗").mkdir(parents=True)
    (root / "狗" / "二.JPG").write_bytes(raw.draw(2, form="JPEG"))
    (root / "狗" / "一.png").write_bytes(raw.draw(1))
    (root / "猫.webp").write_bytes(raw.draw(3, form="WEBP"))
    (root / "狗" / "一.txt").write_text("一只狗\n\n  草地上的狗 \n", encoding="utf-8")
    (root / "狗" / "二.JPG.txt").write_text("\ufeff两只狗", encoding="utf-8")
    (root / "猫.txt").write_bytes("一只猫\r\n".encode())
    (root / ".DS_Store").write_bytes(b"\0")
    (root / "readme.md").write_text("no picture, no caption")
    return root


def test_each_line_of_a_caption_file_belongs_to_the_picture_of_its_name(photos: Path, raw: Any) -> None:
    images, texts, bad = raw.read_all(read_source(photos))
    assert [image.image_id for image in images] == ["猫.webp", "狗/一.png", "狗/二.JPG"]
    assert images[1].image == raw.draw(1)
    assert [(text.text_id, text.caption, text.image_ids) for text in texts] == [
        ("猫.txt#1", "一只猫", ("猫.webp",)),
        ("狗/一.txt#1", "一只狗", ("狗/一.png",)),
        ("狗/一.txt#3", "草地上的狗", ("狗/一.png",)),
        ("狗/二.JPG.txt#1", "两只狗", ("狗/二.JPG",)),
    ]
    assert texts[2].where == "狗/一.txt:3"
    assert bad == []


def test_pictures_that_share_a_stem_share_their_captions(photos: Path, raw: Any) -> None:
    (photos / "猫.png").write_bytes(raw.draw(4))
    _, texts, _ = raw.read_all(read_source(photos))
    assert texts[0].image_ids == ("猫.png", "猫.webp")


def test_decomposed_file_names_become_composed_ids(tmp_path: Path, raw: Any) -> None:
    name = unicodedata.normalize("NFD", "café ガ")
    (tmp_path / f"{name}.png").write_bytes(raw.draw(1))
    (tmp_path / f"{name}.txt").write_text("咖啡", encoding="utf-8")
    images, texts, bad = raw.read_all(read_source(tmp_path))
    assert images[0].image_id == "café ガ.png"
    assert texts[0].image_ids == ("café ガ.png",)
    assert bad == []


def test_links_are_followed_to_files_inside_the_folder_only(photos: Path, tmp_path: Path, raw: Any) -> None:
    (tmp_path / "secret.png").write_bytes(raw.draw(9))
    (tmp_path / "other").mkdir()
    (photos / "a-inside.png").symlink_to(photos / "狗" / "一.png")
    (photos / "b-outside.png").symlink_to(tmp_path / "secret.png")
    (photos / "c-loop").symlink_to(photos)
    (photos / "d-folder").symlink_to(tmp_path / "other")
    (photos / "e-nowhere.png").symlink_to(photos / "nothing")
    (photos / "f-self.png").symlink_to(photos / "f-self.png")
    images, _, bad = raw.read_all(read_source(photos))
    assert [image.image_id for image in images] == ["a-inside.png", "猫.webp", "狗/一.png", "狗/二.JPG"]
    assert [(row.where, row.reason) for row in bad] == [
        ("b-outside.png", "symbolic link: it leads out of the folder"),
        ("c-loop", "symbolic link: links to folders are not followed"),
        ("d-folder", "symbolic link: it leads out of the folder"),
        ("e-nowhere.png", "symbolic link: it leads nowhere"),
        ("f-self.png", "symbolic link: it leads nowhere"),
    ]


def test_bad_caption_files_are_named_by_line(photos: Path, raw: Any) -> None:
    (photos / "猫.txt").write_bytes("好\n猫咪\n".encode("gb18030"))
    (photos / "狗" / "丢失.txt").write_text("没有图片", encoding="utf-8")
    (photos / "狗" / "二.JPG.txt").write_bytes(b"\xff\xfe\0")
    _, texts, bad = raw.read_all(read_source(photos))
    assert [text.caption for text in texts] == ["一只狗", "草地上的狗"]
    assert [row.where for row in bad] == ["猫.txt:1", "猫.txt:2", "狗/丢失.txt", "狗/二.JPG.txt"]
    assert "--encoding gb18030" in bad[0].reason
    assert bad[2].reason.startswith("no picture of this name")
    assert "UTF-16" in bad[3].reason
    options = SourceOptions(encoding="gb18030")
    assert "猫咪" in [text.caption for text in raw.read_all(read_source(photos, options=options))[1]]


@pytest.mark.parametrize("content", [b"", b" \n\n", b"\xef\xbb\xbf"])
def test_a_blank_caption_file_is_told(photos: Path, raw: Any, content: bytes) -> None:
    (photos / "猫.txt").write_bytes(content)
    images, texts, bad = raw.read_all(read_source(photos))
    assert [image.image_id for image in images] == ["猫.webp", "狗/一.png", "狗/二.JPG"]
    assert not any("猫.webp" in text.image_ids for text in texts)
    assert [(row.where, row.reason.partition(":")[0]) for row in bad] == [("猫.txt", "empty caption")]
    assert "delete it" in bad[0].reason


def test_names_that_are_no_text_and_unreadable_pictures_are_reported(photos: Path, raw: Any) -> None:
    (photos / "猫.webp").rename(photos / os.fsdecode(b"\xff\xfe.webp"))
    (photos / "猫.txt").unlink()
    (photos / "空.png").write_bytes(b"")
    images, _, bad = raw.read_all(read_source(photos))
    assert [row.reason for row in bad] == ["bad character: file name holds half of a surrogate pair (U+DCFF)"]
    assert bad[0].where.isprintable()
    empty = next(image for image in images if image.image_id == "空.png")
    with pytest.raises(Exception, match="empty picture file"):
        _ = empty.image


def test_options_of_other_sources_are_refused(photos: Path) -> None:
    with pytest.raises(SourceError, match="--split"):
        read_source(photos, options=SourceOptions(split="train"))
    with pytest.raises(SourceError, match="no such file or folder"):
        read_source(photos / "没有")
