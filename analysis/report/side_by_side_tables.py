"""The table of what each method says, written for machines, papers and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.numerals import MISSING, number, p_number
from analysis.report.export import ColumnStyle, to_markdown, write_table
from analysis.report.names import readable
from analysis.report.side_by_side import side_by_side
from analysis.report.side_by_side_methods import Answer

TESTED = (
    ColumnStyle("test"),
    ColumnStyle("p_shown", "p"),
    ColumnStyle("estimate"),
    ColumnStyle("interval"),
)
NOTES = (
    "p after Holm's adjustment where the method has a family (the common k at both ends and the "
    "interactions: over models), else unadjusted; 95 % intervals; SD: standard deviation of "
    "complexity over images; size: doublings of k per SD.",
    "Headline: yes, decides; beside it, to be read with the headline; no, descriptive, or "
    "rejects true nulls too often in simulated studies "
    "(docs/operating_characteristics.md).",
)


def tested(frame: pd.DataFrame) -> pd.DataFrame:
    """Spell statistic and p for readers: columns `test` and `p_shown` (adjusted where it is)."""
    tests = [
        MISSING
        if pd.isna(f)
        else f"χ²({df:g}) = {number(f, 2)}"
        if pd.isna(df2)
        else f"F({df:g}, {df2:g}) = {number(f, 2)}"
        for f, df, df2 in zip(frame["statistic"], frame["df"], frame["df2"], strict=True)
    ]
    return frame.assign(
        test=tests,
        p_shown=frame["p_adjusted"].fillna(frame["p"]).map(p_number),
        result=[
            f"{estimate} {interval}" if str(interval).startswith("[") else estimate
            for estimate, interval in zip(frame["estimate"], frame["interval"], strict=True)
        ],
    )


def page(answers: Sequence[Answer]) -> str:
    """Spell the table in Markdown for a page: what the methods are, then what they say.

    What is the same for every model stands once, before the results of each.
    """
    frame = tested(side_by_side(answers))
    once = frame.drop_duplicates("method")
    parts = [
        to_markdown(
            once,
            [
                ColumnStyle("method"),
                ColumnStyle("question", "tests or estimates"),
                ColumnStyle("headline"),
            ],
            caption="The methods.",
        )
    ]
    for model, rows in frame.groupby("model", sort=False):
        parts.append(
            to_markdown(
                rows,
                [
                    ColumnStyle("method"),
                    *TESTED,
                    ColumnStyle("how", "how obtained, or why not given"),
                    ColumnStyle("verdict"),
                ],
                caption=f"{model}.",
            )
        )
    return "\n".join([*parts, *(f"{note}\n" for note in NOTES)])


def write_side_by_side(
    answers: Sequence[Answer], primary: Sequence[Answer], folder: Path
) -> list[Path]:
    """Write `methods_side_by_side`: every metric as CSV, the primary one for readers."""
    stem = folder / "methods_side_by_side"
    spelled = tested(side_by_side(primary))
    caption = f"What each method says of {readable(primary[0]['metric'])}."
    lead = [ColumnStyle("model", group=True), ColumnStyle("method")]
    says = [ColumnStyle("verdict"), ColumnStyle("headline")]
    paths = write_table(
        spelled,
        stem,
        formats=("csv", "md"),
        full=side_by_side(answers),
        caption=caption,
        columns=[
            *lead,
            ColumnStyle("question", "tests or estimates"),
            *TESTED,
            ColumnStyle("how", "how obtained"),
            *says,
        ],
        notes=NOTES,
    )
    questions = spelled.drop_duplicates("method")
    explained = "; ".join(
        f"{method}: {question}"
        for method, question in zip(questions["method"], questions["question"], strict=True)
    )
    return paths + write_table(
        spelled,
        stem,
        formats=("tex",),
        caption=caption,
        columns=[*lead, ColumnStyle("p_shown", "p"), ColumnStyle("result"), *says],
        notes=[*NOTES, f"{explained[0].upper()}{explained[1:]}."],
    )
