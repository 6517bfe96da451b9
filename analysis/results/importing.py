"""Logs of other tools as one table: `optik import`, and the same for notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import ValidationError

from analysis.frames import name_rows, texts
from analysis.manifest_model import LatencyEntry, ResultsEntry
from analysis.results import LATENCY_READERS, RESULT_READERS
from analysis.results.latency_logs import LATENCY_LOG_READERS, read_latency_log
from analysis.results.log_frames import LOG_READERS, match, read_log
from analysis.results.log_sets import LogSet
from analysis.results.logs import ANSWER, Problem, refuse
from analysis.schemas import LATENCY, RESULTS, TableSchema
from analysis.scoring import SCORERS
from analysis.scoring import score as score_by
from analysis.validation import check
from complexity.errors import InputError, did_you_mean, listing

if TYPE_CHECKING:
    from analysis.manifest import Study

FORMATS = (*LOG_READERS, *LATENCY_LOG_READERS, "table")


def _unbound(schema: TableSchema, *loose: str) -> TableSchema:
    """Return a schema in which some columns may be absent or have gaps."""
    columns = tuple(
        replace(c, needed=False, nullable=True) if c.name in loose else c for c in schema.columns
    )
    return replace(schema, columns=columns)


IMPORTED_RESULTS = _unbound(RESULTS, "dataset", "score")
"""Results before the join: the data set may be open, predictions may wait for their score."""
IMPORTED_LATENCY = _unbound(LATENCY, "dataset")
"""Latencies before the join: the data set may be open."""


class Imported(NamedTuple):
    """A table made of logs.

    Attributes
    ----------
    frame : DataFrame
        `IMPORTED_RESULTS` or `IMPORTED_LATENCY`.
    problems : tuple of Problem
        What was left out (level ``problem``; none in strict mode) and notes on what was taken
        and converted.
    """

    frame: pd.DataFrame
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Options:
    """How logs are read.

    Attributes
    ----------
    k, model, device : str or None
        The value itself, ``column:NAME``, ``file:REGEX`` with a group of that name (searched in
        the whole path if it has a slash), or ``metadata:KEY``. A column so named by default.
    dataset, run : str or None
        For all rows. Default: open, or the manifest's; the file's stem.
    metric, filter, percent, match, repeats
        As in a manifest's `results`.
    columns : mapping of str to str
        Our column names to the log's.
    scorer : str or None
        Score the predictions by this rule, whatever the log's metrics. Without a study the right
        answers are the log's own.
    """

    k: str | None = None
    model: str | None = None
    device: str | None = None
    dataset: str | None = None
    run: str | None = None
    metric: str | None = None
    filter: str | None = None
    percent: bool = False
    match: str | None = None
    repeats: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)
    scorer: str | None = None


def import_logs(
    format: str,
    paths: Sequence[str | Path],
    *,
    study: Study | None = None,
    lenient: bool = False,
    **options: Any,
) -> Imported:
    """Read logs of one format into one table.

    Parameters
    ----------
    format : str
        One of `FORMATS`.
    paths : sequence of path
        The logs, in order; several runs, models and k combine.
    study : Study, optional
        Its samples are matched, its name is the data set, its scorer scores predictions.
    lenient : bool
        Leave out what is wrong and say so, rather than refuse it.
    **options
        See `Options`.

    Returns
    -------
    Imported
        ``frame, problems``: results, or latencies for formats of serving benchmarks and tables
        with a device.

    Raises
    ------
    InputError
        The logs cannot be used; in strict mode also for every problem.
    """
    if format not in FORMATS:
        raise InputError(
            f"unknown format '{format}'{did_you_mean(format, FORMATS)}; known: {', '.join(FORMATS)}"
        )
    if not paths:
        raise InputError("no logs to import; name one or more files")
    unknown = [name for name in options if name not in Options.__dataclass_fields__]
    if unknown:
        raise InputError(f"unknown option '{unknown[0]}'{did_you_mean(unknown[0], FORMATS)}")
    chosen = Options(**options)
    files = [Path(path) for path in paths]
    if format in LATENCY_LOG_READERS or (format == "table" and chosen.device is not None):
        made = _latency(format, files, chosen, study)
    else:
        made = _results(format, files, chosen, study)
    if not lenient:
        refuse(made.problems)
    return made


def _results(format_: str, files: list[Path], chosen: Options, study: Study | None) -> Imported:
    if chosen.device is not None:
        raise InputError("--device is for latencies; results have none: leave it out")
    asked: dict[str, Any] = {"format": format_, "columns": dict(chosen.columns)}
    if format_ != "table":
        asked |= {
            "metric": "none" if chosen.scorer else chosen.metric,
            "filter": chosen.filter,
            "percent": chosen.percent,
            "repeats": chosen.repeats,
            **({} if chosen.match is None else {"match": chosen.match}),
        }
    else:
        _refuse_for_tables(chosen)
    entry = _entry(ResultsEntry, asked, chosen, ("k", "model"))
    samples = None
    if study is not None:
        from analysis.datasets import read_samples

        samples = read_samples(study)
    elif chosen.match is not None:
        raise InputError("--match needs the samples of a study: name it with --manifest")
    rule = chosen.scorer or (study.manifest.scorer if study is not None else None)
    problems: list[Problem] = []
    frames: list[pd.DataFrame] = []
    logs = LogSet()
    for path in files:
        if format_ == "table":
            frame = RESULT_READERS[format_](path, entry, "--")
        else:
            log = read_log(path, entry, "--")
            problems += log.problems
            frame = log.frame
            if samples is not None:
                matched = match(frame, samples, entry, path, "--")
                frame = matched.frame
                problems += [*matched.problems, *_strangers(frame, samples, path)]
            problems += logs.add(path, log, frame, entry.repeats)
            if entry.repeats:
                frame = frame.assign(repeat=logs.repeats(frame))
        frame = _filled(frame, path, chosen, study)
        schema = IMPORTED_RESULTS
        if "score" not in frame.columns:
            frame = _score(frame, path, rule, samples, problems)
        else:
            schema = _unbound(RESULTS, "dataset")  # where there are scores, every row has one
        frames.append(_checked(frame, schema, path, problems))
    if format_ != "table":
        problems += logs.incomplete()
    return _together(frames, IMPORTED_RESULTS, files, problems)


def _refuse_for_tables(chosen: Options) -> None:
    """Refuse what is for logs only: a table's columns are taken as they are."""
    instead = {
        "metric": "name the column: --column score=NAME",
        "filter": "keep the rows that are meant",
        "match": "name the column with the samples' ids: --column sample_id=NAME",
        "percent": "divide the column by 100",
        "repeats": "number true repeats in a column `repeat`",
    }
    for name, mend in instead.items():
        if getattr(chosen, name):
            raise InputError(f"--{name} is for logs of other tools, not for tables: {mend}")


