"""What tells whether a source's files are still the ones that were read."""

from __future__ import annotations

from cnclip.errors import SourceError
from cnclip.stores.raw.remote import stamps_of_files
from cnclip.stores.raw.rows import Source

Stamp = list[str | int]


def stamps_of(source: Source) -> list[Stamp]:
    """[name, bytes, time of change] of each file; of remote ones what their store calls a version.

    Equal lists mean unchanged files. The values are plain JSON, so that a build which is resumed can compare
    them with those of its first run.

    Raises:
        SourceError: a file is gone.
        ResourceError: it is out of reach, or no permission.
    """
    local: list[Stamp] = []
    for file in source.inputs:
        try:
            facts = file.stat()
        except OSError as error:
            raise SourceError(
                f"a file of the source is gone: {error.strerror}", where=str(file), fix="put it back"
            ) from None
        local.append([file.name, facts.st_size, facts.st_mtime_ns])
    return local + stamps_of_files(getattr(source, "remote", ()))
