"""The files under a folder that a pattern means: one rule on every platform."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import ItemsView, Iterator, Mapping
from pathlib import Path

from complexity.errors import InputError, did_you_mean

_WILD = re.compile(r"[*?\[]")

EVERYTHING = ("**",)


def is_pattern(path: Path) -> bool:
    """Tell whether a path holds ``*``, ``?`` or ``[``."""
    return _WILD.search(str(path)) is not None


def split_pattern(path: Path) -> tuple[Path, tuple[str, ...]]:
    """Split a glob into its fixed folder and the parts that vary.

    A part with wildcards in it that exists as it is spelled (a folder ``[2024]``) is fixed.

    Parameters
    ----------
    path : Path
        For example ``images/**/*.png``.

    Returns
    -------
    folder : Path
        ``images``; need not exist.
    pattern : tuple of str
        ``("**", "*.png")``.
    """
    parts = path.parts
    folder = Path()
    for n, part in enumerate(parts):
        if _WILD.search(part) and not os.path.lexists(folder / part):
            return folder, parts[n:]
        folder = folder / part
    return folder, ()


class FilesBelow(Mapping[str, Path]):
    """Files below a folder that a pattern means, by their relative paths.

    They are looked for anew whenever they are gone through, folder by folder, so that no more
    than the names of the folders on the way are held, however many files there are.

    Parameters
    ----------
    folder : Path
        Where to begin; must exist.
    pattern : tuple of str
        The parts below `folder`; see `matching_files`.
    suffixes : tuple of str
        What the names shall end in, in any mixture of cases; all will do when it is empty.
    """

    def __init__(
        self, folder: Path, pattern: tuple[str, ...], suffixes: tuple[str, ...] = ()
    ) -> None:
        self._folder, self._pattern, self._suffixes = folder, pattern, suffixes

    def ending_in(self, suffixes: tuple[str, ...]) -> FilesBelow:
        """Keep the files that end in one of some suffixes, in any mixture of cases."""
        return FilesBelow(self._folder, self._pattern, suffixes)

    def __iter__(self) -> Iterator[str]:
        return self._below("", self._folder, frozenset({0}), frozenset({_identity(self._folder)}))

    def _below(
        self, prefix: str, here: Path, states: frozenset[int], above: frozenset[tuple[int, int]]
    ) -> Iterator[str]:
        states = _skip_zero_folders(states, self._pattern)
        # A folder's slash takes part in the order: a.png stands before what lies in a/.
        for name in sorted(f"{name}/" if is_folder else name for name, is_folder in _entries(here)):
            if not name.endswith("/"):
                if self._fits(name) and _ends(name, states, self._pattern):
                    yield prefix + name
                continue
            onward = _descend(name[:-1], states, self._pattern)
            if onward:
                child = here / name
                identity = _identity(child)
                if identity not in above:
                    yield from self._below(prefix + name, child, onward, above | {identity})

    def _fits(self, name: str) -> bool:
        return not self._suffixes or name.lower().endswith(self._suffixes)

    def __getitem__(self, name: str) -> Path:
        *folders, last = name.split("/")
        here, states = self._folder, frozenset({0})
        above = {_identity(here)}
        for folder in folders:
            states = _descend(folder, _skip_zero_folders(states, self._pattern), self._pattern)
            here = here / folder
            if not states or not here.is_dir() or (identity := _identity(here)) in above:
                raise KeyError(name)
            above.add(identity)
        states = _skip_zero_folders(states, self._pattern)
        path = here / last
        there = os.path.lexists(path) and not path.is_dir()
        if not (there and self._fits(last) and _ends(last, states, self._pattern)):
            raise KeyError(name)
        return path

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return next(iter(self), None) is not None

    def items(self) -> ItemsView[str, Path]:
        """Go through the files without looking any of them up again."""
        return _Items(self)

    def path(self, name: str) -> Path:
        """Say where a file lies whose name was given out."""
        return self._folder / name

    def __repr__(self) -> str:
        return f"FilesBelow({str(self._folder)!r}, {self._pattern}, {self._suffixes})"


class _Items(ItemsView[str, Path]):
    def __init__(self, files: FilesBelow) -> None:
        super().__init__(files)
        self._files = files

    def __iter__(self) -> Iterator[tuple[str, Path]]:
        for name in self._files:
            yield name, self._files.path(name)


def matching_files(folder: Path, pattern: tuple[str, ...] = EVERYTHING) -> FilesBelow:
    """Find the files that a pattern means.

    Letters match case by case on every platform; ``*``, ``?`` and ``[…]`` match within one
    name, ``**`` matches any number of folders, and a trailing ``**`` every file below. Names
    that begin with a dot are matched only by a part that begins with a dot. Links to folders
    are followed, except to a folder that holds the link. A link that leads nowhere is a file:
    whoever reads it learns so.

    Parameters
    ----------
    folder : Path
        Where to begin; must exist.
    pattern : tuple of str
        The parts below `folder`; everything by default.

    Returns
    -------
    FilesBelow
        POSIX path relative to `folder` → path, sorted by code point of the former. Going
        through it raises `InputError` where a folder may not be listed.
    """
    return FilesBelow(folder, pattern)


def missing(path: Path) -> InputError:
    """Word that there is no such path, with the nearest name beside it.

    Parameters
    ----------
    path : Path
        What was asked for.

    Returns
    -------
    InputError
        To be raised. Names the first folder on the way that is not there.
    """
    lost = path
    while lost.parent != lost and not lost.parent.exists():
        lost = lost.parent
    beside = lost.parent
    names: list[str] = []
    if beside.is_dir():
        names = sorted(name for name, _ in _entries(beside))
    return InputError(
        f"no file or folder '{path}': '{beside}' has no '{lost.name}'"
        f"{did_you_mean(lost.name, names)}; name a folder of images, a glob, an image, a "
        "Parquet file or tar shards that exist"
    )


def _entries(folder: Path) -> Iterator[tuple[str, bool]]:
    """Yield the names in a folder and whether they are folders; pipes and devices are left out."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                is_folder = _is_folder(entry)
                if is_folder or _is_readable_kind(entry):
                    yield entry.name, is_folder
    except OSError as error:
        raise InputError(
            f"folder '{folder}' cannot be listed ({error.strerror}); mend its permissions or "
            "leave it out"
        ) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_readable_kind(entry: os.DirEntry[str]) -> bool:
    """Leave out pipes and devices, whose reading never ends; keep links that lead nowhere."""
    try:
        return entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists())
    except OSError:
        return True


