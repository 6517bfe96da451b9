"""Samples, complexity, buckets, results and latency joined by their keys, nothing lost unsaid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.frames import read_as, texts
from analysis.join_latency import cell_latency, own_rows
from analysis.join_report import JoinReport, Unmatched, counted
from analysis.join_unknown import refuse_unknown, spelling
from analysis.schemas import ANALYSIS, COMPLEXITY
from analysis.validation import check
from complexity.errors import SHOWN, InputError, listing
from complexity.rows import SOURCE


@dataclass(frozen=True)
class Joined:
    """The analysis table and what did not match.

    Attributes
    ----------
    table : DataFrame
        See `analysis.tables.ANALYSIS`; sorted by model (as first seen in the results), sample
        (as in samples) and k.
    report : JoinReport
        Counts and examples.
    """

    table: pd.DataFrame
    report: JoinReport


def join(
    study_name: str,
    samples: pd.DataFrame,
    complexity: pd.DataFrame,
    buckets_label: pd.Series | None,
    results: pd.DataFrame,
    latency: pd.DataFrame | None = None,
    latency_choice: tuple[str, str] | None = None,
    covariates: Sequence[str] = (),
) -> Joined:
    """Join everything by its keys, compared exactly.

    Parameters
    ----------
    study_name : str
        The data set; rows of results and latency of another one are set aside.
    samples, complexity, results : DataFrame
        The tables of `analysis.tables`.
    buckets_label : Series, optional
        Bucket by image id; missing where the image has none. With ordered categories each of
        them must get results.
    latency : DataFrame, optional
        The latency table.
    latency_choice : (device, phase), optional
        Which latencies enter `latency_ms`: their mean by model, sample and k. The phase is a
        column such as ``prefill_ms``.
    covariates : sequence of str
        Columns of samples to carry along, beside `question_type`.

    Returns
    -------
    Joined
        The table with columns `dataset`, `model`, `sample_id`, `image_id`, `k`, `bucket`,
        `score` (mean over runs and repeats), `n_runs`, `latency_ms`, the covariates, then one
        per metric; and the report. Samples without an image or with an unreadable one stay in
        the table, without bucket and complexity. A model with one k only, or without a result
        in some bucket, is set aside with a note.

    Raises
    ------
    InputError
        All results, or all of one model at one k, are for unknown samples; a bucket gets none;
        every model has one k only; nothing has a complexity; a covariate or the chosen latency
        is not there.
    """
    about = f"study '{study_name}'"
    images = _images(samples, complexity)
    metrics = [name for name in complexity.columns if name not in COMPLEXITY.names]
    carried = _carried(samples, covariates, metrics, about)

    ids = pd.Index(samples["sample_id"])
    cells, strays = _matched(study_name, samples, results, about)
    stray = np.asarray(pd.unique(strays))
    labels = _labels(buckets_label, samples["image_id"])
    notes = _set_aside(cells, labels, buckets_label, about)
    kept = np.isin(cells.model, [i for i, name in enumerate(cells.models) if name not in notes])
    model, sample, k = cells.model[kept], cells.sample[kept], cells.k[kept]

    has_values = complexity[metrics].notna().any(axis=1).to_numpy()[images.place]
    if metrics and not (has_values & images.found)[sample].any():
        raise InputError(
            f"{about}: no sample with results has an image with a complexity; "
            f"{_no_images(samples, complexity, images)}"
        )
    latency_ms, latency_report, latency_notes = cell_latency(
        *(latency, latency_choice, study_name, ids, cells.models, model, sample, k, about)
    )
    row = {
        "dataset": texts([study_name] * len(sample)),
        "model": texts(np.array(cells.models, dtype=object)[model]),
        "sample_id": samples["sample_id"].iloc[sample],
        "image_id": samples["image_id"].iloc[sample],
        "k": k,
        "bucket": texts(labels[sample]),
        "score": cells.score[kept],
        "n_runs": cells.n[kept],
        "latency_ms": latency_ms,
        **{name: samples[name].iloc[sample] for name in carried},
    }
    at = images.place[sample]
    for name in metrics:
        values = complexity[name].to_numpy(dtype="float64", na_value=np.nan)[at]
        row[name] = np.where(images.found[sample], values, np.nan)
    table = pd.DataFrame(
        {n: v.reset_index(drop=True) if isinstance(v, pd.Series) else v for n, v in row.items()}
    )
    used = np.unique(sample)
    report = JoinReport(
        rows=len(table),
        models=tuple(cells.models[i] for i in np.unique(model)),
        k_grid={name: cells.grid(i) for i, name in enumerate(cells.models)},
        samples=len(used),
        images=samples["image_id"].iloc[used].nunique(),
        samples_without_results=Unmatched.among(
            ids[np.setdiff1d(np.arange(len(ids)), cells.sample)], len(ids)
        ),
        results_without_samples=Unmatched.among(stray, len(stray) + len(np.unique(cells.sample))),
        images_missing=Unmatched.among(
            (f"{ids[i]} ({samples['image_id'].iloc[i]})" for i in np.flatnonzero(~images.found)),
            len(ids),
        ),
        **_image_reports(samples, complexity, metrics),
        incomplete=_incomplete(cells, ids),
        **latency_report,
        unknown_rows=len(strays),
        unknown_spelling=spelling(stray, ids) if len(stray) else "",
        complete_samples=_complete(cells),
        sampled=len(np.unique(cells.sample)),
        remarks=(*notes.values(), *latency_notes),
    )
    return Joined(check(table, ANALYSIS, f"{about}: the joined table"), report)


def check_results(study_name: str, samples: pd.DataFrame, results: pd.DataFrame) -> None:
    """Refuse results that no join can use, before anything is measured.

    Parameters
    ----------
    study_name : str
        The data set.
    samples, results : DataFrame
        The tables of `analysis.tables`.

    Raises
    ------
    InputError
        All results, or all of one model at one k, are for unknown samples; every model has one
        k only.
    """
    about = f"study '{study_name}'"
    cells, _ = _matched(study_name, samples, results, about)
    _set_aside(cells, np.array([]), None, about)


def _matched(
    study_name: str, samples: pd.DataFrame, results: pd.DataFrame, about: str
) -> tuple[_Cells, pd.Series]:
    """Average the results of known samples; also return the others' ids, row by row."""
    results = results.loc[own_rows(results, study_name)]
    position = pd.Index(samples["sample_id"]).get_indexer(pd.Index(results["sample_id"]))
    known = position >= 0
    refuse_unknown(results, known, samples["sample_id"], about)
    strays = results.loc[~known, "sample_id"]
    return _cells(results.loc[known], position[known], len(samples)), strays


