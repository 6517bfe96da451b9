"""How well held-out scenes are answered while a model is trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from analysis.datasets import shapes
from data_manifests.shapes.training.data import encode
from data_manifests.shapes.training.packed import Packed
from data_manifests.shapes.training.settings import SLOTS
from data_manifests.shapes.training.trainer import split


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
