"""What tells whether a source's files are still the ones that were read."""

from __future__ import annotations

from cnclip.stores.raw.remote import stamps_of_files
from cnclip.stores.raw.rows import Source

Stamp = list[str | int]


def stamps_of(source: Source) -> list[Stamp]:
    """[name, bytes, time of change] of each file; of remote ones what their store calls a version.

    Equal lists mean unchanged files. The values are plain JSON, so that a build which is resumed can compare
    them with those of its first run.

    Raises:
        SourceError: a remote file is gone.
        ResourceError: it is out of reach, or no permission.
    """
    found = [(file.name, file.stat()) for file in source.inputs]
    local: list[Stamp] = [[name, facts.st_size, facts.st_mtime_ns] for name, facts in found]
    return local + stamps_of_files(getattr(source, "remote", ()))
