"""Names of metrics, phases, columns and model terms as a reader wants them in print."""

from __future__ import annotations

import re

from complexity.registry import all_metrics

# Columns that Optik itself writes, times and terms of its formulas among them.
_COLUMNS = {
    "Intercept": "intercept",
    "n_images": "images",
    "n_samples": "samples",
    "n_items": "timed samples",
    "n_groups": "groups",
    "n_objects": "objects",
    "image_id": "image",
    "sample_id": "sample",
    "question_type": "question type",
    "latency_ms": "latency",
    "vision_ms": "vision",
    "prefill_ms": "prefill",
    "ttft_ms": "time to first token",
    "decode_ms": "decode",
    "tpot_ms": "per token after the first",
    "image_tokens": "image tokens",
    "run": "session",
    "total_ms": "total",
}
# What stands in an interaction without being translated itself.
_SYMBOLS = frozenset({"c", "k", "x", "order"})
_FACTOR = re.compile(r"C\(k\)\[(?P<k>\d+)\]")
_LEVEL = re.compile(r"(?:C\((?P<coded>[^\W\d]\w*)\)|(?P<bare>[^\W\d]\w*))\[(?P<level>[^\[\]]+)\]")
_SPLINE = re.compile(r"ns\((?P<base>[^\W\d]\w*)\)\[(?P<column>\d+)\]")
_POWER = re.compile(r"I\((?P<base>[^\W\d]\w*) ?\*\* ?(?P<exponent>\d+)\)")
_VARIABLE = re.compile(r"[^\W\d]\w*")
_COLON = re.compile(r":(?![^\[(]*[\])])")  # not one inside brackets
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def readable(name: str) -> str:
    """Spell the name of a metric, a phase, a column or a model term for print.

    Parameters
    ----------
    name : str
        Such as ``object_count``, ``prefill_ms``, ``n_images``, ``C(k)[2]:c``, ``I(x**2)`` or
        ``question_type[compare]``. Never the name of a model: that is printed as it is.

    Returns
    -------
    str
        ``object count``, ``prefill``, ``images``, ``k = 2 × c``, ``x²``, ``question type:
        compare``. A level keeps its own spelling, and so does a name that is none of these.
    """
    whole = _factor(name)
    if whole is not None:
        return whole
    parts = _COLON.split(name)
    spelled = [_factor(part) for part in parts]
    if len(parts) < 2 or all(part is None for part in spelled):
        return name
    if not all(
        _VARIABLE.fullmatch(part) or text for part, text in zip(parts, spelled, strict=True)
    ):
        return name
    return " × ".join(text or part for part, text in zip(parts, spelled, strict=True))


def _factor(name: str) -> str | None:
    """Spell one factor of a term; None for what is not known."""
    if name in _SYMBOLS:
        return name
    if name in _COLUMNS:
        return _COLUMNS[name]
    if any(name == metric.name for metric in all_metrics()):
        return name.replace("_", " ")
    if found := _FACTOR.fullmatch(name):
        return f"k = {found['k']}"
    if found := _SPLINE.fullmatch(name):
        return f"spline {found['column']} of {_variable(found['base'])}"
    if found := _POWER.fullmatch(name):
        return f"{_variable(found['base'])}{found['exponent'].translate(_RAISED)}"
    if found := _LEVEL.fullmatch(name):
        # What stands before a level is a variable, so that its underscores are blanks.
        return f"{_variable(found['coded'] or found['bare'])}: {found['level']}"
    return None


def _variable(name: str) -> str:
    return _factor(name) or name.replace("_", " ")
