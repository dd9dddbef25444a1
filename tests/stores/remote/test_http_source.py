"""A loopback web server as a source: ranges, errors, a server that knows no ranges."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cnclip.errors import SourceError
from cnclip.stores.raw import read_source
from cnclip.stores.raw.remote import LostSource
from cnclip.stores.raw.stamps import stamps_of


class Handler(BaseHTTPRequestHandler):
    """A file server; `plan` says what it does wrong next."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # one packet for head and body
    files: ClassVar[dict[str, bytes]] = {}
    plan: ClassVar[list[str]] = []
    ranges: ClassVar[bool] = True
    sent: ClassVar[list[int]] = []

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        data = self.files.get(self.path.partition("?")[0])
        wrong = self.plan.pop() if body and self.plan else ""
        if data is None or wrong.isdigit():
            self.send_response(int(wrong or 404))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        span = self.headers.get("Range", "").removeprefix("bytes=").split("-")
        first, last = 0, len(data) - 1
        if self.ranges and span[0]:
            first, last = int(span[0]), min(last, int(span[1]))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        else:
            self.send_response(200)
        piece = data[first : last + 1]
        self.send_header("Content-Length", str(len(piece)))
        self.end_headers()
        if body:
            self.sent.append(len(piece))
            self.wfile.write(piece[: len(piece) // 2] if wrong == "cut" else piece)
            self.close_connection = wrong == "cut"

    def log_message(self, *_: object) -> None:
        """Silence."""


@pytest.fixture
def server(far: Any, raw: Any, no_pauses: None) -> Iterator[str]:
    """A loopback server's URL."""
    pytest.importorskip("aiohttp", reason="http(s) URLs are read by aiohttp, which is not installed")
    Handler.files = {"/a/00000.tar": far.packed(raw, range(5)), "/a/x.parquet": far.table(raw, range(30))}
    Handler.files["/a/1.tar.gz"] = far.packed(raw, range(5), "w:gz")
    Handler.plan, Handler.ranges, Handler.sent = [], True, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}/a"
        listening.shutdown()


@pytest.mark.parametrize("name", ["00000.tar", "x.parquet", "1.tar.gz"])
@pytest.mark.parametrize("wrong", ["", "503", "cut"])
def test_http_is_read_by_ranges_and_survives_errors(
    far: Any, server: str, raw: Any, tmp_path: Path, name: str, wrong: str
) -> None:
    Handler.plan = [wrong] if wrong else []
    found = far.plain(raw.read_all(read_source(f"{server}/{name}?token=1")))
    (tmp_path / name).write_bytes(Handler.files[f"/a/{name}"])
    assert found == far.plain(raw.read_all(read_source(tmp_path / name)))
    assert Handler.plan == []


@pytest.mark.parametrize("name", ["00000.tar", "1.tar.gz"])
def test_a_server_without_ranges_is_read_from_the_front(far: Any, server: str, raw: Any, name: str) -> None:
    expected = far.plain(raw.read_all(read_source(f"{server}/{name}")))
    Handler.ranges = False
    Handler.files[f"/a/{name}"] += bytes(3)
    Handler.files[f"/a/{name}"] = Handler.files[f"/a/{name}"][:-3]
    assert far.plain(raw.read_all(read_source(f"{server}/{name}"))) == expected


def test_a_missing_file_on_a_server_is_not_tried_again(server: str) -> None:
    with pytest.raises(SourceError, match="no such file"):
        list(read_source(f"{server}/nothing.tar").images(print))
    with pytest.raises(SourceError, match=r"2 of 3 are missing"):
        stamps_of(read_source(server + "/0000{0..2}.tar"))


def test_a_server_that_stays_broken_is_named(server: str) -> None:
    Handler.plan = ["500"] * 50
    with pytest.raises(LostSource) as caught:
        list(read_source(f"{server}/00000.tar").images(print))
    assert str(caught.value.where).startswith(f"{server}/00000.tar@")
