"""The page opens offline, shows Chinese, and lets no caption become markup."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from cnclip.errors import ImageError
from cnclip.evaluation.page import Section, write_page, write_search_page
from cnclip.tables import Table


class Reader(HTMLParser):
    """Collects tags with attributes and checks that they are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def png(size: tuple[int, int] = (30, 20), mode: str = "RGB", colour: object = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, "png")  # type: ignore[arg-type]
    return buffer.getvalue()


TABLE = Table("Recall@K", ["模型", "R@1"], [["第一阶段", "12.5"]], "100 条")


def test_queries_pictures_and_tables_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "页面.html"
    found = [("红色的水果", [(png(), "苹果", 0.31, True), (png(colour="blue"), "蓝莓", 0.25, False)])]
    write_search_page(path, "搜索", [TABLE], found, lines=["模型 m"])
    page = Reader(path.read_text(encoding="utf-8"))
    for shown in ("搜索", "红色的水果", "苹果", "蓝莓", "✓ 0.310", "✗ 0.250", "12.5", "100 条", "模型 m"):
        assert shown in page.text
    assert len(page.all("img")) == 2
    assert [figure.get("class") for figure in page.all("figure")] == ["correct", None]
    assert {cell.get("class") for cell in page.all("td")} == {None, "number"}
    assert page.all("html") == [{"lang": "zh-CN"}]


def test_models_stand_side_by_side_under_each_query(tmp_path: Path) -> None:
    queries = ["下雨天", "会飞的动物"]
    results = [(query, [(png(), "伞", 0.2, None)]) for query in queries]
    write_search_page(tmp_path / "p.html", "搜索", [], {"阶段一": results, "阶段二": results})
    page = Reader((tmp_path / "p.html").read_text(encoding="utf-8"))
    assert len(page.all("article")) == 2 and len(page.all("section")) == 4
    assert page.text.count("阶段一") == page.text.count("阶段二") == 2
    assert "✓" not in page.text and "✗" not in page.text


def test_nothing_is_fetched_and_only_the_pages_own_style_is_admitted(tmp_path: Path) -> None:
    write_search_page(tmp_path / "p.html", "搜索", [TABLE], [("猫", [(png(), "猫", 0.2, None)])])
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|<script|<link|url\(|@import|\sstyle=|\son\w+=", text)
    page = Reader(text)
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    style = re.search(r"<style>(.*)</style>", text, re.DOTALL)
    assert style and policy
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert "default-src 'none'" in policy and f"'sha256-{digest}'" in policy
    assert all(str(image["src"]).startswith("data:image/") for image in page.all("img"))


@pytest.mark.parametrize(
    "hostile",
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&lt;b&gt;", "'; --", "]]></style><b>"],
)
def test_text_stays_text(tmp_path: Path, hostile: str) -> None:
    path = tmp_path / "p.html"
    section = Section(hostile, {hostile: [(hostile, [(png(), hostile, 0.1, None)])]}, hostile)
    table = Table(hostile, [hostile], [[hostile]], hostile)
    write_page(path, hostile, lines=[hostile], tables=[table], sections=[section])
    page = Reader(path.read_text(encoding="utf-8"))
    assert page.text.count(hostile) == 12
    assert not page.all("script") and not page.all("b") and len(page.all("img")) == 1
    assert page.all("img")[0]["alt"] == hostile


def test_control_and_direction_characters_are_made_visible_and_emoji_stay_whole(tmp_path: Path) -> None:
    query = "猫\u202egnp.exe\x00\ud83d 👩‍🍳"
    write_search_page(tmp_path / "p.html", "t", [], [(query, [])])
    text = (tmp_path / "p.html").read_bytes().decode("utf-8")
    assert "猫\ufffdgnp.exe\ufffd\ufffd 👩‍🍳" in text


def test_pictures_are_small_upright_copies_without_metadata(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate
    exif[0x010E] = "secret place"
    Image.new("RGB", (900, 600), "green").save(buffer, "jpeg", exif=exif)
    clear = png((10, 10), "RGBA", (255, 0, 0, 0))
    write_search_page(
        tmp_path / "p.html", "t", [], [("q", [(buffer.getvalue(), "a", 0.1, None), (clear, "b", 0, None)])]
    )
    page = Reader((tmp_path / "p.html").read_text(encoding="utf-8"))
    sources = [str(image["src"]).split(",")[1] for image in page.all("img")]
    photo, glass = (Image.open(io.BytesIO(base64.b64decode(source))) for source in sources)
    assert photo.size == (149, 224) and not photo.getexif()
    assert b"secret" not in base64.b64decode(sources[0])
    assert glass.convert("RGB").getpixel((5, 5)) == (255, 255, 255)


def test_an_interrupted_page_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "p.html"
    write_search_page(path, "old", [], [])
    with pytest.raises(ImageError):
        write_search_page(path, "new", [], [("q", [(b"no picture", "a", 0.1, None)])])
    assert "old" in path.read_text(encoding="utf-8")
    assert [file.name for file in tmp_path.iterdir()] == ["p.html"]
