"""Where an image lies inside a file, so that another machine can read it there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from complexity.sources import ImageItem


@dataclass(frozen=True)
class Span:
    """Bytes of a file: a member of an uncompressed tar archive.

    Attributes
    ----------
    offset, size : int
        Where they begin, and how many they are.
    """

    offset: int
    size: int


@dataclass(frozen=True)
class Member:
    """A member of a compressed archive, found by the image's id: read from the beginning.

    Attributes
    ----------
    size : int
        Bytes.
    """

    size: int


@dataclass(frozen=True)
class Cell:
    """A row of a Parquet file's row group.

    Attributes
    ----------
    group, row : int
        Number of the row group, and of the row in it.
    image : str
        The column.
    nested, has_path : bool
        As in `complexity.sources_parquet.ParquetImages`.
    size : int
        Bytes, about.
    """

    group: int
    row: int
    image: str
    nested: bool
    has_path: bool
    size: int


Place = Span | Member | Cell


def fetched(items: Iterable[ImageItem]) -> Iterator[ImageItem]:
    """Read images that are described by their places; others stay as they are.

    Parameters
    ----------
    items : iterable of ImageItem
        In the order of storage, so that each part of a file is read once.

    Yields
    ------
    ImageItem
        With bytes, with a path of its own, or to be made when read; in the order given.

    Raises
    ------
    InputError
        A Parquet file or a compressed archive cannot be read.
    OSError
        Nor a plain one.
    """
    for (path, kind, _), run in groupby(items, _file):
        some = list(run)
        if path is None or kind is None:
            yield from some
        elif kind is Span:
            yield from _spans(path, some)
        elif kind is Cell:
            from complexity.sources_parquet import read_cells

            cells = [item.place for item in some if isinstance(item.place, Cell)]
            for item, found in zip(some, read_cells(path, cells), strict=True):
                yield replace(found, image_id=item.image_id)
        else:
            from complexity.sources_tar import read_members

            members = {found.image_id: found for found in read_members(path, _ids(some))}
            for item in some:
                # An archive that has changed may lack it: then there is nothing to read.
                yield members.get(item.image_id, replace(item, path=None, place=None))


def _file(item: ImageItem) -> tuple[Path | None, type | None, int]:
    """Say what can be read in one go."""
    group = item.place.group if isinstance(item.place, Cell) else 0
    return item.path, None if item.place is None else type(item.place), group


def _ids(items: Sequence[ImageItem]) -> list[str]:
    return [item.image_id for item in items]


def _spans(path: Path, items: Sequence[ImageItem]) -> Iterator[ImageItem]:
    with open(path, "rb") as handle:
        for item in items:
            assert isinstance(item.place, Span)
            handle.seek(item.place.offset)
            yield replace(item, path=None, place=None, data=handle.read(item.place.size))
