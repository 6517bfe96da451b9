"""Questions grouped into batches that need no padding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.collection.extra import require
from analysis.collection.prompts import Prompt, Prompter
from complexity.errors import InputError
from complexity.image import UnreadableImage, decode

if TYPE_CHECKING:
    from complexity.sources import ImageSource

WINDOW = 16
"""Batches' worth of questions that are prepared at a time: bounds the memory for pixels."""


@dataclass(frozen=True)
class Asked:
    """One question, ready for the model."""

    sample_id: str
    prompt: Prompt


@dataclass
class Questions:
    """A study's questions and the way to their prompts.

    Attributes
    ----------
    samples : DataFrame
        With `sample_id`, `image_id`, `question`.
    images : ImageSource
        Where the images are.
    prompter : Prompter
        Makes the inputs.
    skipped : dict of str to str
        Questions that cannot be asked, because their image cannot be read, and why.
    """

    samples: pd.DataFrame
    images: ImageSource
    prompter: Prompter
    skipped: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = self.samples[["sample_id", "image_id", "question"]].itertuples(index=False)
        self._rows = {str(row[0]): (str(row[1]), str(row[2])) for row in rows}

    def prepare(self, ids: Sequence[str]) -> list[Asked]:
        """Make the prompts of some questions; those without a readable image are set aside."""
        asked: list[Asked] = []
        image_id, pixels = None, None
        for sample_id in ids:
            wanted, question = self._rows[sample_id]
            try:
                if image_id != wanted:
                    image_id, pixels = None, decode(self.images.read(wanted))
                    image_id = wanted
            except (InputError, OSError, UnreadableImage) as error:
                self.skipped[sample_id] = f"{wanted}: {error}"
                continue
            assert pixels is not None
            asked.append(Asked(sample_id, self.prompter.encode(question, pixels)))
        return asked

    def batches(self, ids: Sequence[str], size: int, pending: set[str]) -> Iterator[list[Asked]]:
        """Yield batches of prompts of one shape.

        Which questions share a batch depends on `ids` and `size` alone, so that an interrupted
        sweep that goes on makes the same ones.

        Parameters
        ----------
        ids : sequence of str
            All questions of the sweep, in order.
        size : int
            Most questions of a batch.
        pending : set of str
            Questions still to be asked; batches without any are passed over.

        Yields
        ------
        list of Asked
        """
        for start in range(0, len(ids), WINDOW * size):
            window = ids[start : start + WINDOW * size]
            if not pending.intersection(window):
                continue
            groups: dict[Any, list[Asked]] = {}
            for asked in self.prepare(window):
                groups.setdefault(asked.prompt.shape, []).append(asked)
            for group in groups.values():
                for first in range(0, len(group), size):
                    batch = group[first : first + size]
                    if any(asked.sample_id in pending for asked in batch):
                        yield batch


def stacked(batch: Sequence[Asked], device: str, dtype: str) -> Mapping[str, Any]:
    """Put prompts of one shape together and bring them to the device.

    Returns
    -------
    dict of str to Tensor
        Pixels in the model's number format.
    """
    torch, _ = require()
    floating = getattr(torch, dtype)
    made = {}
    for name in batch[0].prompt.inputs:
        value = torch.cat([asked.prompt.inputs[name] for asked in batch])
        if value.is_floating_point():
            value = value.to(floating)
        # Grids are read on the host, patch by patch, by some vision towers.
        made[name] = value if name == "spatial_shapes" else value.to(device)
    return made