def _identity(folder: Path) -> tuple[int, int]:
    try:
        status = folder.stat()
    except OSError as error:
        raise InputError(
            f"folder '{folder}' cannot be read ({error.strerror}); mend it or leave it out"
        ) from error
    return status.st_dev, status.st_ino


def _skip_zero_folders(states: frozenset[int], pattern: tuple[str, ...]) -> frozenset[int]:
    """Add the positions reached when a ``**`` stands for no folder at all."""
    reached = set(states)
    for state in states:
        while state < len(pattern) and pattern[state] == "**":
            state += 1
            reached.add(state)
    return frozenset(reached)


def _matches(name: str, part: str) -> bool:
    if name.startswith(".") and not part.startswith("."):
        return False
    return part == "**" or fnmatch.fnmatchcase(name, part)


def _descend(name: str, states: frozenset[int], pattern: tuple[str, ...]) -> frozenset[int]:
    """Positions in the pattern after entering a folder; none when nothing below can match."""
    return frozenset(
        state if pattern[state] == "**" else state + 1
        for state in states
        if state < len(pattern)
        and _matches(name, pattern[state])
        and (pattern[state] == "**" or state + 1 < len(pattern))
    )


def _ends(name: str, states: frozenset[int], pattern: tuple[str, ...]) -> bool:
    last = len(pattern) - 1
    return any(
        _matches(name, pattern[state])
        for state in states
        if state == last or (state < last and all(part == "**" for part in pattern[state:]))
    )
