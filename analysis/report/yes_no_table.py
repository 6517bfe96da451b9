"""Yes/no replies as POPE reports them: accuracy, precision, recall, F1, share of yes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.report.export import ColumnStyle, write_table
from analysis.scoring import yes_no_summary

#: Columns of the CSV file, with their meaning; docs/tables.md is written from it.
MEANINGS = {
    "yes_no": {
        "model": "name of the model",
        "question_type": "kind of question, or all",
        "k": "number of active experts",
        "n": "replies, over runs and repeats",
        "accuracy": "share of right replies",
        "precision": "of the replies yes, the share that is right; empty if none says yes",
        "recall": "of the questions whose answer is yes, the share answered yes",
        "f1": "harmonic mean of precision and recall",
        "yes_ratio": "share of replies that say yes",
        "unread": "replies without the word yes or no, which POPE's rule takes for yes",
    }
}


def write_yes_no(results: pd.DataFrame, samples: pd.DataFrame, folder: Path) -> list[Path]:
    """Write `yes_no` as CSV, Markdown and LaTeX, by model, kind of question and k.

    Parameters
    ----------
    results : DataFrame
        The results table; rows without a prediction, or for unknown samples, are left out.
    samples : DataFrame
        The samples table, each answer yes or no.
    folder : Path
        The run's `tables/` folder.

    Returns
    -------
    list of Path
        The files; none if no result has a prediction.
    """
    if "prediction" not in results.columns:
        return []
    place = pd.Index(samples["sample_id"]).get_indexer(pd.Index(results["sample_id"]))
    kept = (place >= 0) & results["prediction"].notna().to_numpy()
    if not kept.any():
        return []
    said, place = results.loc[kept].reset_index(drop=True), place[kept]
    answers = pd.Series(samples["answers"].to_numpy()[place], dtype=object)
    keys = pd.DataFrame({"model": said["model"], "question_type": "all", "k": said["k"]})
    parts = [yes_no_summary(said["prediction"], answers, keys)]
    if "question_type" in samples.columns:
        kinds = samples["question_type"].to_numpy(dtype=object)[place]
        typed = np.flatnonzero(~pd.isna(kinds))
        if len(typed) and len(set(kinds[typed])) > 1:
            by = keys.assign(question_type=kinds).iloc[typed]
            parts.append(yes_no_summary(said["prediction"].iloc[typed], answers.iloc[typed], by))
    frame = pd.concat(parts, ignore_index=True)
    models = {name: n for n, name in enumerate(pd.unique(said["model"]))}
    order = frame["model"].map(models)
    frame = frame.assign(order=order).sort_values("order", kind="stable").drop(columns="order")
    frame = frame.reset_index(drop=True)[list(MEANINGS["yes_no"])]
    return write_table(
        frame,
        folder / "yes_no",
        caption="Yes/no replies by k.",
        label="tab:yes-no",
        columns=[
            ColumnStyle("model", group=True),
            ColumnStyle("question_type", "questions", group=True),
            ColumnStyle("k", kind="count"),
            ColumnStyle("n", "replies", "count"),
            ColumnStyle("accuracy", kind="percent"),
            *(ColumnStyle(name, kind="percent") for name in ("precision", "recall")),
            ColumnStyle("f1", "F1", "percent"),
            ColumnStyle("yes_ratio", "yes", "percent"),
            ColumnStyle("unread", "neither word", "count"),
        ],
        notes=[
            "Replies are read by the rule of POPE (Li et al. 2023): no if the first sentence has "
            "the word no or not, else yes. All runs and repeats together."
        ],
    )
