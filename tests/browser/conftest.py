"""A real browser without a window, spoken to over two pipes in Chromium's DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 120  # seconds that one answer may take on a busy machine
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SWITCHES = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-extensions", "--disable-background-networking", "--disable-component-update",
    "--disable-default-apps", "--disable-sync", "--remote-debugging-pipe", "--window-size=1280,900",
)  # fmt: skip


class Page:
    """One tab, and all that it complained of or asked for.

    Args:
        program: of the browser.
        profile: its folder; nothing of the user's is read or written.
    """

    def __init__(self, program: str, profile: Path) -> None:
        self._profile = profile
        mine, its = _pipes()
        environment = {**os.environ, "HOME": str(profile), "XDG_CONFIG_HOME": str(profile)}
        self._process = subprocess.Popen(
            [program, *SWITCHES, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(profile / "stderr.txt").open("wb"),
            env=environment,
            pass_fds=(3, 4),
            preexec_fn=lambda: (os.dup2(its[0], 3), os.dup2(its[1], 4)),  # what the switch wants
        )
        for end in its:
            os.close(end)
        self._read, self._write = os.fdopen(mine[0], "rb"), os.fdopen(mine[1], "wb")
        self._rest, self._number, self._session = b"", 0, ""
        self.errors: list[str] = []
        self.addresses: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the browser for something and wait for its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._write.write(json.dumps(message).encode() + b"\0")
        self._write.flush()
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])

    def open(self, path: Path) -> None:
        """Show a file and wait until it is loaded."""
        self.errors.clear(), self.addresses.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        deadline = time.monotonic() + PATIENCE
        while self.run("document.readyState") != "complete" or self.run("location.protocol") != "file:":
            assert time.monotonic() < deadline, f"{path} did not load"
            time.sleep(0.05)
        self.settle()

    def settle(self) -> None:
        """Wait until two frames are drawn, so that what they complain of has been told."""
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def run(self, script: str) -> Any:
        """The value of a script from outside, which the page's content policy does not hold back."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def show(self, *, width: int = 1280, dark: bool = False, printed: bool = False) -> None:
        """Width of the window, dark or light, screen or paper."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", media="print" if printed else "screen", features=features)
        self.settle()

    def shoot(self, clip: dict[str, float] | None = None) -> bytes:
        """A PNG of the whole page, or of a part of it in CSS pixels."""
        asked: dict[str, Any] = {"format": "png", "captureBeyondViewport": True}
        if clip is None:
            clip = self.run("({x: 0, y: 0, width: innerWidth, height: document.body.scrollHeight})")
        return base64.b64decode(
            self.call("Page.captureScreenshot", clip={**clip, "scale": 1}, **asked)["data"]
        )

    def close(self) -> None:
        """End the browser."""
        self._session = ""
        with contextlib.suppress(OSError, AssertionError):
            self.call("Browser.close")
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._read.close(), self._write.close()

    def _next(self) -> dict[str, Any]:
        """The next message; complaints and requests are noted on the way."""
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], PATIENCE)
            part = self._read.read1(1 << 20) if ready else b""
            assert part, f"the browser {'ended' if ready else 'says nothing'}: {self._complaints()}"
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        told = message.get("params", {})
        match message.get("method"):
            case "Runtime.consoleAPICalled" if told["type"] in ("error", "warning", "assert"):
                self.errors.append(f"console: {[one.get('value') for one in told['args']]}")
            case "Runtime.exceptionThrown":
                self.errors.append(f"script: {told['exceptionDetails']['text']}")
            case "Log.entryAdded" if told["entry"]["level"] in ("error", "warning"):
                self.errors.append(f"{told['entry']['source']}: {told['entry']['text']}")
            case "Network.requestWillBeSent":
                self.addresses.append(told["request"]["url"])
        return message

    def _complaints(self) -> str:
        return (self._profile / "stderr.txt").read_text(encoding="utf-8", errors="replace")[-2000:]


def _pipes() -> tuple[tuple[int, int], tuple[int, int]]:
    """(read, write) of ours and of the browser's, all above 10, so that they can be put at 3 and 4."""
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for pair in (os.pipe(), os.pipe()) for end in pair]
    return (ends[2], ends[1]), (ends[0], ends[3])


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser of this module's own; the tests say why where they are skipped."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed (Debian: apt install chromium)")
    profile = tmp_path_factory.mktemp("browser")
    page = Page(program, profile)
    yield page
    page.close()
