"""What a test store shares with a store of training queries, which must hold none of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from cnclip.stores.reader import StoreReader
from cnclip.text.normalize import normalize_caption


@dataclass(frozen=True)
class SharedContent:
    """How much of a test store is in another store, too.

    Attributes:
        captions: of the test store, equal to one of the other's after `normalize_caption`, case aside.
        pictures: of the test store, equal to one of the other's to the byte.
        of_captions, of_pictures: how many the test store has.
    """

    captions: int
    pictures: int
    of_captions: int
    of_pictures: int

    def __bool__(self) -> bool:
        """Whether anything is shared."""
        return bool(self.captions or self.pictures)


def shared_content(test: StoreReader, other: StoreReader) -> SharedContent:
    """Count the captions and pictures of a test store that another store holds as well.

    Only equal ones: `cnclip data check` finds pictures that are nearly the same, too.

    Raises:
        StoreError: a record is damaged.
    """
    captions, pictures = set(_captions(other)), set(_pictures(other))
    return SharedContent(
        captions=sum(caption in captions for caption in _captions(test)),
        pictures=sum(picture in pictures for picture in _pictures(test)),
        of_captions=test.text_count,
        of_pictures=test.image_count,
    )


def _captions(store: StoreReader) -> Iterator[str]:
    return (normalize_caption(caption).casefold() for caption in store.captions())


def _pictures(store: StoreReader) -> Iterator[bytes]:
    files = (store.image(index).image for index in range(store.image_count))
    return (hashlib.sha256(file).digest() for file in files)
