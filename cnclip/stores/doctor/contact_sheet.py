"""The strange pictures themselves, small: re-encoded copies as data URIs, a bounded number of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from cnclip.errors import CnclipError
from cnclip.stores.doctor.outcome import Checkup, StoreCheckup
from cnclip.stores.doctor.picture_facts import strange_pictures
from cnclip.stores.doctor.tools import Tools
from cnclip.stores.reader import StoreReader

THUMBNAIL_PIXELS = 128
GROUPS_SHOWN, MEMBERS_SHOWN = 6, 4  # of near pictures, and of each group


@dataclass(frozen=True)
class Thumbnail:
    """A small picture.

    Attributes:
        uri: `data:image/jpeg;base64,…`; empty where it cannot be shown.
        label: id and size.
    """

    uri: str
    label: str


@dataclass(frozen=True)
class Strip:
    """Thumbnails under one heading."""

    title: str
    thumbnails: Sequence[Thumbnail]


def contact_sheet(checkup: Checkup, readers: Sequence[StoreReader], tools: Tools) -> Iterator[Strip]:
    """Strips of strange pictures, of near ones, and of those that two stores share.

    At most `max examples` of each kind and store, and GROUPS_SHOWN groups of MEMBERS_SHOWN.
    """
    most = checkup.options.most
    for store, reader in zip(checkup.stores, readers, strict=True):
        kinds: dict[str, list[Thumbnail]] = {}
        for kind, index in strange_pictures(store.sketch.pictures, most):
            kinds.setdefault(kind, []).append(_thumbnail(store, reader, index, tools))
        for kind, thumbnails in kinds.items():
            yield Strip(f"{kind} · {store.name}", thumbnails)
        for number, rows in enumerate(store.near.largest(min(most, GROUPS_SHOWN)), start=1):
            title = f"近似组 near group {number}: {len(rows)} 张 pictures · {store.name}"
            shown = rows[:MEMBERS_SHOWN].tolist()
            yield Strip(title, [_thumbnail(store, reader, index, tools) for index in shown])
    for leak in checkup.leaks:
        first, second = checkup.stores[leak.first], checkup.stores[leak.second]
        thumbnails = []
        for row, equal in leak.near.links[: (most + 1) // 2].tolist():
            thumbnails.append(_thumbnail(second, readers[leak.second], row, tools))
            thumbnails.append(_thumbnail(first, readers[leak.first], equal, tools))
        if thumbnails:
            yield Strip(f"泄漏 leaked: {second.name} ↔ {first.name}", thumbnails)


def _thumbnail(store: StoreCheckup, reader: StoreReader, index: int, tools: Tools) -> Thumbnail:
    row = store.sketch.pictures[index]
    try:
        stored = reader.image(index)
        label = f"{stored.image_id} · {row['width']}×{row['height']}"
        picture = tools.to_rgb(tools.open_image(stored.image, name=stored.image_id), name=stored.image_id)
    except CnclipError as error:  # a record that changed under us is no reason to lose the report
        return Thumbnail("", f"{index}: {error.what}")
    picture.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.BOX)
    buffer = io.BytesIO()
    picture.save(buffer, "jpeg", quality=80)
    return Thumbnail(f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}", label)
