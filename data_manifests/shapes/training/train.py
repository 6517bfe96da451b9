"""Train the study's own model, within a time limit.

    python -m data_manifests.shapes.training.train --recipe anyk --seconds 400 --out runs/anyk

Renders the training scenes (once per machine), measures a step, plans as many steps as the limit
allows and writes the checkpoint, with `training.json` (settings, curves) beside it, about every
100 seconds and at the end. On a GPU the whole step is compiled and captured as one CUDA graph,
with plainer ways where that fails. Needs PyTorch, Transformers, Numba and pandas.
"""

from __future__ import annotations

import time

START = time.monotonic()  # before the slow imports: they count towards the limit

import argparse
import dataclasses
import json
import math
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as hf

from data_manifests.shapes.training.data import training_set
from data_manifests.shapes.training.feed import Feed
from data_manifests.shapes.training.model import TOY, Size, save
from data_manifests.shapes.training.settings import RECIPES, SLOTS, Settings
from data_manifests.shapes.training.trainer import Trainer
from data_manifests.shapes.training.validation import Validation


def say(*words: object) -> None:
    """Print with the seconds since the start, at once."""
    print(f"[{time.monotonic() - START:6.1f}]", *words, flush=True)


def rate_at(settings: Settings, step: int, progress: float, warm_up: int) -> float:
    """Return the learning rate: linear to its highest, then a cosine to 0 at progress 1."""
    cosine = 0.5 + 0.5 * math.cos(math.pi * min(1.0, progress))
    return settings.rate * min(1.0, (step + 1) / warm_up) * cosine + 1e-6


def train(args: argparse.Namespace, settings: Settings, start: float) -> None:
    """Train from start to end; see the module.

    Parameters
    ----------
    args : Namespace
        From `arguments`.
    settings : Settings
    start : float
        `time.monotonic()` when the time limit began to count.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = True
    hf.utils.logging.disable_progress_bar()
    images, questions, rendering = training_set(
        settings.images, settings.stored, args.processes, args.data
    )
    say(f"{settings.images} images, rendered in {rendering:.1f} s")
    validate = Validation(args.validation, device)
    on_device = [torch.from_numpy(part).to(device) for part in (images, questions)]
    trainer = Trainer(settings, TOY if args.toy else Size(), device)
    feed = Feed(trainer, *on_device)
    n_parameters = sum(p.numel() for p in trainer.weights)
    say(f"{n_parameters} parameters on {device}")
    feed()
    trainer.accelerate(say)

    def synchronise() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    # What a step and a validation cost here decides how many steps there will be.
    ks = (1, 4, 16)
    trials = 20 if device == "cuda" else 1
    synchronise()
    begin = time.monotonic()
    for _ in range(trials):
        feed()
        trainer.run()
    synchronise()
    per_step = (time.monotonic() - begin) / trials
    trainer.forget()
    feed = Feed(trainer, *on_device)
    validate(trainer.plain, ks)
    begin = time.monotonic()
    validate(trainer.plain, ks)
    per_validation = time.monotonic() - begin
    left = args.seconds - (time.monotonic() - start) - args.reserve
    steps = max(1, int(0.985 * (left - args.validations * per_validation) / per_step))
    steps = min(steps, args.steps or steps)
    warm_up = min(settings.warm_up, max(1, steps // 10))
    say(f"{1e3 * per_step:.2f} ms a step, {1e3 * per_validation:.0f} a validation: {steps} steps")

    record: dict[str, Any] = {
        "settings": dataclasses.asdict(settings) | {"steps": steps, "warm_up": warm_up},
        "recipe": dataclasses.asdict(trainer.recipe),
        "answers_per_step": settings.batch * len(SLOTS),
        "parameters": n_parameters,
        "versions": {
            "python": platform.python_version(),
            **{module.__name__: module.__version__ for module in (torch, hf, np)},
        },
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "rendering_s": round(rendering, 1),
        "loss_columns": ["step", "loss", "busiest expert's load", "unevenness"],
        "loss": [],
        "validation": [],
    }
    begin = saved = time.monotonic()
    total = torch.zeros(3, device=device)
    step = since = 0
    every = max(1, steps // args.validations)

    def look() -> None:
        found = validate(trainer.plain, ks)
        record["validation"].append({"step": step, "right": found})
        said = {k: part["all"] for k, part in found.items()}
        say(f"step {step}/{steps}", record["loss"][-1:], said, found[str(ks[1])])

    def store(whole: bool) -> None:
        record["steps_done"] = step
        record["training_s"] = round(time.monotonic() - begin, 1)
        record["finished"] = whole
        save(trainer.model, args.out)
        part = args.out / "training.json.part"
        lines = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in record.items())
        part.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        os.replace(part, args.out / "training.json")  # noqa: PTH105

    while step < steps:
        # Should steps turn out slower than measured, time takes the lead, and the cosine still
        # ends within the limit.
        progress = max(step / steps, (time.monotonic() - begin) / max(left, 1e-9))
        if progress >= 1:
            break
        trainer.rate.fill_(rate_at(settings, step, progress, warm_up))
        feed()
        trainer.run()
        total += trainer.seen
        step, since = step + 1, since + 1
        if step % args.log == 0:
            loss, load, uneven = (total / since).tolist()
            record["loss"].append([step, round(loss, 4), round(load, 3), round(uneven, 4)])
            total.zero_()
            since = 0
        if step % every == 0:
            look()
            if time.monotonic() - saved > args.save_every:
                store(False)
                saved = time.monotonic()
    if not record["validation"] or record["validation"][-1]["step"] < step:
        look()
    store(True)
    say(f"saved in {args.out}, {record['training_s']} s of training")


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add = parser.add_argument
    add("--recipe", choices=sorted(RECIPES), required=True)
    add("--seconds", type=float, default=400.0, help="limit for the whole command")
    add("--out", type=Path, required=True, help="folder of the checkpoint")
    add("--steps", type=int, help="at most so many: to repeat a run")
    add("--data", type=Path, help="folder of the rendered images (default: in memory if it fits)")
    add("--processes", type=int, default=os.cpu_count())
    add("--toy", action="store_true", help="a tiny model, to try the script")
    add("--validation", type=int, default=480, help="images")
    add("--validations", type=int, default=12, help="how often")
    add("--log", type=int, default=100, help="steps between points of the loss curve")
    add("--save-every", type=float, default=90.0, help="seconds")
    add("--reserve", type=float, default=8.0, help="seconds kept for saving")
    for field in dataclasses.fields(Settings):
        if field.name != "recipe":
            kind = type(field.default)
            add(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    return parser.parse_args(given)


def settings_of(args: argparse.Namespace) -> Settings:
    """Take the settings from the command line."""
    return Settings(
        **{field.name: getattr(args, field.name) for field in dataclasses.fields(Settings)}
    )


if __name__ == "__main__":
    _args = arguments()
    train(_args, settings_of(_args), START)
