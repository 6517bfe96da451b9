"""Compiling kernels with Numba: see `complexity.compiling`."""

from __future__ import annotations

from complexity.compiling import compiled

__all__ = ["compiled"]
