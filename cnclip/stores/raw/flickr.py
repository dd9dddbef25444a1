"""Caption files of Flickr8k-CN, Flickr30k-CN and COCO-CN: `name.jpg#0 caption` lines beside the pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from cnclip.errors import SourceError
from cnclip.stores.raw.encodings import SAMPLE_BYTES, detect_encoding
from cnclip.stores.raw.files import read_picture
from cnclip.stores.raw.lines import Encoding, LineFile
from cnclip.stores.raw.picture_roots import PictureRoots
from cnclip.stores.raw.places import open_file
from cnclip.stores.raw.rows import (
    BadRow,
    RawImage,
    RawText,
    Report,
    RowProblem,
    clean_caption,
    clean_id,
    shown,
)
from cnclip.stores.raw.walk import few_files, the_only_file, told_before

# `1000268201_693b08cb0e.jpg#zhb#0 …`, `COCO_val2014_000000043734#0<TAB>…`: the middle part names the language
_LINE = re.compile(r"(?P<id>(?P<name>[^\t#]+)(?:#[A-Za-z][\w-]*)?#\d+)(?:\t| +|,)(?P<caption>.*)")
_SAMPLES = 20


class FlickrSource:
    """A caption file and the pictures that it names.

    Args:
        path: the caption file, or a folder that holds one.
        image_root: folder of the pictures; see PictureRoots.
        split: take only pictures named in the list beside it whose name ends so, such as `coco-cn_train.txt`.
        encoding: of the caption file; auto looks at it.

    Raises:
        SourceError: no caption file, no list of the split, or no pictures.
    """

    def __init__(
        self,
        path: Path,
        *,
        image_root: Path | None = None,
        split: str | None = None,
        encoding: Encoding = "auto",
    ) -> None:
        file = path if path.is_file() else _one_of(path)
        self.root = file.parent
        self._lines = LineFile(file, root=self.root, encoding=encoding)
        self.inputs: tuple[Path, ...] = (file,)
        self._wanted: frozenset[str] | None = None
        if split is not None:
            listed = _split_list(file, split)
            self._wanted = _names_in(listed)
            self.inputs = (file, listed)
        self.facts = {"kind": "flickr", "file": file.name, "split": split, "encoding": self._lines.encoding}
        self.encoding_why = self._lines.encoding_why
        samples = [match["name"] for _, match in islice(self._matches(told_before), _SAMPLES)]
        self._roots = PictureRoots(file, image_root, samples)

    @property
    def share_read(self) -> float | None:
        return self._lines.share_read

    def images(self, report: Report) -> Iterator[RawImage]:
        """The picture of each line; lines that repeat a picture have the same origin."""
        for number, match in self._matches(report):
            where, image_id = self._lines.where(number), ""
            try:
                image_id = clean_id(match["name"].strip(), "the picture's name")
                path = self._roots.find(match["name"].strip())
            except RowProblem as problem:
                report(BadRow(where, image_id or match["name"], str(problem)))
                continue
            yield RawImage(image_id, where, partial(read_picture, path), origin=str(path))

    def texts(self, report: Report) -> Iterator[RawText]:
        """The caption of each line; `name.jpg#zhb#0` is its id."""
        for number, match in self._matches(told_before):
            where = self._lines.where(number)
            try:
                text_id = clean_id(match["id"], "the caption's name")
                image_id = clean_id(match["name"].strip(), "the picture's name")
                caption = clean_caption(match["caption"].strip(), "the line")
            except RowProblem as problem:
                report(BadRow(where, match["id"], str(problem)))
                continue
            yield RawText(text_id, caption, (image_id,), where)

    def _matches(self, report: Report) -> Iterator[tuple[int, re.Match[str]]]:
        """Lines of the wanted pictures; those of another form are reported."""
        for number, line in self._lines.lines(report):
            match = _LINE.fullmatch(line)
            if match is None:
                reason = f"not a caption line: it must look like name.jpg#0 caption; it is {shown(line)}"
                report(BadRow(self._lines.where(number), "", reason))
            elif self._wanted is None or _stem(match["name"]) in self._wanted:
                yield number, match


def is_flickr(file: Path) -> bool:
    """Whether most of the first lines of a file look like `name.jpg#0 caption`."""
    with open_file(file) as stream:
        sample = stream.read(SAMPLE_BYTES)
    encoding = detect_encoding(sample).encoding
    lines = sample.decode(encoding, "replace").removeprefix("\ufeff").splitlines()[:_SAMPLES]
    return bool(lines) and 2 * sum(_LINE.fullmatch(line) is not None for line in lines) > len(lines)


def flickr_files(folder: Path) -> list[Path]:
    """The caption files of a folder."""
    return [file for file in few_files(folder, (".txt", ".token", ".csv")) if is_flickr(file)]


def _one_of(folder: Path) -> Path:
    return the_only_file(
        flickr_files(folder),
        folder,
        several="several caption files",
        none="no caption file with lines of name.jpg#0",
        wanted="the caption file",
    )


def _split_list(file: Path, split: str) -> Path:
    lists = [other for other in few_files(file.parent, (".txt",)) if other != file and not is_flickr(other)]
    for other in lists:
        if other.stem.endswith(split):
            return other
    names = ", ".join(other.name for other in lists) or "none"
    raise SourceError(
        f"no list of the split {split!r} beside the captions; text files there: {names}",
        where=str(file),
        fix="put a list of picture names there, one per line, as NAME_train.txt",
    )


def _names_in(file: Path) -> frozenset[str]:
    problems: list[BadRow] = []
    lines = LineFile(file, root=file.parent, encoding="auto")
    names = frozenset(_stem(line) for _, line in lines.lines(problems.append))
    if problems:
        raise SourceError(
            problems[0].reason, where=f"{file.parent}/{problems[0].where}", fix="save it as UTF-8"
        )
    return names


def _stem(name: str) -> str:
    """Without its ending: lists leave it out as they like."""
    return name.strip().removesuffix(".jpg")
