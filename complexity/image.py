"""The one image policy: the only place where an image file becomes an array.

Every metric is defined on the array made here, because the same picture read in another way
is another picture: its entropy, its edges and its segments depend on bit depth, colour
conversion and size.
"""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

#: Raised whenever the same file could give another array.
POLICY_VERSION = "1"
LONG_SIDE = 512
#: Larger images are refused before they are decoded.
MAX_PIXELS = 150_000_000
_LIMIT = f"{MAX_PIXELS // 1_000_000} megapixels"

Pixels = NDArray[np.uint8]
Shared = TypeVar("Shared")
Image.init()  # registers every format: Pillow knows only some before
# Formats that hold pictures; others that Pillow knows would start interpreters (EPS), hold no
# pixels of their own or need several times the memory (JPEG 2000). Older ones lack AVIF.
FORMATS = tuple(
    name
    for name in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")
    if name in Image.OPEN
)
# glibc hands freed memory back to the system, page by page, until it has seen a large array
# freed. Asking for one, without touching it, halves the time of decoding; elsewhere it is nothing.
np.empty((1 << 25) - (1 << 16), dtype=np.uint8)
# Pixels converted at a time, so that the whole image is never held in several forms at once.
_STRIP = 1 << 20
# What each EXIF orientation (tag 0x0112) asks to be done to the rows and columns.
_UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda rgb: rgb[:, ::-1],
    3: lambda rgb: rgb[::-1, ::-1],
    4: lambda rgb: rgb[::-1],
    5: lambda rgb: rgb.transpose(1, 0, 2),
    6: lambda rgb: rgb[::-1].transpose(1, 0, 2),
    7: lambda rgb: rgb[::-1, ::-1].transpose(1, 0, 2),
    8: lambda rgb: rgb[:, ::-1].transpose(1, 0, 2),
}
# A profile that moves no colour by more than this, of 255, is sRGB under another name.
_SAME = 2
# Finer tables: gray within 1 level of the exact curve instead of 2, at no cost in time.
_PRECISE = ImageCms.Flags.HIGHRESPRECALC
# The colour space of a profile and the mode of the images that it can belong to.
_PROFILED = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}


class UnreadableImage(Exception):
    """The bytes give no image; the message is the reason, fit for a table's `error` column."""


