"""Image files of every kind, made in memory, for tests of the image policy."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from complexity.image import (
    PreparedImage,
    UnreadableImage,
    prepare,
)

Array = NDArray[Any]


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> Array:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encode(image: Image.Image | Array, kind: str = "PNG", **options: Any) -> bytes:
    if not isinstance(image, Image.Image):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int, color: int, rows: bytes, extra: bytes = b"") -> bytes:
    """Write a PNG by hand, for what Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(rows)) if rows else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + body + chunk(b"IEND", b"")


def tiff(width: int, height: int, bits: int, channels: int, data: bytes, form: int = 1) -> bytes:
    """Write an uncompressed little-endian TIFF by hand."""
    tags = {256: width, 257: height, 259: 1, 262: 1 if channels == 1 else 2, 277: channels}
    tags |= {258: bits, 278: height, 279: len(data), 339: form}
    begin = 8 + 2 + 12 * (len(tags) + 1) + 4
    lists = struct.pack("<3H", bits, bits, bits) if channels == 3 else b""
    tags[273] = begin + len(lists)
    entries = b""
    for tag, value in sorted(tags.items()):
        count = 3 if lists and tag == 258 else 1
        entries += struct.pack("<HHII", tag, 4 if count == 1 else 3, count, value if count == 1
                               else begin)  # fmt: skip
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0)
    return head + lists + data


def reason(data: bytes) -> str:
    with pytest.raises(UnreadableImage) as caught:
        prepare(data)
    return str(caught.value)


def same(prepared: PreparedImage, expected: Array) -> None:
    assert prepared.rgb.dtype == np.uint8
    assert prepared.rgb.flags.c_contiguous
    np.testing.assert_array_equal(prepared.rgb, expected)


def gray3(gray: Array) -> Array:
    return np.repeat(gray[:, :, None], 3, axis=2)


def over_white(colour: Array, alpha: Array) -> Array:
    """The definition, in exact integers: (c·a + 255·(255 − a)) / 255, rounded."""
    total = colour.astype(int) * alpha + 255 * (255 - alpha.astype(int))
    rounded: Array = (2 * total + 255) // 510
    return rounded.astype(np.uint8)


def oriented(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif
