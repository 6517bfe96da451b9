"""What k is worth: utility by price, the smallest k that will do, k chosen by complexity."""

from __future__ import annotations

from analysis.worth.answer import Worth
from analysis.worth.per_model import worth

__all__ = ["Worth", "worth"]