@dataclass(frozen=True)
class PreparedImage:
    """An image as metrics see it.

    Attributes
    ----------
    rgb : ndarray of uint8, shape (h, w, 3)
        8-bit sRGB, long side at most 512, C-contiguous.
    width, height : int
        Size of the original in pixels, after EXIF orientation.
    """

    rgb: Pixels
    width: int
    height: int
    _shared: dict[Callable[[PreparedImage], Any], Any] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @cached_property
    def gray(self) -> Pixels:
        """OpenCV's 8-bit BT.601 luma, shape (h, w)."""
        return np.asarray(cv2.cvtColor(self.rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)

    @cached_property
    def lab(self) -> Pixels:
        """OpenCV's 8-bit CIE L*a*b* (L* scaled to 0-255, a* and b* + 128), shape (h, w, 3)."""
        return np.asarray(cv2.cvtColor(self.rgb, cv2.COLOR_RGB2LAB), dtype=np.uint8)

    def shared(self, make: Callable[[PreparedImage], Shared]) -> Shared:
        """Compute what several metrics need once per image, when the first one asks.

        Parameters
        ----------
        make : callable
            From the image to the intermediate, which nobody may change afterwards.

        Returns
        -------
        object
            What `make` returned on its first call for this image.
        """
        if make not in self._shared:
            self._shared[make] = make(self)
        made: Shared = self._shared[make]
        return made


def prepare(data: bytes) -> PreparedImage:
    """Decode an image file by the image policy.

    First frame; EXIF orientation applied; embedded ICC profile converted to sRGB (none, or one
    that cannot be read: taken as sRGB); samples of 16 bits keep their high byte; alpha
    composited on white; then the long side shrunk to 512 pixels by area averaging (never
    enlarged), the other side rounded, at least 1.

    Peak memory, beside `data` itself, is about 7 bytes a pixel (0.7 GB at 100 megapixels).
    Decoders that keep intermediate forms need more while they run: 16 bytes a pixel for WebP,
    up to 12 for progressive JPEG, AVIF and TIFF in a single strip.

    Parameters
    ----------
    data : bytes
        The file's content: PNG, JPEG, WebP, BMP, GIF, TIFF, PPM/PGM or AVIF.

    Returns
    -------
    PreparedImage
        The array and the original's size.

    Raises
    ------
    UnreadableImage
        Empty, not an image, truncated, of a kind without an 8-bit range (32-bit integers,
        floats) or without a rule for its colours (CIE Lab), or larger than `MAX_PIXELS`.
    MemoryError
        When there is too little memory to decode it; the file may be whole.
    """
    return _guarded(data, _prepare)


def decode(data: bytes) -> Pixels:
    """Decode an image file by the image policy, at its own size: what a model is shown.

    Parameters
    ----------
    data : bytes
        See `prepare`.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        RGB, upright, over white.

    Raises
    ------
    UnreadableImage, MemoryError
        See `prepare`.
    """
    return _guarded(data, _decode_whole)


def _guarded(data: bytes, make: Callable[[bytes], Shared]) -> Shared:
    """Decode, and word whatever is wrong with the file."""
    if not data:
        raise UnreadableImage("empty file (0 bytes)")
    # Pillow warns about odd metadata; what matters for pixels is raised.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return make(data)
        except UnidentifiedImageError:
            raise UnreadableImage("not an image in a known format") from None
        except Image.DecompressionBombError:
            raise UnreadableImage(f"too large: over {_LIMIT}; shrink the file") from None
        except (UnreadableImage, MemoryError):
            raise  # too little memory says nothing of the file: the next run tries it again
        except Exception as error:
            # Decoders raise whatever a damaged file leads them to: OSError, struct.error,
            # KeyError, ZeroDivisionError … One bad file must not end a run.
            reason = str(error) or type(error).__name__
            raise UnreadableImage(f"damaged or truncated image ({reason})") from None


def prepare_array(rgb: NDArray[Any]) -> PreparedImage:
    """Bring an array to the image policy's size.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (h, w, 3) or (h, w)
        8-bit sRGB or gray.

    Raises
    ------
    ValueError
        For another dtype or shape, or an empty array.
    """
    if rgb.dtype != np.uint8 or rgb.ndim not in (2, 3) or (rgb.ndim == 3 and rgb.shape[2] != 3):
        raise ValueError(f"want uint8 of shape (h, w, 3) or (h, w), got {rgb.dtype} {rgb.shape}")
    if rgb.size == 0:
        raise ValueError("the array is empty")
    height, width = rgb.shape[:2]
    small = _shrink(np.repeat(rgb[:, :, None], 3, axis=2) if rgb.ndim == 2 else rgb)
    # A copy, because gray and Lab are kept: the caller may go on writing into the array.
    return PreparedImage(small.copy() if np.may_share_memory(small, rgb) else small, width, height)


def _prepare(data: bytes) -> PreparedImage:
    made = _decode(data)
    if isinstance(made, PreparedImage):
        return made
    height, width = made.shape[:2]  # by now the decoder's own memory is free
    return PreparedImage(_shrink(made), width, height)


def _decode(data: bytes, *, shrink: bool = True) -> Pixels | PreparedImage:
    """Decode to 8-bit sRGB of full size; or straight to the policy's, where that is faster."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise UnreadableImage(
                f"too large: {width} × {height} pixels, over {_LIMIT}; shrink the file"
            )
        image.load()
        upright = _UPRIGHT.get(_orientation(image))
        if shrink and upright is None and (small := _shrunk_in_place(image)) is not None:
            return PreparedImage(small, width, height)
        rgb = _to_rgb(image)
    return rgb if upright is None else upright(rgb)


def _decode_whole(data: bytes) -> Pixels:
    made = _decode(data, shrink=False)
    assert not isinstance(made, PreparedImage)
    return made


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # whatever a broken EXIF block raises: then there is no orientation
        return 1


def _to_rgb(image: Image.Image) -> Pixels:
    """Convert a decoded image strip by strip to 8-bit sRGB over white, shape (h, w, 3)."""
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        raise UnreadableImage(f"32-bit samples (mode {image.mode}) have no defined 8-bit range")
    if image.mode == "LAB":
        raise UnreadableImage("CIE Lab pixels (mode LAB) have no rule yet; save it as RGB")
    profile = _profile(image.info.get("icc_profile") or b"")
    # Some TIFFs have 12 bits a sample, which Pillow hands out unscaled.
    bits = image.tag_v2.get(258, (16,))[0] if isinstance(image, TiffImageFile) else 16
    width, height = image.size
    rgb = np.empty((height, width, 3), dtype=np.uint8)
    step = max(1, _STRIP // width)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        rgb[top:bottom] = _strip_to_rgb(image.crop((0, top, width, bottom)), bits, profile)
    return rgb


class _Profile(NamedTuple):
    """A conversion to sRGB, and the mode of the images that it applies to."""

    mode: str
    to_srgb: ImageCms.ImageCmsTransform


def _strip_to_rgb(strip: Image.Image, bits: int, profile: _Profile | None) -> Pixels:
    alpha: Image.Image | None = None
    if strip.mode.startswith("I"):
        samples = np.asarray(strip)
        transparent = strip.info.get("transparency")
        if transparent is not None:
            alpha = Image.fromarray(np.where(samples == transparent, 0, 255).astype(np.uint8))
        strip = Image.fromarray((samples >> (bits - 8)).astype(np.uint8))
    elif strip.has_transparency_data:
        mode = "LA" if strip.mode in ("1", "L", "LA", "La") else "RGBA"
        strip = strip if strip.mode == mode else strip.convert(mode)
        alpha = strip.getchannel("A")
        strip = strip.convert(mode[:-1])
    elif strip.mode not in ("L", "RGB", "CMYK"):
        strip = strip.convert("L" if strip.mode == "1" else "RGB")
    if profile is not None and strip.mode == profile.mode:
        strip = ImageCms.applyTransform(strip, profile.to_srgb) or strip
    if strip.mode != "RGB":
        strip = strip.convert("RGB")
    if alpha is not None:
        ground = Image.new("RGB", strip.size, (255, 255, 255))
        ground.paste(strip, mask=alpha)
        strip = ground
    return np.asarray(strip)


@lru_cache(maxsize=16)  # images of one origin share their profile
def _profile(embedded: bytes) -> _Profile | None:
    """Read an ICC profile; None where there is none, a broken one or sRGB's."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(embedded))
        mode = _PROFILED.get(profile.profile.xcolor_space.strip(), "")
        transform = ImageCms.buildTransform(
            profile, ImageCms.createProfile("sRGB"), mode, "RGB", flags=_PRECISE
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    if mode != "CMYK":
        # Even sRGB's own profile, in one of its many spellings, moves some pixels by a level.
        levels = np.linspace(0, 255, 18).round().astype(np.uint8)
        grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(18, -1, 3)
        probe = Image.fromarray(grid).convert(mode)
        moved = np.asarray(ImageCms.applyTransform(probe, transform), dtype=int)
        if np.abs(moved - np.asarray(probe.convert("RGB"))).max() <= _SAME:
            return None
    return _Profile(mode, transform)


def _shrunk_in_place(image: Image.Image) -> Pixels | None:
    """Shrink an image of plain sRGB from Pillow's own memory; None where that cannot be done.

    The result is that of `_shrink`, in less time: nothing of full size is made.
    """
    size = _small_size(*image.size)
    if size == image.size or image.mode != "RGB" or image.has_transparency_data:
        return None
    if image.width % size[0] == 0 and image.height % size[1] == 0:
        return None  # whole blocks, which OpenCV averages in another way
    if _profile(image.info.get("icc_profile") or b"") is not None:
        return None
    import pyarrow

    from complexity.area import average

    try:
        # Without a copy, thus not for images that Pillow keeps in several pieces.
        pixels = pyarrow.array(image)
    except (TypeError, ValueError, pyarrow.ArrowException):
        return None
    raw = np.frombuffer(pixels.flatten().buffers()[1], dtype=np.uint32)
    if raw.size != image.width * image.height or sys.byteorder != "little":
        return None
    return average(raw.reshape(image.height, image.width), *size)


def _small_size(width: int, height: int) -> tuple[int, int]:
    if max(height, width) <= LONG_SIDE:
        return width, height
    scale = LONG_SIDE / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _shrink(rgb: Pixels) -> Pixels:
    rgb = np.ascontiguousarray(rgb)  # an upright view is not
    height, width = rgb.shape[:2]
    size = _small_size(width, height)
    if size != (width, height):
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return rgb
