"""The stages of a run, each a function from files to files.

A stage reads what earlier ones wrote into the run's folder (and the study's own data), writes
its files and returns their paths. Nothing is handed over in memory, so a stage gives the same
bytes whether the ones before it ran a second or a month ago.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from tqdm import tqdm

from analysis import tables
from analysis.datasets import by_image
from analysis.joining import join
from analysis.manifest import Study
from analysis.optimum.multiplicity import adjust_answers
from analysis.schemas import ANALYSIS
from complexity import batch, buckets
from complexity.errors import InputError, did_you_mean
from complexity.files import write_json
from complexity.sources import ImageSource

if TYPE_CHECKING:
    from complexity.detector import Detector

COMPLEXITY = "complexity.parquet"
BUCKETS = "buckets.json"
TABLE = "table.parquet"
JOIN = "join.json"
DEFAULT_BUCKETS = 3
ROBUSTNESS = "robustness.json"
#: Secondary metrics, and models by metric, without an answer, with the reason.
SET_ASIDE = "fits/set_aside.json"
#: Latencies that no regression could be fitted to, with the reason.
LATENCY_REFUSED = "fits/latency_refused.json"


def measure(
    study: Study,
    images: ImageSource,
    samples: pd.DataFrame,
    counts: Mapping[str, float] | None,
    detector: Detector | None,
    folder: Path,
    workers: int | None,
) -> list[Path]:
    """Measure the images that samples refer to; writes `complexity.parquet`."""
    out = folder / COMPLEXITY
    batch.measure_into(
        images,
        out,
        metrics=study.manifest.analysis.metrics,
        dataset=study.name,
        object_counts=counts,
        detector=detector,
        only=set(samples["image_id"]),
        workers=workers,
    )
    return [out]


def cut_buckets(study: Study, samples: pd.DataFrame, folder: Path) -> list[Path]:
    """Cut each metric into buckets over images; writes `buckets.json`.

    Fixed edges and a column belong to the primary metric; the others are cut by quantiles.
    A constant metric cannot be cut: the primary one is an error, another is set aside and
    said.
    """
    complexity = read_complexity(folder)
    rule = study.manifest.analysis.buckets
    primary = study.manifest.analysis.primary.metric
    found: dict[str, object] = {}
    for metric in study.manifest.analysis.metrics:
        values = complexity[metric]
        try:
            if metric == primary and rule.column is not None:
                labels = by_image(samples, rule.column, "analysis.buckets.column")
                cut = buckets.from_column(labels, metric=metric, order=rule.order)
            elif metric == primary and rule.edges is not None:
                cut = buckets.cut(values, metric=metric, scheme="edges", edges=rule.edges)
            else:
                cut = buckets.cut(values, metric=metric, n=rule.n or DEFAULT_BUCKETS)
        except buckets.ConstantMetric as error:
            if metric == primary:
                raise
            found[metric] = {"metric": metric, "set_aside": str(error)}
            continue
        found[metric] = cut.to_dict()
    out = folder / BUCKETS
    write_json(out, found)
    return [out]


def join_tables(
    study: Study,
    samples: pd.DataFrame,
    results: pd.DataFrame,
    latency: pd.DataFrame | None,
    notes: Mapping[str, object],
    folder: Path,
) -> list[Path]:
    """Join everything by its keys; writes `table.parquet` and `join.json`.

    Yes/no replies are summed up as their benchmark does, in `tables/yes_no`.
    """
    analysis = study.manifest.analysis
    choice = None if analysis.latency is None else (analysis.latency.device, analysis.latency.phase)
    joined = join(
        study.name,
        samples,
        read_complexity(folder),
        bucket_labels(study, samples, folder, analysis.primary.metric),
        results,
        latency,
        choice,
        analysis.covariates,
    )
    outputs = [folder / TABLE, folder / JOIN]
    tables.write_table(joined.table, outputs[0], ANALYSIS)
    write_json(outputs[1], {**joined.report.to_dict(), "reading": notes})
    if study.manifest.scorer == "yes-no":
        from analysis.report.yes_no_table import write_yes_no

        outputs += write_yes_no(results, samples, folder / "tables")
    return outputs


def fit_optimum(study: Study, samples: pd.DataFrame, folder: Path) -> list[Path]:
    """Answer every metric for every model; writes `optimum/*.json` and `fits/accuracy_*.json`."""
    from analysis.optimum import analyse

    table = read_analysis_table(folder)
    analysis = study.manifest.analysis
    if analysis.primary.model != "all":
        known = list(table["model"].unique())
        if analysis.primary.model not in known:
            raise InputError(
                f"{study.path}, analysis.primary.model: no results of '{analysis.primary.model}'"
                f"{did_you_mean(analysis.primary.model, known)}; there are {', '.join(known)}."
            )
    unordered = analysis.buckets.column is not None and analysis.buckets.order is None
    answers: dict[str, list[dict[str, Any]]] = {}
    fits: dict[str, list[dict[str, Any]]] = {}
    metrics = usable_metrics(study, folder)
    set_aside: dict[str, str] = {}
    for metric in tqdm(metrics, desc="optimal k", unit="metric", disable=None, leave=False):
        try:
            found = analyse(
                table,
                metric,
                bucket_labels(study, samples, folder, metric),
                covariates=[name for name in analysis.covariates if name != metric],
                every_bucket=metric == analysis.primary.metric and unordered,
                margin=analysis.margin,
                mixed_model=metric == analysis.primary.metric,
                seed=study.manifest.seed,
            )
        except InputError as error:
            if metric == analysis.primary.metric:
                raise
            set_aside[metric] = str(error)
            continue
        for model, why in found.unanswered.items():
            if metric == analysis.primary.metric and model == analysis.primary.model:
                raise InputError(f"model '{model}' cannot be answered by {metric}: {why}")
            set_aside[f"{model} by {metric}"] = why
        # How the buckets came about is part of what an answer rests on (ties that merged some).
        said = tuple(read_buckets(folder)[metric]["notes"])
        answers[metric] = [
            {**answer.to_dict(), "warnings": (*said, *answer.warnings)} for answer in found
        ]
        fits[metric] = [
            {"model": answer.model, "metric": metric, **fitted.to_json()}
            for answer in found
            for fitted in answer.fits
        ]
    adjust_answers(answers, analysis.primary.metric, analysis.primary.model)
    outputs = []
    if set_aside:
        outputs.append(folder / SET_ASIDE)
        write_json(folder / SET_ASIDE, set_aside)
    for metric, found_here in answers.items():
        path = folder / "optimum" / f"{metric}.json"
        write_json(path, found_here)
        fit_path = folder / "fits" / f"accuracy_{metric}.json"
        write_json(fit_path, fits[metric])
        outputs += [path, fit_path]
    return outputs


def fit_latency(
    study: Study, samples: pd.DataFrame, latency: pd.DataFrame, folder: Path
) -> list[Path]:
    """Fit latency by device, phase and model; writes `fits/latency.json`.

    What could not be fitted goes with the reason to `fits/latency_refused.json`.
    """
    from analysis.latency import by_item
    from analysis.latency_models import fit_latency as fit_groups
    from analysis.optimum.curves import standardise

    complexity = read_complexity(folder).set_index("image_id")
    c = standardise(complexity[study.manifest.analysis.primary.metric].dropna())
    image = samples.set_index("sample_id")["image_id"]
    items = by_item(latency)
    items["cluster"] = items["item"].map(image).fillna(items["item"])
    fits = fit_groups(items, image.map(c))
    outputs = [folder / "fits" / "latency.json"]
    write_json(outputs[0], [found.to_dict() for found in fits])
    if fits.refused:
        outputs.append(folder / LATENCY_REFUSED)
        write_json(outputs[1], fits.refused)
    return outputs


def find_worth(
    study: Study, samples: pd.DataFrame, latency: pd.DataFrame | None, folder: Path
) -> list[Path]:
    """Say what k is worth, for every metric with an answer; writes `worth/*.json`."""
    from analysis.latency import by_item
    from analysis.worth import worth

    table = read_analysis_table(folder)
    analysis = study.manifest.analysis
    items = None
    if latency is not None and analysis.latency is not None:
        items = by_item(latency)
        chosen = items["device"] == analysis.latency.device
        items = items[chosen & (items["phase"] == analysis.latency.phase)]
    outputs = []
    answered = [m for m in usable_metrics(study, folder) if answer_path(folder, m).is_file()]
    for metric in tqdm(answered, desc="worth", unit="metric", disable=None, leave=False):
        found = worth(
            table,
            metric,
            bucket_labels(study, samples, folder, metric),
            items,
            margin=analysis.margin,
            learn_cuts=read_buckets(folder)[metric]["scheme"] == "quantile",
            seed=study.manifest.seed,
        )
        outputs.append(folder / "worth" / f"{metric}.json")
        write_json(outputs[-1], [item.to_dict() for item in found])
    return outputs


def check_robustness(study: Study, samples: pd.DataFrame, folder: Path) -> list[Path]:
    """Ask again with other choices and without some data; writes `robustness.json`.

    Empty for buckets without an order, which have no two ends.
    """
    from analysis.robustness.per_model import robustness

    analysis = study.manifest.analysis
    metrics = [m for m in usable_metrics(study, folder) if answer_path(folder, m).is_file()]
    found: list[dict[str, Any]] = []
    if analysis.buckets.column is None or analysis.buckets.order is not None:
        found = robustness(
            read_analysis_table(folder),
            read_complexity(folder).set_index("image_id")[metrics],
            bucket_labels(study, samples, folder, analysis.primary.metric),
            covariates=analysis.covariates,
            seed=study.manifest.seed,
        )
    write_json(folder / ROBUSTNESS, found)
    return [folder / ROBUSTNESS]


def answer_path(folder: Path, metric: str) -> Path:
    """Where the answers for a metric lie."""
    return folder / "optimum" / f"{metric}.json"


def write_report(
    study: Study,
    images: ImageSource,
    samples: pd.DataFrame,
    latency: pd.DataFrame | None,
    folder: Path,
) -> list[Path]:
    """Write tables and figures; without `table.parquet` those that need no results."""
    from analysis.report.material import Material
    from analysis.report.write_figures import write_figures
    from analysis.report.write_tables import write_tables

    analysis = study.manifest.analysis
    metrics = usable_metrics(study, folder)
    has_results = (folder / TABLE).is_file()
    cuts = {m: buckets.Buckets.from_dict(read_buckets(folder)[m]) for m in metrics}
    answers = [a for m in metrics for a in _load(answer_path(folder, m))]
    material = Material(
        primary=analysis.primary.metric,
        complexity=read_complexity(folder),
        samples=samples,
        labels={m: bucket_labels(study, samples, folder, m) for m in metrics},
        ranges={m: dict(zip(cut.labels, cut.ranges(), strict=True)) for m, cut in cuts.items()},
        images=images,
        table=read_analysis_table(folder) if has_results else None,
        latency=latency if has_results else None,
        choice=None
        if analysis.latency is None
        else (analysis.latency.device, analysis.latency.phase),
        answers=answers,
        accuracy_fits=_load(folder / "fits" / f"accuracy_{analysis.primary.metric}.json"),
        latency_fits=_load(folder / "fits" / "latency.json"),
        worth=[w for m in metrics for w in _load(folder / "worth" / f"{m}.json")],
        robustness=_load(folder / ROBUSTNESS),
    )
    return [
        *write_tables(material, folder / "tables"),
        *write_figures(material, folder / "figures"),
    ]


def metric_versions(names: Sequence[str]) -> dict[str, object]:
    """Everything about the metrics and the image policy that a measurement rests on."""
    from complexity.image import POLICY_VERSION
    from complexity.registry import get

    metrics = {name: [get(name).version, dict(get(name).parameters)] for name in names}
    return {"policy": POLICY_VERSION, "metrics": metrics}


def check_columns(study: Study, samples: pd.DataFrame) -> None:
    """Refuse covariates and bucket columns that the samples lack, before anything is done."""
    analysis = study.manifest.analysis
    metrics = analysis.metrics
    for i, name in enumerate(analysis.covariates):
        if name not in samples.columns and name not in metrics:
            raise InputError(
                f"{study.at('analysis', 'covariates', i)}: the samples have no column '{name}'"
                f"{did_you_mean(name, map(str, samples.columns))}; name one they have"
            )
    if analysis.buckets.column is not None:
        by_image(samples, analysis.buckets.column, study.at("analysis", "buckets", "column"))


def read_analysis_table(folder: Path) -> pd.DataFrame:
    """Read the run's analysis table."""
    return tables.read_table(folder / TABLE, ANALYSIS)


