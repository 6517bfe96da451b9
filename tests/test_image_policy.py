"""The image policy: what every kind of image file becomes, or why it becomes nothing."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from complexity.image import (
    LONG_SIDE,
    MAX_PIXELS,
    PreparedImage,
    UnreadableImage,
    prepare,
    prepare_array,
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


# Bit depths and colour types


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("PPM", {}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_lossless_rgb_comes_through_as_it_is(kind: str, options: dict[str, Any]) -> None:
    pixels = noise(37, 53)
    prepared = prepare(encode(pixels, kind, **options))
    same(prepared, pixels)
    assert (prepared.width, prepared.height) == (53, 37)


@pytest.mark.parametrize(("kind", "quality"), [("JPEG", 95), ("AVIF", 95), ("WEBP", 95)])
def test_lossy_rgb_comes_through_nearly(kind: str, quality: int) -> None:
    ramp = np.linspace(40, 200, 64).astype(np.uint8)
    pixels = np.stack([np.tile(ramp, (48, 1))] * 3, axis=-1)
    pixels[:, :, 2] //= 2
    prepared = prepare(encode(pixels, kind, quality=quality))
    assert np.abs(prepared.rgb.astype(int) - pixels).max() <= 6


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 3)])
def test_the_smallest_images(size: tuple[int, int]) -> None:
    pixels = noise(*size)
    prepared = prepare(encode(pixels))
    same(prepared, pixels)
    assert prepared.gray.shape == size
    assert prepared.lab.shape == (*size, 3)


def test_gray_and_gray_with_alpha() -> None:
    gray, alpha = noise(20, 30, 1), noise(20, 30, 1, seed=1)
    same(prepare(encode(gray)), gray3(gray))
    same(prepare(encode(gray, "PPM")), gray3(gray))
    both = Image.merge("LA", [Image.fromarray(gray), Image.fromarray(alpha)])
    same(prepare(encode(both)), gray3(over_white(gray, alpha)))


def test_one_bit() -> None:
    bits = noise(20, 30, 1) > 127
    for kind in ("PNG", "TIFF", "PPM", "BMP"):
        same(prepare(encode(bits, kind)), gray3(np.where(bits, 255, 0)))


SIXTEEN = np.array([[0, 255, 256, 0x12FF], [0x7FFF, 0x8000, 0xFF00, 0xFFFF]], dtype=np.uint16)


def test_sixteen_bit_gray_keeps_the_high_byte() -> None:
    expected = gray3((SIXTEEN >> 8).astype(np.uint8))
    for kind in ("PNG", "TIFF", "PPM"):
        same(prepare(encode(SIXTEEN, kind)), expected)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in SIXTEEN)
    same(prepare(png(4, 2, 16, 0, rows)), expected)
    same(prepare(tiff(4, 2, 16, 1, SIXTEEN.astype("<u2").tobytes())), expected)


def test_sixteen_bit_gray_with_one_transparent_value() -> None:
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in SIXTEEN)
    data = png(4, 2, 16, 0, rows, chunk(b"tRNS", struct.pack(">H", 0x12FF)))
    expected = (SIXTEEN >> 8).astype(np.uint8)
    expected[0, 3] = 255
    same(prepare(data), gray3(expected))


def test_sixteen_bit_colour_keeps_the_high_byte() -> None:
    colours = np.random.default_rng(0).integers(0, 1 << 16, (5, 7, 3), dtype=np.uint16)
    expected = (colours >> 8).astype(np.uint8)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours)
    same(prepare(png(7, 5, 16, 2, rows)), expected)
    same(prepare(tiff(7, 5, 16, 3, colours.astype("<u2").tobytes())), expected)


def test_sixteen_bit_alpha() -> None:
    rows = b"\0" + struct.pack(">8H", 0x1200, 0x3400, 0x5600, 0xFFFF, 1, 2, 3, 0)
    same(prepare(png(2, 1, 16, 6, rows)), np.array([[[0x12, 0x34, 0x56], [255, 255, 255]]]))


def test_twelve_bit_tiff_is_not_black() -> None:
    data = bytes([0xFF, 0xF8, 0x00])  # 4095 and 2048
    same(prepare(tiff(2, 1, 12, 1, data)), gray3(np.array([[255, 128]])))


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_samples_without_an_eight_bit_range_are_refused(dtype: type) -> None:
    data = encode(Image.fromarray(np.ones((4, 4), dtype=dtype)), "TIFF")
    assert "32-bit samples" in reason(data)
    assert "no defined 8-bit range" in reason(data)


def test_lab_tiff_is_refused() -> None:
    assert "LAB" in reason(encode(Image.new("LAB", (4, 4)), "TIFF"))


def test_cmyk() -> None:
    cmyk = noise(16, 16, 4)
    c, k = cmyk[:, :, :3].astype(float), cmyk[:, :, 3:].astype(float)
    expected = (255 - c) * (255 - k) / 255
    image = Image.fromarray(cmyk, "CMYK") if False else Image.frombytes("CMYK", (16, 16), cmyk)
    got = prepare(encode(image, "TIFF")).rgb
    assert np.abs(got - expected).max() <= 1
    for ink, colour in {(0, 0, 0, 0): 255, (0, 0, 0, 255): 0, (0, 0, 0, 127): 128}.items():
        flat = prepare(encode(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95))
        assert np.abs(flat.rgb.astype(int) - colour).max() <= 2
    red = prepare(encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95))
    assert np.abs(red.rgb.astype(int) - [255, 0, 0]).max() <= 2


# Alpha and palettes


def over_white(colour: Array, alpha: Array) -> Array:
    """The definition, in exact integers: (c·a + 255·(255 − a)) / 255, rounded."""
    total = colour.astype(int) * alpha + 255 * (255 - alpha.astype(int))
    return ((2 * total + 255) // 510).astype(np.uint8)


def test_alpha_is_composited_on_white() -> None:
    known = np.array([[[0, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 128], [255, 0, 100, 51]]], np.uint8)
    expected = [[[255] * 3, [0] * 3, [127] * 3, [255, 204, 224]]]
    same(prepare(encode(known)), np.array(expected))
    pixels = noise(40, 50, 4)
    expected = over_white(pixels[:, :, :3], pixels[:, :, 3:])
    same(prepare(encode(pixels)), expected)
    same(prepare(encode(pixels, "WEBP", lossless=True, exact=True)), expected)
    same(prepare(encode(pixels, "TIFF")), expected)


def test_alpha_is_composited_before_shrinking() -> None:
    # Hidden colours must not bleed: every other pixel is a transparent red.
    pixels = np.zeros((1024, 1024, 4), np.uint8)
    pixels[:, ::2] = (255, 0, 0, 0)
    pixels[:, 1::2] = (0, 0, 0, 255)
    assert np.abs(prepare(encode(pixels)).rgb.astype(int) - 127.5).max() <= 0.5


def test_palettes() -> None:
    index = noise(20, 30, 1) % 4
    colours = np.array([[10, 20, 30], [200, 0, 0], [0, 200, 0], [1, 2, 3]], np.uint8)
    image = Image.fromarray(index).convert("P")
    image = Image.frombytes("P", (30, 20), index.tobytes())
    image.putpalette(colours.tobytes())
    for kind in ("PNG", "GIF", "TIFF", "BMP"):
        same(prepare(encode(image, kind)), colours[index])
    white = colours.copy()
    white[2] = 255
    for kind in ("PNG", "GIF"):
        same(prepare(encode(image, kind, transparency=2)), white[index])
    alphas = np.array([255, 0, 128, 51], np.uint8)
    shades = over_white(colours, alphas[:, None])
    same(prepare(encode(image, transparency=alphas.tobytes())), shades[index])


def test_one_transparent_colour() -> None:
    pixels = noise(20, 30)
    pixels[3, 4] = pixels[5, 6] = (1, 2, 3)
    expected = pixels.copy()
    expected[3, 4] = expected[5, 6] = 255
    same(prepare(encode(pixels, transparency=(1, 2, 3))), expected)
    gray = noise(20, 30, 1)
    data = encode(gray, transparency=77)
    same(prepare(data), gray3(np.where(gray == 77, 255, gray)))


# Orientation and animation

TURNS = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.transpose(a, (1, 0, 2)),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(np.transpose(a, (1, 0, 2)), 2),
    8: lambda a: np.rot90(a, 1),
}


def oriented(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


@pytest.mark.parametrize("value", TURNS)
def test_exif_orientation_is_applied(value: int) -> None:
    pixels = noise(24, 40)
    for kind, options in [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})]:
        prepared = prepare(encode(pixels, kind, exif=oriented(value), **options))
        expected = TURNS[value](pixels)
        same(prepared, expected)
        assert (prepared.height, prepared.width) == expected.shape[:2]
    plain = prepare(encode(pixels, "JPEG")).rgb
    same(prepare(encode(pixels, "JPEG", exif=oriented(value))), TURNS[value](plain))


@pytest.mark.parametrize("value", [5, 6, 7, 8])
def test_orientation_comes_before_shrinking(value: int) -> None:
    pixels = noise(700, 1100)
    prepared = prepare(encode(pixels, exif=oriented(value)))
    assert (prepared.width, prepared.height) == (700, 1100)
    same(prepared, prepare_array(np.ascontiguousarray(TURNS[value](pixels))).rgb)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_unknown_orientations_are_none(value: int) -> None:
    pixels = noise(4, 6)
    same(prepare(encode(pixels, exif=oriented(value))), pixels)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_stands_for_an_animation(kind: str) -> None:
    frames = [
        Image.new("RGB", (30, 20), colour) for colour in [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    ]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.n_frames == 3  # type: ignore[attr-defined]
    same(prepare(data), np.full((20, 30, 3), (255, 0, 0)))


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
    expected = to_srgb(gray3(ramp), SRGB, 1.0)
    linear = profile(None, 1.0)
    assert np.abs(prepare(encode(ramp, icc_profile=linear)).rgb - expected).max() <= 1.5
    both = Image.merge("LA", [Image.fromarray(ramp), Image.new("L", (16, 16), 255)])
    assert np.abs(prepare(encode(both, icc_profile=linear)).rgb - expected).max() <= 1.5


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


# Size


@pytest.mark.parametrize("size", [(512, 512), (100, 512), (512, 1), (300, 200)])
def test_nothing_is_enlarged_or_resampled_without_need(size: tuple[int, int]) -> None:
    pixels = noise(*size)
    same(prepare_array(pixels), pixels)


@pytest.mark.parametrize(
    ("height", "width", "shape"),
    [
        (1024, 1024, (512, 512)),
        (513, 10, (512, 10)),
        (600, 800, (384, 512)),
        (999, 333, (512, 171)),
        (1, 5000, (1, 512)),
        (5000, 2, (512, 1)),
        (3, 100_000, (1, 512)),
    ],
)
def test_the_long_side_becomes_512(height: int, width: int, shape: tuple[int, int]) -> None:
    prepared = prepare(encode(noise(height, width)))
    assert prepared.rgb.shape == (*shape, 3)
    assert max(prepared.rgb.shape) == LONG_SIDE
    assert (prepared.width, prepared.height) == (width, height)
    assert prepared.rgb.flags.c_contiguous


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_shrinking_averages_areas_exactly(factor: int) -> None:
    # A fine checkerboard within each block, and block means that are whole numbers.
    means = noise(128, 512) // 2 + 50
    sign = np.indices((128 * factor, 512 * factor)).sum(axis=0) % 2 * 2 - 1
    if factor % 2:
        sign[factor - 1 :: factor] = 0  # an odd block's board would not sum to zero
        sign[:, factor - 1 :: factor] = 0
    big = means.repeat(factor, axis=0).repeat(factor, axis=1) + 40 * sign[:, :, None]
    same(prepare_array(big.astype(np.uint8)), means)


def test_shrinking_weighs_parts_of_pixels() -> None:
    # 768 → 512: each pixel is one and a half old ones, (2a + b) / 3 and (b + 2c) / 3.
    row = noise(1, 768, 1).astype(float)[0]
    a, b, c = row[0::3], row[1::3], row[2::3]
    expected = np.stack([(2 * a + b) / 3, (b + 2 * c) / 3], axis=1).ravel()
    pixels = gray3(np.tile(row, (768, 1)).astype(np.uint8))
    assert np.abs(prepare_array(pixels).rgb - expected[None, :, None]).max() <= 0.51


def test_gray_and_lab_are_opencvs_eight_bit_ones() -> None:
    prepared = prepare_array(noise(50, 60))
    rgb = prepared.rgb
    np.testing.assert_array_equal(prepared.gray, cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))
    np.testing.assert_array_equal(prepared.lab, cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB))
    luma = rgb @ np.array([0.299, 0.587, 0.114])
    assert np.abs(prepared.gray - luma).max() <= 0.51
    # CIE L*a*b* of white, black and sRGB's red (53.24, 80.09, 67.20), as OpenCV packs them.
    known = prepare_array(np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0]]], np.uint8))
    expected = [[255, 128, 128], [0, 128, 128], [53.24 * 2.55, 128 + 80.09, 128 + 67.20]]
    assert np.abs(known.lab[0] - np.array(expected)).max() <= 1
    for array in (prepared.gray, prepared.lab):
        assert array.dtype == np.uint8
        assert array.flags.c_contiguous


def test_arrays_are_checked_and_copied() -> None:
    for bad in (np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.uint8)):
        with pytest.raises(ValueError, match="want uint8"):
            prepare_array(bad)
    with pytest.raises(ValueError, match="empty"):
        prepare_array(np.zeros((0, 4, 3), np.uint8))
    gray = noise(4, 6, 1)
    same(prepare_array(gray), gray3(gray))
    pixels = noise(4, 6)
    prepared = prepare_array(pixels)
    pixels[:] = 0
    same(prepared, noise(4, 6))
    turned = noise(6, 4)
    same(prepare_array(turned.transpose(1, 0, 2)), turned.transpose(1, 0, 2))


def test_an_array_and_its_file_agree() -> None:
    pixels = noise(600, 900)
    same(prepare(encode(pixels)), prepare_array(pixels).rgb)


# What cannot be read


def test_what_is_no_image_says_so() -> None:
    assert reason(b"") == "empty file (0 bytes)"
    for data in (b"Hello, I am text.\n", b"<svg/>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\0" * 4096):
        assert reason(data) == "not an image in a known format"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF"])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_truncated_files_are_refused(kind: str, share: float) -> None:
    data = encode(noise(100, 100), kind)
    message = reason(data[: int(len(data) * share)])
    assert "truncated" in message or "not an image" in message


def test_a_png_without_pixels_or_with_a_wrong_sum() -> None:
    assert "damaged or truncated" in reason(png(4, 4, 8, 2, b""))
    good = bytearray(png(1, 1, 8, 0, b"\0\7"))
    assert prepare(bytes(good)).rgb[0, 0, 0] == 7
    good[20] ^= 1
    assert "damaged" in reason(bytes(good)) or "not an image" in reason(bytes(good))


def header_only(width: int, height: int) -> bytes:
    return png(width, height, 8, 2, b"")


def test_more_than_the_limit_is_refused_before_decoding() -> None:
    # There are no pixels in these files: decoding would call them damaged.
    side = MAX_PIXELS // 10_000
    message = reason(header_only(10_000, side + 1))
    assert message.startswith("too large: 10000 ×")
    assert f"over {MAX_PIXELS // 1_000_000} megapixels" in message
    assert "damaged" in reason(header_only(100, 100))
    for width, height in [(20_000, 20_000), (2**31 - 1, 2**31 - 1)]:
        message = reason(header_only(width, height))
        assert message.startswith("too large: over")
        assert "shrink the file" in message


def test_a_bomb_of_text_is_not_unpacked() -> None:
    bomb = b"note\0\0" + zlib.compress(b"x" * 200_000_000, 1)
    data = png(1, 1, 8, 0, b"\0\7", chunk(b"zTXt", bomb))
    code = (
        "import sys, pathlib\n"
        "from complexity.image import prepare, UnreadableImage\n"
        f"{PEAK}"
        "try:\n    prepare(sys.stdin.buffer.read())\n"
        "except UnreadableImage:\n    pass\n"
        "print(peak() - before)\n"
    )
    assert int(child(code, data)) < 50_000_000


# Warnings


def test_warnings_do_not_escape_and_filters_stay() -> None:
    pixels = noise(16, 16)
    jpeg = encode(pixels, "JPEG", exif=oriented(6))
    begin = jpeg.index(b"Exif\0\0")
    bad_exif = jpeg[: begin + 10] + b"\xff" * 8 + jpeg[begin + 18 :]
    palette = Image.frombytes("P", (16, 16), (noise(16, 16, 1) % 4).tobytes())
    palette.putpalette(noise(1, 4).tobytes())
    files = [
        bad_exif,
        encode(palette, transparency=b"\0\1\2\3"),
        encode(pixels, "TIFF")[:-3],
        encode(pixels, icc_profile=b"rubbish"),
        # Pillow warns of a bomb from 89 megapixels on.
        header_only(10_000, 10_000),
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        filters = list(warnings.filters)
        for data in files:
            try:
                prepare(data)
            except UnreadableImage:
                continue
        assert warnings.filters == filters
    assert caught == []
    assert prepare(bad_exif).rgb.shape == (16, 16, 3)


def test_an_orientation_beside_broken_tags_is_kept() -> None:
    exif = oriented(6)
    exif[0x010F] = "maker"
    data = encode(noise(8, 12), "JPEG", exif=exif)
    # The other tag now points far outside the block.
    at = data.index(struct.pack("<HH", 0x010F, 2) if b"II*\0" in data else b"\x01\x0f\0\2")
    broken = data[: at + 8] + b"\x7f\xff\xff\xf0" + data[at + 12 :]
    assert prepare(broken).rgb.shape == (12, 8, 3)


# Nothing but an image or a reason

FILES = {
    kind: encode(noise(9, 11), kind, exif=oriented(6))
    for kind in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF")
} | {kind: encode(noise(9, 11), kind) for kind in ("GIF", "BMP", "PPM")}


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(sorted(FILES)),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=4),
    cut=st.floats(0.2, 1),
)
def test_damage_gives_an_image_or_a_reason(
    kind: str, changes: list[tuple[float, int]], cut: float
) -> None:
    data = bytearray(FILES[kind])
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    try:
        prepared = prepare(bytes(data[: int(cut * len(data))]))
    except UnreadableImage as error:
        assert str(error)
    else:
        assert prepared.rgb.dtype == np.uint8
        assert 1 <= max(prepared.rgb.shape[:2]) <= LONG_SIDE


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_an_image_or_a_reason(data: bytes) -> None:
    try:
        prepare(data)
    except UnreadableImage as error:
        assert str(error)


# 100 megapixels

# The peak of resident memory so far. Linux hands a child its parent's ru_maxrss, so there the
# process's own figure is read.
PEAK = """
import pathlib, resource, sys
def peak():
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
before = peak()
"""
MEASURE = """
import io, pathlib, sys
import numpy as np
from PIL import Image
from complexity.image import prepare
small = io.BytesIO()
Image.new("RGBA", (600, 600)).save(small, "PNG")
prepare(small.getvalue())
data = pathlib.Path(sys.argv[1]).read_bytes()
"""
REPORT = """
image = prepare(data)
print(peak() - before, image.width, image.height, *image.rgb.shape, *image.rgb[0, 0])
"""


def child(code: str, data: bytes = b"", *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        input=data,
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()


@pytest.mark.parametrize(
    ("kind", "mode", "options", "bytes_a_pixel"),
    [
        ("PNG", "RGBA", {"compress_level": 1}, 7),
        ("JPEG", "RGB", {"exif": oriented(6)}, 7),
        ("WEBP", "RGB", {"lossless": True, "method": 0}, 16),
    ],
)
def test_memory_is_bounded_at_100_megapixels(
    tmp_path: Path, kind: str, mode: str, options: dict[str, Any], bytes_a_pixel: int
) -> None:
    path = tmp_path / "large"
    path.write_bytes(encode(Image.new(mode, (12_500, 8_000), "white"), kind, **options))
    taken, *rest = map(int, child(MEASURE + PEAK + REPORT, b"", str(path)).split())
    sides = [8_000, 12_500, 512, 328, 3] if "exif" in options else [12_500, 8_000, 328, 512, 3]
    assert rest == [*sides, 255, 255, 255]
    # The figure that the docstring of `prepare` gives, and a few percent for the strips.
    assert 3 * 1e8 < taken < (bytes_a_pixel + 0.5) * 1e8
