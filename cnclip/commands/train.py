"""`cnclip train`: from a recipe to a finished model."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, DistributedType, InitProcessGroupKwargs
from torch.optim import AdamW

from cnclip.batches import lost_worker
from cnclip.checkpoints import publish_checkpoint, write_model
from cnclip.commands.train_data import (
    loop_settings,
    open_data,
    open_sampler,
    report_captions,
    report_misfits,
    training_batches,
)
from cnclip.commands.train_model import build_model
from cnclip.commands.train_start import (
    Start,
    find_start,
    move_aside,
    refuse_change,
    refuse_nested,
    refuse_other_data,
    run_facts,
)
from cnclip.config import TrainRecipe, check_ranges, recipe_text
from cnclip.errors import PeerError, RecipeError
from cnclip.model import ChineseClip
from cnclip.towers.lock import no_decay_names
from cnclip.training.loop import Job, WriteModel, run
from cnclip.training.monitor import METRICS_NAME, Monitor, read_metrics
from cnclip.training.optimizer import build_optimizer, load_optimizer_tensors
from cnclip.training.peers import Peers
from cnclip.training.resume import CheckpointKeeper, RunLock, TrainerState, read_trainer
from cnclip.training.steps import StepSettings, blank_batch, warm_up
from cnclip.training.stop import StopRequest

PROCESS_TIMEOUT = timedelta(seconds=300)
_ENGINES = {
    DistributedType.NO,
    DistributedType.MULTI_CPU,
    DistributedType.MULTI_GPU,
    DistributedType.MULTI_NPU,
    DistributedType.MULTI_XPU,
}


def train(recipe: TrainRecipe) -> int:
    """Run a recipe to its end and publish the model; the same call goes on after an interruption.

    Raises:
        PeerError: another process of this run is gone.
        ResourceError: a loader worker was killed or hangs.
    """
    check_ranges(recipe)
    run_folder = Path(recipe.run or Path("runs") / Path(recipe.output).name)
    refuse_nested(Path(recipe.output), run_folder)
    accelerator = _engine(recipe)
    try:
        with StopRequest():  # until an error is caught: the launcher ends all others once one has died
            _run(recipe, accelerator, run_folder)
    except RuntimeError as error:
        if (lost := lost_worker(error)) is not None:
            raise lost from error
        if accelerator.num_processes > 1 and _is_broken_link(error):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the message must get out
            raise PeerError(
                f"process {accelerator.process_index} lost another process of this run",
                where=str(error).splitlines()[0][:200],
                fix="look at that process's own message; the same command goes on from the last checkpoint",
            ) from error
        raise
    accelerator.end_training()
    return 0


def _run(recipe: TrainRecipe, accelerator: Accelerator, run_folder: Path) -> None:
    peers = Peers(accelerator.num_processes)
    with ExitStack() as stack:
        if accelerator.is_main_process:
            stack.enter_context(RunLock(run_folder))
            move_aside(run_folder, recipe)
        peers.wait()
        keeper = CheckpointKeeper(run_folder / "checkpoints", keep_last=recipe.saving.keep_last)
        start = find_start(keeper, recipe, peers, is_main=accelerator.is_main_process)
        state = _train(recipe, accelerator, peers, run_folder, keeper, start)
        if accelerator.is_main_process:
            _publish(recipe, run_folder, keeper, state)
        peers.wait()


def _train(
    recipe: TrainRecipe,
    accelerator: Accelerator,
    peers: Peers,
    run_folder: Path,
    keeper: CheckpointKeeper,
    start: Start,
) -> TrainerState:
    refuse_change(recipe, start, global_batch_size=recipe.data.batch_size * accelerator.num_processes)
    model, notes = build_model(recipe, start.path)
    if accelerator.is_main_process:
        print(*notes, sep="\n", file=sys.stderr)
    data = open_data(recipe, model, accelerator, peers)
    facts = run_facts(recipe, data, accelerator)
    refuse_other_data(recipe, start, facts, is_main=accelerator.is_main_process)
    optimizer = _optimizer(recipe, model)
    wrapped, wrapped_optimizer = accelerator.prepare(model, optimizer)
    if start.path is not None:
        _restore(accelerator, model, optimizer, start)
    step_settings = StepSettings(
        seed=recipe.seed,
        clip_norm=recipe.optimizer.clip_norm,
        mask_duplicates=recipe.loss.duplicates == "mask",
        rows_are=data.rows_are,
        patch_dropout=recipe.model.image.patch_dropout,
    )
    wrapped.train()
    blank = blank_batch(resolution=data.resolution, rows_width=data.rows_width)
    warm_up(accelerator, wrapped, blank, step_settings)
    settings = loop_settings(recipe, data, accelerator)
    sampler = open_sampler(recipe, data, accelerator, first_step=start.state.step, steps=settings.steps)
    with ExitStack() as stack:
        monitor = None
        if accelerator.is_main_process:
            if start.path is None:
                report_captions(data, recipe.data.context_length)
            title, done = Path(recipe.output).name, start.state.step
            monitor = Monitor(run_folder, steps=settings.steps, first_step=done, title=title)
            stack.enter_context(monitor)
            if start.path is not None:
                monitor.say(f"going on from {start.path}")
        job = Job(
            accelerator=accelerator,
            model=wrapped,
            optimizer=wrapped_optimizer,
            batches=training_batches(recipe, data, sampler),
            keeper=keeper,
            monitor=monitor,
            peers=peers,
            evaluate=data.evaluate,
            write_model=_model_writer(recipe),
            step_settings=step_settings,
            settings=settings,
            facts=facts,
        )
        state = run(job, start.state)
    if accelerator.is_main_process:
        report_misfits(sampler)
    return state


def _optimizer(recipe: TrainRecipe, model: ChineseClip) -> AdamW:
    settings = recipe.optimizer
    return build_optimizer(
        model,
        no_decay=no_decay_names(model),
        weight_decay=settings.weight_decay,
        betas=(settings.beta1, settings.beta2),
        eps=settings.eps,
        image_lr_factor=settings.image_lr_factor,
    )


def _engine(recipe: TrainRecipe) -> Accelerator:
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    if recipe.precision == "fp16" and not torch.cuda.is_available():
        raise RecipeError("fp16 needs a GPU", fix="precision=bf16 or precision=fp32")
    accelerator = Accelerator(
        mixed_precision="no" if recipe.precision == "fp32" else recipe.precision,
        kwargs_handlers=[
            InitProcessGroupKwargs(timeout=PROCESS_TIMEOUT),
            DistributedDataParallelKwargs(broadcast_buffers=True),
        ],
    )
    if accelerator.distributed_type not in _ENGINES:
        raise RecipeError(
            f"{accelerator.distributed_type.value}: a checkpoint needs all weights on one process",
            fix="a launch file of recipes/accelerate, or accelerate launch --multi_gpu",
        )
    expected = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != expected:
        raise RecipeError(
            f"{expected} processes were started, but each would train alone",
            fix="on CPU: ACCELERATE_USE_CPU=true torchrun --nproc_per_node N -m cnclip train …",
        )
    return accelerator


def _restore(
    accelerator: Accelerator, model: ChineseClip, optimizer: torch.optim.Optimizer, start: Start
) -> None:
    assert start.path is not None
    load_optimizer_tensors(optimizer, model, read_trainer(start.path)[1])
    if accelerator.scaler is not None and start.state.scaler:
        values = accelerator.scaler.state_dict()
        values["scale"], values["_growth_tracker"] = (
            start.state.scaler["scale"],
            int(start.state.scaler["growth"]),
        )
        accelerator.scaler.load_state_dict(values)


def _is_broken_link(error: RuntimeError) -> bool:
    """Whether an error came from the wires between processes: gloo's have no type of their own."""
    text = str(error).lower()
    return isinstance(error, torch.distributed.DistError) or "gloo" in text or "nccl" in text


def _model_writer(recipe: TrainRecipe) -> WriteModel:
    """Puts a model and the recipe that makes it into a folder."""
    text = recipe_text(recipe)

    def write(model: ChineseClip, folder: Path) -> None:
        write_model(model, folder)
        (folder / "recipe.yaml").write_text(text, encoding="utf-8")

    return write


def _publish(recipe: TrainRecipe, run_folder: Path, keeper: CheckpointKeeper, state: TrainerState) -> None:
    """Give the best or the last checkpoint the name that users load, with what was measured on the way."""
    best = recipe.saving.publish == "best" and state.best_step >= 0
    chosen = keeper.path(state.best_step if best else state.step)
    rows = [row for row in read_metrics(run_folder / METRICS_NAME) if row["step"] <= state.step]
    kinds = {row["kind"]: row for row in rows}
    metrics = {"published_step": state.best_step if best else state.step, "last": list(kinds.values())}
    prefixes = ("visual.",) if recipe.saving.towers == "image" else None
    publish_checkpoint(chosen, Path(recipe.output), metrics=metrics, prefixes=prefixes)
    print(f"published {chosen.name} of {run_folder} as {recipe.output}: load_from_name({recipe.output!r})")
