"""One primary analysis, declared before looking; everything else pays for being looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

METHOD = "Holm"


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values after Holm (1979); tests that could not be made stay None.

    Parameters
    ----------
    p_values : sequence of float or None
        A family of p-values.

    Returns
    -------
    list of float or None
        Adjusted p-values in the same order, at most 1.

    References
    ----------
    Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian
    Journal of Statistics, 6(2), 65-70.
    """
    from statsmodels.stats.multitest import multipletests

    made = [i for i, p in enumerate(p_values) if p is not None and np.isfinite(p)]
    adjusted: list[float | None] = [None] * len(p_values)
    if made:
        values = multipletests([p_values[i] for i in made], method="holm")[1]
        for i, value in zip(made, values, strict=True):
            adjusted[i] = float(value)
    return adjusted
