"""Several sources as one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from complexity.errors import InputError, listing
from complexity.files import sha256_bytes
from complexity.sources import ImageItem, ImageSource, open_source


@dataclass(frozen=True)
class JoinedImages:
    """Several sources as one.

    Attributes
    ----------
    parts : tuple of ImageSource
        In the order in which they are read.
    """

    parts: tuple[ImageSource, ...]

    @property
    def label(self) -> str:
        """How messages name the sources."""
        return listing(part.label for part in self.parts)

    @cached_property
    def homes(self) -> dict[str, ImageSource]:
        """The source of every image, by id."""
        homes: dict[str, ImageSource] = {}
        twice: dict[str, str] = {}
        for part in self.parts:
            for image_id in part.ids():
                if image_id in homes:
                    where = f"{homes[image_id].label} and {part.label}"
                    twice.setdefault(image_id, f"'{image_id}' (in {where})")
                homes[image_id] = part
        if twice:
            raise InputError(
                f"{len(twice):,} image ids occur in more than one source: "
                f"{listing(twice.values())}; name the folder above them, so that ids tell them "
                "apart, or measure each source into a table of its own."
            )
        return homes

    def ids(self) -> list[str]:
        """List the images, sorted by code point."""
        return sorted(self.homes)

    def count(self) -> int:
        """Count the images."""
        return len(self.homes)

    def items(self, only: Collection[str] | None = None) -> Iterator[ImageItem]:
        """Stream the images, source by source."""
        for part in self.parts:
            yield from part.items(only)

    def described(self, only: Collection[str] | None = None) -> Iterator[ImageItem]:
        """Stream where the images lie, source by source."""
        for part in self.parts:
            yield from part.described(only)

    def read(self, image_id: str) -> bytes:
        """Return one image's encoded bytes."""
        home = self.homes.get(image_id, self.parts[0])
        return home.read(image_id)

    def fingerprint(self) -> str:
        """Return a SHA-256 over those of the sources."""
        return sha256_bytes(" ".join(part.fingerprint() for part in self.parts).encode())


def open_sources(source: str | Path | ImageSource | Sequence[str | Path]) -> ImageSource:
    """Open a source, or several of which no two have an image id in common."""
    if isinstance(source, str | Path):
        return open_source(source)
    if not isinstance(source, Sequence):
        return source
    if not source:
        raise InputError("no source is named; give a folder, a glob, an image or a Parquet file.")
    parts = tuple(open_source(item) for item in source)
    return parts[0] if len(parts) == 1 else JoinedImages(parts)
