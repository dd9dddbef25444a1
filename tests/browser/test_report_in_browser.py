"""The emoji benchmark's report in a real browser: no error, all pictures, both languages, nothing fetched.

The models are tiny and untrained, so their numbers are chance; the page is whole all the same.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnclip.checkpoints import save_checkpoint
from cnclip.commands.eval_retrieval import run_retrieval
from cnclip.model import BertArchitecture, ChineseClip, ClipArchitecture, VitArchitecture

VISIBLE = """[...document.querySelectorAll('main .%s')].filter(one => one.checkVisibility()).length"""
PICTURES = """(async () => {
  const pictures = [...document.querySelectorAll('image')];
  const loaded = await Promise.all(pictures.map(async one => {
    const copy = new Image(); copy.src = one.href.baseVal;
    try { await copy.decode(); } catch { return 0; }
    return copy.naturalWidth; }));
  const shown = [...document.querySelectorAll('svg.picture use')];
  const broken = shown.filter(one => !document.querySelector(one.getAttribute('href'))
    || one.getBoundingClientRect().width < 20);
  const images = [...document.images];
  return {loaded, shown: shown.length, broken: broken.length,
    images: images.filter(one => !one.complete || !one.naturalWidth).length}; })()"""
BOX = """(() => { const box = document.querySelectorAll('svg.picture')[%d].getBoundingClientRect();
  return {x: box.x + scrollX, y: box.y + scrollY, width: box.width, height: box.height}; })()"""
CHAPTERS = (
    "summary", "differences", "curves", "queries", "contrasts", "slices", "confusions", "suspects",
    "geometry", "threshold", "models", "data", "making",
)  # fmt: skip
LABEL = """(() => { const box = document.querySelector('label[for=language-%s]').getBoundingClientRect();
  return {x: box.x + box.width / 2, y: box.y + box.height / 2}; })()"""
LANGUAGES = {"zh": (True, False), "en": (False, True), "both": (True, True)}


@pytest.fixture(scope="module")
def report(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of two models on the bundled pictures that no recipe trains on."""
    folder = tmp_path_factory.mktemp("报告")
    image = VitArchitecture(width=32, layers=1, heads=2, patch_size=16, resolution=32)
    text = BertArchitecture(hidden=32, layers=1, heads=2, intermediate=64)
    for seed, name in enumerate(("甲", "乙")):
        architecture = ClipArchitecture(embed_dim=16, image=image, text=text)
        save_checkpoint(ChineseClip(architecture, seed=seed), folder / name)
    words = ["--model", "甲", "--model", "乙", "--data", "emoji", "--output", "报告", "--bootstrap", "100"]
    with contextlib.chdir(folder):  # the store of the bundled pictures is made below it
        assert run_retrieval([*words, "--queries", "红色的水果;下雨天", "--batch-size", "256"]) == 0
    return folder / "报告" / "report.html"


def choose(browser: Any, language: str) -> None:
    """Press the button as a reader does: in the middle of what is seen of its label."""
    place = browser.run(LABEL % language)
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)
    browser.settle()


def colours(png: bytes) -> int:
    return len(np.unique(np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3), axis=0))


def test_the_report_opens_without_an_error_and_fetches_nothing(browser: Any, report: Path) -> None:
    browser.show()
    browser.open(report)
    assert browser.errors == []
    assert [one for one in browser.addresses if not one.startswith("data:")] == [report.resolve().as_uri()]
    assert browser.run("document.scripts.length") == 0
    for name in CHAPTERS:
        assert browser.run(f"document.querySelector('#{name} h2').checkVisibility()"), name
    lost = "[...document.querySelectorAll('nav a')].filter(one => !document.querySelector(one.hash)).length"
    assert browser.run(lost) == 0


