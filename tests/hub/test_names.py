"""`load_from_name` of a hub's repositories: what is fetched, where it lies, what is asked the second time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnclip import load_from_name
from cnclip.errors import ArtifactError, CheckpointError, ResourceError
from cnclip.hub.settings import hugging_face_cache, modelscope_cache
from cnclip.model import ChineseClip

NAME = "me/emoji-clip"
KINDS = ["native", "hf", "sharded", "pt", "safetensors"]
Formats = dict[str, dict[str, bytes]]
Same = Callable[[ChineseClip, ChineseClip], bool]


@pytest.mark.parametrize("modelscope", [False, True])
@pytest.mark.parametrize("with_root", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_repository_of_each_kind_is_a_name(
    hub: Any,
    tmp_path: Path,
    formats: Formats,
    tiny: ChineseClip,
    same: Same,
    kind: str,
    with_root: bool,
    modelscope: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub.files[NAME] = formats[kind]
    root = tmp_path / "下载" if with_root else None

    def load() -> ChineseClip:
        hub.asked.clear()
        return load_from_name(NAME, "cpu", root, use_modelscope=modelscope)[0]

    model = load()
    assert same(model, tiny) and not model.training
    fetched = {ask.path for ask in hub.bodies()}
    assert len(fetched) == len(hub.bodies())
    if root is not None:
        place = root / "me--emoji-clip"
    elif modelscope:
        place = modelscope_cache(NAME, "master")
    else:
        place = hugging_face_cache() / "models--me--emoji-clip" / "snapshots" / hub.commit
    lie_there = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    left_out = {".gitattributes"} if kind == "native" else {".gitattributes", "README.md"}
    wanted = set(formats[kind]) - left_out
    assert {file for file in lie_there if not file.startswith(".cache/")} == wanted
    assert len(fetched) == len(wanted)

    assert same(load(), tiny)
    assert len(hub.asked) == 1 and "/resolve/" not in hub.asked[0].path, hub.asked

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert same(load(), tiny)
    assert hub.asked == []


def test_the_bare_file_of_a_repository_needs_no_other_argument_and_takes_all(
    hub: Any, formats: Formats, tmp_path: Path
) -> None:
    hub.files[NAME] = formats["pt"]
    model, transform = load_from_name(NAME, "cpu", tmp_path, input_resolution=32, precision="bf16")
    assert model.architecture.image.resolution == 32 and str(transform.fingerprint)
    assert str(model.visual.conv1.weight.dtype) == "torch.bfloat16"
    with pytest.raises(CheckpointError, match=r"visual\.conv1\.weight: file \[64, 3, 8, 8\], model \[768, 3"):
        load_from_name(NAME, "cpu", tmp_path, vision_model_name="ViT-B-16")


CHILD = "import sys; from cnclip import load_from_name; load_from_name(sys.argv[1], 'cpu'); print('读到了')"


def test_three_processes_fetch_a_repository_once(hub: Any, formats: Formats) -> None:
    hub.files[NAME] = formats["hf"]
    hub.bytes_per_piece, hub.seconds_per_piece = 1 << 20, 0.1
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUTF8": "1"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, NAME],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=240) for process in running]
    assert [output for output, _ in outputs] == ["读到了\n"] * 3, outputs
    paths = [ask.path for ask in hub.bodies()]
    assert sorted(paths) == sorted(set(paths))


def test_a_cut_download_goes_on_and_a_lying_hub_is_refused(
    hub: Any, formats: Formats, tiny: ChineseClip, same: Same, tmp_path: Path
) -> None:
    hub.files[NAME] = formats["pt"]
    hub.faults = ["cut", "503", "cut"]
    assert same(load_from_name(NAME, "cpu", tmp_path)[0], tiny)
    assert any("Range" in ask.headers for ask in hub.bodies())
    hub.files["me/other"] = formats["pt"]
    hub.always = "wrong"
    with pytest.raises(ArtifactError, match="the hub says"):
        load_from_name("me/other", "cpu", tmp_path)
    assert not list((tmp_path / "me--other").glob("*.pt"))


@pytest.mark.parametrize("with_root", [False, True])
def test_a_damaged_file_on_the_disk_is_fetched_again(
    hub: Any,
    formats: Formats,
    tiny: ChineseClip,
    same: Same,
    tmp_path: Path,
    with_root: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub.files[NAME] = formats["native"]
    root = tmp_path if with_root else None
    load_from_name(NAME, "cpu", root)
    place = tmp_path if with_root else hugging_face_cache()
    (file,) = place.rglob("model.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.resolve().write_bytes(content)
    assert same(load_from_name(NAME, "cpu", root)[0], tiny)
    assert "model.safetensors" in caplog.text and "fetched again" in caplog.text


def test_a_card_that_was_edited_on_the_hub_is_no_damage(
    hub: Any, formats: Formats, tiny: ChineseClip, same: Same, tmp_path: Path
) -> None:
    hub.files[NAME] = dict(formats["native"])
    load_from_name(NAME, "cpu", tmp_path)
    hub.files[NAME]["README.md"], hub.commit = "# 改过的说明\n".encode(), "f" * 40
    for root in (tmp_path, None):
        assert same(load_from_name(NAME, "cpu", root)[0], tiny)


def test_a_cache_that_cannot_take_the_newer_version_gives_the_older_one(
    hub: Any, formats: Formats, tiny: ChineseClip, same: Same, caplog: pytest.LogCaptureFixture
) -> None:
    hub.files[NAME] = dict(formats["native"])
    load_from_name(NAME, "cpu")
    hub.commit = "f" * 40
    in_the_way = hugging_face_cache() / "models--me--emoji-clip" / "snapshots" / hub.commit
    in_the_way.write_text("a file where the folder would be")
    assert same(load_from_name(NAME, "cpu")[0], tiny)
    assert "the version that is on the disk serves" in caplog.text


def test_half_of_a_newer_version_does_not_hide_the_older_one(
    hub: Any, formats: Formats, tiny: ChineseClip, same: Same, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files[NAME] = dict(formats["hf"])
    load_from_name(NAME, "cpu")
    newer = hub.files[NAME]["model.safetensors"]
    hub.files[NAME]["model.safetensors"] = newer[:-1] + bytes([newer[-1] ^ 1])
    hub.commit, hub.always = "f" * 40, "500"
    assert same(load_from_name(NAME, "cpu")[0], tiny)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert same(load_from_name(NAME, "cpu")[0], tiny)


def test_weights_come_last_so_that_no_half_is_taken_for_a_bare_file(
    hub: Any, formats: Formats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files[NAME] = formats["hf"]
    load_from_name(NAME, "cpu", tmp_path)
    assert hub.bodies()[-1].path.endswith("model.safetensors")
    (tmp_path / "me--emoji-clip" / "model.safetensors").unlink()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ResourceError, match="not on this machine"):
        load_from_name(NAME, "cpu", tmp_path)


def test_a_cache_behind_a_link_serves(
    hub: Any, formats: Formats, tiny: ChineseClip, same: Same, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files[NAME] = formats["native"]
    (tmp_path / "大磁盘").mkdir()
    (tmp_path / "链接").symlink_to(tmp_path / "大磁盘")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "链接"))
    assert same(load_from_name(NAME, "cpu")[0], tiny)
    (snapshot,) = (tmp_path / "大磁盘").glob("models--*/snapshots/*")
    assert same(load_from_name(snapshot, "cpu")[0], tiny)
    hub.asked.clear()
    assert same(load_from_name(NAME, "cpu")[0], tiny)
    assert hub.bodies() == []
