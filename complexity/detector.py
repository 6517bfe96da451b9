"""A user's ONNX detector as the source of object counts.

::

    import complexity

    detector = complexity.open_detector("detector.onnx", score=0.4)
    frame = complexity.measure("photos", detector=detector)

onnxruntime (the extra ``detect``) is imported when a model is opened. A detector is a value
that other processes can be given: each opens its own session, once.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from complexity.detector_input import (
    GROUND,
    PIXELS,
    ImageInput,
    choose_size,
    feed,
    letterbox,
    read_input,
)
from complexity.detector_nms import suppress
from complexity.detector_styles import RAW, Detections, NotScores, decode, recognise
from complexity.errors import InputError, did_you_mean, listing
from complexity.files import sha256_bytes
from complexity.image import PreparedImage
from complexity.registry import UndefinedMetric

#: Raised whenever the same model and options could give another count.
VERSION = 1
SCORE = 0.25
NMS = 0.45


@dataclass(frozen=True)
class Detector:
    """A detector with everything decided; called on a prepared image it counts objects.

    Attributes
    ----------
    path : str
        The ONNX file.
    sha256 : str
        Of the file, hexadecimal. A file that has changed since is refused.
    style : str
        What its outputs are; one of `complexity.detector_styles.STYLES`.
    pixels : {"unit", "byte", "imagenet"}
        Range of the pixels that it takes.
    size : (height, width)
        Of its input, pixels.
    score : float
        Least score of an object.
    nms : float or None
        Boxes of one class whose intersection over union exceeds it are one object; None: the
        model's boxes are taken as they are.
    classes : tuple of int, or None
        Classes that count; None is all.
    named : int or None
        How many classes the model's metadata name.
    """

    path: str
    sha256: str
    style: str
    pixels: str
    size: tuple[int, int]
    score: float
    nms: float | None
    classes: tuple[int, ...] | None
    named: int | None

    def __call__(self, image: PreparedImage) -> float:
        """Count the objects in an image.

        Raises
        ------
        UndefinedMetric
            The model gives scores that are none.
        """
        try:
            return float(len(self.detect(image).scores))
        except NotScores as error:
            raise UndefinedMetric(str(error)) from None

    def detect(self, image: PreparedImage) -> Detections:
        """Find the objects in an image.

        Parameters
        ----------
        image : PreparedImage
            The image, its long side at most 512 pixels by the image policy.

        Returns
        -------
        Detections
            Boxes in pixels of the prepared image; the best first where boxes are suppressed,
            else in the model's order.

        Raises
        ------
        NotScores
            The model gives scores that are none.
        InputError
            The file is gone or has changed.
        """
        fitted = letterbox(image.rgb, *self.size)
        loaded = _load(self.path, self.sha256)
        outputs = loaded.run(fitted.canvas, self.pixels)
        found = decode(outputs, self.style, self.size, self.named, self.score)
        if self.classes is not None:
            found = found.take(np.isin(found.classes, self.classes))
        if self.nms is not None:
            found = found.take(suppress(found.boxes, found.scores, found.classes, self.nms))
        shift = np.array([fitted.left, fitted.top] * 2)
        return Detections(
            (found.boxes - shift) / np.array(fitted.scale * 2), found.scores, found.classes
        )

    def entry(self) -> dict[str, object]:
        """Return what its counts rest on, for a table's metadata; no path is in it."""
        parameters = {
            "sha256": self.sha256,
            "style": self.style,
            "pixels": self.pixels,
            "size": list(self.size),
            "score": self.score,
            "nms": self.nms,
            "classes": None if self.classes is None else list(self.classes),
        }
        return {"version": VERSION, "parameters": parameters, "source": "detector"}

    def runtime(self) -> str:
        """Name the version of onnxruntime that runs it."""
        return str(_runtime().__version__)

    def describe(self) -> str:
        """Say in a line what was recognised and chosen."""
        kept = "as it suppresses itself" if self.nms is None else f"suppressed above {self.nms:g}"
        which = "all classes" if self.classes is None else f"classes {listing(self.classes)}"
        return (
            f"{self.style} ({self.size[1]} × {self.size[0]} pixels, {self.pixels}), score from "
            f"{self.score:g}, {kept}, {which}"
        )


@dataclass(frozen=True)
class _Loaded:
    """A session and what its graph and metadata say."""

    session: Any
    taken: ImageInput
    metadata: Mapping[str, str]

    def run(self, canvas: NDArray[np.uint8], pixels: str) -> dict[str, NDArray[Any]]:
        values = self.session.run(None, feed(self.taken, canvas, pixels))
        names = [output.name for output in self.session.get_outputs()]
        return {n: np.asarray(v) for n, v in zip(names, values, strict=True)}


