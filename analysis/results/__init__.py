"""Per-k results and latencies: one reader per log format, all giving the same tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.frames import name_rows, texts
from analysis.join_unknown import refuse_unknown_file
from analysis.results import latency as latency_table
from analysis.results import table
from analysis.results.latency_logs import LATENCY_LOG_READERS, read_latency_log
from analysis.results.log_frames import LOG_READERS, match, read_log
from analysis.results.log_sets import LogSet
from analysis.results.logs import Problem, refuse
from analysis.schemas import LATENCY, RESULTS, TableSchema
from analysis.scoring import score as score_by
from analysis.validation import RowNamer, as_text, check, convert, repeated_keys
from complexity.errors import InputError, listing

if TYPE_CHECKING:
    from analysis.manifest import AnyStudy, LatencyStudy, Study
    from analysis.manifest_model import Entry, LatencyEntry, ResultsEntry

RESULT_READERS: dict[str, Callable[[Path, ResultsEntry, str], pd.DataFrame]] = {
    "table": table.read,
    **{name: lambda path, entry, where: read_log(path, entry, where).frame for name in LOG_READERS},
}
"""Format of a manifest's `results` to its reader.

A reader gets a file, the manifest's entry and the entry's place for messages. It returns our
columns, unchecked, rows in file order and the index the row's place in the file. `dataset`,
`run` and `repeat` may be left out.
"""
LATENCY_READERS: dict[
    str, Callable[[Path, LatencyEntry, str], tuple[pd.DataFrame, dict[str, int]]]
] = {
    "table": latency_table.read,
    **{
        name: lambda path, entry, where: (read_latency_log(path, entry, where).frame, {})
        for name in LATENCY_LOG_READERS
    },
}
"""The same for `latency`; a reader also counts the rows of each phase it left out."""


#: What is unique where the same request is timed at several sizes and in several ways.
_OF_CELLS = replace(LATENCY, key=(*LATENCY.key, "n_image_tokens", "decode_mode"))


def read_results(
    study: Study, samples: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read a study's per-k results.

    Parameters
    ----------
    study : Study
        Its manifest's `results` says where and how.
    samples : DataFrame, optional
        From `read_samples`; read if needed. Used to score predictions, and to refuse a file
        that has none of their ids.

    Returns
    -------
    results : DataFrame
        The results table (`analysis.tables.RESULTS`), entries and files in order. `dataset` is
        the study's where absent, `run` the file's stem, `repeat` 0. Where there is no score
        the manifest's scorer gives it; that of a prediction for an unknown sample is missing.
    notes : tuple of str
        What a reader should know: rows left out, scores given by a rule.

    Raises
    ------
    InputError
        No results in the manifest; files missing or not what they should be; a file without
        any known sample; a result given twice. First five offending rows.
    """
    if not study.manifest.results:
        raise InputError(
            f"{study.shown}: no per-k results yet; add `results:` with `path`, and with `k`, "
            f"`model` and `columns` where the file has other names than {', '.join(RESULTS.names)}"
        )
    frames: list[pd.DataFrame] = []
    rows: list[RowNamer] = []
    files: list[Path] = []
    notes: list[str] = []
    logs = LogSet()
    for number, entry in enumerate(study.manifest.results):
        place = ("results", number)
        for path in study.files(entry.path, *place, "path"):
            where = study.at(*place)
            if entry.format in LOG_READERS:
                if samples is None:
                    from analysis.datasets import read_samples

                    samples = read_samples(study)
                frame = _matched_log(path, entry, where, study, samples, logs, notes)
            else:
                frame = RESULT_READERS[entry.format](path, entry, where)
            frame = _defaults(frame, study, path, notes)
            unscored = np.zeros(len(frame), dtype=bool)
            if "score" not in frame.columns and "sample_id" in frame.columns:
                if "prediction" not in frame.columns:
                    raise InputError(
                        f"{path}: neither a score nor a prediction; name the column in {where}, "
                        f"such as columns: {{score: correct}}"
                    )
                if samples is None:
                    from analysis.datasets import read_samples

                    samples = read_samples(study)
                frame, unscored = _scored(frame, study, samples, path, notes)
            theirs = _theirs(entry)
            rows.append(_rows_of(frame, path))
            frame = check(frame, RESULTS, str(path), row=rows[-1], theirs=theirs)
            frame["score"] = frame["score"].mask(unscored)
            if samples is not None:
                refuse_unknown_file(frame, samples["sample_id"], str(path))
            frames.append(frame)
            files.append(path)
    return _together(frames, files, rows, RESULTS), tuple(notes)


