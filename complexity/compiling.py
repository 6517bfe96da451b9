"""Compiling kernels with Numba, kept between runs where a folder can be written."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_told = False


def compiled(function: Kernel) -> Kernel:
    """Compile a function when it is first called, and keep the machine code on disk.

    Where no folder is writable the code is compiled anew in every process, with one notice.
    """
    import numba

    global _told
    try:
        return numba.njit(cache=True, nogil=True)(function)  # type: ignore[no-any-return]
    except RuntimeError:
        # Numba found no place for its cache.
        if not _told:
            _told = True
            warnings.warn(
                "compiled code cannot be kept: no writable folder; set NUMBA_CACHE_DIR to one",
                stacklevel=2,
            )
        return numba.njit(nogil=True)(function)  # type: ignore[no-any-return]


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a part of kernels from a function that gives its type and its instructions.

    See Numba's ``intrinsic``; array arguments must be contiguous.
    """
    from numba.extending import intrinsic

    return intrinsic(function)  # type: ignore[no-any-return]