def _load(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    )
    return found


def read_complexity(folder: Path) -> pd.DataFrame:
    """Read the run's complexity table."""
    return batch.read_complexity(folder / COMPLEXITY)


def read_buckets(folder: Path) -> dict[str, Any]:
    """Read the run's cut points, by metric."""
    content: dict[str, Any] = json.loads((folder / BUCKETS).read_text(encoding="utf-8"))
    return content


def usable_metrics(study: Study, folder: Path) -> list[str]:
    """Metrics that could be cut into buckets, the primary one first."""
    found = [name for name, cut in read_buckets(folder).items() if "set_aside" not in cut]
    return sorted(found, key=lambda name: name != study.manifest.analysis.primary.metric)


def bucket_labels(study: Study, samples: pd.DataFrame, folder: Path, metric: str) -> pd.Series:
    """Bucket of each measured image: ordered categories, indexed by image id."""
    cut = buckets.Buckets.from_dict(read_buckets(folder)[metric])
    complexity = read_complexity(folder).set_index("image_id")
    column = study.manifest.analysis.buckets.column
    if cut.scheme == "column" and column is not None:
        values = by_image(samples, column, "analysis.buckets.column").reindex(complexity.index)
    else:
        values = complexity[metric]
    return pd.Series(cut.assign(values), index=values.index, name="bucket")
