"""Simulated studies whose truth is known: curves in k that move with complexity, or do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr, ndtri

from analysis.optimum.cells import Cells
from complexity.errors import InputError

Array = NDArray[np.float64]
Shape = Literal["peak", "rising", "flat", "steep low k", "measured"]
Skew = Literal["normal", "skewed", "measured"]
#: Two accuracies closer than this are one: a null holds where the truth is within it.
SAME = 1e-9
#: Nodes of Gauss–Hermite quadrature for averages over random effects.
NODES = 60
#: A logistic variable is nearly normal with this standard deviation.
LOGISTIC_SD = 1.7
#: Nodes of the trapezoidal rule over a logistic variable.
_LOGISTIC = np.linspace(-36.0, 36.0, 145)


@dataclass(frozen=True)
class Scenario:
    """A way in which answers come about.

    The logit of a right answer to question q about image i at k, x = log2 k less `origin`
    (the middle of the grid unless given), c the image's complexity in standard deviations, is

    ``level + main · c + curve(x, c) + b0_i + b1_i x + d0_q + d1_q x``

    with normal image effects b and question effects d, b independent of d. With a chance floor f
    the answer is right with probability ``f + (1 − f) expit(logit)``.

    Attributes
    ----------
    n_images, n_questions : int
        Questions are those per image.
    ks : tuple of int
        The k grid, ascending.
    shape : {"peak", "rising", "flat", "steep low k", "measured"}
        ``peak``: −bend · (x − peak − shift · c)². ``rising``: what it lacks halves with every
        doubling, −bend · 2^−(x − x_1), so that the best k is the largest. ``steep low k``: loses
        `bend` · (1 + `steeper` · c) per squared doubling below the peak, a quarter of `bend`
        above it: the curve changes with complexity while its top stays. ``flat``: no curve.
        ``measured``: through `knots`, moved by shift · c.
    bend : float
        Logits per squared doubling (``peak``) or lost at the smallest k (``rising``).
    peak : float
        Doublings from x = 0.
    shift : float
        Doublings of the optimum per standard deviation of complexity.
    steeper : float
        For ``steep low k`` and ``rising``: relative change of the loss per standard deviation.
    level, main : float
        Logits at the top for average complexity, and per standard deviation.
    image_sd, question_sd : tuple of float
        Standard deviations of (intercept, slope per doubling).
    floor : float
        Chance, in [0, 1).
    soft : bool
        Scores of 0, .3, .6, .9 and 1 in place of right and wrong.
    complexity : {"normal", "skewed", "measured"}
        Distribution of c (``skewed``: exponential; ``measured``: drawn from `values`), centred,
        of variance one.
    image_corr, question_corr : float
        Correlation of intercept and slope, in [-1, 1].
    origin : float or None
        log2 k at which x = 0; None is the middle of the grid.
    knots : tuple of (float, float)
        For ``measured``: log2 k, ascending, and logits from `level`. In between a monotone
        cubic (PCHIP; Fritsch & Carlson 1980, SIAM J. Numer. Anal. 17(2), 238-246), beyond the
        ends a straight line.
    values : tuple of float
        For measured complexity: equally likely values of c.
    averaged : bool
        Whether it is the population-averaged curve that moves by `shift`, and by nothing else:
        an image of complexity c answers at x as an average one would at x − shift · c, its
        slopes included, and `main` grows with the spread of the logits, so that it moves no
        optimum. Otherwise the logits of the average question move, the slopes stay, and the
        population-averaged optimum moves by less.
    right_scores, wrong_scores : tuple of float, equally long
        For `soft`: equally likely scores of a right and of a wrong answer.
    """

    n_images: int
    n_questions: int
    ks: tuple[int, ...]
    shape: Shape = "peak"
    bend: float = 0.1
    peak: float = 0.0
    shift: float = 0.0
    steeper: float = 0.0
    level: float = 1.0
    main: float = -0.5
    image_sd: tuple[float, float] = (0.8, 0.15)
    question_sd: tuple[float, float] = (1.2, 0.3)
    floor: float = 0.0
    soft: bool = False
    complexity: Skew = "normal"
    image_corr: float = 0.0
    question_corr: float = 0.0
    origin: float | None = None
    knots: tuple[tuple[float, float], ...] = ()
    values: tuple[float, ...] = ()
    averaged: bool = False
    right_scores: tuple[float, ...] = (0.6, 0.9, 1.0, 1.0)
    wrong_scores: tuple[float, ...] = (0.0, 0.0, 0.0, 0.3)

    def __post_init__(self) -> None:
        if self.n_images < 6 or self.n_questions < 1:
            raise InputError("a simulated study needs at least 6 images with a question each")
        if len(self.ks) < 2 or list(self.ks) != sorted(set(self.ks)) or self.ks[0] < 1:
            raise InputError(
                f"the k grid {self.ks} must be two or more whole numbers from 1 on, ascending"
            )
        if not 0 <= self.floor < 1:
            raise InputError(f"a chance floor lies in [0, 1), not {self.floor:g}")
        if min(*self.image_sd, *self.question_sd) < 0:
            raise InputError(
                "a standard deviation is 0 or more; images have "
                f"{self.image_sd}, questions {self.question_sd}"
            )
        if max(abs(self.image_corr), abs(self.question_corr)) > 1:
            raise InputError("a correlation of intercept and slope lies in [-1, 1]")
        if len(self.right_scores) != len(self.wrong_scores) or not self.right_scores:
            raise InputError("right and wrong answers need equally many scores, at least one")
        if self.shape == "measured" and len(self.knots) < 2:
            raise InputError("a measured curve needs two values of k")
        if self.complexity == "measured" and len(set(self.values)) < 2:
            raise InputError("measured complexities must not all be the same")

    @property
    def middle(self) -> float:
        """log2 k at which x is 0."""
        logs = np.log2(np.asarray(self.ks, dtype=np.float64))
        return float((logs[0] + logs[-1]) / 2) if self.origin is None else self.origin

    @property
    def x(self) -> Array:
        """Doublings of k from `middle`, shape (K,)."""
        logs = np.log2(np.asarray(self.ks, dtype=np.float64))
        return np.asarray(logs - self.middle, dtype=np.float64)

    def doublings(self, c: Array) -> Array:
        """Where along the slopes of images and questions the k lie, shape (len(c), K)."""
        x = np.broadcast_to(self.x, (len(c), len(self.ks)))
        return x - self.shift * np.asarray(c)[:, None] if self.averaged else x

    def on_grid(self, ks: Sequence[int]) -> Scenario:
        """Give the same world seen at other k: curve and random effects stay where they are.

        Parameters
        ----------
        ks : sequence of int
            Ascending; for a measured curve within its knots.

        Returns
        -------
        Scenario
        """
        if self.shape == "measured":
            low, high = (2.0 ** self.knots[i][0] for i in (0, -1))
            outside = [k for k in ks if not low - SAME <= k <= high + SAME]
            if outside:
                raise InputError(
                    f"k = {outside[0]} lies outside the {low:g} to {high:g} that were measured, "
                    "and a curve is not guessed beyond its ends"
                )
        moved = replace(self, ks=tuple(ks), origin=self.middle)
        if self.shape == "rising":
            # `bend` is what is lost at the smallest k of the grid.
            return replace(moved, bend=self.bend * 2.0 ** -float(moved.x[0] - self.x[0]))
        return moved

    def curve(self, c: Array) -> Array:
        """Logits of average image and question, shape (len(c), K)."""
        x, c = self.x[None, :], np.asarray(c, dtype=np.float64)[:, None]
        worth = self.scale(self.doublings(c[:, 0])) if self.averaged else 1.0
        base = self.level + self.main * c * worth
        if self.shape == "flat":
            return np.broadcast_to(base, (len(c), x.shape[1])).copy()
        if self.shape == "rising":
            lost = self.bend * (1 + self.steeper * c) * 2.0 ** -(x - x[0, 0])
            return np.asarray(base - lost, dtype=np.float64)
        if self.shape == "measured":
            return np.asarray(base + self._measured(x - self.shift * c + self.middle))
        away = x - self.peak - self.shift * c
        if self.shape == "steep low k":
            below = np.maximum(1 + self.steeper * c, 0.0)
            return np.asarray(
                base - self.bend * away**2 * np.where(away < 0, below, 0.25), dtype=np.float64
            )
        return np.asarray(base - self.bend * away**2, dtype=np.float64)

    def accuracy(self, c: Array) -> Array:
        """Mean score at given complexities, random effects integrated out, shape (len(c), K)."""
        right = averaged(self.curve(c), self.spread(self.doublings(c)))
        right = self.floor + (1 - self.floor) * right
        if self.soft:
            right = np.mean(self.right_scores) * right + np.mean(self.wrong_scores) * (1 - right)
        return np.asarray(right, dtype=np.float64)

    def spread(self, x: Array) -> Array:
        """Give the standard deviation of the logits between questions of different images, at x."""
        variance = np.zeros(x.shape)
        for (sd, slope), corr in (
            (self.image_sd, self.image_corr),
            (self.question_sd, self.question_corr),
        ):
            variance += sd**2 + 2 * corr * sd * slope * x + slope**2 * x**2
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)), dtype=np.float64)

    def scale(self, x: Array) -> Array:
        """Say how many logits at x do to accuracy what one does at x = 0.

        Where slopes spread the answers more, a logit is worth less: a main effect scaled so
        leaves the best k where it is.
        """
        variances = [self.spread(at) ** 2 + LOGISTIC_SD**2 for at in (x, np.zeros(1))]
        return np.asarray(np.sqrt(variances[0] / variances[1]), dtype=np.float64)

    def _measured(self, log_k: Array) -> Array:
        from scipy.interpolate import PchipInterpolator

        at, logits = np.array(self.knots).T
        through = PchipInterpolator(at, logits, extrapolate=False)
        ends = at[[0, -1]]
        inside = np.clip(log_k, *ends)
        slopes = through.derivative()(ends)
        beyond = slopes[0] * np.minimum(log_k - ends[0], 0.0)
        beyond += slopes[1] * np.maximum(log_k - ends[1], 0.0)
        return np.asarray(through(inside) + beyond, dtype=np.float64)


def averaged(logits: Array, spread: Array) -> Array:
    """Average expit over normal effects.

    Up to a standard deviation of 1 by Gauss–Hermite quadrature over the effects. Beyond, where
    expit is steep between the nodes, over the logistic variable L of which expit is the
    distribution function: expit(h + s Z) averages to the mean of Φ((h − L) / s), which is
    smooth, and the trapezoidal rule is exact to 1e-12 there.

    Parameters
    ----------
    logits : ndarray, shape (m, K)
    spread : ndarray, shape (K,) or (m, K)
        Standard deviation of the effects.

    Returns
    -------
    ndarray, shape (m, K)
    """
    spread = np.broadcast_to(spread, logits.shape)
    out = np.empty(logits.shape)
    wide = spread > 1.0
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    out[~wide] = expit(logits[~wide, None] + spread[~wide, None] * nodes) @ (
        weights / weights.sum()
    )
    density = expit(_LOGISTIC) * expit(-_LOGISTIC)
    below = ndtr((logits[wide, None] - _LOGISTIC) / spread[wide, None])
    out[wide] = below @ (density / density.sum())
    return out


@dataclass(frozen=True)
class Drawn:
    """One simulated study.

    Attributes
    ----------
    cells : Cells
        Scores summed by image and k.
    c : ndarray, shape (n_images,)
        Complexity of the images, in the order of the cells.
    scores : ndarray, shape (n_images, n_questions, K)
    """

    cells: Cells
    c: Array
    scores: Array


def complexities(scenario: Scenario, n: int, rng: np.random.Generator) -> Array:
    """Draw complexities of n images."""
    if scenario.complexity == "skewed":
        return np.asarray(rng.exponential(size=n) - 1.0, dtype=np.float64)
    if scenario.complexity == "measured":
        return np.asarray(rng.choice(np.array(scenario.values), n), dtype=np.float64)
    return np.asarray(rng.standard_normal(n), dtype=np.float64)


def draw(scenario: Scenario, rng: np.random.Generator) -> Drawn:
    """Simulate a study.

    Parameters
    ----------
    scenario : Scenario
    rng : numpy.random.Generator

    Returns
    -------
    Drawn
    """
    n, q = scenario.n_images, scenario.n_questions
    c = complexities(scenario, n, rng)
    x = scenario.doublings(c)
    b = _effects(rng.standard_normal((n, 2)), scenario.image_sd, scenario.image_corr)
    d = _effects(rng.standard_normal((n, q, 2)), scenario.question_sd, scenario.question_corr)
    eta = scenario.curve(c) + b[:, :1] + b[:, 1:] * x
    eta = eta[:, None, :] + d[:, :, :1] + d[:, :, 1:] * x[:, None, :]
    right = rng.random(eta.shape) < scenario.floor + (1 - scenario.floor) * expit(eta)
    if scenario.soft:
        good, bad = np.array(scenario.right_scores), np.array(scenario.wrong_scores)
        pick = rng.integers(0, len(good), eta.shape)
        scores = np.where(right, good[pick], bad[pick])
    else:
        scores = right.astype(np.float64)
    images = tuple(f"{i:06d}" for i in range(n))
    counts = np.full((n, len(scenario.ks)), float(q))
    return Drawn(Cells(scenario.ks, images, scores.sum(axis=1), counts), c, scores)


def _effects(normal: Array, sd: tuple[float, float], corr: float) -> Array:
    """Turn independent standard normal pairs into correlated intercepts and slopes."""
    slope = corr * normal[..., 0] + np.sqrt(1 - corr**2) * normal[..., 1]
    return np.stack([sd[0] * normal[..., 0], sd[1] * slope], axis=-1)


def slices(scenario: Scenario, n: int) -> Array:
    """Midpoints of n equally likely slices of complexity, ascending."""
    shares = (np.arange(n) + 0.5) / n
    if scenario.complexity == "skewed":
        return np.asarray(-np.log1p(-shares) - 1.0, dtype=np.float64)
    if scenario.complexity == "measured":
        values = np.sort(np.array(scenario.values))
        return np.asarray(values[(shares * len(values)).astype(np.intp)], dtype=np.float64)
    return np.asarray(ndtri(shares), dtype=np.float64)
