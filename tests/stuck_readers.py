"""Readers of packed images that get stuck, in processes that find ``STUCK`` in their environment.

A worker process imports this module with the metric `width`. At the values ``19`` and ``19,20``
the bytes of images of so many pixels never come; at ``slow`` every piece of an archive takes .3 s.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from image_runs import png

from complexity import sources_parquet, sources_tar
from complexity.image import PreparedImage

STUCK = os.environ.get("STUCK", "")


def width(image: PreparedImage) -> float:
    """Give a value that a test can foretell."""
    return float(image.width)


def _stuck(read: Callable[..., Any], bad: set[bytes]) -> Callable[..., Any]:
    def reading(*arguments: Any) -> Any:
        found = read(*arguments)
        if getattr(found, "data", found) in bad:
            time.sleep(600)
        return found

    return reading


if STUCK == "slow":
    _readinto = sources_tar._Watched.readinto

    def _slowly(self: sources_tar._Watched, buffer: Any, /) -> int | None:
        time.sleep(0.3)
        return _readinto(self, buffer)

    sources_tar._Watched.readinto = _slowly  # type: ignore[method-assign]
elif STUCK:
    _bad = {png(int(width)) for width in STUCK.split(",")}
    sources_tar._content = _stuck(sources_tar._content, _bad)
    sources_parquet._item = _stuck(sources_parquet._item, _bad)
