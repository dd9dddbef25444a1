"""A hub on this machine that plays Hugging Face and ModelScope, and cuts, lies and stalls on request."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import random
import re
import shutil
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import huggingface_hub  # noqa: F401  (its constants are frozen now: what tests set later must count all the same)
import pytest
import torch
from safetensors.torch import load_file, save_file

from cnclip.checkpoints import save_checkpoint
from cnclip.checkpoints.official import write_official
from cnclip.checkpoints.to_huggingface import write_hugging_face
from cnclip.model import BertArchitecture, ChineseClip, ClipArchitecture, VitArchitecture

REPOSITORY = "OFA-Sys/chinese-clip-test"
WEIGHTS = "clip_cn_test.pt"


def _beside(name: str) -> Any:
    """A module that lies in this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


state, bodies, uploads = map(_beside, ("loopback_state", "loopback_bodies", "loopback_uploads"))


class _Handler(bodies.Bodies, uploads.Uploads, BaseHTTPRequestHandler):  # type: ignore[misc]
    protocol_version = "HTTP/1.1"
    hub: Any

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._route()

    def do_GET(self) -> None:
        self._route()

    def _route(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self._note(path)
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
        elif file is not None and repository in self.hub.gated:
            status = 403 if self.headers.get("Authorization") else 401
            self._plain(status, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        else:
            return True
        return False

    def _body(self, repository: str, file: str) -> None:
        if self._known(repository, file):
            self.send_file(repository, file)

    def _resolve(self, repository: str, revision: str, file: str) -> None:
        if not self._known(repository, file):
            return
        etag, size = self.hub.etag(repository, file), len(self.hub.files[repository][file])
        headers = {
            "X-Repo-Commit": self.hub.commit,
            "X-Linked-Etag": f'"{etag}"',
            "X-Linked-Size": str(size),
            "Accept-Ranges": "bytes",
            # another host name for the same server: tokens must not go there
            "Location": self.hub.redirect_to
            or f"http://localhost:{self.hub.port}/cdn/{repository}/{quote(file)}",
        }
        self._plain(302, b"", headers)

    def _listing(self, repository: str) -> None:
        if not self._known(repository):
            return
        siblings = []
        for file, content in self.hub.files[repository].items():
            etag = self.hub.etag(repository, file)
            sibling: dict[str, object] = {"rfilename": file, "size": len(content), "blobId": etag}
            if len(etag) == 64:
                sibling["lfs"] = {"sha256": etag, "size": len(content), "pointerSize": 130}
            siblings.append(sibling)
        self._json(
            {
                "id": repository,
                "modelId": repository,
                "sha": self.hub.commit,
                "siblings": siblings,
                "tags": [],
            }
        )

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

    def _note(self, path: str) -> None:
        headers = {name.title(): value for name, value in self.headers.items()}
        self.hub.asked.append(state.Asked(self.command, path, headers))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no trouble of the server."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A running hub with one repository, which the environment names; caches lie in `tmp_path`."""
    served = state.LoopbackHub()
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


@pytest.fixture(scope="session")
def tiny() -> ChineseClip:
    """A model whose heads are 64 wide, so that a bare file tells its architecture."""
    text = BertArchitecture(hidden=64, layers=1, heads=1, intermediate=64)
    image = VitArchitecture(width=64, layers=1, heads=1, patch_size=8, resolution=16)
    return ChineseClip(ClipArchitecture(embed_dim=16, image=image, text=text), seed=5).eval()


@pytest.fixture(scope="session")
def formats(tiny: ChineseClip, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """The tiny model as the files of repositories: kind -> file -> bytes."""
    place = tmp_path_factory.mktemp("仓库")
    save_checkpoint(tiny, place / "native", extra_files={"recipe.yaml": "seed: 7\n"})
    (place / "hf").mkdir()
    write_hugging_face(tiny, place / "hf")
    (place / "sharded").mkdir()
    write_hugging_face(tiny, place / "sharded")
    _shard(place / "sharded")
    for kind in ("pt", "safetensors"):
        (place / kind).mkdir()
    write_official(tiny, place / "pt" / "clip_cn_tiny.pt")
    shutil.copy(place / "native" / "model.safetensors", place / "safetensors" / "模型.safetensors")
    return {folder.name: files_of(folder) for folder in place.iterdir()}


def files_of(folder: Path) -> dict[str, bytes]:
    """Relative name -> bytes, and a README as every repository has one."""
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in names.items()} | {
        "README.md": b"# README\n",
        ".gitattributes": b"*.pt filter=lfs\n",
    }


def _shard(folder: Path) -> None:
    """Two shards and their index in place of one file."""
    tensors = load_file(folder / "model.safetensors")
    names, weight_map = sorted(tensors), {}
    for number, part in enumerate((names[:9], names[9:]), start=1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file({name: tensors[name].clone() for name in part}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.fixture(scope="session")
def same() -> Callable[[ChineseClip, ChineseClip], bool]:
    """Whether two models have equal weights."""

    def compare(one: ChineseClip, other: ChineseClip) -> bool:
        first, second = one.state_dict(), other.state_dict()
        return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)

    return compare
