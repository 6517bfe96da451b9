"""Logs as results frames: k and model added, samples matched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from analysis.frames import texts
from analysis.results import lm_eval, lmms_eval, vlmevalkit
from analysis.results.logs import ANSWER, Asked, Log, LogReader, Problem
from analysis.results.taken import place, require_file, take
from complexity.errors import SHOWN, InputError, did_you_mean, listing

if TYPE_CHECKING:
    from analysis.manifest_model import ResultsEntry

LOG_READERS: dict[str, LogReader] = {
    "lmms-eval": lmms_eval.read,
    "lm-eval": lm_eval.read,
    "vlmevalkit": vlmevalkit.read,
}
"""Format to the reader of one log."""

# Below this share of agreeing answers a log and the samples are not of the same questions.
_AGREE = 0.9


def read_log(path: Path, entry: ResultsEntry, where: str) -> Log:
    """Read a log of results and add k and model.

    Parameters
    ----------
    path : Path
        The log.
    entry : ResultsEntry
        Its format, where k and model come from, the metric.
    where : str
        The entry's place for messages; ``--`` for options of a command.

    Returns
    -------
    Log
        The frame has `sample_id`, `k`, `model`, `score` or `prediction` or both, and columns
        for comparisons.

    Raises
    ------
    InputError
        The log cannot be read at all, or does not have what is asked for. What lenient mode
        can leave out is among the log's problems.
    """
    require_file(path)
    wanted = tuple(v.column for v in (entry.k, entry.model) if v.column is not None)
    asked = Asked(
        key=entry.columns.get("sample_id"),
        metric=entry.metric,
        filter=entry.filter,
        percent=entry.percent,
        prediction=entry.columns.get("prediction"),
        fields=wanted,
    )
    log = LOG_READERS[entry.format](path, asked)
    frame = log.frame
    made = {
        name: take(frame, taken, name, path, where, log.metadata)
        for name, taken in (("k", entry.k), ("model", entry.model))
    }
    kept = [name for name in frame.columns if name not in wanted]
    return replace(log, frame=frame[kept].assign(**made))


@dataclass(frozen=True)
class Matched:
    """A frame whose `sample_id` are ours.

    Attributes
    ----------
    frame : DataFrame
        Rows that match nothing keep what the log calls them, with the field's name before it
        where they might be mistaken for one of our ids.
    problems : tuple of Problem
        The report: how many matched, what did not.
    """

    frame: pd.DataFrame
    problems: tuple[Problem, ...]


def match(
    frame: pd.DataFrame, samples: pd.DataFrame, entry: ResultsEntry, path: Path, where: str
) -> Matched:
    """Give a log's rows our sample ids.

    Parameters
    ----------
    frame : DataFrame
        From `read_log`.
    samples : DataFrame
        The samples table.
    entry : ResultsEntry
        `match` says which column of samples the log's ids are in, or `row`.
    path : Path
        The log.
    where : str
        The entry's place for messages.

    Returns
    -------
    Matched
        The frame and the report.

    Raises
    ------
    InputError
        Nothing matches; the answers that the log has are not those of the samples.
    """
    ids = _ours(samples, entry.match, path, where)
    at = ids.get_indexer(pd.Index(frame["sample_id"].astype(object)))
    known = at >= 0
    problems: list[Problem] = []
    file = str(path)
    if not known.any() and entry.match != "sample_id":
        raise InputError(
            f"{file}: none of its {len(frame):,} sample ids "
            f"({listing(map(repr, frame['sample_id']), shown=3)}) is in samples' {entry.match} "
            f"({listing(map(repr, ids), shown=3)}); is it a log of another split? Correct "
            f"{place(where, 'match')} or the samples"
        )
    _refuse_other_answers(frame, samples, at, path, where)
    if not known.any():
        return Matched(frame, ())  # refused where all results are compared with samples
    lacking = np.setdiff1d(np.arange(len(samples)), at[known])
    said = f"{int(known.sum()):,} of {len(samples):,} samples matched by {entry.match}"
    if len(lacking):
        named = listing(samples["sample_id"].iloc[i] for i in lacking[:SHOWN])
        more = f" and {len(lacking) - SHOWN:,} more" if len(lacking) > SHOWN else ""
        said += f"; not in the log: {named}{more}"
    problems.append(Problem(file, said, level="note"))
    names = frame["sample_id"].astype(object).to_numpy()
    if not known.all():
        strays = [str(names[i]) for i in np.flatnonzero(~known)]
        problems.append(
            Problem(
                file,
                f"{len(strays):,} rows are of no sample of the study: {listing(strays)}",
                "is it a log of another split, or of more data? Correct the samples, or import "
                "leniently, which leaves these rows for the join to report",
            )
        )
    own = samples["sample_id"].astype(object).to_numpy()
    prefix = "" if entry.match == "sample_id" else f"{entry.match} "
    new = [
        own[i] if ok else f"{prefix}{name}" for i, ok, name in zip(at, known, names, strict=True)
    ]
    return Matched(frame.assign(sample_id=texts(new, index=frame.index)), tuple(problems))


def _ours(samples: pd.DataFrame, by: str, path: Path, where: str) -> pd.Index:
    if by == "row" and "row" not in samples.columns:
        return pd.Index([str(i) for i in range(len(samples))], dtype=object)
    if by not in samples.columns:
        names = [str(name) for name in samples.columns]
        raise InputError(
            f"{place(where, 'match')}: the samples have no column '{by}'{did_you_mean(by, names)}; "
            f"they have {listing(names, shown=12)}, or say row for the place in the file"
        )
    values = samples[by]
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    spelled = pd.Index(values.astype("string").astype(object))
    twice = spelled[spelled.duplicated() & spelled.notna()]
    if len(twice):
        raise InputError(
            f"{place(where, 'match')}: samples' column '{by}' has {listing(map(repr, twice))} more "
            f"than once, so that {path.name} cannot be matched by it; name a unique one"
        )
    return cast(pd.Index, spelled)


def _refuse_other_answers(
    frame: pd.DataFrame, samples: pd.DataFrame, at: np.ndarray, path: Path, where: str
) -> None:
    """Refuse a log whose right answers are the samples' words, but at other samples.

    A place in a file matches any file that is as long. Targets that are spelled otherwise than
    our answers (a letter, a list) say nothing and are passed over.
    """
    target = frame[ANSWER].to_numpy()
    rows = np.flatnonzero((at >= 0) & pd.Series(target).notna().to_numpy())
    answers = samples["answers"].to_numpy()
    words = {_plain(text) for listed in answers for text in listed}
    rows = rows[[_plain(target[i]) in words for i in rows]] if len(rows) else rows
    if len(rows) < max(SHOWN, 0.5 * int((at >= 0).sum())):
        return
    right = [_plain(target[i]) in {_plain(text) for text in answers[at[i]]} for i in rows]
    if np.mean(right) >= _AGREE:
        return
    wrong = [rows[n] for n, ok in enumerate(right) if not ok]
    shown = listing(
        f"{samples['sample_id'].iloc[at[i]]} ({target[i]!r}, samples {answers[at[i]][0]!r})"
        for i in wrong
    )
    raise InputError(
        f"{path}: {len(wrong):,} of {len(rows):,} right answers in the log are not those of the "
        f"sample it is matched with: {shown}; it is of another split or order: correct "
        f"{place(where, 'match')}, or take the samples that were evaluated"
    )


def _plain(text: str) -> str:
    return text.strip().casefold()
