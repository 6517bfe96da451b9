"""What a join matched and what it did not: counts, examples, and both in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from complexity.errors import SHOWN, listing

if TYPE_CHECKING:
    import pandas as pd


def counted(n: int, what: str) -> str:
    """Spell a number of things: ``1 image``, ``2,000 images``."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def counted_between(numbers: pd.Series[Any], what: str) -> str:
    """Spell how few and how many of a thing there are: ``20 repeats``, ``9 to 20 repeats``."""
    low, high = int(numbers.min()), int(numbers.max())
    return f"{'' if low == high else f'{low:,} to '}{counted(high, what)}"


@dataclass(frozen=True)
class Unmatched:
    """Things of one kind that did not match.

    Attributes
    ----------
    count : int
        How many.
    of : int
        Out of how many.
    examples : tuple of str
        The first five.
    """

    count: int = 0
    of: int = 0
    examples: tuple[str, ...] = ()

    @classmethod
    def among(cls, items: Iterable[object], of: int) -> Unmatched:
        """Count things out of `of`, and keep the first five by their ``str``."""
        listed = list(items)
        return cls(len(listed), int(of), tuple(str(item) for item in listed[:SHOWN]))

    def __str__(self) -> str:
        """Count and examples, as in a line of a report."""
        more = f" and {self.count - len(self.examples):,} more" if self.count > SHOWN else ""
        shown = f": {', '.join(self.examples)}{more}" if self.count else ""
        return f"{self.count:,} of {self.of:,}{shown}"


LINES = {
    "samples_without_results": "samples without results",
    "results_without_samples": "sample ids in results that samples do not have (set aside)",
    "images_missing": "samples whose image was not found (kept, without complexity)",
    "images_unreadable": "images that could not be read (kept, without complexity)",
    "images_undefined": "images without some of the metrics (kept)",
    "images_without_samples": "images that no sample refers to",
    "incomplete": (
        "(sample, model) pairs without every k (kept, but k are compared on samples with every k)"
    ),
    "latency_without_samples": "sample ids in latencies that samples do not have (set aside)",
    "models_without_latency": "models without a latency of the chosen device and phase",
}


@dataclass(frozen=True)
class JoinReport:
    """What matched and what did not.

    Attributes
    ----------
    rows : int
        Rows of the analysis table.
    models : tuple of str
        Models in it, in order of first appearance in the results.
    k_grid : dict of str to tuple of int
        Each model's values of k, rising (set-aside models included).
    samples, images : int
        Samples and images in the table.
    samples_without_results, results_without_samples, images_missing, images_unreadable, \
    images_undefined, images_without_samples, incomplete, latency_without_samples, \
    models_without_latency : Unmatched
        See `lines`. A pair is incomplete if it lacks some k of its model's grid, or has none
        although the sample has results of another model.
    unknown_rows : int
        Rows of results set aside because samples lack their id.
    unknown_spelling : str
        What difference of spelling keeps these ids from matching; empty if none is found.
    complete_samples : dict of str to int
        Samples with every k of the model's grid, those on which its k are compared.
    sampled : int
        Samples with a result of any model.
    remarks : tuple of str
        Models set aside, and how latencies were taken.
    """

    rows: int
    models: tuple[str, ...]
    k_grid: dict[str, tuple[int, ...]]
    samples: int
    images: int
    samples_without_results: Unmatched = field(default_factory=Unmatched)
    results_without_samples: Unmatched = field(default_factory=Unmatched)
    images_missing: Unmatched = field(default_factory=Unmatched)
    images_unreadable: Unmatched = field(default_factory=Unmatched)
    images_undefined: Unmatched = field(default_factory=Unmatched)
    images_without_samples: Unmatched = field(default_factory=Unmatched)
    incomplete: Unmatched = field(default_factory=Unmatched)
    latency_without_samples: Unmatched = field(default_factory=Unmatched)
    models_without_latency: Unmatched = field(default_factory=Unmatched)
    unknown_rows: int = 0
    unknown_spelling: str = ""
    complete_samples: dict[str, int] = field(default_factory=dict)
    sampled: int = 0
    remarks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, as ``join.json`` holds it."""
        return {**asdict(self), "notes": list(self.notes)}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the answer must know, in words."""
        said = []
        if self.unknown_rows:
            said.append(
                f"{counted(self.unknown_rows, 'row')} of results for "
                f"{counted(self.results_without_samples.count, 'sample id')} that samples do not "
                f"have: set aside{f' ({self.unknown_spelling})' if self.unknown_spelling else ''}"
            )
        said += self.remarks
        for found, what in (
            (self.images_missing, "samples have an image that was not found"),
            (self.images_unreadable, "images could not be read"),
            (self.images_undefined, "images lack some of the metrics"),
        ):
            if found.count:
                said.append(
                    f"{found.count:,} of {found.of:,} {what}: not in what is said about complexity"
                )
        return (*said, *self.lacking())

    def lacking(self) -> list[str]:
        """Say for each model of the table on how many samples its k are compared, if not all."""
        said = []
        for model in self.models:
            stay = self.complete_samples.get(model, self.sampled)
            if stay < self.sampled:
                few = "fewer than half: " if stay < self.sampled / 2 else ""
                said.append(
                    f"{model}: {few}{stay:,} of {counted(self.sampled, 'sample')} with results "
                    f"have every k; its k are compared on these only"
                )
        return said

    def line(self, name: str) -> str:
        """Return one thing that did not match in words; empty if there is none."""
        found: Unmatched = getattr(self, name)
        if not found.count:
            return ""
        hint = self.unknown_spelling if name == "results_without_samples" else ""
        return f"{LINES[name]}: {found}{f'; {hint}' if hint else ''}"

    @property
    def complete(self) -> bool:
        """Whether everything matched (images and latencies beyond the samples aside)."""
        apart = ("images_without_samples", "latency_without_samples", "models_without_latency")
        return not any(getattr(self, name).count for name in LINES if name not in apart)

    def lines(self) -> list[str]:
        """Return the report in words: what was joined, then each thing that did not match."""
        said = [
            f"{counted(self.rows, 'row')}: {counted(len(self.models), 'model')}, "
            f"{counted(self.samples, 'sample')} of {counted(self.images, 'image')}"
        ]
        same = len(set(self.k_grid.values())) == 1
        for model, grid in list(self.k_grid.items())[: 1 if same else None]:
            said.append(f"k of {'every model' if same else model}: {listing(grid, shown=99)}")
        said += [line for line in map(self.line, LINES) if line]
        return [*said, *self.lacking(), *self.remarks]
