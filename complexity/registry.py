"""What a metric is, and the list of those there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from complexity.errors import InputError, did_you_mean
from complexity.image import PreparedImage

Function = Callable[[PreparedImage], float]
#: Metrics by name, in the order of their registration.
_METRICS: dict[str, Metric] = {}
#: card: the four that a study's card shows; lite: what costs about a millisecond each; all:
#: every metric but other settings and variants of one that is in.
PRESETS = ("card", "lite", "all")


class UndefinedMetric(Exception):
    """The metric has no value on this image; the message says why."""


@dataclass(frozen=True)
class Metric:
    """A registered complexity metric.

    Attributes
    ----------
    name : str
        Its name, also that of its column.
    function : callable
        From a prepared image to a float; raises `UndefinedMetric` where there is no value.
    version : int
        Raised when the definition changes: older tables are then measured again.
    unit : str
        Unit of the value.
    range : tuple of float and float or None
        Smallest and largest possible value; None is no bound.
    summary : str
        One line for a list.
    reference : str
        Paper or standard that defines it.
    parameters : mapping
        Numbers of the definition, stored with every table.
    presets : tuple of str
        Presets it belongs to.
    """

    name: str
    function: Function
    version: int
    unit: str
    range: tuple[float, float | None]
    summary: str
    reference: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    presets: tuple[str, ...] = ()


def metric(
    *,
    name: str,
    version: int,
    unit: str,
    range: tuple[float, float | None],
    summary: str,
    reference: str,
    parameters: Mapping[str, object] | None = None,
    presets: Sequence[str] = (),
) -> Callable[[Function], Function]:
    """Register a function as a metric; its attributes are those of `Metric`.

    Raises
    ------
    ValueError
        When the name is taken.
    """

    def register(function: Function) -> Function:
        if name in _METRICS:
            raise ValueError(f"a metric named {name} is registered already")
        _METRICS[name] = Metric(
            name,
            function,
            version,
            unit,
            range,
            summary,
            reference,
            parameters or {},
            tuple(presets),
        )
        return function

    return register


def all_metrics() -> tuple[Metric, ...]:
    """List the registered metrics."""
    import complexity.metrics  # noqa: F401  (its modules register themselves)

    return tuple(_METRICS.values())


def get(name: str) -> Metric:
    """Find a metric by name.

    Raises
    ------
    InputError
        When there is none; the nearest name is suggested.
    """
    known = {item.name: item for item in all_metrics()}
    if name not in known:
        raise InputError(
            f"no metric is named '{name}'{did_you_mean(name, known)}; there are "
            f"{', '.join(known)} (optik metrics explains them)."
        )
    return known[name]


def resolve(spec: str | Sequence[str]) -> tuple[Metric, ...]:
    """Turn what a user asks for into metrics.

    Parameters
    ----------
    spec : str or sequence of str
        A preset (``card``, ``lite``, ``all``), names parted by commas, or a list of names and
        presets.

    Returns
    -------
    tuple of Metric
        In the order asked for, each once.

    Raises
    ------
    InputError
        For an unknown name, or when nothing is asked for.
    """
    names = spec.split(",") if isinstance(spec, str) else list(spec)
    found: dict[str, Metric] = {}
    for name in (text.strip() for text in names):
        if name in PRESETS:
            found |= {item.name: item for item in all_metrics() if name in item.presets}
        elif name:
            found[name] = get(name)
    if not found:
        raise InputError("no metric is asked for; name some, or a preset: card, lite or all.")
    return tuple(found.values())
