"""Columns and notes that several tables share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.report.export import ColumnStyle

#: What one more expert costs, a line of latency in k: from `answered.latency_cost`.
COST = (
    ColumnStyle("at_zero_ms", "a", "number", 3),
    ColumnStyle("per_expert_ms", "b", "number", 4),
    ColumnStyle("ci_low", "95 % interval", "number", 4, upper="ci_high"),
    ColumnStyle("lack_of_fit_p", "line, p", "p"),
)


def key_columns(keys: Sequence[str]) -> list[ColumnStyle]:
    """Lead with what tells the rows apart, a repeated value shown once."""
    return [ColumnStyle(key, kind="name" if key == "phase" else "text", group=True) for key in keys]


def coefficient_columns(keys: Sequence[str]) -> list[ColumnStyle]:
    """Show the coefficients of fits told apart by `keys`: from `answered.coefficients`."""
    return [
        *key_columns(keys),
        ColumnStyle("term", kind="name"),
        ColumnStyle("estimate", kind="number", decimals=4),
        ColumnStyle("se", "SE", "number", 4),
        ColumnStyle("statistic", "t or z", "number", 2),
        ColumnStyle("p", kind="p"),
        ColumnStyle("ci_low", "95 % interval", "number", 4, upper="ci_high"),
    ]


def line_note(fits: Sequence[Mapping[str, Any]]) -> str:
    """Name the regressions that `COST` is from."""
    lines = sorted({fit["linear"]["formula"] for fit in fits})
    return f"Latency = a + b k: {'; '.join(lines)}. t interval, Satterthwaite degrees of freedom."
