"""The model in training: buffers, one step, and the step compiled and captured on a GPU."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from analysis.datasets import shapes
from data_manifests.shapes.training.model import SIDE, Size, build, convert, moe_blocks
from data_manifests.shapes.training.packed import Packed
from data_manifests.shapes.training.settings import RECIPES, SLOTS, Settings


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

    def accelerate(self, say: Callable[..., None]) -> None:
        """Compile the forward pass and capture the step; keep what works, and say it.

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