def _strangers(frame: pd.DataFrame, samples: pd.DataFrame, path: Path) -> list[Problem]:
    """Return the problem of a log of which no row is of the study."""
    if frame["sample_id"].isin(samples["sample_id"]).any():
        return []
    return [
        Problem(
            str(path),
            f"none of its {len(frame):,} sample ids ({listing(map(repr, frame['sample_id']))}) is "
            f"in samples ({listing(map(repr, samples['sample_id']))})",
            "say where the log's ids are among the samples' columns, or that they are places: "
            "--match COLUMN or --match row; or import leniently, which leaves them to the join",
        )
    ]


def _latency(format_: str, files: list[Path], chosen: Options, study: Study | None) -> Imported:
    for name in ("metric", "filter", "match", "scorer"):
        if getattr(chosen, name) is not None:
            raise InputError(f"--{name} is for results; latencies have none: leave it out")
    asked = {"format": format_, "columns": dict(chosen.columns)}
    entry = _entry(LatencyEntry, asked, chosen, ("k", "model", "device"))
    problems: list[Problem] = []
    frames: list[pd.DataFrame] = []
    for path in files:
        if format_ == "table":
            frame, _ = LATENCY_READERS[format_](path, entry, "--")
        else:
            log = read_latency_log(path, entry, "--")
            frame = log.frame
            problems += log.problems
        frame = _filled(frame, path, chosen, study)
        for column in LATENCY.columns:
            if column.name not in frame.columns and column.nullable:
                gaps = [None] * len(frame)
                frame[column.name] = (
                    texts(gaps, index=frame.index) if column.kind == "text" else np.nan
                )
        frames.append(_checked(frame, IMPORTED_LATENCY, path, problems))
    return _together(frames, IMPORTED_LATENCY, files, problems)


