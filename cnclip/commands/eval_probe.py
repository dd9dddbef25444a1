"""`cnclip eval probe`: class folders or a labelled store -> accuracy over the number of labelled pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cnclip.artifacts import atomic_file
from cnclip.commands.eval_probe_sources import Sources, both_sides
from cnclip.commands.evaluate_parts import command_line, open_subject, write_results
from cnclip.errors import RecipeError, SourceError
from cnclip.evaluation.classes import read_class_names
from cnclip.evaluation.probe.curve import ProbeData, draw_curve
from cnclip.evaluation.probe.methods import (
    FAST,
    PROMPT_METHODS,
    Name,
    TextTower,
    method_functions,
    method_names,
)
from cnclip.evaluation.probe.outcome import Curve, ShotCount
from cnclip.evaluation.probe.prompts import WORDS, PromptOptions
from cnclip.evaluation.probe.report import curve_csv, curve_json, curve_table, verdicts, write_curve_page
from cnclip.evaluation.probe.task import TextSide
from cnclip.evaluation.probe.tip_adapter import TipTraining
from cnclip.evaluation.processes import refuse_company
from cnclip.evaluation.templates import BARE, load_templates
from cnclip.evaluation.zeroshot import build_classifier
from cnclip.tables import text_table
from cnclip.zoo import load_from_name

ALL = "all"


def probe(
    checkpoint: str,
    data: Path,
    classes: Path,
    *,
    labels: Path | None = None,
    test: Path | None = None,
    test_labels: Path | None = None,
    test_share: float = 0.5,
    methods: str = ",".join(FAST),
    shots: str = "1,2,4,8,16",
    seeds: int = 3,
    templates: str | None = None,
    context: str = WORDS,
    prompt_steps: int = 200,
    output: Path | None = None,
    batch_size: int = 64,
    workers: int = 2,
    device: str = "auto",
) -> int:
    """Compare zero-shot with learning from a few labelled pictures per class.

    Each picture is embedded once. Then every method learns from K pictures of each class, drawn by each seed,
    and names the test pictures: a linear probe, nearest neighbours, class prototypes, Tip-Adapter (tip and
    tip-f) and, if asked for, prompt learning on the Chinese text tower (coop and cocoop; these take long).
    Prints the table and at how many pictures per class each method passes zero-shot; with --output it also
    writes results.json, probe.csv, report.md and report.html (opens offline, with the curve).

    Examples:
        cnclip eval probe ViT-B-16 photos/ names.txt --templates general --output reports/probe
        cnclip eval probe ViT-B-16 photos/train names.txt --test photos/test --shots 1,2,4,8,16,all
        cnclip eval probe checkpoints/emoji-stage2 stores/emoji-heldout eval/labels/emoji_groups_zh.txt
            --labels datasets/emoji/heldout_labels.jsonl --methods linear,tip,coop --output reports/probe

    Args:
        checkpoint: a model's name, folder or file.
        data: pictures to learn from: class folders, a store, or a file of labelled pictures or embeddings.
        classes: class names, one per line, in the order of the sorted folders, or `id<TAB>name`.
        labels: JSONL of {"image_id": …, "label": …} for a store; pictures without a label are left out.
        test: pictures to test on, like data; without it a share of the data.
        test_labels: like labels, for a store to test on.
        test_share: share of each class that is tested on, where there is no --test.
        methods: any of linear, knn, prototype, tip, tip-f, coop, cocoop, parted by commas.
        shots: labelled pictures per class, parted by commas; `all` takes what there is.
        seeds: draws per number of shots; 2 shots of a draw contain its 1.
        templates: a set of eval/templates by name, or a file of sentences with {} for the name; without it
            the bare name.
        context: words that coop and cocoop start from; "" starts from 16 random vectors.
        prompt_steps: optimizer steps of coop and cocoop.
        output: folder for the report and the embeddings, which the same command uses again.
        batch_size: pictures per forward pass.
        workers: threads that decode pictures.
        device: cpu, cuda, cuda:1 …; auto takes a GPU where there is one.
    """
    command = command_line("eval probe", probe, locals())
    refuse_company("eval probe")
    wanted, counts = method_names(_parts(methods)), shot_counts(shots)
    if seeds < 1:
        raise RecipeError(f"{seeds} seeds make no curve", fix="--seeds 3")
    names = read_class_names(classes)
    sentences = load_templates(templates or BARE)
    subject = open_subject(checkpoint, device)
    cache = None if output is None else output / "embeddings"
    sources = Sources(names, cache, batch_size, workers)
    sides = both_sides(subject, sources, (data, labels), (test, test_labels), test_share)
    with subject.timed("classifier"):
        side = TextSide(
            build_classifier(subject.model, names.names, sentences, batch_size=4 * batch_size),
            float(subject.model.logit_scale.exp()),
        )
    if sides.pool.rows.shape[1] != side.classifier.shape[1]:
        raise SourceError(
            f"{data} holds embeddings of length {sides.pool.rows.shape[1]}, the model's have"
            f" {side.classifier.shape[1]}",
            fix="take the model that made them",
        )
    place = str(subject.model.text_projection.device)
    trained = set(wanted) & set(PROMPT_METHODS)
    text = TextTower(
        names=names.names,
        side=side,
        model=load_from_name(checkpoint, device=place)[0] if trained else None,
        prompts=PromptOptions(words=context, steps=prompt_steps),
        tip=TipTraining(device=place),
    )
    with subject.timed("methods"):
        curve = _draw(ProbeData(sides.pool, sides.tested, names.names), text, wanted, counts, seeds)
    facts = [*sides.facts, f"模板 templates: {templates or BARE} ({len(sentences)})"]
    _show(curve, facts)
    if output is not None:
        lines = [f"模型 model: {checkpoint}", f"数据 data: {data}", f"类名 classes: {classes}", *facts]
        lines.append(f"命令 command: {command}")
        content = {
            "classes": len(names.names),
            "images": {"pool": len(sides.pool), "test": len(sides.tested)},
            "templates": sentences,
            "seeds": seeds,
        }
        run = subject.account(
            {"path": str(data), "test": str(test or data), "fingerprint": sides.fingerprint}
        )
        run["command"] = command
        _write(output, subject.short_name, lines, curve, curve_json(curve, counts=content, run=run))
    return 0


def shot_counts(text: str) -> list[ShotCount]:
    """`1,2,4,all` -> [1, 2, 4, None], ascending, each once.

    Raises:
        RecipeError: neither a number from 1 on nor `all`.
    """
    words = _parts(text)
    numbers = [word for word in words if word != ALL]
    if not words or not all(word.isascii() and word.isdigit() and int(word) for word in numbers):
        raise RecipeError(f"no numbers of shots: {text!r}", fix="--shots 1,2,4,8,16 or 1,4,all")
    counts: list[ShotCount] = [*sorted({int(word) for word in numbers})]
    return [*counts, None] if ALL in words else counts


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.replace("，", ",").split(",") if part.strip()]


def _draw(
    data: ProbeData, text: TextTower, wanted: Sequence[Name], counts: Sequence[ShotCount], seeds: int
) -> Curve:
    runs = len(wanted) * len(counts) * seeds
    with tqdm(total=runs, desc="probes", unit="run", disable=None, leave=False) as bar:
        return draw_curve(
            data, text.side, method_functions(wanted, text), counts, range(seeds), advance=bar.update
        )


def _show(curve: Curve, facts: Sequence[str]) -> None:
    print("\n".join([text_table(curve_table(curve)), "", *facts, *verdicts(curve).values()]))


def _write(output: Path, name: str, lines: Sequence[str], curve: Curve, content: dict[str, Any]) -> None:
    title = f"少样本报告 Few-shot report: {name}"
    said = [*lines, *verdicts(curve).values()]
    write_results(output, title, content, lines=said, tables=[curve_table(curve)])
    with atomic_file(output / "probe.csv") as temporary:
        temporary.write_text(curve_csv(curve), encoding="utf-8-sig")
    write_curve_page(output / "report.html", title, curve, lines=lines)
    print(f"report: {output / 'report.html'}")
