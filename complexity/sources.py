"""Where images come from: folders, globs, single files, Parquet and tar shards, alike.

Every source names its images by ids, streams them without holding all their bytes, reads
any one of them, and has a fingerprint that changes when an image does.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from complexity.errors import InputError, did_you_mean, listing
from complexity.files import sha256_file
from complexity.walk import FilesBelow, is_pattern, matching_files, missing, split_pattern

if TYPE_CHECKING:
    from complexity.places import Place
    from complexity.sources_rendered import Rendering

#: Suffixes that make a file an image, in any mixture of cases. A file that bears one and
#: cannot be decoded gets an error row; a file that bears none is not an image.
IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".avif",
)  # fmt: skip
PARQUET_SUFFIXES = (".parquet",)
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
_OTHER_ARCHIVES = (".zip", ".7z", ".rar", ".tar.bz2", ".tar.xz", ".tar.zst", ".gz")


@dataclass(frozen=True)
class ImageItem:
    """One image, not decoded.

    Attributes
    ----------
    image_id : str
        Its key in every table.
    path : Path or None
        The file that holds it, where it has one to itself.
    data : bytes or None
        Its encoded bytes, where it lies in a Parquet file or an archive.
    place : object or None
        Where in the file `path` it lies, in place of `data`: a `complexity.places.Place`, for
        an image that another machine is to read. Or how it is made, without any file: a
        `complexity.sources_rendered.Rendering`.
    """

    image_id: str
    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)
    place: Place | Rendering | None = None

    @property
    def weight(self) -> int:
        """Bytes that it takes, or will take when fetched."""
        if self.data is not None:
            return len(self.data)
        return 0 if self.place is None else self.place.size

    def read(self) -> bytes:
        """Return the encoded bytes.

        Raises
        ------
        OSError
            The file is gone, may not be read or is no regular file, or the row of a table
            holds neither bytes nor a path. This one image cannot be had; others can.
        """
        if self.data is not None:
            return self.data
        if self.place is not None:
            from complexity.places import fetched
            from complexity.sources_rendered import Rendering

            if isinstance(self.place, Rendering):
                return self.place.png(self.image_id)
            return next(fetched([self])).read()
        if self.path is None:
            raise FileNotFoundError("the source holds neither bytes nor a path for this image")
        if self.path.exists() and not self.path.is_file():
            # Pipes and devices would be read for ever.
            raise OSError(f"'{self.path.name}' is not a regular file")
        return self.path.read_bytes()


class ImageSource(Protocol):
    """Images by id.

    Attributes
    ----------
    label : str
        How messages name the source: as the user wrote it.
    """

    @property
    def label(self) -> str:
        """How messages name the source."""

    def ids(self) -> list[str]:
        """List the images, sorted by code point.

        Raises
        ------
        InputError
            There is no image, an id is missing, or two images have the same id.
        """

    def count(self) -> int:
        """Count the images, checked as `ids` checks them."""

    def items(self, only: Collection[str] | None = None) -> Iterator[ImageItem]:
        """Stream the images in the order of storage, each once.

        Parameters
        ----------
        only : collection of str, optional
            Ids to keep; ids that the source does not have are passed over.

        Yields
        ------
        ImageItem
        """

    def described(self, only: Collection[str] | None = None) -> Iterator[ImageItem]:
        """Stream the images as `items` does, saying where they lie in place of their bytes.

        Paths are absolute. `complexity.places.fetched` reads such images, on any machine that
        has the files under the same paths.
        """

    def read(self, image_id: str) -> bytes:
        """Return one image's encoded bytes.

        Raises
        ------
        InputError
            There is no such id.
        OSError
            The image cannot be read (see `ImageItem.read`).
        """

    def fingerprint(self) -> str:
        """Return a SHA-256 that changes with any id and any content, and with nothing else."""


@dataclass(frozen=True)
class FileImages:
    """Images that are files: a folder's, a glob's, or one alone.

    Attributes
    ----------
    label : str
        How messages name the source.
    files : mapping of str to Path
        Id → file, sorted by id, no id twice.
    """

    label: str
    files: Mapping[str, Path]

    def ids(self) -> list[str]:
        """List the images, sorted by code point."""
        return checked_ids(list(self.files), self.label)

    def count(self) -> int:
        """Count the images without holding their ids."""
        return sum(1 for _ in self.items())

    def items(self, only: Collection[str] | None = None) -> Iterator[ImageItem]:
        """Stream the images in the order of their ids."""
        wanted = None if only is None else frozenset(only)
        for image_id, path in self.files.items():
            if not _is_text(image_id):
                self.ids()  # which refuses it and all of its kind
            if wanted is None or image_id in wanted:
                yield ImageItem(image_id, path=path)

    def described(self, only: Collection[str] | None = None) -> Iterator[ImageItem]:
        """Stream the images with absolute paths."""
        for item in self.items(only):
            yield ImageItem(item.image_id, path=item.path and item.path.absolute())

    def read(self, image_id: str) -> bytes:
        """Return one image's encoded bytes."""
        if image_id not in self.files:
            raise unknown_id(image_id, self.files, self.label)
        return ImageItem(image_id, path=self.files[image_id]).read()

    def fingerprint(self) -> str:
        """Return a SHA-256 over ids and contents; a file that cannot be read counts as such."""
        return digest((image_id, content_hash(self.files[image_id])) for image_id in self.ids())


