"""What of a study is there, what is missing and what is wrong, without measuring anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from analysis.checking_finding import Finding
from analysis.checking_finding import attempt as _try
from analysis.counts import Annotated, annotated, study_detector
from analysis.datasets import by_image, read_samples
from analysis.frames import read_as
from analysis.join_report import LINES, counted
from analysis.join_unknown import spelling
from analysis.joining import join
from analysis.manifest import LatencyStudy, Study, verify_checksums
from analysis.results import read_latency, read_results
from analysis.schemas import COMPLEXITY
from complexity.buckets import from_column
from complexity.errors import InputError, listing
from complexity.registry import get

__all__ = ["Finding", "inspect"]

# Beyond this share of images that are not there an answer would be about other data.
MOST_ABSENT = 0.1
GET_RESULTS = (
    "evaluate the model at several k and add to the manifest `results:` with `path` (Parquet, CSV "
    "or JSON Lines; one row per model, sample_id and k, with score in [0, 1] or prediction), and "
    "`k`, `model` and `columns` where the file has other names"
)
GET_LATENCY = (
    "optional; add to the manifest `latency:` with `path` (one row per device, model, sample_id "
    "and k, with times in ms such as prefill_ms) and `analysis.latency` with device and phase"
)


def inspect(study: Study | LatencyStudy) -> list[Finding]:
    """Try every part of a study; a problem in one does not stop the others.

    Parameters
    ----------
    study : Study or LatencyStudy
        From `analysis.manifest.load_any`.

    Returns
    -------
    list of Finding
        In the order of the manifest.
    """
    if isinstance(study, LatencyStudy):
        from analysis.latency_study.checking import findings

        return list(findings(study))
    return list(_findings(study))


def _findings(study: Study) -> Iterator[Finding]:
    try:
        study.root  # noqa: B018 (looked up for what it raises)
    except InputError as error:
        yield Finding("missing", str(error), "data_root", study.manifest.fetch or "")
        if not study.manifest.results:
            yield Finding("missing", "no per-k results yet", "results", GET_RESULTS)
        yield Finding("note", "nothing else can be checked without the data", "data_root")
        return
    yield Finding("ok", str(study.root), "data_root")

    absent = [item for item in study.data_files() if not item.exists]
    if absent and study.manifest.fetch:
        keys = listing(f"{item.key} ({item.path})" for item in absent)
        yield Finding("missing", f"not there: {keys}", "data_root", study.manifest.fetch)
    images, found = _try(lambda: study.image_source().ids(), "images.source")
    yield from found
    if images is not None:
        yield Finding("ok", counted(len(images), "image"), "images.source")
    if study.manifest.images.sha256:
        checked, found = _try(lambda: verify_checksums(study), "images.sha256")
        yield from found
        if checked is not None:
            yield Finding(
                "ok", f"as they should be: {listing(study.manifest.images.sha256)}", "images.sha256"
            )

    samples, found = _try(lambda: read_samples(study), "samples")
    yield from found
    if samples is not None:
        yield from _samples(study, samples, images)
    results, latency = None, None
    if study.manifest.results:
        read, found = _try(lambda: read_results(study, samples), "results")
        yield from found
        if read is not None:
            results = read[0]
            yield from _noted(counted(len(results), "row"), read[1], "results")
    else:
        yield Finding("missing", "no per-k results yet", "results", GET_RESULTS)
    if study.manifest.latency:
        read, found = _try(lambda: read_latency(study), "latency")
        yield from found
        if read is not None:
            latency = read[0]
            yield from _noted(counted(len(latency), "row"), read[1], "latency")
    else:
        yield Finding("missing", "no latencies", "latency", GET_LATENCY)
    if samples is not None and results is not None:
        yield from _match(study, samples, images, results, latency)


def _noted(what: str, notes: tuple[str, ...], where: str) -> Iterator[Finding]:
    yield Finding("ok", what, where)
    for note in notes:
        yield Finding("note", note, where)


def _samples(study: Study, samples: pd.DataFrame, images: list[str] | None) -> Iterator[Finding]:
    asked = pd.unique(samples["image_id"])
    yield Finding(
        "ok", f"{counted(len(samples), 'question')} about {counted(len(asked), 'image')}", "samples"
    )
    if images is not None:
        absent = sorted(set(asked) - set(images))
        hint = spelling(absent, images) if absent else ""
        mend = f"{hint}; " if hint else ""
        if len(absent) == len(asked):
            yield Finding(
                "wrong",
                f"none of the {len(asked):,} images that samples refer to is in the source: "
                f"samples have {listing(map(repr, absent), shown=3)}, the source has "
                f"{listing(map(repr, images), shown=3)}",
                "samples",
                f"{mend}spell both the same: images.source, images.id and "
                f"samples.columns.image_id decide",
            )
        elif absent:
            yield Finding(
                "wrong" if len(absent) > MOST_ABSENT * len(asked) else "note",
                f"{len(absent):,} of {len(asked):,} images that samples refer to are not in the "
                f"source: {listing(absent)}",
                "samples",
                f"{mend}their questions will have no complexity; add the images, or leave out "
                f"these questions",
            )
        unused = len(set(images) - set(asked))
        if unused:
            yield Finding("note", f"{counted(unused, 'image')} without a question", "images.source")
    analysis = study.manifest.analysis
    names = [str(name) for name in samples.columns]
    for name in analysis.covariates:
        yield from _covariate(name, samples, names, analysis.metrics)
    taken, found = _try(lambda: annotated(study, samples), "object_count")
    yield from found
    counts = None if taken is None else taken.counts
    if taken is not None and study.manifest.object_count.path is not None:
        yield from _annotations(taken, asked)
    elif study.manifest.object_count.model is not None:
        yield from _detector(study)
    elif counts:
        low, high = min(counts.values()), max(counts.values())
        yield Finding(
            "ok" if len(counts) == len(asked) else "note",
            f"{len(counts):,} of {len(asked):,} images have a count, {low:g} to {high:g}",
            "object_count",
        )
    elif counts is not None:
        yield Finding("wrong", "no image has a count", "object_count", "fill in the column")
    elif (
        "object_count" in analysis.metrics and "object_count" not in study.manifest.model_fields_set
    ):
        yield Finding(
            "note",
            "the metric object_count counts proto-objects in the image, for the manifest has no "
            "object_count",
            "object_count",
            "if a column of samples has the true number, name it: "
            "object_count: {from: annotations, column: …}; else write {from: proto}",
        )
    yield from _buckets(study, samples, counts)


def _annotations(taken: Annotated, asked: Iterable[str]) -> Iterator[Finding]:
    """Tell images without an annotation from images without an object."""
    said = taken.report(asked)
    low, high = min(taken.counts.values()), max(taken.counts.values())
    yield Finding(
        "note" if said["not_annotated"] else "ok",
        f"{said['counted']:,} of {said['images']:,} images are in the file, with {low:g} to "
        f"{high:g} objects; {said['without_objects']:,} of them without any",
        "object_count",
    )
    if said["not_annotated"]:
        absent = [image for image in asked if image not in taken.counts]
        yield Finding(
            "note",
            f"{counted(len(absent), 'image')} not in the file, so without a count: "
            f"{listing(absent)}",
            "object_count",
            "add the file of their split (path may be a glob), or leave out their questions",
        )
    if said["with_crowd"]:
        yield Finding(
            "note",
            f"images with a crowd, outlined as a whole: {said['with_crowd']:,}; they hold more "
            "objects than their count",
            "object_count",
        )


def _detector(study: Study) -> Iterator[Finding]:
    detector, found = _try(lambda: study_detector(study), "object_count")
    yield from found
    if detector is not None:
        yield Finding("ok", f"a detector of style {detector.describe()}", "object_count")


def _covariate(
    name: str, samples: pd.DataFrame, names: list[str], metrics: tuple[str, ...]
) -> Iterator[Finding]:
    if name not in names:
        if name not in metrics:
            yield Finding(
                "wrong",
                f"the samples have no column '{name}'{read_as(samples, name)}; they have "
                f"{listing(names, shown=12)}",
                "analysis.covariates",
                "correct the name or remove it",
            )
        return
    empty = int(samples[name].isna().sum())
    if empty == len(samples):
        yield Finding("wrong", f"'{name}' is empty in all samples", "analysis.covariates",
                      "fill it in or remove it")  # fmt: skip
    elif empty:
        yield Finding(
            "note",
            f"'{name}' is empty in {empty:,} of {counted(len(samples), 'sample')}: these are left "
            f"out of the regressions",
            "analysis.covariates",
            "fill it in, or remove the covariate",
        )


def _buckets(
    study: Study, samples: pd.DataFrame, counts: dict[str, float] | None
) -> Iterator[Finding]:
    """Look at the primary metric's buckets as far as can be without measuring."""
    rule, metric = study.manifest.analysis.buckets, study.manifest.analysis.primary.metric
    column, edges = rule.column, rule.edges
    if column is not None:
        where = "analysis.buckets.column"
        place = study.at("analysis", "buckets", "column")
        labels, found = _try(lambda: by_image(samples, column, place), where)
        yield from found
        if labels is not None:
            cut, found = _try(lambda: from_column(labels, metric=metric, order=rule.order), where)
            yield from found
            if cut is not None:
                yield Finding("ok", f"buckets {listing(cut.labels)}", where)
    if edges is None:
        return
    where = "analysis.buckets.edges"
    low, high = get(metric).range
    # Intervals are closed on the right: above an edge at the upper bound there is nothing.
    beyond = [edge for edge in edges if edge < low or (high is not None and edge >= high)]
    if beyond:
        bound = f"from {low:g} up" if high is None else f"between {low:g} and {high:g}"
        yield Finding(
            "wrong",
            f"{metric} is {bound}, so no image can lie on both sides of "
            f"{listing(f'{edge:g}' for edge in beyond)}",
            where,
            "give cut points inside this range",
        )
    elif metric == "object_count" and counts:
        values = np.array(list(counts.values()))
        for edge in edges:
            side = "above" if not (values > edge).any() else "at or below"
            if side == "above" or not (values <= edge).any():
                yield Finding(
                    "note",
                    f"no image has a count {side} {edge:g}; counts are {values.min():g} to "
                    f"{values.max():g}",
                    where,
                    "give cut points with images on both sides",
                )


