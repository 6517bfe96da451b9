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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as hf
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from analysis.datasets import shapes
from data_manifests.shapes.training.data import encode, training_set
from data_manifests.shapes.training.model import SIDE, TOY, Size, build, convert, moe_blocks, save
from data_manifests.shapes.training.packed import Packed

LONG, SHORT = 4, 4
SLOTS = (shapes.LONGEST,) * LONG + (7,) * SHORT
"""Tokens of the questions about an image in a step. About half of all questions have at most 7;
with equal slots a seventh more would be computed, on padding."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How k is chosen in training.

    Attributes
    ----------
    ks : tuple of int
        Every batch holds each of them equally often, drawn image by image.
    even : float
        Weight of the unevenness of the chosen experts' weights in the loss. Without it the first
        expert takes most of the weight when k varies, so that further ones change little.
    """

    ks: tuple[int, ...]
    even: float = 0.0


RECIPES = {"fixed4": Recipe((4,)), "anyk": Recipe((1, 2, 3, 4, 6, 8, 12, 16), even=0.01)}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the outcome depends on.

    Attributes
    ----------
    recipe : str
        One of `RECIPES`.
    seed : int
        Of the weights, the order of the images, the choice of questions and of k.
    images : int
        Unique training images.
    stored : int
        Questions kept of each image, of which a step takes as many as `SLOTS` at random.
    batch : int
        Images a step.
    rate, decay, beta : float
        AdamW's highest learning rate, weight decay and second beta.
    warm_up : int
        Steps of linear warm-up; a cosine follows.
    balance : float
        Step of the routing bias towards experts that are chosen too rarely
        (Wang et al. 2024, arXiv:2408.15664).
    """

    recipe: str
    seed: int = 0
    images: int = 600_000
    stored: int = 16
    batch: int = 512
    rate: float = 2e-3
    decay: float = 0.05
    beta: float = 0.98
    warm_up: int = 300
    balance: float = 1e-3


def say(*words: object) -> None:
    """Print with the seconds since the start, at once."""
    print(f"[{time.monotonic() - START:6.1f}]", *words, flush=True)


class Trainer:
    """A model, its optimiser and one step; `seen` holds loss, load and unevenness of the last.

    The weights are kept in float32 and used in bfloat16 on a GPU. All inputs of a step are
    fixed buffers, so that it can be captured as a CUDA graph.

    Parameters
    ----------
    settings : Settings
    size : Size
        Of the model.
    device : str
        ``cuda`` or ``cpu``.
    """

    def __init__(self, settings: Settings, size: Size, device: str) -> None:
        self.settings, self.device = settings, device
        self.recipe = RECIPES[settings.recipe]
        torch.manual_seed(settings.seed)
        self.model = build(size).to(device)
        self.master = [p.detach().float().clone() for p in self.model.parameters()]
        self.packed = Packed(self.model, SLOTS)
        self.plain = Packed(self.model, (shapes.LONGEST,) * len(SLOTS))
        convert(self.model, torch.bfloat16 if device == "cuda" else torch.float32)
        self.blocks = moe_blocks(self.model)
        self.weights = list(self.model.parameters())
        self.gradients = [torch.zeros_like(p) for p in self.weights]
        for weight, gradient in zip(self.weights, self.gradients, strict=True):
            weight.grad = gradient
        for weight in self.master:
            weight.grad = torch.zeros_like(weight)
        self.rate = torch.tensor(0.0, device=device)
        more = {"capturable": True} if device == "cuda" else {}
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in self.master if p.dim() > 1], "weight_decay": settings.decay},
                {"params": [p for p in self.master if p.dim() <= 1], "weight_decay": 0.0},
            ],
            lr=self.rate,
            betas=(0.9, settings.beta),
            fused=True,
            **more,
        )
        self.forward: Callable[..., tuple[Tensor, Tensor, Tensor]] = self.packed
        n = settings.batch
        byte = {"dtype": torch.uint8, "device": device}
        self.images = torch.zeros(n, SIDE, SIDE, 3, **byte)
        self.questions = torch.ones(n, len(SLOTS), shapes.LONGEST + 2, **byte)
        self.k = torch.ones(n, dtype=torch.long, device=device)
        self.sizes = torch.tensor(SLOTS, device=device)
        self.seen = torch.zeros(3, device=device)
        self.run: Callable[[], object] = self.step

    def step(self) -> None:
        """Take one step on what is in the buffers, at `rate`."""
        torch._foreach_zero_(self.gradients)
        words, lengths, answers = split(self.questions)
        inside = torch.minimum(lengths, self.sizes)
        logits, votes, uneven = self.forward(self.images, words, inside, self.k)
        answers = torch.where(lengths > self.sizes, -100, answers)  # not asked: cut off
        loss = F.cross_entropy(logits.float().flatten(0, 1), answers.flatten())
        (loss + self.recipe.even * uneven).backward()
        torch._foreach_copy_([p.grad for p in self.master], self.gradients)
        torch.nn.utils.clip_grad_norm_(self.master, 1.0, foreach=True)
        self.optimizer.step()
        torch._foreach_copy_([p.data for p in self.weights], self.master)
        for block, voted in zip(self.blocks, votes, strict=True):
            block.expert_bias.add_(self.settings.balance * torch.sign(voted.mean() - voted))
        load = (votes.amax(1) / votes.mean(1)).max()
        self.seen.copy_(torch.stack([loss.detach(), load, uneven.detach()]))

    def accelerate(self) -> None:
        """Compile the forward pass and capture the step; keep what works.

        The learning rate is 0 meanwhile, and what the optimiser remembers of it is forgotten.
        """
        if self.device != "cuda":
            return
        self.rate.zero_()
        try:
            self.forward = torch.compile(self.packed, dynamic=False)
            self.step()
            torch.cuda.synchronize()
            say("compiled")
        except Exception as error:
            say("not compiled:", repr(error)[:500])
            self.forward = self.packed
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.step()
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        try:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self.step()
            graph.replay()
            torch.cuda.synchronize()
            self.run = graph.replay
            say("captured")
        except Exception as error:
            say("not captured:", repr(error)[:500])
        self.forget()

    def forget(self) -> None:
        """Reset what trial steps at rate 0 left in the optimiser and in the routing bias."""
        for state in self.optimizer.state.values():
            for value in state.values():
                value.zero_()
        for block in self.blocks:
            block.expert_bias.zero_()


def split(questions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Split rows of `data.encode` into words, lengths and answers."""
    whole = questions.long()
    return whole[..., :-2], whole[..., -2], whole[..., -1]


