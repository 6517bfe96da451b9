"""What a report is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.report.names import readable
from complexity.sources import ImageSource


@dataclass(frozen=True)
class Material:
    """What a report is made of.

    Attributes
    ----------
    primary : str
        The primary complexity metric.
    complexity, samples : DataFrame
        Their tables.
    labels : dict of str to Series
        Bucket of each image, by metric.
    ranges : dict of str to dict
        Range of each bucket in words, by metric.
    images : ImageSource
        Where the example images come from.
    table : DataFrame or None
        The analysis table; None without results, and then the rest is empty.
    latency : DataFrame or None
        The latency table.
    choice : tuple of str or None
        Device and phase that the accuracy-latency frontier uses.
    answers : list of dict
        `optimum/*.json`, primary metric first.
    accuracy_fits, latency_fits : list of dict
        `fits/*.json`; accuracy of the primary metric.
    worth : list of dict
        `worth/*.json`, primary metric first.
    robustness : list of dict
        `robustness.json`.
    """

    primary: str
    complexity: pd.DataFrame
    samples: pd.DataFrame
    labels: Mapping[str, pd.Series]
    ranges: Mapping[str, Mapping[str, str]]
    images: ImageSource
    table: pd.DataFrame | None
    latency: pd.DataFrame | None
    choice: tuple[str, str] | None
    answers: Sequence[Mapping[str, Any]]
    accuracy_fits: Sequence[Mapping[str, Any]]
    latency_fits: Sequence[Mapping[str, Any]]
    worth: Sequence[Mapping[str, Any]] = ()
    robustness: Sequence[Mapping[str, Any]] = ()

    def primary_answers(self) -> list[Mapping[str, Any]]:
        """Answers of the primary metric."""
        return [answer for answer in self.answers if answer["metric"] == self.primary]

    def buckets(self, metric: str | None = None) -> str:
        """Name the buckets of a metric and their ranges; None is the primary one."""
        name = self.primary if metric is None else metric
        ranges = ", ".join(f"{bucket} {range_}" for bucket, range_ in self.ranges[name].items())
        return f"Buckets of {readable(name)}: {ranges}."
