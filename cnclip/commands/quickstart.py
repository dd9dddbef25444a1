"""`cnclip quickstart`: the whole road on the bundled emoji; each step can also be typed by hand."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnclip.artifacts import read_json, write_json
from cnclip.checkpoints import publish_checkpoint
from cnclip.checkpoints.publish import METRICS_FILE
from cnclip.commands.data import build
from cnclip.commands.evaluate_parts import Subject, open_subject, store_embeddings
from cnclip.commands.train import train
from cnclip.config import TrainRecipe, read_recipe
from cnclip.errors import CnclipError, RecipeError
from cnclip.evaluation.classes import read_class_names, read_templates
from cnclip.evaluation.evaluate import store_positives
from cnclip.evaluation.examples import Gallery, search_pictures
from cnclip.evaluation.labelled import from_labelled_store
from cnclip.evaluation.page import write_search_page
from cnclip.evaluation.report import recall_table, retrieval_json, zeroshot_json, zeroshot_tables
from cnclip.evaluation.retrieval import RetrievalResult, recall_at_k
from cnclip.evaluation.zeroshot import ZeroShotResult, build_classifier, classify
from cnclip.stores.reader import StoreReader
from cnclip.tables import Table, markdown_table, text_table

QUERIES = ("红色的水果", "下雨天", "会飞的动物", "生日蛋糕", "海里的动物")
STAGES = {"emoji_stage1": "第一阶段 after stage 1", "emoji_stage2": "第二阶段 after stage 2"}
BASE_MINUTES = 10.0
STORES = ("train", "valid", "heldout")


@dataclass
class Clock:
    """Minutes of each step, kept in a file so that an interrupted quickstart adds them up."""

    path: Path
    minutes: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, number: int, name: str, why: str, command: str) -> Iterator[None]:
        """Announce a step in one line, Chinese and English, run it, note its minutes."""
        print(f"\n[{number}/6] {name}: {why}", flush=True)
        if command:
            print(f"      $ {command}", flush=True)
        start = time.monotonic()
        try:
            yield
        finally:
            spent = (time.monotonic() - start) / 60
            self.minutes[name] = round(self.minutes.get(name, 0.0) + spent, 3)
            write_json(self.path, self.minutes)


def quickstart(*, minutes: float | None = None, seed: int = 1, folder: Path = Path("runs/quickstart")) -> int:
    """Train a small Chinese CLIP on emoji pictures and show what it finds.

    Pictures and captions become stores; stage 1 teaches a Chinese text tower to reach a locked image tower
    that knows English names only; stage 2 teaches both; both are measured on a drawing style that no stage
    has seen. Interrupt it at any time: the same command goes on. The models replace checkpoints/emoji-stage1
    and checkpoints/emoji-stage2 below the folder it is started in.

    Examples:
        cnclip quickstart
        QUICKSTART_MINUTES=30 make quickstart

    Args:
        minutes: about how long on two cores; more trains longer. Default: QUICKSTART_MINUTES, else 10.
        seed: of both stages.
        folder: for stores, runs and the report.
    """
    root = _clone_root()
    minutes = _minutes(minutes)
    folder.mkdir(parents=True, exist_ok=True)
    clock_path = folder / f"minutes-{minutes:g}min-seed{seed}.json"
    clock = Clock(clock_path, read_json(clock_path) if clock_path.exists() else {})
    _prepare(root, folder, clock)
    checkpoints = {}
    for number, (name, purpose) in enumerate(_TRAINING.items(), 3):
        recipe = _recipe(root, folder, name, seed=seed, minutes=minutes)
        checkpoints[name] = recipe.output
        command = f"accelerate launch recipes/train.py recipes/{name}.yaml"
        with clock.step(number, name, purpose, command):
            if _is_published(recipe):
                print(f"      done before: {recipe.output}")
            else:
                train(recipe)
    with clock.step(5, "measure", _MEASURE, "python eval/retrieval.py CHECKPOINT STORE; eval/zeroshot.py"):
        report = _measure(root, folder, checkpoints)
    with clock.step(
        6, "report", "表格和五个中文查询，离线网页 tables and five queries, as an offline page", ""
    ):
        page = _write_report(folder, report, clock)
    print()
    for table in report.tables:
        print(text_table(table) + "\n")
    peak = _peak_gigabytes()
    print(f"minutes: {clock.minutes}, {sum(clock.minutes.values()):.1f} in all; peak memory {peak:.2f} GB")
    print(f"page: {page.resolve()}")
    for name, checkpoint in checkpoints.items():
        public = Path("checkpoints") / name.replace("_", "-")
        metrics = read_json(Path(checkpoint) / METRICS_FILE)
        publish_checkpoint(Path(checkpoint), public, metrics=metrics)
    print(f'use it: load_from_name("{public}")')
    return 0


_TRAINING = {
    "emoji_stage1": "锁住只懂英文名的图像塔，让中文对齐它 a locked English image tower, Chinese learns",
    "emoji_stage2": "从第一阶段出发，两个塔一起学 both towers learn, from stage 1's model",
}
_MEASURE = "在没见过的画风上评测 recall@K and zero-shot accuracy on a drawing style that no stage has seen"


@dataclass(frozen=True)
class Report:
    """What the quickstart found out."""

    tables: list[Table]
    results: dict[str, Any]
    subjects: dict[str, Subject]
    galleries: dict[str, Gallery]


def _prepare(root: Path, folder: Path, clock: Clock) -> None:
    pictures = folder / "emoji"
    script = root / "data_tools" / "prepare_emoji.py"
    command = f"python data_tools/prepare_emoji.py {pictures}"
    with clock.step(
        1, "unpack", "解开自带的图片和中文名 the bundled pictures and their names, as files", command
    ):
        if not (pictures / "heldout.jsonl").exists():
            subprocess.run([sys.executable, str(script), str(pictures)], check=True)
    command = f"python data_tools/build_store.py {pictures}/train.jsonl {folder}/train-store"
    with clock.step(
        2,
        "build",
        "建库，每张图先检查一遍 every picture is checked once, so that training never stops",
        command,
    ):
        for name in STORES:
            store = folder / f"{name}-store"
            if store.exists():
                print(f"      done before: {store}")
            elif code := build(pictures / f"{name}.jsonl", store):
                raise CnclipError(f"building {store} ended with code {code}")


def _recipe(root: Path, folder: Path, name: str, *, seed: int, minutes: float) -> TrainRecipe:
    """A stage's recipe with this quickstart's folders; its length follows the minutes."""
    suffix = f"{minutes:g}min-seed{seed}"
    plain = read_recipe(TrainRecipe, [str(root / "recipes" / f"{name}.yaml")])
    words = [
        f"output={folder}/{name}-{suffix}",
        f"run={folder}/runs/{name}-{suffix}",
        f"seed={seed}",
        f"data.train={folder}/train-store",
        f"data.valid={folder}/valid-store",
        f"schedule.epochs={plain.schedule.epochs * minutes / BASE_MINUTES}",
        f"schedule.warmup_steps={round(plain.schedule.warmup_steps * min(1.0, minutes / BASE_MINUTES))}",
    ]
    if name == "emoji_stage2":
        words.append(f"model.checkpoint={folder}/emoji_stage1-{suffix}")
    else:
        words.append(f"model.image.checkpoint={root / (plain.model.image.checkpoint or '')}")
    return read_recipe(TrainRecipe, [str(root / "recipes" / f"{name}.yaml"), *words])


def _is_published(recipe: TrainRecipe) -> bool:
    return (Path(recipe.output) / "MANIFEST.json").is_file()


def _measure(root: Path, folder: Path, checkpoints: dict[str, str]) -> Report:
    store = StoreReader(folder / "heldout-store")
    recalls: dict[str, RetrievalResult] = {}
    zeroshots: dict[str, ZeroShotResult] = {}
    subjects, galleries, results = {}, {}, {}
    for name, checkpoint in checkpoints.items():
        label = STAGES[name]
        subject = open_subject(checkpoint, "cpu")
        images, texts = store_embeddings(subject, store, None, batch_size=128, workers=2)
        recalls[label] = recall_at_k(images.rows, texts.rows, store_positives(store))
        zeroshots[label] = _zeroshot(root, folder, subject, store, images.rows)
        subjects[label], galleries[label] = subject, Gallery(store, images.rows)
        run = subject.account({"path": str(store.path), "fingerprint": store.fingerprint})
        results[name] = {
            "retrieval": retrieval_json(recalls[label], pairs=store.pair_count, run=run),
            "zeroshot": zeroshot_json(zeroshots[label], run=run),
        }
    tables = [
        recall_table(recalls, "没见过的画风上的 Recall@K（%） on a drawing style never trained on"),
        _zeroshot_table(zeroshots),
    ]
    return Report(tables, results, subjects, galleries)


def _zeroshot(root: Path, folder: Path, subject: Subject, store: StoreReader, rows: Any) -> ZeroShotResult:
    classes = read_class_names(root / "eval" / "labels" / "emoji_groups_zh.txt")
    templates = read_templates(root / "eval" / "templates" / "zh_emoji.txt")
    labelled = from_labelled_store(store, folder / "emoji" / "heldout_labels.jsonl", classes)
    classifier = build_classifier(subject.model, classes.names, templates, progress=None)
    return classify(rows[labelled.indices], classifier, labelled.labels, classes.names)


def _zeroshot_table(results: dict[str, ZeroShotResult]) -> Table:
    summaries = {label: zeroshot_tables(result)[0] for label, result in results.items()}
    first = next(iter(summaries.values()))
    rows: list[Sequence[str]] = [first.rows[0]]
    rows += [[label, *summary.rows[1][1:]] for label, summary in summaries.items()]
    return Table(first.title, first.header, rows, first.note)


def _write_report(folder: Path, report: Report, clock: Clock) -> Path:
    found = {
        label: search_pictures(report.subjects[label].model, QUERIES, gallery)
        for label, gallery in report.galleries.items()
    }
    page = folder / "report.html"
    write_search_page(page, "五分钟上手：中文搜表情图 cnclip quickstart", report.tables, found)
    write_json(
        folder / "results.json",
        {**report.results, "minutes": clock.minutes, "peak_gigabytes": round(_peak_gigabytes(), 3)},
    )
    text = "\n\n".join(markdown_table(table) for table in report.tables)
    (folder / "report.md").write_text(text + "\n", encoding="utf-8")
    return page


def _minutes(minutes: float | None) -> float:
    text = os.environ.get("QUICKSTART_MINUTES", str(BASE_MINUTES))
    try:
        chosen = float(text) if minutes is None else minutes
    except ValueError:
        raise RecipeError(
            f"QUICKSTART_MINUTES={text} is no number", fix="QUICKSTART_MINUTES=30 make quickstart"
        ) from None
    if not 0.05 <= chosen <= 1440:
        raise RecipeError(f"{chosen:g} minutes", fix="a number from 0.05 to 1440")
    return chosen


def _clone_root() -> Path:
    root = Path(__file__).resolve().parents[2]
    if not (root / "recipes" / "emoji_stage1.yaml").is_file():
        raise RecipeError(
            "the quickstart needs the recipes and pictures of the repository",
            fix="git clone it and run `make quickstart`",
        )
    return root


def _peak_gigabytes() -> float:
    """Largest resident memory of this process or of one of its children."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(own, children) / (1e6 if sys.platform != "darwin" else 1e9)
