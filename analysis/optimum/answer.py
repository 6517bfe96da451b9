"""What one model's results say about the optimal k and one complexity metric."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from analysis.optimum.common import CommonOptimum
from analysis.optimum.curves import CurveFit
from analysis.optimum.equivalence import Equivalence
from analysis.optimum.gains import Gain, SingleK
from analysis.optimum.optimum_at import BOOTSTRAP_METHOD, DELTA_METHOD
from analysis.optimum.quadratic import NO_SIZE, UNIT, Z95, Quadratic
from analysis.optimum.reported import ReportedTest
from analysis.optimum.spline import Spline

if TYPE_CHECKING:
    from analysis.optimum.rung import MixedModel


@dataclass(frozen=True)
class Optimum:
    """The accuracy-optimal k of a group of images.

    Attributes
    ----------
    bucket : str
        Complexity bucket, or ``all``.
    complexity : float
        Mean of the metric over the images of the bucket.
    n_images : int
        Images in it.
    k : int
        Arg max of accuracy over the k grid; ties go to the smaller k.
    share : float
        Share of the image-cluster bootstrap resamples in which that k is the arg max.
    set : tuple of int
        The k not distinguishable from the best at level .05.
    shares : dict of int to float
        Bootstrap share of every k.
    tied : tuple of int
        Every k with the accuracy of `k`, itself included.
    set_method : str
        How `set` was obtained.
    set_bootstrap : tuple of int
        The same set by a bootstrap max-T (whole images, studentised in every resample), as a
        check.
    """

    bucket: str
    complexity: float
    n_images: int
    k: int
    share: float
    set: tuple[int, ...]
    shares: dict[int, float]
    tied: tuple[int, ...]
    set_method: str = ""
    set_bootstrap: tuple[int, ...] = ()


@dataclass(frozen=True)
class CurvePoint:
    """Arg max of the saturated regression curve at one complexity, with its Gaussian shares."""

    complexity: float
    c: float
    k: int
    share: float
    shares: dict[int, float]


@dataclass(frozen=True)
class ShiftAnswer:
    """What one model's results say about the optimal k and one complexity metric.

    Attributes
    ----------
    model, metric : str
        What was analysed.
    ks : tuple of int
        The k grid.
    n_images, n_samples : int
        Images and questions behind it.
    interaction : ReportedTest
        Robust Wald test that the saturated curve in k does not change with complexity (logit).
    interaction_probability : ReportedTest
        The same on the probability scale (linear probability model). Where the two disagree,
        the curves differ by no more than the logit's stretching near 0 and 1.
    linearity : ReportedTest
        Robust Wald test that the logit curve changes linearly with complexity (curve × c²).
    common : CommonOptimum
        Headline: no single k is optimal at both ends of complexity; `ends` names the buckets.
    ends : tuple of str
        The buckets compared.
    common_curve : CommonOptimum or None
        The same test on the regression's curves at -1 and +1 SD of complexity.
    optimum : tuple of Optimum
        One per bucket, in order.
    overall : Optimum
        Over all images.
    gains : tuple of Gain
        Every k against the most accurate k over all images, by bucket and high against low.
    single : SingleK
        The one k for both ends with the least possible cost, and that cost's upper limit.
    equivalence : Equivalence
        Whether some k is shown to cost less than the margin at both ends.
    permutation : ReportedTest
        The interaction by shuffling complexity across images: not a test of a shift.
    along : tuple of CurvePoint
        The saturated curve's arg max at quantiles of complexity.
    lack_of_fit : ReportedTest
        Quadratic against saturated, complexity terms included.
    quadratic : Quadratic or None
        Second opinion; None with fewer than three k.
    quadratic_shown : bool
        Whether its size of shift and its optima may be read as such; `warnings` say why not.
    spline : Spline
        A third curve, descriptive: its lack of fit and its optima, or why there are none.
    warnings : tuple of str
        What the reader must know.
    fits : tuple of CurveFit
        The regressions behind it, for the coefficient tables.
    gains_method : str
        How the intervals of `gains` were obtained.
    rung : MixedModel or None
        The mixed model's opinion, where it was asked for.
    """

    model: str
    metric: str
    ks: tuple[int, ...]
    n_images: int
    n_samples: int
    interaction: ReportedTest
    interaction_probability: ReportedTest
    linearity: ReportedTest
    common: CommonOptimum
    ends: tuple[str, ...]
    common_curve: CommonOptimum | None
    optimum: tuple[Optimum, ...]
    overall: Optimum
    gains: tuple[Gain, ...]
    single: SingleK
    equivalence: Equivalence
    permutation: ReportedTest
    along: tuple[CurvePoint, ...]
    lack_of_fit: ReportedTest
    quadratic: Quadratic | None
    quadratic_shown: bool
    spline: Spline
    warnings: tuple[str, ...]
    fits: tuple[CurveFit, ...]
    gains_method: str = ""
    rung: MixedModel | None = None

    def to_dict(self) -> dict[str, object]:
        """Spell the answer as ``optik shift --json`` prints it."""
        q = self.quadratic if self.quadratic_shown else None
        estimate, half = (q.slope, Z95 * q.slope_se) if q else (None, None)
        return {
            "model": self.model,
            "metric": self.metric,
            "n_images": self.n_images,
            "n_samples": self.n_samples,
            "ks": self.ks,
            "interaction": asdict(self.interaction),
            "interaction_probability": asdict(self.interaction_probability),
            "interaction_permutation": asdict(self.permutation),
            "linearity": asdict(self.linearity),
            "mixed_model": None if self.rung is None else self.rung.to_dict(),
            "shift": {
                "p": self.common.p,
                "method": self.common.method,
                "ends": self.ends,
                "common_k": self.common.kept,
                "p_by_k": {str(k): p for k, p in zip(self.ks, self.common.p_by_k, strict=True)},
                "estimate": estimate,
                "ci_low": None if half is None or estimate is None else estimate - half,
                "ci_high": None if half is None or estimate is None else estimate + half,
                "ci_method": "delta method, image-clustered CR1, normal, 95 %",
                "bootstrap_ci_low": q.bootstrap_low if q else None,
                "bootstrap_ci_high": q.bootstrap_high if q else None,
                "bootstrap_method": BOOTSTRAP_METHOD,
                "unit": UNIT,
            },
            "shift_curve": None
            if self.common_curve is None
            else {
                "p": self.common_curve.p,
                "common_k": self.common_curve.kept,
                "method": "the same test on the saturated regression at -1 and +1 SD",
            },
            "single_k": asdict(self.single),
            "equivalence": asdict(self.equivalence),
            "gains": [asdict(item) for item in self.gains],
            "gains_method": self.gains_method,
            "overall": _spelled(self.overall),
            "optimum": [_spelled(item) for item in self.optimum],
            "along": [_spelled(item) for item in self.along],
            "lack_of_fit": asdict(self.lack_of_fit),
            "quadratic": self._quadratic(),
            "spline": self.spline.to_dict(),
            "warnings": self.warnings,
        }

    def _quadratic(self) -> dict[str, object] | None:
        if self.quadratic is None:
            return None
        optima = self.quadratic.optima if self.quadratic_shown else ()
        why = [text.removeprefix(NO_SIZE) for text in self.warnings if text.startswith(NO_SIZE)]
        return {
            **asdict(self.quadratic),
            "shown": self.quadratic_shown,
            "reason": why[0] if why else None,
            "optima": [item.to_dict() for item in optima],
            "optima_ci_method": DELTA_METHOD,
            "optima_bootstrap_method": BOOTSTRAP_METHOD,
        }


def _spelled(item: Optimum | CurvePoint) -> dict[str, object]:
    # Keys as JSON has them, so that an answer reads the same before and after a file.
    shares = {str(k): share for k, share in item.shares.items()}
    return {**asdict(item), "shares": shares}
