"""How much images and questions differ, from a pilot: a mixed model, or moments.

What a study can see hangs on how strongly the answers to one question at two k, and the answers
to two questions about one image, hang together. A logistic mixed model says so where answers
vary. Where most questions are answered the same at every k (greedy decoding, a strong model) its
variances run away, and scores between 0 and 1 have no likelihood: then the same four standard
deviations are chosen so that disagreements come out as often as the pilot has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from analysis.planning.scenario import LOGISTIC_SD
from complexity.errors import InputError

Array = NDArray[np.float64]
#: Above this share of questions with one answer at every k the mixed model is not tried.
CONSTANT = 0.5
#: Laplace's approximation is poor beyond this standard deviation (`mixed.logistic_mixed`).
LARGE_SD = 3.0
#: Largest standard deviation that moments may find: answers are fixed but for k by then.
MOST_SD = 100.0
_RANDOM = (
    "(1 + x | image_id) + (1 + x | sample_id)",
    "(1 + x || image_id) + (1 + x || sample_id)",
    "(1 | image_id) + (1 | sample_id)",
)
_RANDOM_ALONE = ("(1 + x | image_id)", "(1 + x || image_id)", "(1 | image_id)")


@dataclass(frozen=True)
class Components:
    """Standard deviations of (intercept, slope per doubling), and their correlations.

    Attributes
    ----------
    image_sd, question_sd : tuple of float
    image_corr, question_corr : float
    with_complexity : bool
        Whether the image's intercept still holds what complexity explains.
    method : str
        How they were had, in words.
    """

    image_sd: tuple[float, float]
    question_sd: tuple[float, float]
    image_corr: float
    question_corr: float
    with_complexity: bool
    method: str


def by_mixed_model(rows: pd.DataFrame, alone: bool) -> Components | None:
    """Fit ``y ~ C(k) * c`` with intercepts and slopes of images and questions.

    The first rung that converges and is not singular is taken; a singular one is taken too when
    it has no correlations left: what it says then is that a variance is zero.

    Parameters
    ----------
    rows : DataFrame
        `y` (0 or 1), `k`, `c`, `x`, `image_id`, `sample_id`.
    alone : bool
        Images have one question each, so that the two cannot be told apart: all is the image's.

    Returns
    -------
    Components or None
        None where no rung converges, or effects are too large for the approximation.
    """
    from analysis import mixed

    for rung, random in enumerate(_RANDOM_ALONE if alone else _RANDOM):
        formula = f"y ~ C(k) * c + {random}"
        try:
            fitted = mixed.fit(formula, rows, family="binomial")
        except InputError:
            return None
        if not fitted.converged or (fitted.singular and rung == 0):
            continue
        found = {(v.group, v.term, v.term2): v.sd_or_corr for v in fitted.random}
        parts = []
        for group in ("image_id", "sample_id"):
            sds = tuple(float(found.get((group, term, None), 0.0)) for term in ("Intercept", "x"))
            parts.append(((sds[0], sds[1]), float(found.get((group, "Intercept", "x"), 0.0))))
        (image, image_corr), (question, question_corr) = parts
        reach = float(np.abs(rows["x"]).max())
        if max(sd + slope * reach for sd, slope in (image, question)) > 2 * LARGE_SD:
            return None
        if max(image[0], question[0]) > LARGE_SD:
            return None
        return Components(image, question, image_corr, question_corr, False, formula)
    return None


@dataclass(frozen=True)
class Moments:
    """How answers hang together, on the scale of right answers.

    Attributes
    ----------
    means : ndarray, shape (K,)
        Share right at each k.
    same : ndarray, shape (K, K)
        Share of questions right at both k; the diagonal is not used.
    other : ndarray, shape (K, K) or None
        The same for two questions about one image; None with one question each.
    n_questions : int
        All of them.
    """

    means: Array
    same: Array
    other: Array | None
    n_questions: int


def moments(wide: Array, image: NDArray[np.intp], base: float, gain: float) -> Moments:
    """Count the pairs of answers.

    Parameters
    ----------
    wide : ndarray, shape (Q, K)
        Scores by question and k.
    image : ndarray of int, shape (Q,)
        Image of each question, as a code from 0.
    base, gain : float
        A score is ``base + gain`` on average where the answer is right, ``base`` where not.

    Returns
    -------
    Moments
    """
    n = len(wide)
    right = (wide - base) / gain
    sums = np.zeros((int(image.max()) + 1, wide.shape[1]))
    np.add.at(sums, image, right)
    per_image = np.bincount(image)
    same = right.T @ right
    pairs = float((per_image * (per_image - 1)).sum())
    other = (sums.T @ sums - same) / pairs if pairs else None
    return Moments(right.mean(axis=0), same / n, other, n)


def by_moments(found: Moments, x: Array) -> Components:
    """Choose standard deviations whose disagreements are those observed.

    With effects and a logistic variable taken as normal (standard deviation 1.7), two answers
    are both right with a bivariate normal probability. Least squares over all pairs of k: the
    share of questions whose answers differ, the same for what two questions of an image share,
    both relative to the former, and how strongly questions of an image agree at all.

    Parameters
    ----------
    found : Moments
    x : ndarray, shape (K,)
        log2 k, centred.

    Returns
    -------
    Components
        With complexity still among the effects of images.
    """
    from scipy.optimize import least_squares

    n_k = len(x)
    upper = np.triu_indices(n_k, 1)
    means = np.clip(found.means, 0.5 / found.n_questions, 1 - 0.5 / found.n_questions)
    tau = ndtri(means)
    pseudo = 0.5 / found.n_questions
    differ = np.maximum(means[upper[0]] + means[upper[1]] - 2 * found.same[upper], 0) + pseudo
    basis = np.column_stack([np.ones(n_k), x])
    level = float(np.mean(means * (1 - means)))

    def shared(joint: Array) -> Array:
        # Covariance between two questions of the difference between two k.
        spread = joint - np.outer(means, means)
        own = np.diag(spread)
        return np.asarray(own[upper[0]] + own[upper[1]] - spread[upper] - spread.T[upper])

    def covariance(point: Array) -> tuple[Array, Array]:
        image = basis @ _factor(point[:3])
        question = basis @ _factor(point[3:])
        return image @ image.T, question @ question.T

    def misfit(point: Array) -> Array:
        image, question = covariance(point)
        total = image + question
        scale = np.sqrt(np.diag(total) + LOGISTIC_SD**2)
        same = both(tau, total / np.outer(scale, scale))
        parts = [(means[upper[0]] + means[upper[1]] - 2 * same[upper] + pseudo) / differ - 1]
        if found.other is not None:
            other = both(tau, image / np.outer(scale, scale))
            parts.append((shared(other) - shared(found.other)) / differ)
            parts.append(np.atleast_1d(10 * (other - found.other).mean() / level))
        # A whisper of a preference for small effects, for grids with too few k to tell.
        return np.concatenate([*parts, 0.001 * point])

    free = slice(None) if found.other is not None else slice(0, 3)

    def only(point: Array) -> Array:
        full = np.zeros(6)
        full[free] = point
        return misfit(full)

    best = None
    for sd, slope in ((1.0, 0.3), (6.0, 2.0)):
        start = np.array([sd / 2, 0.0, slope / 2, sd, 0.0, slope])[free]
        trial = least_squares(only, start, bounds=(-MOST_SD, MOST_SD))
        if best is None or trial.cost < best.cost:
            best = trial
    assert best is not None
    point = np.zeros(6)
    point[free] = best.x
    parts = [_factor(point[:3]), _factor(point[3:])]
    (image, image_corr), (question, question_corr) = map(_sds, parts)
    method = "moments: disagreements between k, within questions and within images"
    return Components(image, question, image_corr, question_corr, True, method)


def both(tau: Array, rho: Array) -> Array:
    """Probability that two standard normals lie below thresholds, for all pairs.

    The normal density integrated over the correlation (Drezner & Wesolowsky 1990, J. Stat.
    Comput. Simul. 35, 101-107), with the angle as variable.

    Parameters
    ----------
    tau : ndarray, shape (K,)
    rho : ndarray, shape (K, K)
        Correlations, in [-1, 1].

    Returns
    -------
    ndarray, shape (K, K)
    """
    from scipy.special import ndtr

    nodes, weights = np.polynomial.legendre.leggauss(40)
    angle = np.arcsin(np.clip(rho, -0.999999, 0.999999))
    theta = angle[..., None] * (nodes + 1) / 2
    h, k = tau[:, None, None], tau[None, :, None]
    density = np.exp(-(h**2 + k**2 - 2 * h * k * np.sin(theta)) / (2 * np.cos(theta) ** 2))
    area = (density @ weights) * angle / 2 / (2 * np.pi)
    return np.asarray(np.outer(ndtr(tau), ndtr(tau)) + area, dtype=np.float64)


def without_complexity(parts: Components, main: float) -> Components:
    """Take what complexity explains (logits per standard deviation) out of the images' effects."""
    if not parts.with_complexity:
        return parts
    (sd, slope), corr = parts.image_sd, parts.image_corr
    left = float(np.sqrt(max(sd**2 - main**2, 0.0)))
    corr = float(np.clip(corr * sd / left, -0.99, 0.99)) if left > 0 else 0.0
    return Components(
        (left, slope), parts.question_sd, corr, parts.question_corr, False, parts.method
    )


def _factor(point: Sequence[float] | Array) -> Array:
    return np.array([[point[0], 0.0], [point[1], point[2]]])


def _sds(factor: Array) -> tuple[tuple[float, float], float]:
    covariance = factor @ factor.T
    sd = np.sqrt(np.diag(covariance))
    corr = float(covariance[0, 1] / (sd[0] * sd[1])) if sd.min() > 1e-9 else 0.0
    return (float(sd[0]), float(sd[1])), float(np.clip(corr, -1.0, 1.0))
