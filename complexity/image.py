"""The one image policy: the only place where an image file becomes an array.

Every metric is defined on the array made here, because the same picture read in another way
is another picture: its entropy, its edges and its segments depend on bit depth, colour
conversion and size.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

#: Raised whenever the same file could give another array.
POLICY_VERSION = "1"
LONG_SIDE = 512
#: Larger images are refused before they are decoded.
MAX_PIXELS = 150_000_000
# Formats that hold pictures; others that Pillow knows would start interpreters (EPS) or hold
# no pixels of their own.
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "JPEG2000")

Pixels = NDArray[np.uint8]


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

    @cached_property
    def gray(self) -> Pixels:
        """OpenCV's 8-bit BT.601 luma, shape (h, w)."""
        return np.asarray(cv2.cvtColor(self.rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)

    @cached_property
    def lab(self) -> Pixels:
        """OpenCV's 8-bit CIE L*a*b* (L* scaled to 0-255, a* and b* + 128), shape (h, w, 3)."""
        return np.asarray(cv2.cvtColor(self.rgb, cv2.COLOR_RGB2LAB), dtype=np.uint8)


def prepare(data: bytes) -> PreparedImage:
    """Decode an image file by the image policy.

    First frame; EXIF orientation applied; embedded ICC profile converted to sRGB (none: taken
    as sRGB); samples of 16 bits keep their high byte; alpha composited on white; then the long
    side shrunk to 512 pixels by area averaging (never enlarged), the other side rounded, at
    least 1. Peak memory is about 11 bytes a pixel: 1.1 GB at 100 megapixels.

    Parameters
    ----------
    data : bytes
        The file's content: PNG, JPEG, WebP, BMP, GIF, TIFF, PPM/PGM, AVIF or JPEG 2000.

    Returns
    -------
    PreparedImage
        The array and the original's size.

    Raises
    ------
    UnreadableImage
        Empty, not an image, truncated, of a kind without an 8-bit range (32-bit integers,
        floats), or larger than `MAX_PIXELS`.
    """
    if not data:
        raise UnreadableImage("empty file (0 bytes)")
    # Pillow warns about odd metadata; what matters for pixels is raised.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _prepare(data)
        except UnidentifiedImageError:
            raise UnreadableImage("not an image in a known format") from None
        except Image.DecompressionBombError:
            raise UnreadableImage(_too_large("more")) from None
        except (OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError) as error:
            # The classes Pillow's decoders raise on damaged files.
            raise UnreadableImage(f"damaged or truncated image ({error})") from None
        except MemoryError:
            raise UnreadableImage("not enough memory to decode it") from None


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
    if rgb.ndim == 2:
        rgb = np.repeat(rgb[:, :, None], 3, axis=2)
    height, width = rgb.shape[:2]
    return PreparedImage(_shrink(np.asarray(rgb, dtype=np.uint8)), width, height)


def _prepare(data: bytes) -> PreparedImage:
    with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
        width, height = opened.size
        if width * height > MAX_PIXELS:
            raise UnreadableImage(_too_large(f"{width * height / 1e6:.0f}"))
        opened.load()
        rgb = _to_rgb(_upright(opened))
    height, width = rgb.shape[:2]
    return PreparedImage(_shrink(rgb), width, height)


def _too_large(megapixels: str) -> str:
    return (
        f"too large: {megapixels} megapixels, the limit is {MAX_PIXELS // 1_000_000}; "
        "shrink the file"
    )


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # whatever a broken EXIF block raises: then there is no orientation
        return image


def _to_rgb(image: Image.Image) -> Pixels:
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        high = (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
        image = Image.fromarray(high)
    elif image.mode in ("I", "F"):
        raise UnreadableImage(f"32-bit samples (mode {image.mode}) have no defined 8-bit range")
    if "transparency" in image.info or image.mode in ("LA", "PA", "La", "RGBa"):
        image = _keep_profile(image, image.convert("RGBA"))
    elif image.mode in ("1", "P", "YCbCr", "HSV", "LAB", "RGBX"):
        image = _keep_profile(image, image.convert("RGB"))
    image = _to_srgb(image)
    if image.mode == "RGBA":
        ground = Image.new("RGB", image.size, (255, 255, 255))
        ground.paste(image, mask=image.getchannel("A"))
        image = ground
    if image.mode != "RGB":
        image = image.convert("RGB")
    return np.asarray(image)


def _keep_profile(source: Image.Image, converted: Image.Image) -> Image.Image:
    profile = source.info.get("icc_profile")
    if profile:
        converted.info["icc_profile"] = profile
    return converted


def _to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "L", "CMYK"):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return image
        target = ImageCms.createProfile("sRGB")
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        converted = ImageCms.profileToProfile(image, source, target, outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image  # a profile that cannot be read, or that belongs to another mode
    return image if converted is None else converted


def _shrink(rgb: Pixels) -> Pixels:
    height, width = rgb.shape[:2]
    if max(height, width) > LONG_SIDE:
        scale = LONG_SIDE / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return np.ascontiguousarray(rgb)
