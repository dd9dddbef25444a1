"""What the `data` verbs print about a store."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from itertools import islice

import numpy as np

from cnclip.images.decode import decode_image
from cnclip.stores.accounts import BuildReport, RowCount
from cnclip.stores.mapped_pages import MappedPages
from cnclip.stores.raw.rows import shown
from cnclip.stores.reader import StoreReader
from cnclip.text.normalize import normalize_caption
from cnclip.text.segment import segment_words
from cnclip.text.wordpiece import token_statistics

TOKEN_SAMPLE, WORD_SAMPLE, WORDS = 200_000, 5_000, 15
_CAPTIONS_HELD = 64
_PARTICLES = frozenset("的了着过在是和与及或也都就而并被把对于从到向上下里中有这那一个")
_COUNTED = ("一个", "一只", "一群", "一名", "一位", "一些", "一条", "一辆", "一张", "两个", "两只", "正在")
_SILENT_WORDS = _PARTICLES.union(_COUNTED)  # frequent in any caption, and tell nothing about the data


def built(report: BuildReport, seconds: float) -> str:
    """The account of a build: every row read, and what the store holds."""
    speed = report.images / max(seconds, 1e-9)
    lines = [
        f"{report.path}: {report.images} pictures, {report.texts} captions, {report.pairs} pairs",
        _law("picture rows", report.image_rows),
        _law("caption rows", report.text_rows),
    ]
    if report.missing_links:
        lines.append(f"  links to missing pictures left out: {report.missing_links}")
    if report.rejects is not None:
        reasons = ", ".join(f"{reason} {count}" for reason, count in report.reasons.items())
        lines.append(f"  rejected: {reasons}; all of them in {report.rejects}")
    if report.unlabelled_texts:
        lines.append(f"  captions without a picture (unlabelled queries): {report.unlabelled_texts}")
    if report.unreferenced_images:
        lines.append(f"  pictures without a caption: {report.unreferenced_images}")
    files = f"{report.shards} file{'s' if report.shards != 1 else ''}"
    lines.append(f"  {_size(report.image_bytes)} of pictures, {_size(report.store_bytes)} in {files}")
    lines.append(f"  fingerprint {report.fingerprint[:16]}; {seconds:.1f} s, {speed:.0f} pictures/s")
    return "\n".join(lines)


def contents(reader: StoreReader, samples: int) -> str:
    """Counts, sizes, how the store was built, and some pairs."""
    header = reader.header
    lines = [
        f"{reader.path}: {header.images} pictures, {header.texts} captions, {header.pairs} pairs",
        f"  captions without a picture: {header.unlabelled_texts}; "
        f"pictures without a caption: {header.unreferenced_images}",
        f"  {_size(header.image_bytes)} of pictures, {_size(sum(s.bytes for s in header.shards))} in files:",
        *(f"    {s.name}  {_size(s.bytes)}, {s.records} records, {s.images} pictures" for s in header.shards),
        f"  fingerprint {header.fingerprint}",
    ]
    lines += [f"  part: {part.path}, {part.images} pictures, {part.texts} captions" for part in header.parts]
    if reader.pair_count:
        per_image = np.bincount(reader.pair_images, minlength=reader.image_count)
        lines.append(
            f"  captions per picture: {per_image.min()} to {per_image.max()}, mean {per_image.mean():.2f}"
        )
    for name, value in ((name, value) for name, value in header.facts.items() if value):
        words = (
            ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else value
        )
        lines.append(f"  built: {name}: {words}")
    for index in _spread(reader.pair_count, samples):
        pair = reader.pair(index)
        lines.append(f"  pair {index}: [{shown(pair.image_id)}] {shown(pair.caption)}")
    return "\n".join(lines)


def vocabulary_report(reader: StoreReader) -> str:
    """Shares of truncated captions and of [UNK], and the most frequent words."""
    if reader.text_count == 0:
        return "  no captions"
    counts = token_statistics(_captions(reader, TOKEN_SAMPLE))
    sampled = f" (of {counts.captions} captions)" if counts.captions < reader.text_count else ""
    words = _frequent_words(_captions(reader, WORD_SAMPLE))
    shares = f"captions truncated {counts.truncated_share:.2%}, [UNK] tokens {counts.unknown_share:.2%}"
    of_first = f" (in the first {WORD_SAMPLE:,})" if reader.text_count > WORD_SAMPLE else ""
    frequent = " ".join(f"{shown(word)} {count}" for word, count in words)
    return f"  {shares}{sampled}\n  frequent words{of_first}: {frequent}"


def next_step(reader: StoreReader) -> str:
    """The command that a user most likely wants now."""
    if reader.pair_count:
        path = shlex.quote(str(reader.path))
        return f"next: cnclip train RECIPE.yaml data.train={path}, or cnclip eval retrieval MODEL {path}"
    return f"next: cnclip data stats {reader.path}   (no pairs: the store can be searched, not trained on)"


def found_image(reader: StoreReader, index: int) -> str:
    """A picture and its captions."""
    stored = reader.image(index)
    width, height = decode_image(stored.image, name=stored.image_id).size
    lines = [
        f"picture {index}: {shown(stored.image_id, 500)}",
        f"  {width} x {height}, {len(stored.image)} bytes, from {shown(stored.where, 500)}",
    ]
    for text_index in reader.pair_texts[reader.pair_images == index]:
        text = reader.text(int(text_index))
        lines.append(f"  caption {text_index} [{shown(text.text_id)}] {shown(text.caption, 500)}")
    return "\n".join(lines)


def found_text(reader: StoreReader, index: int) -> str:
    """A caption and its pictures."""
    text = reader.text(index)
    lines = [
        f"caption {index} [{shown(text.text_id, 500)}] {shown(text.caption, 2000)}",
        f"  from {shown(text.where, 500)}",
    ]
    return "\n".join([*lines, *(f"  picture {shown(image_id, 500)}" for image_id in text.image_ids)])


def _law(name: str, rows: RowCount) -> str:
    return (
        f"  {name}: {rows.rows_in} read = {rows.written} written"
        f" + {rows.rejected} rejected + {rows.deduplicated} deduplicated"
    )


def _frequent_words(captions: Iterator[str]) -> list[tuple[str, int]]:
    """Words that say something, the most frequent first."""
    words: Counter[str] = Counter()
    for caption in captions:
        words.update(segment_words(normalize_caption(caption)))
    telling = (
        (word, count)
        for word, count in words.most_common()
        if word not in _SILENT_WORDS and word.isalnum() and not word.isdecimal()
    )
    return list(islice(telling, WORDS))


def _captions(reader: StoreReader, limit: int) -> Iterator[str]:
    """All captions, or `limit` evenly spaced ones; the pages that hold them do not add up to memory."""
    for place, index in enumerate(_spread(reader.text_count, limit), 1):
        yield reader.text(index).caption
        if place % _CAPTIONS_HELD == 0:
            MappedPages(reader.path).let_go()


def _spread(count: int, limit: int) -> Iterator[int]:
    """At most `limit` of the numbers below `count`, evenly spaced."""
    taken = min(count, limit)
    return (place * count // taken for place in range(taken))


def _size(count: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if count >= factor:
            return f"{count / factor:.2f} {unit}"
    return f"{count} B"
