"""The training loop: it reads top to bottom, and never asks which stage it is in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim import Optimizer

from cnclip.batches import PairBatch
from cnclip.errors import CnclipError, InterruptedRun
from cnclip.model import ChineseClip
from cnclip.training.monitor import Monitor
from cnclip.training.optimizer import float_tensors_are_finite, optimizer_tensors, set_learning_rate
from cnclip.training.peers import Peers
from cnclip.training.resume import CheckpointKeeper, TrainerState
from cnclip.training.schedule import learning_rate
from cnclip.training.steps import StepResult, StepSettings, train_step
from cnclip.training.stop import StopRequest

_MAX_SKIPPED_IN_A_ROW = 20

Evaluate = Callable[[ChineseClip], dict[str, float]]
WriteModel = Callable[[ChineseClip, Path], None]


@dataclass(frozen=True)
class LoopSettings:
    """When things happen, in optimizer steps; 0 = only at the end.

    Attributes:
        steps: in all.
        steps_per_epoch: complete global batches in the data.
        warmup_steps: of the learning rate.
        peak_learning_rate: for this run's global batch.
        global_batch_size: pairs.
        log_every: rows of metrics.
        validate_every: validation recall.
        save_every: checkpoints.
    """

    steps: int
    steps_per_epoch: int
    warmup_steps: int
    peak_learning_rate: float
    global_batch_size: int
    log_every: int
    validate_every: int
    save_every: int


@dataclass(frozen=True)
class Job:
    """The finished parts of a run.

    Attributes:
        accelerator: the engine.
        model: as the engine wraps it.
        optimizer: as the engine wraps it.
        batches: this process's batches from `state.step` on.
        keeper: the run's checkpoints.
        monitor: metrics; None on every process but the main one.
        peers: the run's processes.
        evaluate: model -> metrics in percent with `mean_recall`; None = no validation. Main process only.
        write_model: puts a model's files into a folder.
        step_settings: of a single step.
        settings: of the loop.
        facts: JSON values for each checkpoint's manifest.
    """

    accelerator: Accelerator
    model: nn.Module
    optimizer: Optimizer
    batches: Iterable[PairBatch]
    keeper: CheckpointKeeper
    monitor: Monitor | None
    peers: Peers
    evaluate: Evaluate | None
    write_model: WriteModel
    step_settings: StepSettings
    settings: LoopSettings
    facts: dict[str, Any]


def run(job: Job, state: TrainerState) -> TrainerState:
    """Train from `state.step` to the end; saves, validates and logs on the way.

    Raises:
        InterruptedRun: asked to stop; a checkpoint was committed, the same command goes on.
        CnclipError: loss or gradients are not finite.
    """
    settings, started, pairs = job.settings, time.monotonic(), 0
    batches = iter(job.batches)
    with StopRequest() as stop:
        while state.step < settings.steps:
            rate = learning_rate(
                state.step,
                peak=settings.peak_learning_rate,
                warmup_steps=settings.warmup_steps,
                steps=settings.steps,
            )
            set_learning_rate(job.optimizer, rate)
            result = train_step(
                job.accelerator,
                job.model,
                job.optimizer,
                next(batches),
                job.step_settings,
                step=state.step,
                stop_asked=stop.asked,
            )
            state = _after_step(state, result)
            pairs += settings.global_batch_size
            last = state.step == settings.steps
            if job.monitor is not None:
                job.monitor.advance()
                if _due(state.step, settings.log_every) or last:
                    seconds = time.monotonic() - started
                    job.monitor.train(state.step, _metrics(job, state, result, rate, pairs / seconds))
                    started, pairs = time.monotonic(), 0
            paused = time.monotonic()
            state = _validate_and_save(job, state, last=last, stopping=result.stop_asked)
            started += time.monotonic() - paused
            if result.stop_asked and not last:
                raise InterruptedRun(
                    f"stopped on request after step {state.step} of {settings.steps}; a checkpoint was saved",
                    fix="run the same command again, with resume=auto: it goes on from there",
                )
    return state


def _after_step(state: TrainerState, result: StepResult) -> TrainerState:
    skipped = 0 if result.updated else state.skipped_in_a_row + 1
    if skipped > _MAX_SKIPPED_IN_A_ROW:
        raise CnclipError(
            f"{skipped} steps in a row had gradients beyond fp16",
            where=f"step {state.step + 1}",
            fix="precision=bf16, or a lower optimizer.lr",
        )
    return replace(state, step=state.step + 1, skipped_in_a_row=skipped)


def _validate_and_save(job: Job, state: TrainerState, *, last: bool, stopping: bool) -> TrainerState:
    settings = job.settings
    improved = False
    if job.evaluate is not None and (last or _due(state.step, settings.validate_every)):
        values = _validate(job, job.evaluate)
        if job.monitor is not None:
            job.monitor.validation(state.step, values)
        improved = values["mean_recall"] > state.best_value
        if improved:
            state = replace(state, best_step=state.step, best_value=values["mean_recall"])
    if last or improved or stopping or _due(state.step, settings.save_every):
        _save(job, state)
    return state


def _validate(job: Job, evaluate: Evaluate) -> dict[str, float]:
    """The main process measures, all processes learn the result and so decide alike."""
    model = job.accelerator.unwrap_model(job.model)
    values: dict[str, float] | None = None
    if job.accelerator.is_main_process:
        model.eval()
        with torch.inference_mode():
            values = evaluate(model)
        model.train()
    values = job.peers.from_main(values)
    assert values is not None
    return values


def _save(job: Job, state: TrainerState) -> None:
    """All processes are alive at the commit, and none goes on before it is on disk."""
    accelerator = job.accelerator
    model = accelerator.unwrap_model(job.model)
    if accelerator.scaler is not None:
        scaler = accelerator.scaler.state_dict()
        state = replace(state, scaler={"scale": scaler["scale"], "growth": scaler["_growth_tracker"]})
    job.peers.wait()
    if accelerator.is_main_process:
        tensors = optimizer_tensors(getattr(job.optimizer, "optimizer", job.optimizer), model)
        bad = float_tensors_are_finite({**model.state_dict(), **tensors})
        if bad:
            raise CnclipError(
                f"not saved: {bad[0]} holds values that are not finite",
                where=f"step {state.step}",
                fix="go on from the last checkpoint with a lower optimizer.lr and allow_change=true",
            )
        job.keeper.commit(state, lambda folder: job.write_model(model, folder), tensors, job.facts)
    job.peers.wait()


def _metrics(
    job: Job, state: TrainerState, result: StepResult, rate: float, pairs_per_second: float
) -> dict[str, float]:
    logit_scale = float(job.accelerator.unwrap_model(job.model).logit_scale.detach())
    return {
        "epoch": state.step / job.settings.steps_per_epoch,
        "loss": result.loss,
        "learning_rate": rate,
        "logit_scale": logit_scale,
        "temperature": float(torch.tensor(-logit_scale).exp()),
        "gradient_norm": result.gradient_norm,
        "in_batch_image_to_text": result.image_to_text,
        "in_batch_text_to_image": result.text_to_image,
        "pairs_per_second": pairs_per_second,
    }


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