def open_source(
    source: str | Path, *, root: Path | None = None, id_column: str | None = None
) -> ImageSource:
    """Open a source of images.

    ===============================  =====================================================
    source                           ids
    ===============================  =====================================================
    folder (with all below it)       POSIX path relative to the folder, suffix included
    glob (``*``, ``?``, ``[…]``,     POSIX path relative to the folder before the first
    ``**`` across folders)           wildcard, suffix included
    one image                        its file name
    Parquet file, a glob or folder   `id_column`, else the ``path`` of the image column
    of them                          (Hugging Face's ``{bytes, path}``), else column ``path``
    tar shards (``.tar``,            ``shard/key``: the shard's name without suffix, the
    ``.tar.gz``, ``.tgz``), a glob   member's up to the first dot (WebDataset's convention)
    ===============================  =====================================================

    Names stay as they are on disk, blanks and accents included. Hidden files and folders
    are passed over, and so are files without an image's suffix (`IMAGE_SUFFIXES`, upper or
    lower case). A folder that holds images is read as such, whatever else lies in it; one
    that holds Parquet files and no image is read as shards.

    Parameters
    ----------
    source : str or Path
        See the table. What exists as it is spelled is never taken for a glob.
    root : Path, optional
        Folder that a relative `source` is relative to; the working directory if left out.
    id_column : str, optional
        Column of ids, text or whole numbers; for Parquet only.

    Returns
    -------
    ImageSource
        Files are listed and Parquet columns checked at once; ids inside Parquet and tar
        files are read when first asked for.

    Raises
    ------
    InputError
        Nothing there, no image in it, a kind of file that cannot be read, or no image
        column; says what was found instead.
    """
    label = Path(source).as_posix() if isinstance(source, Path) else source
    if not label.strip():
        raise InputError("the image source is empty; name a folder, a glob or a file")
    path = Path(source).expanduser() if label.startswith("~/") else Path(source)
    path = path if root is None else Path(root) / path
    found, files = _gather(path)
    images = _with_suffix(files, IMAGE_SUFFIXES)
    parquet = _with_suffix(files, PARQUET_SUFFIXES)
    shards = _with_suffix(files, TAR_SUFFIXES)
    if found == "folder":
        # Tables and archives often lie beside a study's images.
        parquet, shards = ({} if images else parquet), {}
    kinds = [kind for kind in (images, parquet, shards) if kind]
    if not kinds:
        raise _no_image(path, found, files)
    if len(kinds) > 1:
        raise InputError(
            f"'{path}' matches different kinds of sources: {len(images):,} images, "
            f"{len(parquet):,} Parquet files and {len(shards):,} tar archives; narrow the "
            "pattern to one kind, e.g. with a suffix"
        )
    if parquet:
        from complexity.sources_parquet import open_parquet

        return open_parquet(list(parquet.values()), label=label, id_column=id_column)
    if id_column is not None:
        raise InputError(
            f"the id column '{id_column}' is for Parquet files, and '{path}' holds none; leave "
            "it out: ids of files are their paths, those of tar members shard/key"
        )
    if shards:
        from complexity.sources_tar import TarImages

        return TarImages(label, tuple(shards.values()))
    return FileImages(label, images)


def _gather(path: Path) -> tuple[str, Mapping[str, Path]]:
    """Say what a path is (folder, glob, file) and list the files it means."""
    if path.is_dir():
        return "folder", matching_files(path)
    if path.exists() or path.is_symlink():
        return "file", {path.name: path}
    folder, pattern = split_pattern(path)
    if not is_pattern(path) or not folder.exists():
        raise missing(folder if pattern else path)
    if not folder.is_dir():
        raise InputError(f"no file matches '{path}': '{folder}' is a file, not a folder")
    files = matching_files(folder, pattern)
    if not files:
        raise InputError(_no_match(path, folder, pattern))
    return "glob", files


