"""A hub on this machine that plays Hugging Face and ModelScope, and cuts, lies and stalls on request."""

from __future__ import annotations

import hashlib
import json
import random
import re
import socketserver
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import huggingface_hub  # noqa: F401  (its constants are frozen now: what tests set later must count all the same)
import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "OFA-Sys/chinese-clip-test"
WEIGHTS = "clip_cn_test.pt"


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


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: LoopbackHub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._route()

    def do_GET(self) -> None:
        self._route()

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.hub.asked.append(
            Asked("POST", self.path, {name.title(): value for name, value in self.headers.items()})
        )
        if "reader" in self.headers.get("Authorization", ""):
            self._plain(403, b'{"error": "no right to write"}')
        elif "wrong" in self.headers.get("Authorization", ""):
            self._plain(401, b'{"error": "Invalid credentials in Authorization header"}')
        elif self.path == "/api/repos/create":
            self.hub.pushed.append(json.loads(content))
            made = json.loads(content)
            self._json({"url": f"{self.hub.address}/{made['organization']}/{made['name']}"})
        elif self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            names = [entry["path"] for entry in json.loads(content)["files"]]
            self._json(
                {"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]}
            )
        elif "/commit/" in self.path:
            self.hub.pushed += [json.loads(line) for line in content.splitlines()]
            self._json(
                {
                    "success": True,
                    "commitOid": COMMIT,
                    "commitUrl": f"{self.hub.address}/me/m/commit/{COMMIT}",
                }
            )
        else:
            self._plain(404, b"{}")

    def _route(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(
            Asked(self.command, path, {name.title(): value for name, value in self.headers.items()})
        )
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/.+)?", path):
            self._listing(match[1])
        elif match := re.fullmatch(r"/api/v1/models/([^/]+/[^/]+)/repo/files", path):
            self._modelscope_listing(match[1])
        elif match := re.fullmatch(r"/(?:models|cdn)/([^/]+/[^/]+)(?:/resolve/[^/]+)?/(.+)", path):
            self._body(match[1], match[2])
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(match[1], match[2], match[3])
        else:
            self._plain(404, b"no such page")

    def _known(self, repository: str, file: str | None = None) -> bool:
        if repository in self.hub.forbidden:
            self._plain(401, b"", {"X-Error-Code": "RepoNotFound"})
        elif repository not in self.hub.files:
            self._plain(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif file is not None and file not in self.hub.files[repository]:
            self._plain(404, b"", {"X-Error-Code": "EntryNotFound"})
        else:
            return True
        return False

    def _etag(self, repository: str, file: str) -> str:
        content = self.hub.files[repository][file]
        if file in self.hub.promised:
            return self.hub.promised[file]
        if file.endswith((".json", ".txt")):
            return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return hashlib.sha256(content).hexdigest()

    def _resolve(self, repository: str, revision: str, file: str) -> None:
        if not self._known(repository, file):
            return
        etag, size = self._etag(repository, file), len(self.hub.files[repository][file])
        headers = {
            "X-Repo-Commit": COMMIT,
            "X-Linked-Etag": f'"{etag}"',
            "X-Linked-Size": str(size),
            "Accept-Ranges": "bytes",
            # another host name for the same server: tokens must not go there
            "Location": self.hub.redirect_to or f"http://localhost:{self.hub.port}/cdn/{repository}/{file}",
        }
        self._plain(302, b"", headers)

    def _listing(self, repository: str) -> None:
        if not self._known(repository):
            return
        siblings = []
        for file, content in self.hub.files[repository].items():
            etag = self._etag(repository, file)
            sibling: dict[str, object] = {"rfilename": file, "size": len(content), "blobId": etag}
            if len(etag) == 64:
                sibling["lfs"] = {"sha256": etag, "size": len(content), "pointerSize": 130}
            siblings.append(sibling)
        self._json({"id": repository, "modelId": repository, "sha": COMMIT, "siblings": siblings, "tags": []})

    def _modelscope_listing(self, repository: str) -> None:
        if repository not in self.hub.files:
            self._json(
                {"Code": 10010205001, "Success": False, "Message": "record not found", "Data": None}, 404
            )
            return
        files: list[dict[str, object]] = [{"Path": "sub", "Type": "tree", "Size": 0}]
        for file, content in self.hub.files[repository].items():
            sha256 = self.hub.promised.get(file, hashlib.sha256(content).hexdigest())
            files.append({"Path": file, "Type": "blob", "Size": len(content), "Sha256": sha256})
        self._json({"Code": 200, "Success": True, "Data": {"Files": files}})

    def _body(self, repository: str, file: str) -> None:
        if not self._known(repository, file):
            return
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

    def _plain(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, value: object, status: int = 200) -> None:
        self._plain(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no trouble of the server."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A running hub with one repository, which the environment names; caches lie in `tmp_path`."""
    served = LoopbackHub()
    handler = type("Handler", (_Handler,), {"hub": served})
    with _Server(("127.0.0.1", 0), handler) as server:
        assert isinstance(server, socketserver.BaseServer)
        served.port = server.server_address[1]
        served.files[REPOSITORY] = {
            WEIGHTS: random.Random(3).randbytes(300_000),
            "config.json": '{"模型": "测试"}'.encode(),
            "sub/vocab.txt": "[PAD]\n的\n".encode(),
        }
        for name in (
            "HF_HUB_OFFLINE",
            "TRANSFORMERS_OFFLINE",
            "HF_HUB_CACHE",
            "HF_TOKEN",
            "HF_HUB_DOWNLOAD_TIMEOUT",
        ):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        monkeypatch.setenv("MODELSCOPE_DOMAIN", served.address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "缓存" / "hf"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "缓存"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield served
        server.shutdown()
        thread.join()
