"""A detector as the command line names it: a file and KEY=VALUE options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from complexity.errors import InputError, did_you_mean
from complexity.registry import resolve
from complexity.rows import OBJECTS

if TYPE_CHECKING:
    from complexity.detector import Detector


def _classes(text: str) -> list[int | str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    return [int(name) if name.isdigit() else name for name in names]


_OPTIONS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "score": ("a number", float),
    "nms": ("a number", float),
    "size": ("a whole number", int),
    "style": ("a name", str),
    "pixels": ("a name", str),
    "classes": ("numbers or names parted by commas", _classes),
}


def detector_of(model: Path | None, options: Sequence[str], metrics: str) -> Detector | None:
    """Open the detector of a command.

    Parameters
    ----------
    model : Path, optional
        The ONNX file.
    options : sequence of str
        Each ``KEY=VALUE``; the keys are arguments of `complexity.open_detector`.
    metrics : str
        The metrics asked for.

    Returns
    -------
    Detector, or None
        None where the command names none.

    Raises
    ------
    InputError
        An unknown or wrong option, options without a model, or a model whose count is not asked
        for; else see `complexity.open_detector`.
    """
    if model is None:
        if options:
            raise InputError(f"--detector-option {options[0]} goes with --detector MODEL.onnx")
        return None
    if OBJECTS not in (item.name for item in resolve(metrics)):
        raise InputError(
            f"--detector counts objects, but {OBJECTS} is not among the metrics ({metrics}); add "
            "it to --metrics"
        )
    given: dict[str, Any] = {}
    for option in options:
        key, equals, text = option.partition("=")
        if key not in _OPTIONS:
            raise InputError(
                f"--detector-option {option}: unknown{did_you_mean(key, _OPTIONS)}; known: "
                f"{', '.join(_OPTIONS)}"
            )
        what, read = _OPTIONS[key]
        try:
            given[key] = read(text) if equals else None
        except ValueError:
            given[key] = None
        if given[key] is None:
            raise InputError(f"--detector-option {option}: write {key}=VALUE, {what}")
    from complexity.detector import open_detector

    return open_detector(model, **given)
