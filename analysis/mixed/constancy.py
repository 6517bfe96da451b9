"""Groups of binary outcomes that do not vary: where Laplace's approximation is poor."""

from __future__ import annotations

import numpy as np

from analysis.mixed.design import Design
from complexity.errors import listing

#: With more than this share of groups all 0 or all 1 the approximation is poor.
MANY_CONSTANT = 0.5


def constant_shares(design: Design) -> dict[str, float]:
    """Share of groups whose outcomes are all 0 or all 1, by grouping."""
    found = {}
    for block in design.random:
        low = np.full(block.n_levels, np.inf)
        high = np.full(block.n_levels, -np.inf)
        np.minimum.at(low, block.codes, design.y)
        np.maximum.at(high, block.codes, design.y)
        found[block.group] = float(np.mean((high == 0) | (low == 1)))
    return found


def constant_groups(design: Design) -> list[str]:
    """Warn where most groups of a grouping are all 0 or all 1.

    Parameters
    ----------
    design : Design
        Of a logistic mixed model.

    Returns
    -------
    list of str
        At most one warning.
    """
    many = [
        f"{group} ({share:.0%})"
        for group, share in constant_shares(design).items()
        if share > MANY_CONSTANT
    ]
    if not many:
        return []
    return [
        f"most groups have outcomes that are all 0 or all 1: {listing(many)}. Laplace's "
        "approximation underestimates such random effects (`correct` simulates by how much)"
    ]