def _with_suffix(files: Mapping[str, Path], suffixes: tuple[str, ...]) -> Mapping[str, Path]:
    if isinstance(files, FilesBelow):
        return files.ending_in(suffixes)
    return {key: path for key, path in files.items() if path.name.lower().endswith(suffixes)}


def _no_match(path: Path, folder: Path, pattern: tuple[str, ...]) -> str:
    everything = matching_files(folder).ending_in(IMAGE_SUFFIXES)
    lower = tuple(part.lower() for part in pattern)
    if not everything:
        hint = f"'{folder}' holds no image at all"
    elif matching_files(folder, (*pattern, "**")):
        hint = "it matches folders only; add '/**/*' for the files in them"
    else:
        hint = f"'{folder}' holds {listing(everything)}"
        if lower != pattern:
            hint += " (upper and lower case differ)"
    return (
        f"no file matches '{path}': {hint}; correct the pattern (* within a name, ** across "
        "folders)"
    )


def _no_image(path: Path, found: str, files: Mapping[str, Path]) -> InputError:
    """Word that there is no image, and what there is instead."""
    suffixes = " ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
    counted = f"files that end in {suffixes} count, in upper or lower case"
    shards = _with_suffix(files, TAR_SUFFIXES)
    archives = _with_suffix(files, _OTHER_ARCHIVES)
    if found == "file":
        mend = "unpack it and name the folder" if archives else f"among images, {counted}"
        return InputError(
            f"'{path}' is no image, Parquet file or tar archive by its suffix "
            f"'{path.suffix}'; {mend}"
        )
    if shards:
        mend = f"it holds tar archives ({listing(shards)}): name them, e.g. '{path}/*.tar'"
    elif archives:
        mend = f"it holds archives ({listing(archives)}): unpack them"
    elif files:
        mend = f"it holds {listing(files)}; {counted}"
    else:
        mend = f"it is empty; put the images there ({counted}) or name the folder that has them"
    what = "no image in the folder" if found == "folder" else "no image among what matches"
    return InputError(f"{what} '{path}': {mend}")


def checked_ids(
    ids: Sequence[str], label: str, place: Callable[[int], str] = lambda n: ""
) -> list[str]:
    """Sort ids by code point, refusing those that cannot be keys.

    Parameters
    ----------
    ids : sequence of str
        In the order of storage.
    label : str
        How the source is named.
    place : callable
        Position in `ids` → where that is, for the message.

    Returns
    -------
    list of str

    Raises
    ------
    InputError
        An id occurs twice, or is not Unicode text (a file name in another encoding).
    """
    ordered = sorted(ids)
    if any(first == second for first, second in pairwise(ordered)):
        places: dict[str, list[str]] = defaultdict(list)
        for n, image_id in enumerate(ids):
            places[image_id].append(place(n))
        twice = [
            f"'{key}'" + (f" ({' and '.join(where[:2])})" if where[0] else f" ({len(where)} times)")
            for key, where in places.items()
            if len(where) > 1
        ]
        raise InputError(
            f"{label}: {len(twice):,} image ids occur more than once: {listing(twice)}; every "
            "image needs an id of its own"
        )
    foreign = [ascii(image_id) for image_id in ordered if not _is_text(image_id)]
    if foreign:
        raise InputError(
            f"{label}: names that are not UTF-8 cannot be ids: {listing(foreign)}; rename the files"
        )
    return ordered


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def unknown_id(image_id: str, known: Iterable[str], label: str) -> InputError:
    """Word that a source has no such image, with the nearest id."""
    hint = did_you_mean(image_id, known)
    return InputError(f"{label}: no image '{image_id}'{hint}; ids are compared exactly")


def content_hash(path: Path) -> str:
    """Return a file's SHA-256, or a word that stands for a file that cannot be read."""
    try:
        return sha256_file(path) if path.is_file() else "unreadable"
    except OSError:
        return "unreadable"


def digest(rows: Iterable[tuple[str, ...]]) -> str:
    """Return the SHA-256 over rows of texts, each field closed off by a NUL."""
    total = hashlib.sha256()
    for row in rows:
        total.update("".join(f"{text}\0" for text in row).encode() + b"\n")
    return total.hexdigest()