def read_latency(study: Study | LatencyStudy) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read a study's latencies.

    Parameters
    ----------
    study : Study or LatencyStudy
        Its manifest's `latency` says where and how. In a study of latency alone rows that
        differ in `n_image_tokens` or `decode_mode` only are different measurements.

    Returns
    -------
    latency : DataFrame
        The latency table (`analysis.tables.LATENCY`) with all its columns, in wide form: one
        row per request, a column per phase. What a file does not have is missing, but `batch`
        1, `repeat` and `request` 0, `order` the row's place in the file.
    notes : tuple of str
        What a reader should know: phases and rows left out.

    Raises
    ------
    InputError
        No latency in the manifest; files missing or not what they should be; a measurement
        given twice. First five offending rows.
    """
    if not study.manifest.latency:
        raise InputError(
            f"{study.shown}: no latencies yet; add `latency:` with `path`, `device`, `model`, `k`"
        )
    from analysis.manifest_latency import LatencyManifest

    schema = _OF_CELLS if isinstance(study.manifest, LatencyManifest) else LATENCY
    frames: list[pd.DataFrame] = []
    rows: list[RowNamer] = []
    files: list[Path] = []
    notes: list[str] = []
    for number, entry in enumerate(study.manifest.latency):
        place = ("latency", number)
        for path in study.files(entry.path, *place, "path"):
            if entry.format in LATENCY_LOG_READERS:
                log = read_latency_log(path, entry, study.at(*place))
                frame = log.frame
                left: dict[str, int] = {}
                _strict(log.problems, study, path, notes)
            else:
                frame, left = LATENCY_READERS[entry.format](path, entry, study.at(*place))
            if left:
                phases = [f"{phase} ({rows:,} rows)" for phase, rows in left.items()]
                notes.append(
                    f"{study.label(path)}: phases that the manifest does not map were left out: "
                    + listing(phases, shown=len(phases))
                )
            frame = _defaults(frame, study, path, notes)
            missing = [c for c in LATENCY.columns if c.name not in frame.columns and c.nullable]
            for column in missing:
                gaps = [None] * len(frame)
                frame[column.name] = (
                    texts(gaps, index=frame.index) if column.kind == "text" else np.nan
                )
            theirs = _theirs(entry)
            rows.append(_rows_of(frame, path))
            frame = check(frame, schema, str(path), row=rows[-1], theirs=theirs)
            frames.append(frame)
            files.append(path)
    return _together(frames, files, rows, schema), tuple(notes)


def _matched_log(
    path: Path,
    entry: ResultsEntry,
    where: str,
    study: Study,
    samples: pd.DataFrame,
    logs: LogSet,
    notes: list[str],
) -> pd.DataFrame:
    """Read a log, strictly; rows of unknown samples are left for the join to count."""
    log = read_log(path, entry, where)
    _strict(log.problems, study, path, notes)
    matched = match(log.frame, samples, entry, path, where)
    frame = matched.frame
    _strict(logs.add(path, log, frame, entry.repeats), study, path, notes)
    notes.extend(f"{study.label(path)}: {item.what}" for item in matched.problems)
    if entry.repeats:
        frame = frame.assign(repeat=logs.repeats(frame))
    return frame


def _strict(
    problems: Sequence[Problem], study: AnyStudy[Any], path: Path, notes: list[str]
) -> None:
    refuse(problems)
    notes.extend(f"{study.label(path)}: {item.what}" for item in problems)


def _theirs(entry: Entry) -> dict[str, str]:
    taken = {name: getattr(entry, name, None) for name in ("k", "model", "device")}
    named = {name: value.column for name, value in taken.items() if value and value.column}
    return named | entry.columns


def _rows_of(frame: pd.DataFrame, path: Path) -> RowNamer:
    numbers, name = frame.index.to_numpy(), name_rows(path)
    return lambda position: name(int(numbers[position]))


def _defaults(
    frame: pd.DataFrame, study: AnyStudy[Any], path: Path, notes: list[str]
) -> pd.DataFrame:
    """Fill in data set, run and repeat, and set rows of other data sets aside."""
    frame = frame.copy()
    if frame.empty:
        raise InputError(f"{path}: no rows in it; give one row per measurement")
    if "run" not in frame.columns:
        frame["run"] = texts([_stem(path)] * len(frame), index=frame.index)
    if "repeat" not in frame.columns:
        frame["repeat"] = 0
    if "dataset" not in frame.columns:
        frame["dataset"] = texts([study.name] * len(frame), index=frame.index)
        return frame
    frame["dataset"] = frame["dataset"].fillna(study.name).replace("", study.name)
    own = (frame["dataset"] == study.name).to_numpy()
    if own.all():
        return frame
    others = frame.loc[~own, "dataset"].value_counts()
    said = listing(f"{name} ({count:,} rows)" for name, count in others.items())
    if not own.any():
        raise InputError(
            f"{path}: all rows are of another data set than '{study.name}': {said}; correct the "
            f"manifest's name, or name the column of the data set in columns: {{dataset: …}}"
        )
    notes.append(f"{study.label(path)}: rows of other data sets were left out: {said}")
    return frame.loc[own]


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rsplit(".", 1)[0]


def _scored(
    frame: pd.DataFrame, study: Study, samples: pd.DataFrame, path: Path, notes: list[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Score predictions; rows of unknown samples are marked."""
    row = _rows_of(frame, path)
    column = next(c for c in RESULTS.columns if c.name == "prediction")
    try:
        given = convert(frame["prediction"], column, "column of the prediction", row)
        asked = as_text(frame["sample_id"], "column of the sample_id", row=row)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    empty = np.flatnonzero(given.isna().to_numpy())
    if len(empty):
        raise InputError(
            f"{path}: no prediction in {listing(row(int(i)) for i in empty)}; leave out what was "
            f"not asked, and give an empty text where the model answered nothing"
        )
    rule = study.manifest.scorer
    position = pd.Index(samples["sample_id"]).get_indexer(pd.Index(asked))
    known = position >= 0
    answers = pd.Series(samples["answers"].to_numpy()[position[known]], dtype=object)
    none = np.flatnonzero((answers.str.len() == 0).to_numpy(dtype=bool))
    if len(none):
        raise InputError(
            f"{path}: no answer to score the predictions for samples "
            f"{listing(asked[known].iloc[none].unique())} by; give answers, or a column of scores"
        )
    score = np.zeros(len(frame))
    options = None
    if "options" in samples.columns:
        options = pd.Series(samples["options"].to_numpy()[position[known]], dtype=object)
    try:
        scored = score_by(rule, given[known], answers, options)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    score[known] = scored.scores
    frame = frame.assign(score=score, scorer=texts([rule] * len(frame), index=frame.index))
    notes.append(f"{study.label(path)}: predictions were scored by the rule '{rule}'")
    notes.extend(f"{study.label(path)}: {note}" for note in scored.notes)
    return frame, ~known


def _together(
    frames: Sequence[pd.DataFrame],
    files: Sequence[Path],
    rows: Sequence[RowNamer],
    schema: TableSchema,
) -> pd.DataFrame:
    """Put the files' rows below each other; no key may be in two of them."""
    if len(frames) == 1:
        return frames[0]
    whole = pd.concat(frames, ignore_index=True)
    starts = np.cumsum([0, *(len(frame) for frame in frames)])

    def row(position: int) -> str:
        file = int(np.searchsorted(starts, position, side="right")) - 1
        return f"{files[file]} {rows[file](position - int(starts[file]))}"

    again = repeated_keys(whole[[name for name in schema.key if name in whole]], row)
    if again:
        raise InputError(f"{schema.name}: {again}; {schema.repeated}")
    order = [name for name in schema.names if name in whole.columns]
    return whole[order]
