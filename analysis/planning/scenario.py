"""Simulated studies whose truth is known: curves in k that move with complexity, or do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from analysis.optimum.cells import Cells, best_index
from complexity.errors import InputError

Array = NDArray[np.float64]
Shape = Literal["peak", "rising", "flat", "steep low k"]
Skew = Literal["normal", "skewed"]
#: Two accuracies closer than this are one: a null holds where the truth is within it.
SAME = 1e-9
#: Nodes of Gauss–Hermite quadrature for averages over random effects.
NODES = 60


@dataclass(frozen=True)
class Scenario:
    """A way in which answers come about.

    The logit of a right answer to question q about image i at k, x = log2 k less the middle of
    the grid in doublings, c the image's complexity in standard deviations, is

    ``level + main · c + curve(x, c) + b0_i + b1_i x + d0_q + d1_q x``

    with independent normal image effects b and question effects d. With a chance floor f the
    answer is right with probability ``f + (1 − f) expit(logit)``.

    Attributes
    ----------
    n_images, n_questions : int
        Questions are those per image.
    ks : tuple of int
        The k grid, ascending.
    shape : {"peak", "rising", "flat", "steep low k"}
        ``peak``: −bend · (x − peak − shift · c)². ``rising``: what it lacks halves with every
        doubling, −bend · 2^−(x − x_1), so that the best k is the largest. ``steep low k``: loses
        `bend` · (1 + `steeper` · c) per squared doubling below the peak, a quarter of `bend`
        above it: the curve changes with complexity while its top stays. ``flat``: no curve.
    bend : float
        Logits per squared doubling (``peak``) or lost at the smallest k (``rising``).
    peak : float
        Doublings from the middle of the grid.
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
    complexity : {"normal", "skewed"}
        Distribution of c (``skewed``: exponential), centred, of variance one.
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

    def __post_init__(self) -> None:
        if self.n_images < 6 or self.n_questions < 1:
            raise InputError("a simulated study needs at least 6 images with a question each")
        if len(self.ks) < 2 or list(self.ks) != sorted(set(self.ks)) or self.ks[0] < 1:
            raise InputError(
                f"the k grid {self.ks} must be two or more whole numbers from 1 on, ascending"
            )
        if not 0 <= self.floor < 1:
            raise InputError(f"a chance floor lies in [0, 1), not {self.floor:g}")

    @property
    def x(self) -> Array:
        """Doublings of k from the middle of the grid, shape (K,)."""
        logs = np.log2(np.asarray(self.ks, dtype=np.float64))
        return np.asarray(logs - (logs[0] + logs[-1]) / 2, dtype=np.float64)

    def curve(self, c: Array) -> Array:
        """Logits of average image and question, shape (len(c), K)."""
        x, c = self.x[None, :], np.asarray(c, dtype=np.float64)[:, None]
        base = self.level + self.main * c
        if self.shape == "flat":
            return np.broadcast_to(base, (len(c), len(self.ks))).copy()
        if self.shape == "rising":
            lost = self.bend * (1 + self.steeper * c) * 2.0 ** -(x - x[0, 0])
            return np.asarray(base - lost, dtype=np.float64)
        away = x - self.peak - self.shift * c
        if self.shape == "steep low k":
            below = np.maximum(1 + self.steeper * c, 0.0)
            return np.asarray(
                base - self.bend * away**2 * np.where(away < 0, below, 0.25), dtype=np.float64
            )
        return np.asarray(base - self.bend * away**2, dtype=np.float64)

    def accuracy(self, c: Array) -> Array:
        """Mean score at given complexities, random effects integrated out, shape (len(c), K)."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
        (b0, b1), (d0, d1) = self.image_sd, self.question_sd
        spread = np.sqrt(b0**2 + d0**2 + (b1**2 + d1**2) * self.x**2)
        eta = self.curve(c)[:, :, None] + spread[None, :, None] * nodes
        right = expit(eta) @ (weights / weights.sum())
        right = self.floor + (1 - self.floor) * right
        return np.asarray(_SOFT_RIGHT * right + _SOFT_WRONG * (1 - right) if self.soft else right)


#: Mean scores of a right and a wrong answer when scores are soft.
_RIGHT, _WRONG = np.array([0.6, 0.9, 1.0, 1.0]), np.array([0.0, 0.0, 0.0, 0.3])
_SOFT_RIGHT, _SOFT_WRONG = float(_RIGHT.mean()), float(_WRONG.mean())


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
    n, q, x = scenario.n_images, scenario.n_questions, scenario.x
    c = complexities(scenario, n, rng)
    b = rng.standard_normal((n, 2)) * scenario.image_sd
    d = rng.standard_normal((n, q, 2)) * scenario.question_sd
    eta = scenario.curve(c) + b[:, :1] + b[:, 1:] * x
    eta = eta[:, None, :] + d[:, :, :1] + d[:, :, 1:] * x
    right = rng.random(eta.shape) < scenario.floor + (1 - scenario.floor) * expit(eta)
    if scenario.soft:
        pick = rng.integers(0, len(_RIGHT), eta.shape)
        scores = np.where(right, _RIGHT[pick], _WRONG[pick])
    else:
        scores = right.astype(np.float64)
    images = tuple(f"{i:06d}" for i in range(n))
    counts = np.full((n, len(x)), float(q))
    return Drawn(Cells(scenario.ks, images, scores.sum(axis=1), counts), c, scores)


def slices(scenario: Scenario, n: int) -> Array:
    """Midpoints of n equally likely slices of complexity, ascending."""
    shares = (np.arange(n) + 0.5) / n
    if scenario.complexity == "skewed":
        return np.asarray(-np.log1p(-shares) - 1.0, dtype=np.float64)
    return np.asarray(ndtri(shares), dtype=np.float64)


@dataclass(frozen=True)
class Truth:
    """What holds in a scenario.

    Attributes
    ----------
    low, high : ndarray, shape (K,)
        Population-averaged accuracy in the lowest and the highest third of complexity.
    best_low, best_high : int
        Their most accurate k, ties to the smaller.
    common : tuple of int
        Every k that is optimal at both ends; empty where the optimum shifts.
    conditional_low, conditional_high : int
        Best k of an average question at the mean complexities of the ends: another thing.
    interaction : bool
        Whether the curve in k changes with complexity, logits of the average question.
    """

    low: Array
    high: Array
    best_low: int
    best_high: int
    common: tuple[int, ...]
    conditional_low: int
    conditional_high: int
    interaction: bool

    @property
    def shifts(self) -> bool:
        """Whether no k is optimal at both ends."""
        return not self.common


def truth(scenario: Scenario) -> Truth:
    """Integrate a scenario: thirds of complexity, random effects averaged out.

    Parameters
    ----------
    scenario : Scenario

    Returns
    -------
    Truth
    """
    c = slices(scenario, 3_000)
    ends = [c[:1_000], c[2_000:]]
    low, high = (scenario.accuracy(part).mean(axis=0) for part in ends)
    inside = [scenario.curve(np.array([part.mean()]))[0] for part in ends]
    common = tuple(
        k
        for k, a, b in zip(scenario.ks, low, high, strict=True)
        if a >= low.max() - SAME and b >= high.max() - SAME
    )
    changes = scenario.curve(np.array([-1.0, 1.0]))
    changes -= changes[:, :1]
    return Truth(
        low=low,
        high=high,
        best_low=scenario.ks[best_index(low)],
        best_high=scenario.ks[best_index(high)],
        common=common,
        conditional_low=scenario.ks[best_index(inside[0])],
        conditional_high=scenario.ks[best_index(inside[1])],
        interaction=bool(np.abs(changes[0] - changes[1]).max() > SAME),
    )
