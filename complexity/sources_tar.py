"""Images in tar shards, named as WebDataset names them."""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from complexity.errors import InputError, listing
from complexity.files import sha256_file
from complexity.places import Member, Place, Span, nothing
from complexity.sources import IMAGE_SUFFIXES, ImageItem, checked_ids, digest, unknown_id

# Bytes of a file taken at a time: how finely its progress is seen.
_BUFFER = 1 << 18


@dataclass(frozen=True)
class TarImages:
    """Images in one or more tar archives.

    Attributes
    ----------
    label : str
        How messages name the source.
    files : tuple of Path
        The shards, in the order in which they are read.
    """

    label: str
    files: tuple[Path, ...]

    @cached_property
    def _index(self) -> dict[str, Path]:
        """Id → shard, in the order of storage."""
        found: list[tuple[str, Path]] = []
        for file in self.files:
            members: dict[str, list[str]] = {}
            with _opened(file) as archive:
                for member, key in _images(archive):
                    members.setdefault(key, []).append(member.name)
            shared = [
                f"'{key}' ({' and '.join(names[:2])})"
                for key, names in members.items()
                if len(names) > 1
            ]
            if shared:
                raise InputError(
                    f"'{file}': several images share a key, which is the name up to the first "
                    f"dot: {listing(shared)}; rename them, or leave one of each in the archive"
                )
            found += [(f"{shard_name(file)}/{key}", file) for key in members]
        if not found:
            raise InputError(
                f"{self.label}: no image in {listing(file.name for file in self.files)}; members "
                f"that end in {' '.join(suffix[1:] for suffix in IMAGE_SUFFIXES)} count"
            )
        checked_ids([key for key, _ in found], self.label, lambda n: str(found[n][1]))
        return dict(found)

    def ids(self) -> list[str]:
        """List the images, sorted by code point."""
        return sorted(self._index)

    def count(self) -> int:
        """Count the images."""
        return len(self._index)

    def items(self, only: Collection[str] | None = None) -> Iterator[ImageItem]:
        """Stream the images in the order of storage."""
        left = set(self._index) if only is None else set(self._index).intersection(only)
        for file in self.files:
            inside = {image_id for image_id in left if self._index[image_id] == file}
            if not inside:
                continue
            yield from read_members(file, inside)

    def described(self, only: Collection[str] | None = None) -> Iterator[ImageItem]:
        """Stream where the images lie: a span of bytes, or a member of a compressed shard."""
        left = set(self._index) if only is None else set(self._index).intersection(only)
        for file in self.files:
            path = file.absolute()
            with _opened(file) as archive:
                # Only without compression do positions in the archive count bytes of the file.
                plain = archive.fileobj is not None and type(archive.fileobj).__module__ == "_io"
                for member, key in _images(archive):
                    image_id = f"{shard_name(file)}/{key}"
                    if image_id not in left:
                        continue
                    left.remove(image_id)
                    place: Place = Member(member.size)
                    if plain and member.isreg() and not member.issparse():
                        place = Span(member.offset_data, member.size)
                    yield ImageItem(image_id, path=path, place=place)

    def read(self, image_id: str) -> bytes:
        """Return one image's encoded bytes."""
        if image_id not in self._index:
            raise unknown_id(image_id, self._index, self.label)
        return next(self.items([image_id])).read()

    def fingerprint(self) -> str:
        """Return a SHA-256 over the shards' names and contents."""
        return digest((shard_name(file), sha256_file(file)) for file in self.files)


def read_members(
    file: Path, ids: Collection[str], progress: Callable[[], object] = nothing
) -> Iterator[ImageItem]:
    """Read images from one shard, in the order of storage, as far as the last that is wanted.

    Parameters
    ----------
    file : Path
        The archive.
    ids : collection of str
        The images wanted; those that it lacks are passed over.
    progress : callable
        Called whenever bytes of the file have come.

    Raises
    ------
    InputError
        The archive is damaged or ends too soon.
    """
    inside = set(ids)
    with _opened(file, progress) as archive:
        for member, key in _images(archive):
            image_id = f"{shard_name(file)}/{key}"
            if image_id in inside:
                inside.remove(image_id)
                yield ImageItem(image_id, data=_content(archive, member))
            if not inside:
                break


def shard_name(file: Path) -> str:
    """Return a shard's file name without ``.tar``, ``.tar.gz`` or ``.tgz``."""
    name = file.name
    for suffix in (".tar.gz", ".tgz", ".tar"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


class _StrictHeader(tarfile.TarInfo):
    """A header that is damaged or cut off is an error; tarfile takes it for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _StrictHeader:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if "end of file header" in str(error):  # the block of zeros that closes an archive
                raise
            raise tarfile.ReadError(str(error)) from error


class _Watched(io.FileIO):
    """A file that tells when bytes of it have come."""

    def __init__(self, file: Path, progress: Callable[[], object]) -> None:
        super().__init__(file)
        self._progress = progress

    def readinto(self, buffer: Any, /) -> int | None:
        """Read into a buffer."""
        count = super().readinto(buffer)
        self._progress()
        return count


@contextmanager
def _opened(file: Path, progress: Callable[[], object] = nothing) -> Iterator[tarfile.TarFile]:
    try:
        with (
            io.BufferedReader(_Watched(file, progress), _BUFFER) as handle,
            tarfile.open(fileobj=handle, mode="r:*", tarinfo=_StrictHeader) as archive,
        ):
            yield archive
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise InputError(
            f"'{file}' cannot be read as a tar archive ({error}); it may be incomplete: fetch "
            "or write it again"
        ) from error


def _images(archive: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, str]]:
    """Walk the members that are images, with their keys."""
    for member in archive:
        parts = [part for part in member.name.split("/") if part not in {"", "."}]
        if not (member.isfile() or member.islnk() or member.issym()) or not parts:
            continue
        if any(part.startswith(".") for part in parts):
            continue
        if parts[-1].lower().endswith(IMAGE_SUFFIXES):
            yield member, "/".join([*parts[:-1], parts[-1].split(".")[0]])


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    """Return a member's bytes; None for a link that leads to no file in the archive."""
    try:
        handle = archive.extractfile(member)
    except (KeyError, RecursionError):  # to nothing, or to itself
        return None
    return None if handle is None else handle.read()
