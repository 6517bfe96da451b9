"""The optimal number of active experts k: where it lies, and whether it shifts with complexity."""

from __future__ import annotations

from analysis.optimum.answer import ShiftAnswer
from analysis.optimum.per_model import analyse

__all__ = ["ShiftAnswer", "analyse"]