class Feed:
    """Fills a trainer's buffers with the next images, questions and k.

    Parameters
    ----------
    trainer : Trainer
    images : Tensor of uint8, shape (images, side, side, 3)
    questions : Tensor of uint8, shape (images, stored, LONGEST + 2)
        Both on the device.
    """

    def __init__(self, trainer: Trainer, images: Tensor, questions: Tensor) -> None:
        self.trainer, self.images, self.questions = trainer, images, questions
        seed = trainer.settings.seed
        self.order = torch.Generator().manual_seed(seed + 1)
        self.choice = torch.Generator(images.device).manual_seed(seed + 2)
        ks, batch = trainer.recipe.ks, trainer.settings.batch
        self.ks = torch.tensor(ks).repeat(-(-batch // len(ks)))[:batch].to(images.device)
        self.per_pass = len(images) // batch
        self.n = 0

    def __call__(self) -> None:
        """Put the next batch into the buffers."""
        t, device = self.trainer, self.images.device
        batch = t.settings.batch
        if self.n % self.per_pass == 0:
            self.shuffled = torch.randperm(len(self.images), generator=self.order).to(device)
        first = self.n % self.per_pass * batch
        rows = self.shuffled[first : first + batch]
        t.images.copy_(self.images[rows])
        stored = self.questions[rows]
        draw = torch.rand(stored.shape[:2], generator=self.choice, device=device)
        # Long questions first for the long slots, and short ones for the others; an image with
        # few long ones has short ones in their stead.
        short = (stored[..., -2] <= min(SLOTS)).float()
        taken = torch.cat(
            [(draw + short).argsort(1)[:, :LONG], (draw - short).argsort(1)[:, :SHORT]], 1
        )
        t.questions.copy_(stored.gather(1, taken[..., None].expand(-1, -1, stored.shape[2])))
        if len(t.recipe.ks) == 1:
            t.k.copy_(self.ks)
        else:
            t.k.copy_(self.ks[torch.rand(batch, generator=self.choice, device=device).argsort()])
        self.n += 1


class Validation:
    """Held-out scenes with 1 to 48 objects, and how well they are answered.

    Parameters
    ----------
    n_images : int
        Scenes.
    device : str
        Where they are kept.
    """

    def __init__(self, n_images: int, device: str) -> None:
        first = shapes.VALIDATION_FIRST
        scenes = [shapes.scene(first + i, n_objects=i % 48 + 1) for i in range(n_images)]
        asked = [shapes.training_questions(scene, len(SLOTS)) for scene in scenes]
        self.images = torch.from_numpy(np.stack([scene.image for scene in scenes])).to(device)
        rows = [encode((q.text, q.answer) for q in questions) for questions in asked]
        self.questions = torch.from_numpy(np.stack(rows)).to(device)
        self.kinds = np.array([[q.kind for q in questions] for questions in asked])

    def __call__(self, packed: Packed, ks: tuple[int, ...], batch: int = 256) -> dict[str, Any]:
        """Return the share of right answers by k, and by kind of question for each k."""
        found: dict[str, Any] = {}
        for k in ks:
            right = []
            for first in range(0, len(self.images), batch):
                words, lengths, answers = split(self.questions[first : first + batch])
                images = self.images[first : first + batch]
                width = torch.full((len(images),), k, device=images.device)
                with torch.no_grad():
                    logits = packed(images, words, lengths, width)[0]
                right.append((logits.argmax(-1) == answers).cpu().numpy())
            whole = np.concatenate(right)
            kinds = {str(kind): whole[self.kinds == kind] for kind in np.unique(self.kinds)}
            found[str(k)] = {
                "all": round(float(whole.mean()), 4),
                **{kind: round(float(part.mean()), 4) for kind, part in kinds.items()},
            }
        return found


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
    trainer.accelerate()

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
