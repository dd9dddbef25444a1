"""A report with one block of every kind, and a reader of pages."""

from __future__ import annotations

import io
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from PIL import Image

from cnclip.evaluation.chapters.blocks import (
    Bar,
    Bars,
    Block,
    Card,
    Chapter,
    Code,
    Curves,
    Grid,
    Histogram,
    Paragraph,
    Pictures,
    Words,
)
from cnclip.evaluation.examples import Picture, QueryResult

EMPTY = {"meta", "input", "img"}


class Read(HTMLParser):
    """A page's elements, balanced or it fails, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        """Attributes of the elements of one name that have all of `wanted`."""
        return [one for name, one in self.tags if name == tag and wanted.items() <= one.items()]


@pytest.fixture
def read() -> Callable[[str], Read]:
    return Read


def make_png(colour: str, size: tuple[int, int] = (30, 20)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture
def png() -> Callable[..., bytes]:
    return make_png


def every_block(text: str = "苹果") -> list[Block]:
    """One block of every kind with `text` wherever a user's words may stand."""
    words = Words(f"中{text}", f"en {text}")
    found = QueryResult(text, [Picture(make_png("red"), text, 0.31, True)])
    bars = [Bar(words, 5, 4, 6, f"+5 {text}"), Bar(text, -1, -3, 1, "-1", mark=2.0)]
    return [
        Paragraph(words),
        Grid(words, [words, words], [[text, "14.0 [11.9, 16.1]"], [words, "-"]], words),
        Curves(words, words, words, {text: [(1.0, 10.0), (10.0, 60.0)], "随": [(1, 1), (10, 5)]},
               log_x=True, note=words, names={"随": words}, baseline="随"),
        Histogram(words, words, [0.0, 0.5, 1.0], [(words, [40.0, 60.0])], [(0.7, words)], words),
        Bars(words, words, bars, 0.0, words),
        Pictures(words, {text: [found], f"{text}2": [found]}, words),
        Card(text, [(words, text), (words, words)]),
        Code(text),
    ]  # fmt: skip


@pytest.fixture
def chapters() -> Callable[..., list[Chapter]]:
    """One chapter with every block, and one that is empty."""

    def make(text: str = "苹果") -> list[Chapter]:
        words = Words(f"章{text}", f"chapter {text}")
        return [Chapter("one", words, every_block(text), words), Chapter("empty", Words("空", "none"), [])]

    return make
