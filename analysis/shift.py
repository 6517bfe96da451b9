"""The shift test on any table, whether it came from a run or not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.frames import read_frame
from analysis.numerals import interval, k_list, number, p_value, percent
from analysis.optimum import ShiftAnswer, analyse
from analysis.optimum.answers import Answers, unanswered_of
from analysis.optimum.cautions import SHORT
from analysis.optimum.optimum_at import OptimumAt
from analysis.optimum.usable import check_complexity, complexity_columns, no_such_metric
from complexity.buckets import cut
from complexity.errors import InputError, did_you_mean, listing
from complexity.files import plain

#: Beyond it k is a slip of the pen: the largest published mixtures have about a million experts.
LARGEST_K = 2**31 - 1
NEEDED = ("model", "image_id", "sample_id", "k", "score")
#: Rows from which on the test takes a gigabyte or so.
LARGE = 1_000_000


def shift_of_table(
    table: pd.DataFrame,
    metric: str,
    *,
    covariates: Sequence[str] = (),
    n_buckets: int = 3,
    mixed_model: bool = True,
    seed: int = 20261123,
) -> Answers:
    """Test, model by model, whether the optimal k shifts with complexity.

    Parameters
    ----------
    table : DataFrame
        One row per model × sample × k: `model`, `image_id`, `sample_id`, `k` (at least 1),
        `score` (in [0, 1]), the metric and the covariates.
    metric : str
        Column with the complexity of the row's image; one value per image.
    covariates : sequence of str
        Columns that the regressions adjust for.
    n_buckets : int
        Quantile buckets, cut over images; the first and the last are the ends compared.
    mixed_model : bool
        Fit mixed logits too, a second opinion.
    seed : int
        Seed of bootstrap and Monte Carlo.

    Returns
    -------
    Answers
        One per model; its `unanswered` names the models without an answer and why.

    Raises
    ------
    InputError
        When columns are missing or values impossible; see `analysis.optimum.analyse` too.
    """
    rows = checked(table, metric, covariates)
    by_image = rows.drop_duplicates("image_id").set_index("image_id")[metric]
    check_complexity(by_image, metric)
    buckets = cut(by_image, metric=metric, n=n_buckets)
    labels = pd.Series(buckets.assign(by_image), index=by_image.index)
    found = analyse(rows, metric, labels, covariates=covariates, mixed_model=mixed_model, seed=seed)
    return Answers(
        (replace(one, warnings=(*buckets.notes, *one.warnings)) for one in found),
        found.unanswered,
    )


def read_table(
    path: Path,
    metric: str,
    covariates: Sequence[str] = (),
    samples: Path | None = None,
    text: Collection[str] = (),
) -> pd.DataFrame:
    """Read of a table what the test needs, which spares memory, and the rest from the samples.

    Parameters
    ----------
    path : Path
        The table, as for `shift_of_table`.
    metric, covariates
        As for `shift_of_table`.
    samples : Path or None
        Where columns that the table lacks are taken from (`with_samples`).
    text : collection of str
        As `analysis.frames.read_frame` has it.

    Returns
    -------
    DataFrame
        All columns of the table where some that are needed are not there, for the message.

    Raises
    ------
    InputError
        Files that cannot be read; no such metric; see `with_samples` too.
    """
    wanted = [metric, *covariates]
    rows = read_frame(path, columns=[*NEEDED, *wanted], text=text)
    lacking = {*NEEDED, *(wanted if samples is None else ())}.difference(rows.columns)
    if lacking:
        rows = read_frame(path, text=text)
    if samples is not None:
        return with_samples(rows, read_frame(samples, text=text), wanted)
    if lacking == {metric}:
        said = no_such_metric(rows, metric, (*NEEDED, *covariates))
        raise InputError(f"{said} To take it from the study's samples: --samples FILE.")
    return rows


def size_hint(table: pd.DataFrame) -> str:
    """Say what a large table costs and how it can stay narrow; empty for others."""
    if len(table) < LARGE:
        return ""
    return (
        f"{len(table):,} rows: this takes about {0.9e-6 * len(table):.1f} GB of memory and some "
        "time. For another complexity the table need not grow by a column: --samples FILE takes "
        "it from the samples (docs/shapes_large.md)."
    )


def with_samples(table: pd.DataFrame, samples: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Take columns that a table lacks from the samples, by `sample_id`.

    So a factor of a study's design, or any number that samples have of their image, serves as
    complexity, though the manifest names it nowhere.

    Parameters
    ----------
    table : DataFrame
        As for `shift_of_table`; rows and their order stay.
    samples : DataFrame
        One row per `sample_id`, ids compared as text.
    names : sequence of str
        Columns wanted; those that the table has are the table's.

    Returns
    -------
    DataFrame
        The table with the columns; they are missing where a row's sample is not in `samples`.

    Raises
    ------
    InputError
        When `sample_id` is not there or occurs twice in the samples, they lack a column too, or
        none of them is in the table.
    """
    wanted = list(dict.fromkeys(name for name in names if name not in table.columns))
    for frame, where in ((table, "the table"), (samples, "the samples")):
        if "sample_id" not in frame.columns:
            raise InputError(
                f"{where} {'has' if frame is table else 'have'} no column 'sample_id', by which "
                f"columns are taken from the samples; there are {listing(list(frame.columns))}."
            )
    for name in wanted:
        if name not in samples.columns:
            columns = [str(column) for column in samples.columns]
            raise InputError(
                f"neither the table nor the samples have a column '{name}'"
                f"{did_you_mean(name, columns)}; the samples have {listing(columns, shown=12)}."
            )
    ids = pd.Index(samples["sample_id"].astype(str))
    if ids.has_duplicates:
        raise InputError(
            f"the samples name one sample_id twice ({listing(ids[ids.duplicated()])}); give each "
            "one row."
        )
    place = ids.get_indexer(pd.Index(table["sample_id"].astype(str)))
    if len(table) and (place < 0).all():
        raise InputError(
            f"no sample_id of the table is in the samples (table: "
            f"{listing(table['sample_id'].unique())}; samples: {listing(ids)})."
        )
    found = samples[wanted].reset_index(drop=True).reindex(place)
    return table.assign(**{name: found[name].to_numpy() for name in wanted})


