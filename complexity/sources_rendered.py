"""Images that a function makes when they are asked for, so that there need be no files."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from complexity.errors import InputError
from complexity.sources import ImageItem, checked_ids, digest, unknown_id

Renderer = Callable[[str], NDArray[np.uint8]]
"""From an image's id to RGB, shape (height, width, 3)."""

# Bytes that a block of a stream without compression can hold (RFC 1951).
_STORED = 65_535


@dataclass(frozen=True)
class Rendering:
    """How an image is made: in place of where it lies. Any process can make it.

    Attributes
    ----------
    function : str
        ``package.module:function`` of a `Renderer`.
    sha256 : str
        What the SHA-256 of its RGB bytes must be, hexadecimal; empty: not known.
    size : int
        Bytes that it takes before it is made.
    """

    function: str
    sha256: str = ""
    size: int = 0

    def png(self, image_id: str) -> bytes:
        """Make the image, as a PNG file.

        Raises
        ------
        OSError
            It is not the image that was meant: its pixels have another sum.
        """
        rgb = np.ascontiguousarray(renderer(self.function)(image_id))
        if self.sha256 and hashlib.sha256(rgb.tobytes()).hexdigest() != self.sha256:
            raise OSError(
                f"{self.function} of this version makes other pixels than those that the samples' "
                "sum is of: correct the sum, make the samples anew, or use the samples' version"
            )
        return stored_png(rgb)


@dataclass(frozen=True)
class RenderedImages:
    """Images made by a function: a source that takes no room.

    Attributes
    ----------
    label : str
        How messages name the source.
    function : str
        ``package.module:function`` of a `Renderer`; imported where images are made.
    version : str
        Changes whenever the function makes other pixels of an id.
    sums : mapping of str to str
        Id → SHA-256 of the image's RGB bytes, hexadecimal, or an empty text.
    """

    label: str
    function: str
    version: str
    sums: Mapping[str, str] = field(repr=False)

    @cached_property
    def _ids(self) -> tuple[str, ...]:
        if not self.sums:
            raise InputError(f"{self.label}: no image is named")
        return tuple(checked_ids(list(self.sums), self.label))

    def ids(self) -> list[str]:
        """List the images, sorted by code point."""
        return list(self._ids)

    def count(self) -> int:
        """Count the images."""
        return len(self._ids)

    def items(self, only: Collection[str] | None = None) -> Iterator[ImageItem]:
        """Stream the images in the order of their ids; each is made when it is read."""
        wanted = None if only is None else frozenset(only)
        for image_id in self._ids:
            if wanted is None or image_id in wanted:
                yield self._item(image_id)

    def described(self, only: Collection[str] | None = None) -> Iterator[ImageItem]:
        """Stream the images as `items` does: any machine with the function can make them."""
        return self.items(only)

    def read(self, image_id: str) -> bytes:
        """Return one image as a PNG file."""
        if image_id not in self.sums:
            raise unknown_id(image_id, self._ids, self.label)
        return self._item(image_id).read()

    def fingerprint(self) -> str:
        """Return a SHA-256 over the function, its version, and the ids with their sums."""
        rows = ((image_id, self.sums[image_id]) for image_id in self._ids)
        return digest([(self.function, self.version), *rows])

    def _item(self, image_id: str) -> ImageItem:
        return ImageItem(image_id, place=Rendering(self.function, self.sums[image_id]))


@lru_cache(maxsize=8)
def renderer(function: str) -> Renderer:
    """Import a renderer by its dotted name, ``package.module:function``."""
    module, _, name = function.partition(":")
    found: Any = getattr(import_module(module), name)
    return found  # type: ignore[no-any-return]


def stored_png(rgb: NDArray[np.uint8]) -> bytes:
    """Spell an image as a PNG file without compression: the same bytes on every machine.

    Parameters
    ----------
    rgb : array of uint8, shape (height, width, 3)
        Pixels.

    Returns
    -------
    bytes
        See the PNG specification (W3C, 2003) and RFC 1950.
    """
    height, width, _ = rgb.shape
    lines = np.zeros((height, 1 + 3 * width), np.uint8)  # each begins with filter 0: none
    lines[:, 1:] = rgb.reshape(height, 3 * width)
    raw = lines.tobytes()
    parts = [raw[at : at + _STORED] for at in range(0, len(raw), _STORED)]
    stream = bytearray(b"\x78\x01")
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        stream += struct.pack("<BHH", last, len(part), len(part) ^ 0xFFFF) + part
    stream += struct.pack(">I", zlib.adler32(raw))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", bytes(stream)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