def _entry(kind: type[Any], asked: dict[str, Any], chosen: Options, taken: tuple[str, ...]) -> Any:
    for name in taken:
        said = getattr(chosen, name)
        if said is not None:
            asked[name] = _taken(name, said)
    try:
        return kind.model_validate({"path": "-", **asked})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"--{place}: {first['msg']}".replace("--:", "options:")) from None


def _taken(name: str, said: str) -> dict[str, Any]:
    how, colon, rest = str(said).partition(":")
    if colon and how in ("column", "file", "metadata"):
        return {"file_name" if how == "file" else how: rest}
    if name != "k":
        return {"value": said}
    if not str(said).isdecimal():
        raise InputError(
            f"--k {said}: a whole number is expected, or where it is to be found: "
            "'file:k(?P<k>[0-9]+)', column:NAME or metadata:KEY"
        )
    return {"value": int(said)}


def _filled(frame: pd.DataFrame, path: Path, chosen: Options, study: Study | None) -> pd.DataFrame:
    frame = frame.copy()
    stem = path.name.removesuffix(".gz").rsplit(".", 1)[0]
    dataset = chosen.dataset or (study.name if study is not None else None)
    if chosen.run is not None or "run" not in frame.columns:
        frame["run"] = texts([chosen.run or stem] * len(frame), index=frame.index)
    if "repeat" not in frame.columns:
        frame["repeat"] = 0
    if chosen.dataset is not None or "dataset" not in frame.columns:
        frame["dataset"] = texts([dataset] * len(frame), index=frame.index)
    return frame


def _score(
    frame: pd.DataFrame,
    path: Path,
    rule: str | None,
    samples: pd.DataFrame | None,
    problems: list[Problem],
) -> pd.DataFrame:
    """Score predictions; without a rule they wait for the study's."""
    file = str(path)
    if "prediction" not in frame.columns:
        raise InputError(f"{file}: neither a score nor a prediction; name one: --metric NAME")
    if rule is None:
        said = "predictions without scores: the join scores them by the manifest's rule"
        problems.append(Problem(file, said, level="note"))
        return frame
    if rule not in SCORERS:
        raise InputError(
            f"--scorer {rule}: unknown{did_you_mean(rule, SCORERS)}; known: {', '.join(SCORERS)}"
        )
    options = None
    if samples is not None:
        at = pd.Index(samples["sample_id"]).get_indexer(pd.Index(frame["sample_id"]))
        frame, at = frame[at >= 0], at[at >= 0]
        answers = pd.Series(samples["answers"].to_numpy()[at], dtype=object)
        if "options" in samples.columns:
            options = pd.Series(samples["options"].to_numpy()[at], dtype=object)
        whose = "the samples' answers"
    else:
        own = frame[ANSWER] if ANSWER in frame.columns else pd.Series(dtype=object)
        if not len(own) or own.isna().any():
            raise InputError(
                f"{file}: no right answers in it to score predictions by; name the study: "
                "--manifest"
            )
        answers = pd.Series([[text] for text in own], dtype=object)
        whose = "the log's own right answers"
    try:
        scored = score_by(rule, frame["prediction"].reset_index(drop=True), answers, options)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    notes = (f"predictions were scored by the rule '{rule}' against {whose}", *scored.notes)
    problems.extend(Problem(file, note, level="note") for note in notes)
    return frame.assign(score=scored.scores, scorer=texts([rule] * len(frame), index=frame.index))


def _checked(
    frame: pd.DataFrame, schema: TableSchema, path: Path, problems: list[Problem]
) -> pd.DataFrame:
    if frame.empty:
        raise InputError(f"{path}: no rows in it; give one row per measurement")
    numbers, name = frame.index.to_numpy(), name_rows(path)
    return check(frame, schema, str(path), row=lambda i: name(int(numbers[i])))


def _together(
    frames: list[pd.DataFrame], schema: TableSchema, files: list[Path], problems: list[Problem]
) -> Imported:
    whole = pd.concat(frames, ignore_index=True)
    keys = [name for name in schema.key if name in whole.columns]
    again = whole.duplicated(keys).to_numpy()
    if again.any():
        problems.append(
            Problem(
                ", ".join(sorted({str(path) for path in files})),
                f"{int(again.sum()):,} measurements are there more than once",
                f"{schema.repeated}, or import leniently, which keeps the first",
            )
        )
        whole = whole[~again].reset_index(drop=True)
    order = [name for name in schema.names if name in whole.columns]
    return Imported(whole[order], tuple(problems))