def checked(table: pd.DataFrame, metric: str, covariates: Sequence[str] = ()) -> pd.DataFrame:
    """Refuse a table that cannot be meant, and give its rows with ids as text and whole k.

    Parameters
    ----------
    table, metric, covariates
        As for `shift_of_table`.

    Returns
    -------
    DataFrame
        The same rows, counted from 0.

    Raises
    ------
    InputError
        When columns are missing or values impossible.
    """
    columns = [str(name) for name in table.columns]
    for name in (*NEEDED, *covariates):
        if name not in columns:
            raise InputError(
                f"the table has no column '{name}'{did_you_mean(name, columns)}. It needs "
                f"{', '.join(NEEDED)}, the metric and the covariates; it has {listing(columns)}."
            )
    if metric not in columns:
        raise InputError(no_such_metric(table, metric, (*NEEDED, *covariates)))
    if not len(table):
        raise InputError(
            "the table has no rows: it needs one row per model, sample and k with its score."
        )
    rows = table.reset_index(drop=True)
    for name in ("score", "k", metric):
        if not pd.api.types.is_numeric_dtype(rows[name]):
            more = f" {_candidates(rows, covariates)}" if name == metric else ""
            raise InputError(f"column '{name}' holds text; it must be numbers.{more}")
    for name in ("model", "image_id", "sample_id"):
        _refuse(rows, rows[name].isna(), name, "is empty; fill it in or leave the row out")
    _refuse(rows, rows[metric].astype(float).abs() == np.inf, metric, "must be finite, or empty")
    _refuse(rows, (rows["score"] < 0) | (rows["score"] > 1), "score", "must lie in [0, 1]")
    _refuse(rows, rows["k"].isna() | (rows["k"] < 1) | (rows["k"] % 1 != 0), "k", "must be 1, 2, …")
    _refuse(rows, rows["k"] > LARGEST_K, "k", "counts experts: it cannot be that large")
    twice = rows.duplicated(["model", "sample_id", "k"], keep=False)
    _refuse(rows, twice, "sample_id", "occurs twice for one model and k; average repeats first")
    per_image = rows.groupby("image_id", observed=True)[metric].nunique()
    if (per_image > 1).any():
        raise InputError(
            f"'{metric}' differs between rows of one image "
            f"({listing(per_image.index[per_image > 1])}); complexity is a property of the image."
        )
    return rows.astype({"model": str, "image_id": str, "sample_id": str, "k": int})


