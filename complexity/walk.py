"""The files under a folder that a pattern means: one rule on every platform."""

from __future__ import annotations

import fnmatch
import os
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
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
    """Files below a folder by their relative paths, which are all that it holds of them.

    Parameters
    ----------
    folder : Path
        The folder.
    names : sequence of str
        POSIX paths relative to it, sorted by code point.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._folder, self._names = folder, names

    def __getitem__(self, name: str) -> Path:
        at = bisect_left(self._names, name)
        if at == len(self._names) or self._names[at] != name:
            raise KeyError(name)
        return self._folder / name

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"FilesBelow({str(self._folder)!r}, {len(self._names):,} files)"

    def ending_in(self, suffixes: tuple[str, ...]) -> FilesBelow:
        """Keep the files that end in one of some suffixes, in any mixture of cases."""
        return FilesBelow(
            self._folder, [name for name in self._names if name.lower().endswith(suffixes)]
        )


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
        POSIX path relative to `folder` → path, sorted by code point of the former.

    Raises
    ------
    InputError
        A folder may not be listed.
    """
    found: list[str] = []
    pending = [(folder, "", frozenset({0}), frozenset({_identity(folder)}))]
    while pending:
        here, prefix, states, above = pending.pop()
        states = _skip_zero_folders(states, pattern)
        for name, is_folder in _entries(here):
            if not is_folder:
                if _ends(name, states, pattern):
                    found.append(prefix + name)
                continue
            onward = _descend(name, states, pattern)
            if onward:
                child = here / name
                identity = _identity(child)
                if identity not in above:
                    pending.append((child, f"{prefix}{name}/", onward, above | {identity}))
    found.sort()
    return FilesBelow(folder, found)


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