def _match(
    study: Study,
    samples: pd.DataFrame,
    images: list[str] | None,
    results: pd.DataFrame,
    latency: pd.DataFrame | None,
) -> Iterator[Finding]:
    """Join without complexity, to say what does and does not match."""
    chosen = study.manifest.analysis.latency
    choice = None if chosen is None else (chosen.device, chosen.phase)
    present = pd.unique(samples["image_id"]) if images is None else images
    stand_in = pd.DataFrame(dict.fromkeys(COMPLEXITY.names), index=range(len(present)))
    stand_in = stand_in.assign(image_id=present, measured=np.ones(len(present)))
    joined, found = _try(
        lambda: join(study.name, samples, stand_in, None, results, latency, choice), "results"
    )
    yield from found
    if joined is None:
        return
    report = joined.report
    for model, grid in report.k_grid.items():
        yield Finding("ok", f"{model}: k = {listing(grid, shown=99)}", "results")
    pairs = report.incomplete
    if not pairs.count:
        yield Finding("ok", f"all {pairs.of:,} (sample, model) pairs have every k", "results")
    for name in LINES:
        line = report.line(name)
        if line and not name.startswith("images"):
            yield Finding("note", line, "latency" if "latency" in name else "results")
    for note in (*report.lacking(), *report.remarks):
        yield Finding("note", note, "results")
    if chosen is None and latency is not None:
        yield Finding(
            "note",
            "analysis.latency is not set, so no latency enters the analysis table",
            "analysis.latency",
            "name the device and the phase",
        )
    if chosen is not None and latency is None and not study.manifest.latency:
        yield Finding(
            "note", "is set, but the manifest has no latency", "analysis.latency", GET_LATENCY
        )
