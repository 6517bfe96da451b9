"""What a detector takes: its input as the ONNX graph declares it, and an image made to fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from complexity.errors import InputError

Pixels = NDArray[np.uint8]

#: How pixels enter: divided by 255; as they are, 0 to 255; standardised as for ImageNet.
PIXELS = ("unit", "byte", "imagenet")
DEFAULT_SIZE = 640
#: Gray around an image that is not of the input's shape; the value detectors are trained with.
GROUND = 114
_TYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(uint8)": np.dtype(np.uint8),
}
_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], dtype=np.float32)
_SIZES = "orig_target_sizes"
_MASK = "pixel_mask"


class Declared(Protocol):
    """An input as onnxruntime describes it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def type(self) -> str:
        """Element type, such as ``tensor(float)``."""

    @property
    def shape(self) -> Sequence[Any]:
        """Whole numbers; texts or None where the graph leaves a size open."""


@dataclass(frozen=True)
class ImageInput:
    """The image input of a detector.

    Attributes
    ----------
    name : str
        In the graph.
    dtype : numpy.dtype
        float32, float16 or uint8.
    last : bool
        Whether the channels come last (NHWC) instead of second (NCHW).
    height, width : int or None
        Pixels; None where the graph leaves them open.
    others : dict of str to tuple
        Further inputs that can be filled in, with their declared shapes.
    """

    name: str
    dtype: np.dtype[Any]
    last: bool
    height: int | None
    width: int | None
    others: dict[str, tuple[Any, ...]]


def read_input(inputs: Sequence[Declared], model: str) -> ImageInput:
    """Read the layout of a detector's image input from what its graph declares.

    Parameters
    ----------
    inputs : sequence of Declared
        All inputs of the graph.
    model : str
        Names the model in messages.

    Returns
    -------
    ImageInput
        Where the graph does not say which axis holds the three channels, the second.

    Raises
    ------
    InputError
        Not one image of three channels; a batch of a fixed size above 1; an unknown type.
    """
    said = "; ".join(f"{i.name}: {i.type} {_shape(i.shape)}" for i in inputs) or "none"
    images = [i for i in inputs if i.name not in (_SIZES, _MASK)]
    want = "give a detector with one image input of shape (1, 3, h, w) or (1, h, w, 3)"
    if len(images) != 1:
        raise InputError(f"{model}: the model has not one image input but {said}; {want}")
    image = images[0]
    shape = [size if isinstance(size, int) and size > 0 else None for size in image.shape]
    if len(shape) != 4:
        raise InputError(f"{model}: the input has {len(shape)} axes instead of 4 ({said}); {want}")
    if image.type not in _TYPES:
        raise InputError(
            f"{model}: the input is {image.type} ({said}); give a model that takes float, float16 "
            "or uint8"
        )
    if shape[0] not in (None, 1):
        raise InputError(
            f"{model}: the input is a batch of {shape[0]} images ({said}); export the model for 1"
        )
    last = shape[1] != 3 and shape[3] == 3
    if not last and shape[1] not in (None, 3):
        raise InputError(f"{model}: no axis of the input holds three channels ({said}); {want}")
    height, width = shape[1:3] if last else shape[2:4]
    others = {i.name: tuple(i.shape) for i in inputs if i is not image}
    return ImageInput(image.name, _TYPES[image.type], last, height, width, others)


def _shape(shape: Sequence[Any]) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"


def choose_size(
    taken: ImageInput, asked: int | None, usual: tuple[int, int] | None, model: str
) -> tuple[int, int]:
    """Choose height and width of the input.

    Parameters
    ----------
    taken : ImageInput
        What the graph declares; where it is fixed it decides.
    asked : int, optional
        Side in pixels that the user asks for.
    usual : (height, width), optional
        What the model's metadata name.
    model : str
        Names the model in messages.

    Raises
    ------
    InputError
        The user asks for another size than the graph's.
    """
    fixed = (taken.height, taken.width)
    if asked is not None and any(side not in (None, asked) for side in fixed):
        raise InputError(
            f"{model}: size is {asked}, but the model's input is fixed at "
            f"{fixed[0] or '?'} × {fixed[1] or '?'} pixels; leave out size"
        )
    default = (asked, asked) if asked is not None else usual or (DEFAULT_SIZE, DEFAULT_SIZE)
    return taken.height or default[0], taken.width or default[1]


@dataclass(frozen=True)
class Fitted:
    """An image on a canvas of the input's size.

    Attributes
    ----------
    canvas : ndarray of uint8, shape (height, width, 3)
        RGB.
    scale : (float, float)
        Canvas pixels per image pixel, across and down.
    left, top : int
        Where the image begins on the canvas.
    """

    canvas: Pixels
    scale: tuple[float, float]
    left: int
    top: int


def letterbox(rgb: Pixels, height: int, width: int) -> Fitted:
    """Resize an image to fit a canvas, its shape kept, gray 114 around it.

    Bilinear, enlarged or shrunk, in the middle: as the YOLO family is trained.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (h, w, 3)
        The image.
    height, width : int
        Of the canvas, pixels.

    Returns
    -------
    Fitted
        The canvas and the way back.
    """
    h, w = rgb.shape[:2]
    factor = min(height / h, width / w)
    new_h, new_w = max(1, round(h * factor)), max(1, round(w * factor))
    if (new_h, new_w) != (h, w):
        rgb = np.asarray(cv2.resize(rgb, (new_w, new_h), interpolation=cv2.INTER_LINEAR))
    top, left = (height - new_h) // 2, (width - new_w) // 2
    canvas = np.full((height, width, 3), GROUND, dtype=np.uint8)
    canvas[top : top + new_h, left : left + new_w] = rgb
    return Fitted(canvas, (new_w / w, new_h / h), left, top)


def feed(taken: ImageInput, canvas: Pixels, pixels: str) -> dict[str, NDArray[Any]]:
    """Turn a canvas into the values of all inputs.

    Parameters
    ----------
    taken : ImageInput
        The inputs.
    canvas : ndarray of uint8, shape (h, w, 3)
        RGB.
    pixels : {"unit", "byte", "imagenet"}
        Range of the values; uint8 inputs take bytes whatever is given.

    Returns
    -------
    dict of str to ndarray
        By name: the image with a batch axis; ``orig_target_sizes`` is the canvas's width and
        height; ``pixel_mask`` is all ones.
    """
    values: NDArray[Any] = canvas
    if taken.dtype != np.uint8:
        values = canvas.astype(np.float32)
        if pixels != "byte":
            values = values / np.float32(255)
        if pixels == "imagenet":
            values = (values - _MEAN) / _DEVIATION
    if not taken.last:
        values = values.transpose(2, 0, 1)
    found = {taken.name: np.ascontiguousarray(values[None].astype(taken.dtype))}
    height, width = canvas.shape[:2]
    for name, shape in taken.others.items():
        if name == _SIZES:
            found[name] = np.array([[width, height]], dtype=np.int64)
        else:
            sizes = zip(shape, (1, height, width), strict=True)
            found[name] = np.ones([a if isinstance(a, int) else b for a, b in sizes], np.int64)
    return found
