"""Which images, questions and k a step takes next."""

from __future__ import annotations

import torch
from torch import Tensor

from data_manifests.shapes.training.settings import LONG, SHORT, SLOTS
from data_manifests.shapes.training.trainer import Trainer


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
