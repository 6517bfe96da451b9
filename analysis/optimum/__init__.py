"""The optimal number of active experts k: where it lies, and whether it shifts with complexity."""

from __future__ import annotations

from analysis.optimum.answer import ShiftAnswer, analyse

__all__ = ["ShiftAnswer", "analyse"]
