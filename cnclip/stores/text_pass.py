"""The second pass of a build: every caption of a source is written, and linked to its pictures."""

from __future__ import annotations

import hashlib
from typing import Literal

from cnclip.stores.layout import IMAGE_ID, TEXT, TEXT_ID, encode_record, row_key
from cnclip.stores.raw.rows import BadRow, RawText, Source
from cnclip.stores.seen import REJECTED, Seen
from cnclip.stores.sinks import Sinks, Tick, row_line

TextRows = Literal["source", "pairs"]
_SPLIT_TEXT = b"s"  # kind of the ids of caption rows that became several


class TextPass:
    """Writes captions and their links to pictures.

    Args:
        sinks: where to; the pictures are in `seen`.
        text_rows: `source` keeps a caption with several pictures as one row, `pairs` makes a row per pair.
    """

    def __init__(self, sinks: Sinks, *, text_rows: TextRows) -> None:
        self._sinks = sinks
        self._tally = sinks.tally
        self._rows = sinks.tally.text_rows
        self._text_rows = text_rows

    def run(self, source: Source, tick: Tick) -> None:
        """Write all captions but those that were dealt with before a resume."""
        skipping = self._sinks.skipping()

        def deal_with(row: RawText | BadRow) -> None:
            line = _line(row)
            if skipping.has(line):
                tick("captions", skipping.met)
                return
            if isinstance(row, BadRow):
                self._reject(row)
            else:
                self._take(row)
            self._sinks.row_done(line)
            tick("captions", self._rows.rows_in)

        for raw in source.texts(deal_with):
            deal_with(raw)
        skipping.end(str(source.root))

    def _take(self, raw: RawText) -> None:
        content = hashlib.sha256(row_line([raw.caption, *raw.image_ids])).digest()[:16]
        seen = self._seen(raw.text_id)
        if seen is not None:
            if seen.content == content:
                self._rows.deduplicated += 1
            else:
                self._reject(
                    BadRow(raw.where, raw.text_id, f"duplicate id: another caption has it at {seen.where}")
                )
            return
        links = self._links(raw)
        if raw.image_ids and not links:
            return
        parts = [(raw.text_id, links)]
        is_split = self._text_rows == "pairs" and len(raw.image_ids) > 1
        if is_split:  # numbered by the caption's own list, so that what is missing changes no id
            parts = [
                (f"{raw.text_id}#{place}", {name: links[name]})
                for place, name in enumerate(raw.image_ids, 1)
                if name in links
            ]
        for text_id, _ in parts:
            if is_split and self._seen(text_id) is not None:
                self._reject(
                    BadRow(raw.where, raw.text_id, f"duplicate id: another caption is called {text_id}")
                )
                return
        if is_split:
            self._sinks.seen.put(_SPLIT_TEXT, raw.text_id, Seen(self._tally.texts, content, raw.where))
        for text_id, part in parts:
            self._write(RawText(text_id, raw.caption, tuple(part), raw.where), part, content)
        self._rows.written += 1

    def _links(self, raw: RawText) -> dict[str, int]:
        """Pictures of a caption -> their index; missing ones are told; left with none, it is rejected."""
        found, missing = {}, []
        for image_id in raw.image_ids:
            seen = self._sinks.seen.get(IMAGE_ID, image_id)
            if seen is not None and seen.index != REJECTED:
                found[image_id] = seen.index
                continue
            if seen is None:
                missing.append((image_id, "dangling id", "the source has no picture"))
            else:
                missing.append((image_id, "picture rejected", f"see {seen.where}, picture"))
        if missing and not found:
            image_id, reason, detail = missing[0]
            self._reject(BadRow(raw.where, raw.text_id, f"{reason}: {detail} {image_id!r}"))
            return {}
        for image_id, reason, detail in missing:
            self._sinks.log.add("link", BadRow(raw.where, raw.text_id, f"{reason}: {detail} {image_id!r}"))
            self._tally.missing_links += 1
            self._tally.dangling_links += reason == "dangling id"
        return found

    def _seen(self, text_id: str) -> Seen | None:
        """What is known of a caption row of the source."""
        return self._sinks.seen.get(TEXT_ID, text_id) or self._sinks.seen.get(_SPLIT_TEXT, text_id)

    def _write(self, text: RawText, links: dict[str, int], content: bytes) -> None:
        index = self._tally.texts
        key = row_key(TEXT, index)
        row = {
            "text_id": text.text_id,
            "caption": text.caption,
            "image_ids": list(links),
            "where": text.where,
        }
        self._sinks.shards.put(key, encode_record(key, row))
        self._sinks.seen.put(TEXT_ID, text.text_id, Seen(index, content, text.where))
        self._sinks.hash_row([text.text_id, text.caption, *links])
        for image_index in links.values():
            self._sinks.pairs.add(image_index, index)
        self._sinks.pairs.add_caption(text.caption)
        self._tally.unlabelled += not links
        self._tally.texts += 1

    def _reject(self, bad: BadRow) -> None:
        self._rows.rejected += 1
        self._sinks.log.add("text", bad)


def _line(row: BadRow | RawText) -> list[str]:
    """A row as the source gave it: what a resume compares."""
    if isinstance(row, BadRow):
        return [row.where, row.id, row.reason]
    return [row.where, row.text_id, row.caption, *row.image_ids]