def _candidates(rows: pd.DataFrame, covariates: Sequence[str]) -> str:
    could = complexity_columns(rows, (*NEEDED, *covariates))
    if not could:
        return "No column could be a complexity (numbers, one value per image)."
    return f"Columns that could be a complexity: {', '.join(could)}."


def shift_text(answers: Sequence[ShiftAnswer]) -> str:
    """Spell answers for a terminal."""
    lines: list[str] = []
    for answer in answers:
        common, test = answer.common, answer.interaction
        other, single = answer.interaction_probability, answer.single
        lines.append(f"{answer.model} by {answer.metric}")
        lines.append(
            f"  {answer.n_samples:,} samples of {answer.n_images:,} images, "
            f"k = {k_list(answer.ks, 'and')}"
        )
        lines.append(
            f"  one k at both ends ({answer.ends[0]}, {answer.ends[-1]}): {p_value(common.p)}; "
            + (f"k = {k_list(common.kept)} not rejected" if common.kept else "every k rejected")
        )
        lines.append(
            f"  one k for all: k = {single.k} costs at most {100 * single.limit:.1f} points at "
            f"either end (estimated {100 * single.cost:.1f}; upper 95 % limit)"
        )
        if test.p is None or test.statistic is None or not test.df:
            lines.append(f"  interaction: {test.method}")
        else:
            lines.append(
                f"  interaction: F({test.df:g}, {test.df_denom:g}) = "
                f"{test.statistic / test.df:.2f}, {p_value(test.p)} on the logit scale"
                + ("" if other.p is None else f"; {p_value(other.p)} on the probability scale")
            )
        for item in (*answer.optimum, answer.overall):
            lines.append(
                f"  best k, {item.bucket}: {item.k} ({percent(item.share, 0)} of bootstrap "
                f"resamples; not rejected: {k_list(item.set, 'and')})"
            )
        lines += [_quadratic_line(answer), _spline_line(answer)]
        if answer.rung is not None:
            lines += [f"  {line}" for line in answer.rung.lines()]
            lines += [f"  note: {warning}" for warning in answer.rung.warnings]
        lines += [f"  note: {warning}" for warning in answer.warnings]
        lines.append("")
    lines += [f"{model}: no answer. {why}" for model, why in unanswered_of(answers).items()]
    lines.append("p-values are not adjusted for the number of models.")
    lines.append(SHORT)
    return "\n".join(lines)


def _quadratic_line(answer: ShiftAnswer) -> str:
    head = "  quadratic, top at −1, 0, +1 SD: "
    if not answer.quadratic_shown or answer.quadratic is None:
        return f"{head}not given (see the note on the size of shift)"
    return f"{head}k = {_tops(answer.quadratic.optima)}"


def _spline_line(answer: ShiftAnswer) -> str:
    head = "  spline, top at −1, 0, +1 SD: "
    if answer.spline.reason is not None:
        return f"{head}not given: {answer.spline.reason}"
    return f"{head}k = {_tops(answer.spline.optima)}; descriptive"


def _tops(optima: Sequence[OptimumAt]) -> str:
    tops = (
        f"{number(item.k, 1)} {interval(item.bootstrap_low, item.bootstrap_high, 1)}"
        for item in optima
    )
    return f"{', '.join(tops)} (95 %, one-step bootstrap of images)"


def _spelled(value: object) -> object:
    if isinstance(value, float | np.floating) and not np.isfinite(value):
        return "infinite" if np.isinf(value) else "empty"
    return "empty" if value is None else plain(value)


def _refuse(rows: pd.DataFrame, bad: pd.Series, name: str, what: str) -> None:
    if bad.any():
        where = [f"row {i + 1}: {_spelled(rows.loc[i, name])}" for i in rows.index[bad]]
        raise InputError(f"column '{name}' {what}: {listing(where)}.")
