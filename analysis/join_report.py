"""What a join matched and what it did not: counts, examples, and both in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from complexity.errors import SHOWN, listing


def counted(n: int, what: str) -> str:
    """Spell a number of things: ``1 image``, ``2,000 images``."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


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
    "incomplete": "(sample, model) pairs without every k (kept)",
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
    notes : tuple of str
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
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, as ``join.json`` holds it."""
        return asdict(self)

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
        for name, words in LINES.items():
            found: Unmatched = getattr(self, name)
            if found.count:
                said.append(f"{words}: {found}")
        return said + list(self.notes)