@dataclass(frozen=True)
class _Images:
    place: np.ndarray  # row of complexity for each sample; 0 where there is none
    found: np.ndarray


def _images(samples: pd.DataFrame, complexity: pd.DataFrame) -> _Images:
    if complexity.empty:
        raise InputError("complexity: no image was measured; check the manifest's images.source")
    sources = complexity[SOURCE].dropna().unique() if SOURCE in complexity else ()
    if len(sources) > 1:
        raise InputError(
            f"complexity: object_count comes from several sources ({listing(sources)}), which do "
            "not count the same things; measure all images with one"
        )
    place = pd.Index(complexity["image_id"]).get_indexer(pd.Index(samples["image_id"]))
    return _Images(np.where(place < 0, 0, place), place >= 0)


@dataclass(frozen=True)
class _Cells:
    """One entry per (model, sample, k), sorted so; scores averaged over runs and repeats."""

    models: list[str]
    model: np.ndarray
    sample: np.ndarray
    k: np.ndarray
    score: np.ndarray
    n: np.ndarray

    def grid(self, model: int) -> tuple[int, ...]:
        return tuple(int(k) for k in np.unique(self.k[self.model == model]))


def _cells(results: pd.DataFrame, position: np.ndarray, n_samples: int) -> _Cells:
    code, models = pd.factorize(results["model"])
    ks, k_code = np.unique(results["k"].to_numpy(dtype=np.int64), return_inverse=True)
    # One integer per cell sorts and groups many times faster than three columns of text.
    cell = (code.astype(np.int64) * n_samples + position) * len(ks) + k_code
    unique, inverse, n = np.unique(cell, return_inverse=True, return_counts=True)
    score = np.bincount(inverse, weights=results["score"].to_numpy(dtype=float)) / n
    pair, k_place = np.divmod(unique, len(ks))
    model, sample = np.divmod(pair, n_samples)
    # A mean of ones may leave [0, 1] by a rounding error.
    return _Cells(list(models), model, sample, ks[k_place], np.clip(score, 0.0, 1.0), n)


def _carried(
    samples: pd.DataFrame, covariates: Sequence[str], metrics: Sequence[str], about: str
) -> list[str]:
    names = [str(name) for name in samples.columns]
    taken = set(ANALYSIS.names) - {"question_type", "image_id"}
    for name in covariates:
        if name in metrics and name not in names:
            continue  # an image's metric is a column of the table already
        if name not in names:
            raise InputError(
                f"{about}: the samples have no column '{name}'{read_as(samples, name)}, which "
                f"analysis.covariates names; they have {listing(names, shown=12)}"
            )
        if name in metrics or name in taken:
            raise InputError(
                f"{about}: the covariate '{name}' has the name of "
                f"{'a metric' if name in metrics else 'a column of the analysis table'}; "
                f"rename it with samples.columns"
            )
    covariates = [name for name in covariates if name in names]
    first = ["question_type"] if "question_type" in names else []
    return list(dict.fromkeys([*first, *covariates]))


def _labels(buckets_label: pd.Series | None, image_ids: pd.Series) -> np.ndarray:
    """Return each sample's bucket; None where it has none."""
    made = np.full(len(image_ids), None, dtype=object)
    if buckets_label is None:
        return made
    place = buckets_label.index.get_indexer(pd.Index(image_ids))
    values = buckets_label.astype(object).where(buckets_label.notna(), None).to_numpy()
    made[place >= 0] = values[place[place >= 0]]
    return made


