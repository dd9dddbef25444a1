"""The page: offline, two languages by a switch, text that stays text, each picture once."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import ImageError
from cnclip.evaluation.chapters.blocks import Chapter, Grid, Paragraph, Pictures, Words
from cnclip.evaluation.chapters.html import write_report_page
from cnclip.evaluation.chapters.markdown import report_markdown
from cnclip.evaluation.examples import Picture, QueryResult

TITLE = Words("报告", "Report")
Make = Callable[..., Any]


def page_of(path: Path, chapters: list[Chapter], **options: int) -> str:
    write_report_page(path / "页.html", TITLE, chapters, **options)
    return (path / "页.html").read_text(encoding="utf-8")


def test_every_block_is_there_in_both_languages_and_each_is_marked(
    tmp_path: Path, chapters: Make, read: Make
) -> None:
    page = read(page_of(tmp_path, chapters()))
    assert page.all("html") == [{"lang": "zh-CN"}]
    for kind in ("section", "table", "svg", "figure", "dl", "pre", "details", "article"):
        assert page.all(kind), kind
    spans = page.all("span")
    chinese, english = (
        [one for one in spans if one.get("class") == name and one.get("lang") == lang]
        for name, lang in (("zh", "zh-CN"), ("en", "en"))
    )
    assert len(chinese) == len(english) > 15
    assert {one["href"] for one in page.all("a")} == {"#top", "#one"}, "an empty chapter is left out"
    assert page.all("section", id="one") and not page.all("section", id="empty")


def test_the_switch_is_three_labelled_buttons_and_chinese_comes_first(
    tmp_path: Path, chapters: Make, read: Make
) -> None:
    text = page_of(tmp_path, chapters())
    page = read(text)
    buttons = page.all("input", type="radio", name="language")
    assert [one["id"] for one in buttons] == ["language-zh", "language-en", "language-both"]
    assert ["checked" in one for one in buttons] == [True, False, False]
    labels = [one["for"] for one in page.all("label")]
    assert labels == [one["id"] for one in buttons]
    assert "#language-zh:checked ~ * .en, #language-en:checked ~ * .zh { display: none; }" in text


def test_nothing_is_fetched_or_run_and_only_the_pages_own_style_is_admitted(
    tmp_path: Path, chapters: Make, read: Make
) -> None:
    text = page_of(tmp_path, chapters())
    assert not re.search(r"https?:|<script|<link|url\(|@import|\sstyle=|\son\w+=", text)
    policy = next(meta["content"] for meta in read(text).all("meta") if "http-equiv" in meta)
    style = re.search(r"<style>(.*)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert "default-src 'none'" in policy and f"'sha256-{digest}'" in policy


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&lt;b&gt;", "]]></style><b>"]
)
def test_text_stays_text(tmp_path: Path, chapters: Make, read: Make, hostile: str) -> None:
    page = read(page_of(tmp_path, chapters(hostile)))
    assert page.text.count(hostile) > 40
    assert not page.all("script") and not page.all("b", src="x") and not page.all("img")
    labels = [one["aria-label"] for one in page.all("svg") if "aria-label" in one]
    assert len(labels) == 5 and all(hostile in str(label) for label in labels)


def test_hidden_characters_are_made_visible_and_emoji_stay_whole(tmp_path: Path, chapters: Make) -> None:
    text = page_of(tmp_path, chapters("猫\u202egnp.exe\x00 👩‍🍳"))
    assert "猫\ufffdgnp.exe\ufffd 👩‍🍳" in text and "\u202e" not in text


def test_a_picture_is_in_the_file_once_however_often_it_is_shown(
    tmp_path: Path, png: Make, read: Make
) -> None:
    answers = [
        QueryResult(query, [Picture(png(colour), colour, 0.5, None) for colour in ("red", "blue")])
        for query in ("一", "二", "三")
    ]
    text = page_of(tmp_path, [Chapter("g", TITLE, [Pictures(TITLE, {"甲": answers, "乙": answers})])])
    page = read(text)
    assert text.count("data:image/") == len(page.all("image")) == 2
    used = [one["href"] for one in page.all("use")]
    assert len(used) == 12 and set(used) == {f"#{one['id']}" for one in page.all("symbol")}
    assert "空框" not in text


def test_past_the_room_for_pictures_frames_stay_empty_and_the_page_says_how_many(
    tmp_path: Path, png: Make, read: Make
) -> None:
    colours = ("red", "blue", "green")
    found = [QueryResult("一", [Picture(png(colour), colour, 0.5, None) for colour in colours])]
    one = len(re.findall(r'href="(data:image[^"]+)"', page_of(tmp_path, gallery(found)))[0])
    text = page_of(tmp_path, gallery(found), most_picture_bytes=2 * one + 20)
    page = read(text)
    assert len(page.all("image")) == len(page.all("use")) == 2 and len(page.all("figure")) == 3
    assert "另有 1 张以空框代替" in text and "1 others are empty frames" in text


def test_galleries_of_few_pictures_stand_beside_each_other(tmp_path: Path, png: Make) -> None:
    for count, models, kind in (
        (2, 1, "gallery pairs"),
        (4, 1, "gallery few"),
        (5, 1, "gallery"),
        (2, 2, "gallery"),
    ):
        found = [QueryResult("一", [Picture(png("red"), "红", 0.5, None)] * count)]
        block = Pictures(TITLE, dict.fromkeys("甲乙"[:models], found), headings=[Words("标题", "heading")])
        text = page_of(tmp_path, [Chapter("g", TITLE, [block])])
        assert f'<div class="{kind}">' in text
        assert ">标题</span>" in text and ">heading</span>" in text and ">一<" not in text


def gallery(found: list[QueryResult]) -> list[Chapter]:
    return [Chapter("g", TITLE, [Pictures(TITLE, {"": found})])]


def test_numbers_stand_at_the_right_with_their_interval_below(
    tmp_path: Path, chapters: Make, read: Make
) -> None:
    text = page_of(tmp_path, chapters())
    assert "14.0<small>[11.9, 16.1]</small>" in text
    kinds = [cell.get("class") for cell in read(text).all("td")][:4]
    assert kinds == ["short", "number", "short", "number"], "a dash does not make a column words"


def test_charts_tell_their_numbers_to_those_who_do_not_see_them(
    tmp_path: Path, chapters: Make, read: Make
) -> None:
    page = read(page_of(tmp_path, chapters()))
    drawn = [one for one in page.all("svg") if one.get("class") in ("chart", "bars")]
    assert len(drawn) == 3 and all(one["role"] == "img" and one["aria-label"] for one in drawn)
    assert len(page.all("desc")) == 3
    assert "苹果: 10 (1) → 60 (10)" in page.text and "60 % (0.5–1)" in page.text
    assert len(page.all("details")) == 2


def test_an_interrupted_page_leaves_the_old_one(tmp_path: Path) -> None:
    page_of(tmp_path, [Chapter("a", TITLE, [Paragraph(Words("旧", "old"))])])
    with pytest.raises(ImageError):
        page_of(tmp_path, gallery([QueryResult("q", [Picture(b"no picture", "a", 0.1, None)])]))
    assert "旧" in (tmp_path / "页.html").read_text(encoding="utf-8")
    assert [file.name for file in tmp_path.iterdir()] == ["页.html"]


def test_a_caption_of_ten_thousand_characters_does_not_fill_the_page(
    tmp_path: Path, png: Callable[..., bytes]
) -> None:
    found = QueryResult("长" * 10_000, [Picture(png("red"), "图" * 10_000, 0.5, True)])
    grid = Grid(Words("表", "Table"), [Words("文本", "Caption")], [["表" * 10_000]])
    chapter = Chapter("long", TITLE, [Pictures(TITLE, {"": [found]}), grid])
    text = page_of(tmp_path, [chapter])
    assert len(text) < 20_000 + len(page_of(tmp_path, []))
    for sign in "长图表":
        assert sign * 100 in text and sign * 300 not in text
    assert "长" * 300 not in report_markdown(TITLE, [chapter])
