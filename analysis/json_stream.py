"""The long lists of a large JSON file, one element at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from json.decoder import JSONDecodeError
from pathlib import Path
from typing import IO, Any

from complexity.errors import InputError

_CHUNK = 1 << 20
# A mistake this far from the end of what has been read is not a value cut in two.
_FAR = 1 << 16
# What may follow a whole value.
_AFTER = frozenset(" \t\n\r,:]}")
_DECODER = json.JSONDecoder()
_WHITE = re.compile(r"[ \t\n\r]*")


def elements(path: Path, keys: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Read the elements of lists that are values of a JSON object, in the file's order.

    Memory is that of one element, whatever the size of the file: annotations of large data
    sets hold hundreds of megabytes, which `json.load` turns into several times as much.

    Parameters
    ----------
    path : Path
        The file: an object whose values under `keys` are lists. Other lists are passed over
        element by element, other values as a whole.
    keys : collection of str
        Names of the lists.

    Yields
    ------
    (str, object)
        The list's name and an element of it.

    Raises
    ------
    InputError
        The file cannot be read, is not JSON, is cut off, is not an object, or lacks one of
        the lists.
    """
    missing = dict.fromkeys(keys)
    try:
        with open(path, encoding="utf-8-sig") as file:
            reader = _Reader(file)
            if reader.peek() != "{":
                raise InputError(
                    f"{path}: not a JSON object with the lists {_quoted(keys)}; is format right?"
                )
            for key in reader.fields():
                listed = reader.peek() == "["
                if key in missing and not listed:
                    raise InputError(f"{path}: '{key}' is not a list; is format right?")
                missing.pop(key, None)
                if not listed:
                    reader.value()
                    continue
                for value in reader.items():
                    if key in keys:
                        yield key, value
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a JSON file in UTF-8; fetch it again") from None
    except JSONDecodeError as error:
        raise InputError(
            f"{path}: damaged or cut off ({error.msg} near character {reader.passed:,}); "
            "fetch the file again"
        ) from None
    if missing:
        raise InputError(f"{path}: has no list {_quoted(missing)}; is format right?")


def _quoted(names: Collection[str]) -> str:
    return " and ".join(f"'{name}'" for name in names)


class _Reader:
    """A JSON text of which only a part is held.

    Attributes
    ----------
    passed : int
        Characters that are done with and no longer held.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._text = ""
        self._at = 0
        self._ended = False
        self.passed = 0

    def peek(self) -> str:
        """Return the next character that is not white, without taking it; empty at the end."""
        while True:
            match = _WHITE.match(self._text, self._at)
            self._at = match.end() if match is not None else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return ""
            self._more()

    def fields(self) -> Iterator[str]:
        """Go through the keys of an object; the caller takes each value before the next key."""
        self._take("{")
        if self.peek() == "}":
            self._at += 1
            return
        while True:
            if self.peek() != '"':
                raise self._wrong("Expecting property name")
            yield self.value()
            if self._take(",}") == "}":
                return

    def items(self) -> Iterator[Any]:
        """Go through a list."""
        for _ in self.places():
            yield self.value()

    def places(self) -> Iterator[None]:
        """Go through a list; the caller takes each element before the next place."""
        self._take("[")
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            yield None
            if self._take(",]") == "]":
                return

    def value(self) -> Any:
        """Take a whole value, and the colon after it if it is a key."""
        self.peek()
        while True:
            try:
                found, end = _DECODER.raw_decode(self._text, self._at)
            except JSONDecodeError as error:
                far = len(self._text) - error.pos > _FAR
                if self._ended or (far and not error.msg.startswith("Unterminated string")):
                    raise
            else:
                # What follows must be seen: of a number (1 of 1.5) the rest may be unread.
                rest = self._text[end : end + 1]
                if self._ended or rest in _AFTER or len(self._text) - end > _FAR:
                    self._at = end
                    if self.peek() == ":":
                        self._at += 1
                    return found
            self._more()

    def _take(self, allowed: str) -> str:
        found = self.peek()
        if not found or found not in allowed:
            raise self._wrong(f"Expecting {' or '.join(map(repr, allowed))}")
        self._at += 1
        return found

    def _wrong(self, message: str) -> JSONDecodeError:
        return JSONDecodeError(message, self._text, self._at)

    def _more(self) -> None:
        # Twice as much each time, so that a long value is not begun again too often.
        kept = self._text[self._at :]
        self.passed += self._at
        read = self._file.read(max(_CHUNK, len(kept)))
        self._ended = not read
        self._text, self._at = kept + read, 0


def list_items(path: Path) -> Iterator[Any]:
    """Read the elements of a file that is one JSON list; memory is that of one element.

    Parameters
    ----------
    path : Path
        The file.

    Yields
    ------
    object
        The elements, in order.

    Raises
    ------
    InputError
        The file cannot be read, is not a JSON list, or is cut off.
    """
    for place, value in walk(path, lambda place: place == ()):
        if place == ():
            raise InputError(f"{path}: not a JSON list; is format right?")
        if isinstance(place[-1], int):
            yield value
        else:
            raise InputError(f"{path}: not a JSON list; is format right?")


Place = tuple[str | int, ...]


def walk(path: Path, enter: Callable[[Place], bool]) -> Iterator[tuple[Place, Any]]:
    """Read a JSON file, or several values one after another, and descend where asked to.

    Parameters
    ----------
    path : Path
        The file.
    enter : callable
        Gets the place of an object or list: the keys and positions that lead to it, ``()`` for
        the outermost. Where it says False, the value is read as a whole.

    Yields
    ------
    (tuple, object)
        The place of each value that was not descended into, and the value. Of several values
        one after another each starts anew at ``()``.

    Raises
    ------
    InputError
        The file cannot be read, is not JSON, or is cut off.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            reader = _Reader(file)
            while reader.peek():
                yield from _descend(reader, (), enter)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a JSON file in UTF-8; fetch it again") from None
    except JSONDecodeError as error:
        raise InputError(
            f"{path}: damaged or cut off ({error.msg} near character {reader.passed:,}); "
            "fetch the file again"
        ) from None


def _descend(
    reader: _Reader, place: Place, enter: Callable[[Place], bool]
) -> Iterator[tuple[Place, Any]]:
    opening = reader.peek()
    if opening == "{" and enter(place):
        for key in reader.fields():
            yield from _descend(reader, (*place, key), enter)
    elif opening == "[" and enter(place):
        for position, _ in enumerate(reader.places()):
            yield from _descend(reader, (*place, position), enter)
    else:
        yield place, reader.value()
