"""What the loopback hub has, what it does wrong next, and what it was asked."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Asked:
    """One request: its method, path without query, and headers."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class LoopbackHub:
    """What the server has, what it does wrong next, and what it was asked.

    Attributes:
        files: repository -> file -> bytes; .json and .txt are small git files, the rest is LFS.
        faults: taken one by one, each for one request of a file's bytes.
        always: the fault of every such request once `faults` is empty.
        promised: file -> digest that the hub claims in place of the true one.
        forbidden: repositories whose members alone see them.
        gated: repositories that everybody sees, and whose files go to those alone who asked for access.
        pushed: what was uploaded; the files of a commit are in `files` as well.
    """

    port: int = 0
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    always: str = ""
    promised: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    pushed: list[dict[str, object]] = field(default_factory=list)
    bytes_per_piece: int = 1 << 20
    seconds_per_piece: float = 0.0
    redirect_to: str = ""
    retry_after: str = "0"
    forbidden: set[str] = field(default_factory=set)
    gated: set[str] = field(default_factory=set)
    commit: str = COMMIT
    random: random.Random = field(default_factory=lambda: random.Random(7))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def bodies(self) -> list[Asked]:
        """Requests for the bytes of files."""
        return [
            ask for ask in self.asked if ask.method == "GET" and ask.path.startswith(("/cdn/", "/models/"))
        ]

    def sha256(self, repository: str, file: str) -> str:
        return hashlib.sha256(self.files[repository][file]).hexdigest()

    def etag(self, repository: str, file: str) -> str:
        """What the hub says of a file's content: sha256 for LFS files, git's sha1 of a blob for the rest."""
        content = self.files[repository][file]
        if file in self.promised:
            return self.promised[file]
        if file.endswith((".json", ".txt")):
            return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return hashlib.sha256(content).hexdigest()