def open_detector(
    path: str | Path,
    *,
    score: float | None = None,
    nms: float | None = None,
    size: int | None = None,
    style: str | None = None,
    pixels: str | None = None,
    classes: Sequence[int | str] | None = None,
) -> Detector:
    """Open an ONNX detector and find out how it is used.

    The graph says the layout of the input (channels second or last; float, float16 or uint8;
    its size if that is fixed). The style of the outputs is told from their shapes on one run
    over a plain gray image; where several styles fit, the user is asked to name it.

    Parameters
    ----------
    path : str or Path
        The model, one file.
    score : float, optional
        Least score of an object, in [0, 1]; .25 when left out.
    nms : float, optional
        Intersection over union above which two boxes of one class are one object. When left
        out: .45 for the styles ``yolov5`` and ``yolov8``; no suppression for the others, whose
        boxes are final.
    size : int, optional
        Side of the input in pixels, where the graph leaves it open; else what the model's
        metadata say, else 640.
    style : str, optional
        One of `complexity.detector_styles.STYLES`.
    pixels : {"unit", "byte", "imagenet"}, optional
        Pixels in [0, 1], in [0, 255] or standardised as for ImageNet. When left out: imagenet
        for the style ``detr``, bytes for a uint8 input, else unit.
    classes : sequence of int or str, optional
        Classes that count, by number or, where the model's metadata name them, by name.

    Returns
    -------
    Detector
        Ready to be called, here and in other processes.

    Raises
    ------
    InputError
        onnxruntime is not installed; no such file; not a model; an input or outputs that fit
        no style, or several; an option out of range.
    """
    _in_range("score", score)
    _in_range("nms", nms)
    if size is not None and size < 1:
        raise InputError(f"the detector's size is {size}; give the side of its input in pixels")
    if pixels is not None and pixels not in PIXELS:
        raise InputError(
            f"the detector's pixels are '{pixels}'{did_you_mean(pixels, PIXELS)}; known: "
            f"{', '.join(PIXELS)}"
        )
    model = str(path)
    sha256 = sha256_bytes(_read(model))
    loaded = _load(model, sha256)
    names = _names(loaded.metadata)
    named = None if names is None else max(names) + 1
    height, width = choose_size(loaded.taken, size, _usual_size(loaded.metadata), model)
    gray = np.full((height, width, 3), GROUND, dtype=np.uint8)
    is_bytes = loaded.taken.dtype == np.uint8
    first = "byte" if is_bytes else pixels or "unit"
    try:
        outputs = loaded.run(gray, first)
    except Exception as error:  # onnxruntime's own classes, which share no base of their own
        raise InputError(
            f"{model}: the model fails on a plain image of {width} × {height} pixels "
            f"({_first_line(error)}); give another size, or export it anew"
        ) from None
    found = recognise(outputs, (height, width), named, style, model)
    usual = "byte" if is_bytes else "imagenet" if found == "detr" else "unit"
    detector = Detector(
        path=model,
        sha256=sha256,
        style=found,
        pixels="byte" if is_bytes else pixels or usual,
        size=(height, width),
        score=SCORE if score is None else float(score),
        nms=(NMS if found in RAW else None) if nms is None else float(nms),
        classes=None if classes is None else _numbers(classes, names, model),
        named=named,
    )
    try:
        decode(outputs, found, detector.size, named, detector.score)
    except NotScores as error:
        raise InputError(
            f"{model}: read as style '{found}', {error}. Name the right style, or the right "
            "pixels, or export a model that gives probabilities."
        ) from None
    return detector


def _in_range(name: str, value: float | None) -> None:
    if value is not None and not 0 <= value <= 1:
        raise InputError(f"the detector's {name} is {value}; give a number from 0 to 1")


def _read(model: str) -> bytes:
    try:
        return Path(model).read_bytes()
    except OSError as error:
        raise InputError(
            f"{model}: the detector cannot be read ({error.strerror or error}); name an ONNX file"
        ) from None


@lru_cache(maxsize=2)
def _load(model: str, sha256: str) -> _Loaded:
    """Open a session, once a process; the bytes that are run are those that were hashed."""
    runtime = _runtime()
    data = _read(model)
    if sha256_bytes(data) != sha256:
        raise InputError(f"{model}: the detector has changed since it was opened; start again")
    options = runtime.SessionOptions()
    # One thread and a fixed order of sums: the same count on every run, whatever else runs.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    try:
        session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes, which share no base of their own
        raise InputError(
            f"{model}: not a model that onnxruntime {runtime.__version__} can open "
            f"({_first_line(error)}); export it to one ONNX file, weights included"
        ) from None
    taken = read_input(session.get_inputs(), model)
    return _Loaded(session, taken, dict(session.get_modelmeta().custom_metadata_map))


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise InputError(
            "an ONNX detector needs onnxruntime, which is not installed; pip install onnxruntime "
            "(Optik's extra 'detect')"
        ) from None
    return onnxruntime


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _literal(text: str | None) -> Any:
    try:
        return ast.literal_eval(text or "")
    except (ValueError, SyntaxError):
        return None


def _names(metadata: Mapping[str, str]) -> dict[int, str] | None:
    """Read class names as Ultralytics' exports hold them: ``{0: 'person', …}`` or a list."""
    found = _literal(metadata.get("names"))
    if isinstance(found, list | tuple):
        found = dict(enumerate(found))
    if not isinstance(found, dict):
        return None
    names = {n: str(name) for n, name in found.items() if isinstance(n, int) and n >= 0}
    return names or None


def _usual_size(metadata: Mapping[str, str]) -> tuple[int, int] | None:
    found = _literal(metadata.get("imgsz"))
    sides = [found, found] if isinstance(found, int) else found
    if not isinstance(sides, list | tuple) or len(sides) != 2:
        return None
    height, width = sides
    whole = isinstance(height, int) and isinstance(width, int) and min(height, width) > 0
    return (height, width) if whole else None


def _numbers(
    classes: Sequence[int | str], names: Mapping[int, str] | None, model: str
) -> tuple[int, ...]:
    if not classes:
        raise InputError(f"{model}: no class shall count; name some, or leave out classes for all")
    found = set()
    for item in classes:
        if isinstance(item, int):
            if item < 0 or (names is not None and item not in names):
                raise InputError(f"{model}: the model has no class {item}; see its list of classes")
            found.add(item)
            continue
        if names is None:
            raise InputError(
                f"{model}: the model does not name its classes; give '{item}' by its number"
            )
        numbers = [number for number, name in names.items() if name == item]
        if not numbers:
            raise InputError(
                f"{model}: the model has no class '{item}'{did_you_mean(item, names.values())}; "
                f"it has {listing(names.values(), shown=12)}"
            )
        found.update(numbers)
    return tuple(sorted(found))
