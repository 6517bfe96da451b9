"""The image policy: what every kind of image file becomes."""

from __future__ import annotations

import io
import struct
from typing import Any

import cv2
import numpy as np
import pytest
from image_files import (
    chunk,
    encode,
    gray3,
    noise,
    oriented,
    over_white,
    png,
    reason,
    same,
    tiff,
)
from PIL import Image

from complexity.image import (
    LONG_SIDE,
    decode,
    prepare,
    prepare_array,
)

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
    image = Image.frombytes("CMYK", (16, 16), cmyk.tobytes())
    got = prepare(encode(image, "TIFF")).rgb
    assert np.abs(got - expected).max() <= 1
    for ink, colour in {(0, 0, 0, 0): 255, (0, 0, 0, 255): 0, (0, 0, 0, 127): 128}.items():
        flat = prepare(encode(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95))
        assert np.abs(flat.rgb.astype(int) - colour).max() <= 2
    red = prepare(encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95))
    assert np.abs(red.rgb.astype(int) - [255, 0, 0]).max() <= 2


# Alpha and palettes


def test_alpha_is_composited_on_white() -> None:
    known = np.array([[[0, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 128], [255, 0, 100, 51]]], np.uint8)
    same(prepare(encode(known)), np.array([[[255] * 3, [0] * 3, [127] * 3, [255, 204, 224]]]))
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


def test_a_model_is_shown_the_image_at_its_own_size() -> None:
    pixels = np.random.default_rng(4).integers(0, 256, (611, 809, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    assert np.array_equal(decode(file.getvalue()), pixels)
