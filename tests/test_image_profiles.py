"""Embedded colour profiles, against the closed form of the conversion to sRGB."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from image_files import (
    Array,
    encode,
    gray3,
    noise,
    same,
)
from PIL import Image, ImageCms

from complexity.image import (
    prepare,
)

# Colour profiles

#: XYZ of the primaries under D50 (Bruce Lindbloom's tables, Bradford-adapted).
SRGB = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169],
     [0.0139322, 0.0971045, 0.7141733]]
)  # fmt: skip
ADOBE = np.array(
    [[0.6097559, 0.2052401, 0.1492240], [0.3111242, 0.6256560, 0.0632197],
     [0.0194811, 0.0608902, 0.7448387]]
)  # fmt: skip


def profile(primaries: Array | None, gamma: float, name: str = "made here") -> bytes:
    """Write an ICC profile (version 2) of three primaries and a power curve, or of gray."""

    def s15(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def xyz(values: Array) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(s15(float(value)) for value in values)

    text = name.encode() + b"\0"
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + b"\0" * 78,
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": xyz(np.array([0.9642, 1.0, 0.8249])),
    }
    if primaries is None:
        tags[b"kTRC"] = curve
    else:
        for n, letter in enumerate(b"rgb"):
            tags[bytes([letter]) + b"XYZ"] = xyz(primaries[:, n])
            tags[bytes([letter]) + b"TRC"] = curve
    table, body = struct.pack(">I", len(tags)), b""
    begin = 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        table += tag + struct.pack(">II", begin + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    space = b"GRAY" if primaries is None else b"RGB "
    header = struct.pack(">I4sI4s4s4s", begin + len(body), b"\0" * 4, 0x02400000, b"mntr", space,
                         b"XYZ ")  # fmt: skip
    header += b"\0" * 12 + b"acsp" + b"\0" * 28 + s15(0.9642) + s15(1.0) + s15(0.8249)
    return header.ljust(128, b"\0") + table + body


def to_srgb(pixels: Array, primaries: Array, gamma: float) -> Array:
    """The closed form: power curve, D50 XYZ, sRGB's primaries, sRGB's curve (IEC 61966-2-1)."""
    linear = (pixels / 255.0) ** gamma
    linear = np.clip(linear @ primaries.T @ np.linalg.inv(SRGB).T, 0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(curved * 255)


def test_a_wide_gamut_profile_is_converted_to_srgb() -> None:
    pixels = noise(40, 40)
    data = encode(pixels, icc_profile=profile(ADOBE, 563 / 256))
    expected = to_srgb(pixels, ADOBE, 563 / 256)
    got = prepare(data).rgb
    assert np.abs(got - expected).max() <= 1.5
    assert np.abs(got.astype(int) - pixels).max() > 20


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "WEBP", "AVIF"])
def test_profiles_are_read_from_other_formats(kind: str) -> None:
    pixels = np.full((32, 32, 3), (120, 160, 60), np.uint8)
    got = prepare(encode(pixels, kind, quality=95, icc_profile=profile(ADOBE, 2.2))).rgb
    assert np.abs(got - to_srgb(pixels, ADOBE, 2.2)).max() <= 6


def test_srgb_in_any_spelling_changes_nothing() -> None:
    pixels = noise(40, 40)
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    same(prepare(encode(pixels, icc_profile=own)), pixels)


def test_a_name_does_not_make_a_profile_srgb() -> None:
    pixels = noise(40, 40)
    data = encode(pixels, icc_profile=profile(SRGB, 1.0, name="sRGB linear"))
    assert np.abs(prepare(data).rgb - to_srgb(pixels, SRGB, 1.0)).max() <= 1.5


def test_profiles_of_palettes_and_alpha() -> None:
    colour, alpha = (120, 160, 60), 128
    expected = to_srgb(np.array(colour), ADOBE, 2.2)
    paper = expected * alpha / 255 + 255 - alpha
    wide = profile(ADOBE, 2.2)
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette(colour)
    assert np.abs(prepare(encode(palette, icc_profile=wide)).rgb - expected).max() <= 1.5
    flat = Image.new("RGBA", (8, 8), (*colour, alpha))
    assert np.abs(prepare(encode(flat, icc_profile=wide)).rgb - paper).max() <= 1.5


def test_gray_profiles() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    expected = to_srgb(gray3(ramp), SRGB, 461 / 256)
    curved = profile(None, 461 / 256)
    assert np.abs(expected - gray3(ramp)).max() > 10
    assert np.abs(prepare(encode(ramp, icc_profile=curved)).rgb - expected).max() <= 1.5
    both = Image.merge("LA", [Image.fromarray(ramp), Image.new("L", (16, 16), 255)])
    assert np.abs(prepare(encode(both, icc_profile=curved)).rgb - expected).max() <= 1.5


def test_profiles_that_are_broken_or_of_another_colour_space_count_as_srgb() -> None:
    pixels = noise(16, 16)
    good = profile(ADOBE, 2.2)
    for bad in (b"rubbish", good[:100], good[:200], b"\0" * 500, profile(None, 1.0)):
        same(prepare(encode(pixels, icc_profile=bad)), pixels)
    gray = noise(16, 16, 1)
    same(prepare(encode(gray, icc_profile=good)), gray3(gray))
    ink = Image.new("CMYK", (16, 16), (0, 0, 0, 127))
    flat = prepare(encode(ink, "JPEG", quality=95, icc_profile=good)).rgb
    assert np.abs(flat.astype(int) - 128).max() <= 2
