"""Errors that are the user's to mend, worded so that they can be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHOWN = 5


class InputError(Exception):
    """The data or the request is wrong.

    The message says what is wrong, where (file, row, key) and how to mend it. Commands
    print it without a traceback and leave with exit code 1.
    """


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """Name the option closest to a mistyped one.

    Parameters
    ----------
    name : str
        What was given.
    options : iterable of str
        What would have been understood.

    Returns
    -------
    str
        `` (did you mean 'x'?)`` with a leading blank, or an empty string when nothing is near.
    """
    near = difflib.get_close_matches(name, list(options), n=1, cutoff=0.6)
    return f" (did you mean '{near[0]}'?)" if near else ""


def listing(items: Iterable[object], *, shown: int = SHOWN) -> str:
    """Join the first few items and count the rest.

    Parameters
    ----------
    items : iterable of object
        What to list; each is shown by its ``str``.
    shown : int
        How many are spelled out.

    Returns
    -------
    str
        ``a, b, c`` or ``a, b, c, d, e and 12 more``.
    """
    texts = [str(item) for item in items]
    head = ", ".join(texts[:shown])
    rest = len(texts) - shown
    return f"{head} and {rest:,} more" if rest > 0 else head
