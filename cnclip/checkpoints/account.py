"""What a load did: which tensors came from where, which are new, which were left behind and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LISTED = 6  # names of each kind in the readable text


@dataclass(frozen=True)
class LoadAccount:
    """What came from where.

    Attributes:
        source: the folder or file.
        kind: what it is, such as "checkpoint folder" or "cn_clip file".
        loaded: official name of each tensor that was set -> its name in the file.
        new: official names that the file does not have; they keep the values that they had.
        dropped: name in the file -> why nothing was set from it.
        changed: official name -> what was done to the file's values.
    """

    source: str
    kind: str
    loaded: Mapping[str, str]
    new: tuple[str, ...]
    dropped: Mapping[str, str]
    changed: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.source} ({self.kind}): {len(self.loaded)} tensors loaded"]
        if self.new:
            lines.append(f"  new, not in the file: {_some(self.new)}")
        for reason in dict.fromkeys(self.dropped.values()):
            names = tuple(name for name, why in self.dropped.items() if why == reason)
            lines.append(f"  left out, {reason}: {_some(names)}")
        lines += [f"  changed: {name}, {how}" for name, how in self.changed.items()]
        return "\n".join(lines)


def _some(names: tuple[str, ...]) -> str:
    more = f" … and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
