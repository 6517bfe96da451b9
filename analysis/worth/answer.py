"""What is said about the worth of k for one model and one complexity metric."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from analysis.worth.non_inferior import NonInferior
from analysis.worth.utility import GroupUtility


@dataclass(frozen=True)
class LatencyBasis:
    """The latencies behind prices and times.

    Attributes
    ----------
    n_items, n_clusters : int
        Timed samples (or requests), and the images (else samples) they belong to.
    by_bucket : bool
        Whether a bucket's latency is that of its own timed samples; else all timed samples
        stand for every bucket, and cross-fitting takes their means as known.
    resampled : str
        What the bootstrap of the break-even prices resamples.
    """

    n_items: int
    n_clusters: int
    by_bucket: bool
    resampled: str


@dataclass(frozen=True)
class Interval:
    """An estimate with its standard error and 95 % interval.

    Normal, clustered by image and widened for what the folds share (`cross_fit.changes`).
    """

    estimate: float
    se: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class Change:
    """Policy less best single k, without an interval.

    Attributes
    ----------
    accuracy : float
        Share of accuracy.
    ms : float or None
        Mean latency; negative is faster. None without latency.
    utility : float or None
        Accuracy less price times latency; None where no price is set.
    """

    accuracy: float
    ms: float | None
    utility: float | None


@dataclass(frozen=True)
class PolicyValue:
    """What choosing k by complexity bucket is worth against one k for all.

    All differences are policy less single k.

    Attributes
    ----------
    policy : str
        ``accuracy``: the most accurate k of each bucket against the most accurate single k.
        ``utility``: the same with utility at `price`. ``equal accuracy``: the fastest policy
        that is as accurate in training as the most accurate single k. ``within margin``: as
        accurate as the fastest single k within the margin of the most accurate one.
    price : float or None
        Accuracy (share) per ms, for ``utility``.
    single : int
        Single k chosen on all images.
    ks : tuple of int
        k of each bucket chosen on all images, buckets in order.
    single_shares, shares : dict, tuple of dict
        How often the training folds chose each k (shares of all splits), for the single k and
        by bucket in order.
    moved : float
        Share of held-out questions that the policy asks at another k than the single one.
    accuracy, ms, utility : Interval or None
        Cross-fitted: cut points, k by bucket and single k chosen in the training folds,
        evaluated in the held-out fold.
    naive : Change
        Chosen and evaluated on the same images: optimistic.
    oracle : Change
        k by bucket chosen on the held-out fold itself: optimistic, an upper reference.
    n_folds, n_repeats : int
        Folds by image, and how often they were drawn.
    """

    policy: str
    price: float | None
    single: int
    ks: tuple[int, ...]
    single_shares: dict[int, float]
    shares: tuple[dict[int, float], ...]
    moved: float
    accuracy: Interval
    ms: Interval | None
    utility: Interval | None
    naive: Change
    oracle: Change
    n_folds: int
    n_repeats: int


@dataclass(frozen=True)
class Worth:
    """What one model's results say about the worth of k.

    Attributes
    ----------
    model, metric : str
        What was analysed.
    ks : tuple of int
        The k grid.
    buckets : tuple of str
        Complexity buckets with results, in order.
    n_images, n_samples : int
        Images and questions behind it.
    margin : float
        Non-inferiority margin, share of accuracy.
    latency : LatencyBasis or None
        None where there are no usable latencies.
    utility : tuple of GroupUtility
        Over all images, then by bucket; empty without latency.
    non_inferior : tuple of NonInferior
        Over all images, then by bucket.
    value : tuple of PolicyValue
        Empty where k could not be chosen by complexity; `notes` say why.
    notes : tuple of str
        What is missing or must be known.
    """

    model: str
    metric: str
    ks: tuple[int, ...]
    buckets: tuple[str, ...]
    n_images: int
    n_samples: int
    margin: float
    latency: LatencyBasis | None
    utility: tuple[GroupUtility, ...]
    non_inferior: tuple[NonInferior, ...]
    value: tuple[PolicyValue, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Spell the answer as the run's ``worth/*.json`` have it; keys of dicts are texts."""
        found: dict[str, Any] = _text_keys(asdict(self))
        return found


def _text_keys(value: object) -> Any:
    if isinstance(value, dict):
        return {str(key): _text_keys(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_text_keys(item) for item in value]
    return value
