"""One thread for linear algebra while a fit runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

P = ParamSpec("P")
R = TypeVar("R")


def one_thread(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function use one BLAS thread while it runs.

    The matrices here are long and narrow: more threads gain nothing, and on a busy machine
    they wait for each other most of the time. Sums taken in one order also give the same
    bytes in every run.
    """

    @wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        with _controller().limit(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return limited


@cache
def _controller() -> ThreadpoolController:
    """Find the process's BLAS libraries, which takes longer than a small fit, once."""
    # SciPy brings a BLAS of its own, which can be limited only once it is loaded.
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
