"""Where an image lies inside a file, so that another machine can read it there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from complexity.errors import InputError

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


def nothing() -> None:
    """Take notice of progress that nobody waits for."""


def fetched(
    items: Iterable[ImageItem], progress: Callable[[], object] = nothing
) -> Iterator[ImageItem]:
    """Read images that are described by their places; others stay as they are.

    Parameters
    ----------
    items : iterable of ImageItem
        In the order of storage, so that each part of a file is read once.
    progress : callable
        Called whenever something has been read on the way to the next image: a compressed
        archive's bytes, a batch of a row group.

    Yields
    ------
    ImageItem
        With bytes, with a path of its own, or to be made when read; in the order given.

    Raises
    ------
    InputError
        A Parquet file or an archive cannot be read, or ends too soon.
    OSError
        A plain archive cannot be opened.
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
            for item, found in zip(some, read_cells(path, cells, progress), strict=True):
                yield replace(found, image_id=item.image_id)
        else:
            yield from _members(path, some, progress)


def _file(item: ImageItem) -> tuple[Path | None, type | None, int]:
    """Say what can be read in one go."""
    group = item.place.group if isinstance(item.place, Cell) else 0
    return item.path, None if item.place is None else type(item.place), group


def _members(
    path: Path, items: Sequence[ImageItem], progress: Callable[[], object]
) -> Iterator[ImageItem]:
    """Read images from a compressed archive, each handed out as soon as it is read."""
    from complexity.sources_tar import read_members

    members = read_members(path, [item.image_id for item in items], progress)
    early: dict[str, ImageItem] = {}
    for item in items:
        while item.image_id not in early:
            found = next(members, None)
            if found is None:
                break
            early[found.image_id] = found
        # An archive that has changed may lack it: then there is nothing to read.
        yield early.pop(item.image_id, replace(item, path=None, place=None))


def _spans(path: Path, items: Sequence[ImageItem]) -> Iterator[ImageItem]:
    with open(path, "rb") as handle:
        for item in items:
            assert isinstance(item.place, Span)
            handle.seek(item.place.offset)
            data = handle.read(item.place.size)
            if len(data) < item.place.size:
                raise InputError(
                    f"'{path}' cannot be read as a tar archive (it ends within "
                    f"'{item.image_id}'); it may be incomplete: fetch or write it again"
                )
            yield replace(item, path=None, place=None, data=data)
