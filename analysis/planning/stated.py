"""A scenario from stated effects, for who has no pilot yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analysis.planning.pilot import SLICES, logits_for
from analysis.planning.scenario import Scenario, slices
from complexity.errors import InputError


def stated_scenario(
    ks: Sequence[int],
    *,
    accuracy: float = 0.7,
    bend: float = 0.1,
    peak: float | None = None,
    main: float = -0.3,
    image_sd: tuple[float, float] = (0.8, 0.15),
    question_sd: tuple[float, float] = (1.2, 0.3),
    floor: float = 0.0,
) -> Scenario:
    """Make the scenario of a peaked curve in k.

    Parameters
    ----------
    ks : sequence of int
        k grid.
    accuracy : float
        Population-averaged accuracy at `peak`, above `floor` and below 1.
    bend : float
        Logits lost one doubling from the peak; the loss grows with the square.
    peak : float or None
        k that is best for an image of average complexity; None is the middle of the grid.
    main : float
        Logits that one standard deviation of complexity adds at every k.
    image_sd, question_sd : tuple of float
        Standard deviations of (level, slope per doubling), logits.
    floor : float
        Accuracy of guessing.

    Returns
    -------
    Scenario
        With normal complexity; its optimum does not move.

    Raises
    ------
    InputError
        For an accuracy at or below guessing, a negative bend, or a peak outside the grid.
    """
    if not floor < accuracy < 1:
        raise InputError(
            f"an accuracy lies between guessing ({floor:g}) and 1, not at {accuracy:g}."
        )
    if not 0 <= bend < float("inf"):
        raise InputError(f"the bend is what is lost away from the best k, 0 or more, not {bend:g}.")
    base = Scenario(
        n_images=600,
        n_questions=1,
        ks=tuple(ks),
        bend=bend,
        main=main,
        image_sd=image_sd,
        question_sd=question_sd,
        floor=floor,
        averaged=True,
    )
    base = replace(base, origin=base.middle)
    at = base.middle if peak is None else (float(np.log2(peak)) if peak > 0 else np.nan)
    if not np.log2(ks[0]) <= at <= np.log2(ks[-1]):
        raise InputError(f"the peak k = {peak:g} lies outside the grid, {ks[0]} to {ks[-1]}.")
    away = np.array([at - base.middle])
    offsets = main * slices(base, SLICES)[:, None] * base.scale(away)
    right = np.array([(accuracy - floor) / (1 - floor)])
    level = float(logits_for(right, offsets, base.spread(away))[0])
    return replace(base, peak=float(away[0]), level=round(level, 6))
