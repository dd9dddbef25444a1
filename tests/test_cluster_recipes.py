"""The cluster recipes do what docs/cluster.md says: a fake SLURM runs the array, a real Ray the tasks."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from PIL import Image

from cnclip.stores.raw import read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store

ROOT = Path(__file__).resolve().parent.parent
ARRAY = ROOT / "recipes" / "cluster" / "build_array.sbatch"
PAGES = ("docs/cluster.md", "docs/cluster_zh.md")
PICTURES = 12
# what sbatch does, for one machine: the tasks of an array one after the other, or a wrapped command
SBATCH = """#!/bin/bash
set -eu
echo "sbatch $*" >> "$SLURM_LOG"
wrap= array=
while [ $# -gt 0 ]; do
  case $1 in
    --parsable) ;;
    --array=*) array=${1#*=} ;;
    --wrap=*) wrap=${1#*=} ;;
    --dependency=*) ;;
    *) break ;;
  esac
  shift
done
if [ -n "$wrap" ]; then bash -c "$wrap" >&2; exit; fi
script=$1; shift
ids=$(echo "$array" | tr , ' ')
case $array in *-*) ids=$(seq "${array%-*}" "${array#*-}") ;; esac
for id in $ids; do
  SLURM_ARRAY_JOB_ID=77 SLURM_ARRAY_TASK_ID=$id SLURM_CPUS_PER_TASK=1 bash "$script" "$@" >&2
done
echo 77
"""
CNCLIP = """#!/bin/bash
exec "{python}" -m cnclip "$@"
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with shards/, and sbatch, scontrol and cnclip on the PATH."""
    (tmp_path / "shards").mkdir()
    for shard in range(4):
        with tarfile.open(tmp_path / "shards" / f"{shard:05d}.tar", "w") as archive:
            for number in range(3 * shard, 3 * shard + 3):
                picture = io.BytesIO()
                Image.new("RGB", (8, 8), (number, 0, 9)).save(picture, "PNG")
                text = f"第{number}句".encode()
                for name, data in ((f"{number}.png", picture.getvalue()), (f"{number}.txt", text)):
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
    programs = {
        "sbatch": SBATCH,
        "scontrol": '#!/bin/bash\necho "scontrol $*" >> "$SLURM_LOG"\n',
        "cnclip": CNCLIP.format(python=sys.executable),
    }
    for name, text in programs.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_LOG", str(tmp_path / "slurm.log"))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


def contents(store: Path) -> set[tuple[str, bytes, str]]:
    with StoreReader(store) as reader:
        pairs = [reader.pair(index) for index in range(reader.pair_count)]
    return {(pair.image_id, pair.image, pair.caption) for pair in pairs}


def snippets(page: str, word: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [block for block in re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL) if word in block]


def test_the_batch_script_is_valid_shell() -> None:
    assert run(["bash", "-n", str(ARRAY)], ROOT).stderr == ""
    lines = ARRAY.read_text(encoding="utf-8").splitlines()
    first_command = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    directives = [number for number, line in enumerate(lines) if line.startswith("#SBATCH")]
    assert directives and max(directives) < first_command  # SLURM reads none behind the first command


def test_the_pages_are_twins() -> None:
    english, chinese = ([re.sub(r" +#.*", "", block) for block in snippets(page, "")] for page in PAGES)
    assert english == chinese


def test_the_array_and_the_join_of_the_page_make_the_whole_store(cluster: Path) -> None:
    [script] = snippets(PAGES[0], "--dependency")
    done = run(["bash", "-euc", script], cluster)
    assert done.returncode == 0, done.stderr
    build_store(read_source(cluster / "shards"), cluster / "whole")
    assert contents(cluster / "stores" / "all") == contents(cluster / "whole")
    assert len(contents(cluster / "whole")) == PICTURES
    log = (cluster / "slurm.log").read_text(encoding="utf-8")
    assert "--dependency=afterok:77" in log
    again = run(["bash", str(ARRAY), "4", "shards", "parts"], cluster)
    assert again.returncode == 2  # no array
    again = run(["sbatch", "--array=1,3", str(ARRAY), "4", "shards", "parts"], cluster)
    assert again.stderr.count("is done") == 2


def test_a_task_whose_number_is_no_part_fails(cluster: Path) -> None:
    done = run(["sbatch", "--array=4-4", str(ARRAY), "4", "shards", "parts"], cluster)
    assert done.returncode != 0
    assert "counted from 0" in done.stderr


def wait_for_trap(pid: int, number: signal.Signals) -> None:
    """Until a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():  # no Linux
        time.sleep(1)
        return
    while not int(status.read_text().partition("SigCgt:")[2].split()[0], 16) >> (number - 1) & 1:
        time.sleep(0.01)


@pytest.mark.parametrize(("code", "requeued"), [(75, True), (3, False)])
def test_a_task_near_its_time_limit_stops_the_build_and_is_queued_again(
    cluster: Path, code: int, requeued: bool
) -> None:
    slow = cluster / "bin" / "cnclip"
    slow.write_text(f"#!/bin/bash\ntrap 'exit {code}' TERM\necho begun\nwhile :; do sleep 0.05; done\n")
    environment = {**os.environ, "SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": "2"}
    command = ["bash", str(ARRAY), "4", "shards", "parts"]
    with subprocess.Popen(command, cwd=cluster, env=environment, stdout=subprocess.PIPE) as task:
        assert task.stdout is not None
        assert task.stdout.readline() == b"begun\n"
        wait_for_trap(task.pid, signal.SIGUSR1)  # the script sets its traps after the build has begun
        task.send_signal(signal.SIGUSR1)
        assert task.wait(timeout=60) == code
    log = cluster / "slurm.log"
    said = log.read_text(encoding="utf-8") if log.exists() else ""
    assert said == ("scontrol requeue 77_2\n" if requeued else "")


def test_ray_joins_nothing_after_a_failure_and_then_builds_what_is_missing(cluster: Path) -> None:
    pytest.importorskip("ray", reason='Ray is not installed: pip install "cnclip[ray]"')
    script = ROOT / "recipes" / "cluster" / "build_ray.py"
    command = [sys.executable, str(script), "shards", "parts", "stores/all", "--parts", "2", "--cpus", "1"]
    command += ["--tries", "2", "--", "--on-bad", "fail"]
    (cluster / "stores").mkdir()
    shard = cluster / "shards" / "00001.tar"
    good = shard.read_bytes()
    shard.write_bytes(b"damaged" * 1000)
    done = run(command, cluster)
    assert done.returncode == 1
    assert "part 1: exit code 3" in done.stdout
    assert "damaged archive" in done.stderr
    assert not (cluster / "stores" / "all").exists()
    shard.write_bytes(good)
    done = run(command, cluster)
    assert done.returncode == 0, done.stderr
    assert "part   tries   seconds   outcome" in done.stdout
    assert "done before" in done.stdout and "6 pictures" in done.stdout
    build_store(read_source(cluster / "shards"), cluster / "whole")
    assert contents(cluster / "stores" / "all") == contents(cluster / "whole")
