"""A test as it is reported."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReportedTest:
    """A test as it is reported: chi-square statistic, degrees of freedom, p and how.

    `statistic` and `p` are None where the test could not be made; `method` then says why.
    `caution` says why a test is no headline; None where nothing speaks against it.
    """

    statistic: float | None
    df: float | None
    df_denom: float | None
    p: float | None
    method: str
    caution: str | None = None