def test_every_picture_is_loaded_and_drawn(browser: Any, report: Path) -> None:
    browser.show()
    browser.open(report)
    found = browser.run(PICTURES)
    assert len(found["loaded"]) >= 16 and min(found["loaded"]) > 0
    assert found["shown"] >= 32 and found["broken"] == found["images"] == 0
    for number in (0, 9, found["shown"] - 1):
        box = browser.run(BOX % number)
        inner = {"x": box["x"] + 4, "y": box["y"] + 4, "width": box["width"] - 8, "height": box["height"] - 8}
        assert colours(browser.shoot(inner)) > 8, "a frame with nothing in it"
    assert browser.errors == []


def test_either_language_can_be_chosen_and_both(browser: Any, report: Path) -> None:
    browser.show()
    browser.open(report)
    heading = {"zh": "总结", "en": "Summary", "both": "总结 Summary"}
    for language in ("zh", "en", "both", "zh"):
        if language != "zh" or browser.run("document.querySelector('#language-zh').checked") is False:
            choose(browser, language)
        assert browser.run(f"document.querySelector('#language-{language}').checked")
        seen = tuple(browser.run(VISIBLE % one) > 20 for one in ("zh", "en"))
        assert seen == LANGUAGES[language], language
        assert browser.run("document.querySelector('#summary h2').innerText") == heading[language]
    unmarked = "[...document.querySelectorAll('.en:not([lang=en]), .zh:not([lang=zh-CN])')].length"
    assert browser.run(unmarked) == 0
    assert browser.errors == []


def test_the_keyboard_chooses_too_and_shows_where_it_is(browser: Any, report: Path) -> None:
    browser.show()
    browser.open(report)
    for kind in ("rawKeyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert browser.run("document.activeElement.id") == "language-zh"
    ring = "getComputedStyle(document.querySelector('label[for=language-%s]')).outlineStyle"
    assert browser.run(ring % "zh") == "solid"
    for kind in ("rawKeyDown", "keyUp"):
        browser.call(
            "Input.dispatchKeyEvent", type=kind, key="ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39
        )
    assert browser.run("document.querySelector('#language-en').checked")


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)])
def test_nothing_sticks_out_in_any_width_language_or_light(
    browser: Any, report: Path, width: int, dark: bool
) -> None:
    browser.show(width=width, dark=dark)
    browser.open(report)
    for language in ("zh", "en", "both"):
        choose(browser, language)
        assert browser.run("document.documentElement.scrollWidth <= innerWidth"), language
    paper, ink = (
        browser.run(f"getComputedStyle(document.body).{name}.match(/\\d+/g).map(Number)")
        for name in ("backgroundColor", "color")
    )
    assert (sum(paper) < sum(ink)) is dark and abs(sum(paper) - sum(ink)) > 500
    assert browser.errors == []


def test_paper_is_white_and_without_the_switch(browser: Any, report: Path) -> None:
    browser.open(report)
    browser.show(dark=True, printed=True)
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not browser.run("document.querySelector('header').checkVisibility()")
    assert browser.run(VISIBLE % "zh") > 20 and browser.run(VISIBLE % "en") == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("</body>", '<img src="https://example.invalid/a.png"></body>'), "Content Security Policy"),
        (("</body>", "<script>1</script></body>"), "Content Security Policy"),
        (("<style>", "<style> "), "Content Security Policy"),
        (('href="data:image', 'href="data:image/none;base64,AAAA" id="data:image'), None),
    ],
    ids=["a foreign picture", "a script", "another style", "a broken picture"],
)
def test_a_page_that_is_not_as_it_should_be_is_caught(
    browser: Any, report: Path, tmp_path: Path, change: tuple[str, str], told: str | None
) -> None:
    """The checks above can fail: each of these changes is seen by one of them."""
    text = report.read_text(encoding="utf-8")
    assert change[0] in text
    (tmp_path / "坏.html").write_text(text.replace(*change, 1), encoding="utf-8")
    browser.show()
    browser.open(tmp_path / "坏.html")
    if told is None:
        assert min(browser.run(PICTURES)["loaded"]) == 0
    else:
        assert any(told in error for error in browser.errors), browser.errors
