"""How the loopback hub takes uploads: a new repository, and a commit whose files it serves from then on."""

from __future__ import annotations

import base64
import json
import re
from typing import Any


class Uploads:
    """The part of a request handler that answers POST."""

    hub: Any

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._note(self.path)
        if "reader" in self.headers.get("Authorization", ""):
            self._plain(403, b'{"error": "no right to write"}')
        elif "wrong" in self.headers.get("Authorization", ""):
            self._plain(401, b'{"error": "Invalid credentials in Authorization header"}')
        elif self.path == "/api/repos/create":
            self.hub.pushed.append(json.loads(content))
            made = json.loads(content)
            name = f"{made['organization']}/{made['name']}"
            self.hub.files.setdefault(name, {})
            self._json({"url": f"{self.hub.address}/{name}"})
        elif self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            names = [entry["path"] for entry in json.loads(content)["files"]]
            self._json(
                {"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]}
            )
        elif "/commit/" in self.path:
            self._keep([json.loads(line) for line in content.splitlines()])
        else:
            self._plain(404, b"{}")

    def _keep(self, lines: list[dict[str, Any]]) -> None:
        match = re.match(r"/api/models/([^/]+/[^/]+)/commit/", self.path)
        assert match is not None
        repository, commit = match[1], self.hub.commit
        self.hub.pushed += lines
        for line in lines:
            if line["key"] == "file":
                value = line["value"]
                assert value["encoding"] == "base64"
                self.hub.files[repository][value["path"]] = base64.b64decode(value["content"])
        address = f"{self.hub.address}/{repository}/commit/{commit}"
        self._json({"success": True, "commitOid": commit, "commitUrl": address})
