"""Image files that become nothing but a reason, warnings, damage, and memory."""

from __future__ import annotations

import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import (
    chunk,
    encode,
    noise,
    oriented,
    png,
    reason,
)
from PIL import Image

from complexity.image import (
    LONG_SIDE,
    MAX_PIXELS,
    UnreadableImage,
    prepare,
)

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
    bomb = b"note\0\0" + zlib.compress(b"x" * 100_000_000, 1)
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


def test_an_orientation_before_broken_tags_is_kept() -> None:
    exif = oriented(6)
    exif[0x0131] = "some software"
    data = encode(noise(8, 12), "JPEG", exif=exif)
    begin = data.index(b"Exif\0\0") + 6
    order = "<" if data[begin : begin + 2] == b"II" else ">"
    at = data.index(struct.pack(f"{order}HH", 0x0131, 2)) + 8
    broken = data[:at] + struct.pack(f"{order}I", 0x7FFFFFF0) + data[at + 4 :]
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


def test_too_little_memory_is_not_the_files_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def starved(data: bytes) -> None:
        raise MemoryError

    monkeypatch.setattr("complexity.image._prepare", starved)
    with pytest.raises(MemoryError):
        prepare(encode(noise(8, 8), "PNG"))