def _set_aside(
    cells: _Cells, labels: np.ndarray, buckets_label: pd.Series | None, about: str
) -> dict[str, str]:
    """Return models that cannot be answered, with why; refuse if none can be."""
    notes: dict[str, str] = {}
    grids = {name: cells.grid(i) for i, name in enumerate(cells.models)}
    for name, grid in grids.items():
        if len(grid) == 1:
            notes[name] = f"{name} was set aside: it has results at k = {grid[0]} only"
    if len(notes) == len(grids):
        said = listing(f"{name}: k = {grid[0]}" for name, grid in grids.items())
        raise InputError(
            f"{about}: every model has results at one k only ({said}); an effect of k needs at "
            f"least two: add results at another k to the manifest's results:"
        )
    if buckets_label is None:
        return notes
    if isinstance(buckets_label.dtype, pd.CategoricalDtype):
        # Categories without an image (ties) cannot have results; that is said where they are cut.
        present = set(buckets_label.dropna().unique())
        names = [str(label) for label in buckets_label.cat.categories if label in present]
    else:
        names = [str(label) for label in buckets_label.dropna().unique()]
    covered = pd.crosstab(cells.model, pd.Series(labels[cells.sample], dtype=object).to_numpy())
    for label in names:
        if label not in covered.columns:
            n_images = int((buckets_label == label).sum())
            raise InputError(
                f"{about}: no result at all in bucket '{label}' "
                f"({counted(n_images, 'image')}); add results for questions about these images "
                f"({listing(_of(buckets_label, label))}), or choose other buckets in "
                f"analysis.buckets"
            )
    for i, name in enumerate(cells.models):
        without = [label for label in names if not covered.loc[i, label]]
        if without and name not in notes:
            notes[name] = f"{name} was set aside: no result in bucket {listing(map(repr, without))}"
    if len(notes) == len(grids):
        raise InputError(
            f"{about}: no model has results in every bucket at two or more k; "
            f"{'; '.join(notes.values())}"
        )
    return notes


def _of(buckets_label: pd.Series, label: str) -> list[str]:
    return [str(image) for image in buckets_label.index[(buckets_label == label).to_numpy()]]


def _no_images(samples: pd.DataFrame, complexity: pd.DataFrame, images: _Images) -> str:
    if not images.found.any():
        return (
            f"the samples' images are {listing(map(repr, samples['image_id'].unique()), shown=3)}, "
            f"those measured {listing(map(repr, complexity['image_id']), shown=3)}: both must be "
            f"spelled the same (images.source and samples.columns.image_id decide)"
        )
    errors = complexity["error"].dropna()
    return f"the images say: {listing(errors.unique())}; replace them, or correct images.source"


def _image_reports(
    samples: pd.DataFrame, complexity: pd.DataFrame, metrics: Sequence[str]
) -> dict[str, Unmatched]:
    used = complexity["image_id"].isin(samples["image_id"]).to_numpy()
    gaps = complexity[list(metrics)].isna()
    none = gaps.all(axis=1).to_numpy() if metrics else np.zeros(len(complexity), dtype=bool)
    some = gaps.any(axis=1).to_numpy() & ~none
    error = complexity["error"].fillna("no value").to_numpy()
    names = complexity["image_id"].to_numpy()

    def said(which: np.ndarray) -> Unmatched:
        found = np.flatnonzero(which & used)
        shown = [f"{names[i]} ({error[i]})" if n < SHOWN else "" for n, i in enumerate(found)]
        return Unmatched.among(shown, int(used.sum()))

    return {
        "images_unreadable": said(none),
        "images_undefined": said(some),
        "images_without_samples": Unmatched.among(names[~used], len(names)),
    }


def _incomplete(cells: _Cells, ids: pd.Index) -> Unmatched:
    sampled = np.unique(cells.sample)
    examples: list[str] = []
    count = 0
    for i, name in enumerate(cells.models):
        here = cells.model == i
        grid = np.array(cells.grid(i))
        n = np.bincount(cells.sample[here], minlength=len(ids))[sampled]
        lacking = sampled[n < len(grid)]
        count += len(lacking)
        for sample in lacking[: SHOWN - len(examples)]:
            has = cells.k[here & (cells.sample == sample)]
            lacks = listing(np.setdiff1d(grid, has), shown=99) if len(has) else "every k"
            examples.append(f"{name} × {ids[sample]} lacks {'k = ' * bool(len(has))}{lacks}")
    return Unmatched(count, len(sampled) * len(cells.models), tuple(examples))


def _complete(cells: _Cells) -> dict[str, int]:
    """Count each model's samples that have every k of its grid."""
    made = {}
    for i, name in enumerate(cells.models):
        n = np.bincount(cells.sample[cells.model == i])
        made[name] = int((n == len(cells.grid(i))).sum())
    return made
