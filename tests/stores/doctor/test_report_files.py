"""The report on disk: JSON that agrees with the examination, a page that opens offline and runs nothing."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from cnclip.stores.doctor import Checkup, CheckupOptions, Tools, check_stores, write_report
from cnclip.stores.doctor.histogram import Histogram
from cnclip.stores.doctor.page import histogram_svg
from cnclip.stores.doctor.tables import verdict
from cnclip.stores.reader import StoreReader
from cnclip.tables import Table, text_table

HOSTILE = '</title><script>alert(1)</script><img src="http://x.cn/a" onerror="alert(2)">\u202e"\'&'


class Page(HTMLParser):
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

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def examined(
    make_store: Callable[..., StoreReader],
    picture: Callable[[int], Image.Image],
    encode: Callable[..., bytes],
    tools: Tools,
    tmp_path: Path,
) -> tuple[Checkup, Path]:
    """Train and valid with everything strange in them, and the folder of the report."""
    train = make_store(
        [
            ("猫.png", encode(picture(1)), ["一只猫在草地上", HOSTILE, "龇" * 3]),
            ("同.png", encode(picture(1)), ["一只猫在草地上"]),
            ("近.png", encode(picture(1), "JPEG", quality=60), ["很长的句子" * 20]),
            ("空.png", encode(Image.new("RGB", (400, 300), "white")), ["空白的一张图"]),
            ("小.png", encode(picture(2).resize((12, 12))), ["很小的一张图"]),
            ("长.png", encode(picture(3).resize((600, 60))), ["狭长的一张图"]),
            ("坏.png", encode(picture(4))[:-300], ["坏的一张图片"]),
        ],
        "train<b>",
    )
    valid = make_store([("验.png", encode(picture(1)), ["一只猫在草地上"])], "valid")
    checkup = check_stores([train, valid], tools, CheckupOptions(most=3))
    folder = tmp_path / "报告"
    folder.mkdir()
    write_report(folder, checkup, [train, valid], tools)
    return checkup, folder


def test_the_json_says_what_was_found(examined: tuple[Checkup, Path]) -> None:
    checkup, folder = examined
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["should_train"] is checkup.should_train is False
    assert {"undecodable", "leaked-pictures"} <= {
        found["code"] for found in report["findings"] if found["grade"] == "error"
    }
    assert report["options"]["limits"]["leakage"] == 0.01
    train, valid = report["stores"]
    assert (train["pictures"]["count"], train["pictures"]["decoded"], valid["pairs"]) == (7, 6, 1)
    assert (train["pictures"]["blank"], train["pictures"]["tiny"], train["pictures"]["stretched"]) == (
        1,
        1,
        1,
    )
    assert train["captions"]["unknown_parts"] == [{"text": "龇", "captions": 1}]
    assert train["repeats"]["same_pixels"] == {
        "groups": 1,
        "extra": 1,
        "largest": [{"rows": 2, "ids": ["猫.png", "同.png"]}],
    }
    assert train["problems"][0]["name"] == "坏.png"
    assert valid["negatives"] is None
    (leak,) = report["leaks"]
    assert leak["near"] == {"in_first": 3, "in_second": 1, "first_share": 3 / 7, "second_share": 1.0}


def test_all_groups_and_leaks_are_listed_in_lines(examined: tuple[Checkup, Path]) -> None:
    _, folder = examined
    groups = [json.loads(line) for line in (folder / "duplicates.jsonl").read_text("utf-8").splitlines()]
    assert [(group["kind"], len(group["ids"])) for group in groups] == [
        ("same_bytes", 2),
        ("same_pixels", 2),
        ("near", 3),
        ("same_captions", 2),
    ]
    assert groups[2]["ids"] == ["猫.png", "同.png", "近.png"]
    leaks = [json.loads(line) for line in (folder / "leaks.jsonl").read_text("utf-8").splitlines()]
    assert [leak["kind"] for leak in leaks] == ["same", "near", "captions"]
    assert (leaks[0]["id"], leaks[0]["other_id"]) == ("验.png", "猫.png")


def test_hostile_captions_and_names_are_inert(examined: tuple[Checkup, Path]) -> None:
    _, folder = examined
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.all("script") == [] and page.all("b") == []
    assert "alert(1)" in page.text and "\u202e" not in text
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    addresses = [
        value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")
    ]
    assert addresses and all(
        value is not None and value.startswith("data:image/jpeg;base64,") for value in addresses
    )


def test_the_policy_admits_the_one_style_and_data_pictures_only(examined: tuple[Checkup, Path]) -> None:
    _, folder = examined
    text = (folder / "report.html").read_text(encoding="utf-8")
    policy = next(tag["content"] for tag in Page(text).all("meta") if "http-equiv" in tag)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None and policy is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; img-src data:; ") and f"'sha256-{digest}'" in policy
    assert all("style" not in attributes for _, attributes in Page(text).tags)


def test_strange_pictures_are_shown_small_and_few(examined: tuple[Checkup, Path]) -> None:
    _, folder = examined
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    shown = page.all("img")
    # blank, tiny, stretched; three of the near group; two of the leak: x's and its equal
    assert len(shown) == 3 + 3 + 2
    for tag in shown:
        data = base64.b64decode(str(tag["src"]).partition(",")[2])
        assert max(Image.open(io.BytesIO(data)).size) <= 128
    for heading in (
        "空白 mostly blank",
        "太小 tiny",
        "狭长 stretched",
        "近似组 near group 1: 3 张",
        "泄漏 leaked",
    ):
        assert heading in page.text
    assert len(page.all("svg")) == 6  # three histograms for each store


def test_a_histogram_draws_its_bars_in_proportion_and_leaves_out_empty_ends() -> None:
    svg = histogram_svg(Histogram((0, 1, 2, 3, 4), (0, 10, 5, 0)), "标题<")
    page = Page(svg)
    assert [bar["height"] for bar in page.all("rect")] == ["120", "60"]
    assert "10" in page.text and "5" in page.text
    assert page.all("svg")[0]["aria-label"] == "标题<"
    assert Page(histogram_svg(Histogram((0, 1, 2), (0, 0)), "")).all("rect")


def test_a_table_on_the_screen_lines_up_chinese_and_numbers() -> None:
    shown = text_table(Table("表", ["名称", "数 n"], [["猫", "1"], ["dogs\x1b[31m", "20%"]], "注"))
    assert shown.splitlines() == [
        "表",
        "名称       数 n",
        "---------  ----",
        "猫            1",
        "dogs\ufffd[31m   20%",
        "注",
    ]


def test_the_verdict_in_one_line(examined: tuple[Checkup, Path]) -> None:
    errors = sum(found.grade == "error" for found in examined[0].findings)
    assert verdict(examined[0]).startswith(f"先别训练 do not train yet: {errors} 项错误")
