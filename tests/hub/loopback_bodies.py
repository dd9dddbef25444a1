"""How the loopback hub sends the bytes of files: whole, cut, stalled, flipped, in chunks."""

from __future__ import annotations

import re
import time
from typing import Any


class Bodies:
    """The part of a request handler that answers with a file's bytes, and with the hub's present fault."""

    hub: Any

    def send_file(self, repository: str, file: str) -> None:
        hub, content = self.hub, self.hub.files[repository][file]
        fault = hub.faults.pop(0) if hub.faults else hub.always
        if fault in {"416", "429", "503", "500"}:
            self._plain(int(fault), b"not now", {"Retry-After": hub.retry_after})
            return
        if fault == "html":
            self._plain(
                200, b"<!DOCTYPE html><title>Login</title>", {"Content-Type": "text/html; charset=utf-8"}
            )
            return
        if fault == "redirect":
            self._plain(302, b"", {"Location": f"{hub.address}{self.path}"})
            return
        if fault == "wrong":
            at = hub.random.randrange(len(content))
            content = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        self._send(content, fault)

    def _send(self, content: bytes, fault: str) -> None:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(match[1]) if match else 0
        if match and self.headers.get("If-Range") not in {None, '"v1"'}:
            start, match = 0, None
        if start >= len(content) and match:
            self._plain(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        self.send_response(206 if match else 200)
        if match:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if fault.startswith("chunked"):
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("ETag", '"v1"')
        self.end_headers()
        rest = content[start:]
        if fault in {"cut", "stall"}:
            rest = rest[: self.hub.random.randrange(1, len(rest))]
        if fault.startswith("chunked"):
            end = b"" if fault == "chunked cut" else b"\r\n0\r\n\r\n"
            extra = b"x" if fault == "chunked too long" else b""
            rest = b"%x\r\n%b" % (len(rest + extra), rest + extra) + end
            rest = rest[: len(rest) // 2] if fault == "chunked cut" else rest
        for at in range(0, len(rest), self.hub.bytes_per_piece):
            self.wfile.write(rest[at : at + self.hub.bytes_per_piece])
            self.wfile.flush()
            time.sleep(self.hub.seconds_per_piece)
        if fault == "stall":
            time.sleep(2.5)
        if fault:
            self.close_connection = True
