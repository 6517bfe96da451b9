"""Write a run's tables and figures from the files of the stages before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.optimum.common import DRAWS
from analysis.report import content, numbers
from analysis.report.export import ColumnStyle, write_table
from complexity.image import prepare
from complexity.sources import ImageSource

EXAMPLES_PER_BUCKET = 5


@dataclass(frozen=True)
class Material:
    """What a report is made of.

    Attributes
    ----------
    primary : str
        The primary complexity metric.
    complexity, samples : DataFrame
        Their tables.
    labels : dict of str to Series
        Bucket of each image, by metric.
    ranges : dict of str to dict
        Range of each bucket in words, by metric.
    images : ImageSource
        Where the example images come from.
    table : DataFrame or None
        The analysis table; None without results, and then the rest is empty.
    latency : DataFrame or None
        The latency table.
    choice : tuple of str or None
        Device and phase that the accuracy-latency frontier uses.
    answers : list of dict
        `optimum/*.json`, primary metric first.
    accuracy_fits, latency_fits : list of dict
        `fits/*.json`; accuracy of the primary metric.
    """

    primary: str
    complexity: pd.DataFrame
    samples: pd.DataFrame
    labels: Mapping[str, pd.Series]
    ranges: Mapping[str, Mapping[str, str]]
    images: ImageSource
    table: pd.DataFrame | None
    latency: pd.DataFrame | None
    choice: tuple[str, str] | None
    answers: Sequence[Mapping[str, Any]]
    accuracy_fits: Sequence[Mapping[str, Any]]
    latency_fits: Sequence[Mapping[str, Any]]

    def primary_answers(self) -> list[Mapping[str, Any]]:
        """Answers of the primary metric."""
        return [answer for answer in self.answers if answer["metric"] == self.primary]


def write_tables(material: Material, folder: Path) -> list[Path]:
    """Write every table as CSV, Markdown and LaTeX.

    Parameters
    ----------
    material : Material
        What to write.
    folder : Path
        The run's `tables/` folder.

    Returns
    -------
    list of Path
        The files.
    """
    m = material
    paths = write_table(
        content.descriptives(m.complexity, m.samples, m.labels),
        folder / "descriptives",
        caption="Visual complexity of the images, overall and by bucket.",
        label="tab:descriptives",
        columns=[
            ColumnStyle("metric", group=True),
            ColumnStyle("bucket"),
            ColumnStyle("n_images", "images", "count"),
            ColumnStyle("n_samples", "samples", "count"),
            *(
                ColumnStyle(name, kind="number", decimals=3)
                for name in ("mean", "sd", "min", "max")
            ),
        ],
        notes=[f"Buckets of {m.primary}: {_spelled(m.ranges[m.primary])}."],
    )
    if m.table is not None:
        paths += _accuracy_tables(m, folder)
    if m.latency is not None and len(m.latency):
        paths += _latency_tables(m, folder)
    return paths


def write_figures(material: Material, folder: Path) -> list[Path]:
    """Write every figure as PDF, SVG and PNG.

    Parameters
    ----------
    material : Material
        What to draw.
    folder : Path
        The run's `figures/` folder.

    Returns
    -------
    list of Path
        The files.
    """
    from analysis.report import figures

    m = material
    ranges = m.ranges[m.primary]
    paths = figures.save(
        figures.example_images(_examples(m), metric=m.primary), folder / "example_images"
    )
    if m.table is None:
        return paths
    accuracy = content.accuracy_by_k(m.table, m.labels[m.primary])
    by_bucket = accuracy[accuracy["bucket"] != content.ALL]
    paths += figures.save(
        figures.accuracy_curves(by_bucket, metric=m.primary, bucket_ranges=ranges),
        folder / "accuracy_vs_k",
    )
    answers = m.primary_answers()
    paths += figures.save(
        figures.optimal_k(
            content.bootstrap_shares(answers),
            content.common_k(answers),
            ranges,
            metric=m.primary,
        ),
        folder / "optimal_k_vs_complexity",
    )
    if m.latency is None or not len(m.latency):
        return paths
    latency = content.latency_by_k(m.latency, m.samples, m.labels[m.primary])
    overall = latency[latency["bucket"] == content.ALL]
    paths += figures.save(figures.latency_curves(overall), folder / "latency_vs_k")
    if m.choice is not None:
        device, phase = m.choice
        chosen = latency[(latency["device"] == device) & (latency["phase"] == phase)]
        front = content.frontier(accuracy, chosen)
        front = front[front["bucket"] != content.ALL]
        if len(front):
            paths += figures.save(
                figures.frontier(
                    front, device=device, phase=phase, metric=m.primary, bucket_ranges=ranges
                ),
                folder / "accuracy_latency_frontier",
            )
    return paths


def _accuracy_tables(m: Material, folder: Path) -> list[Path]:
    assert m.table is not None
    ranges = f"Buckets of {m.primary}: {_spelled(m.ranges[m.primary])}."
    accuracy = content.accuracy_by_k(m.table, m.labels[m.primary])
    paths = write_table(
        accuracy, folder / "accuracy_by_k", formats=("csv",), caption="", label="tab:accuracy-by-k"
    )
    paths += write_table(
        content.across(accuracy, ["model", "bucket", "n_images", "n_samples"], _accuracy),
        folder / "accuracy_by_k",
        formats=("md", "tex"),
        caption=f"Accuracy (%) by active experts k and {m.primary}.",
        label="tab:accuracy-by-k",
        notes=[
            "± is the half-width of the 95 % interval (normal, clustered by image). k are paired "
            "within questions: overlapping intervals are no test of a difference.",
            ranges,
        ],
    )
    paths += write_table(
        content.optimal_k(m.answers),
        folder / "optimal_k",
        caption="Accuracy-optimal number of active experts k by complexity.",
        label="tab:optimal-k",
        columns=[
            ColumnStyle("metric", group=True),
            ColumnStyle("model", group=True),
            ColumnStyle("bucket"),
            ColumnStyle("complexity", "mean", "number"),
            ColumnStyle("tied", "best k", "ks"),
            ColumnStyle("share", "share", "proportion"),
            ColumnStyle("not_rejected", "k not rejected", "ks"),
            ColumnStyle("serves_both_ends", "k for both ends", "ks"),
        ],
        notes=[
            "Best k: arg max over the grid, every tied k named; share: of 2,000 image-cluster "
            "bootstrap resamples, those that the smallest of them wins, ties shared.",
            "k not rejected: not distinguishable from the best in this bucket at level .05. "
            "k for both ends: not rejected as optimal in the lowest and the highest bucket at "
            "once, a test of its own that may keep a k which one bucket's set leaves out. "
            "Neither set is adjusted for the number of models and metrics; not rejected does "
            "not mean equally good.",
        ],
    )
    paths += write_table(
        content.interactions(m.answers),
        folder / "interaction_tests",
        caption="Does the curve of accuracy in k change with complexity?",
        label="tab:interaction-tests",
        columns=[
            ColumnStyle("metric", group=True),
            ColumnStyle("model"),
            ColumnStyle("n_images", "images", "count"),
            ColumnStyle("f", "F", "number", 2, span="logit"),
            ColumnStyle("df", "df", "count", span="logit"),
            ColumnStyle("df2", "df2", "count", span="logit"),
            ColumnStyle("p", "p", "p", span="logit"),
            ColumnStyle("p_adjusted", "Holm", "p", span="logit"),
            ColumnStyle("p_probability", "p", "p", span="probability"),
            ColumnStyle("p_probability_adjusted", "Holm", "p", span="probability"),
            ColumnStyle("p_linearity", "p", "p", span="linearity"),
        ],
        notes=[
            f"Primary metric: {m.primary}. Robust Wald tests of all k × complexity terms, k as a "
            "factor, covariance clustered by image (CR1): in a logit, and in a linear "
            "probability model with the same terms. Linearity: k × c² terms in the logit, "
            "unadjusted.",
            "Holm: over models for the primary metric, over all the rest for the others, each "
            "kind of test apart.",
        ],
    )
    paths += write_table(
        content.shifts(m.answers),
        folder / "shift_tests",
        caption="Does the optimal k shift with complexity?",
        label="tab:shift-tests",
        columns=[
            ColumnStyle("metric", group=True),
            ColumnStyle("model"),
            ColumnStyle("images_low", "low", "count", span="images"),
            ColumnStyle("images_high", "high", "count", span="images"),
            ColumnStyle("p", "p", "p", span="one k for both ends"),
            ColumnStyle("p_adjusted", "Holm", "p", span="one k for both ends"),
            ColumnStyle("p_curve", "p, ±1 SD", "p", span="one k for both ends"),
            ColumnStyle("common_k", "k not rejected", "ks", span="one k for both ends"),
            ColumnStyle("single_k", "k", "count", span="least costly k"),
            ColumnStyle("cost", "cost", "points", 2, span="least costly k"),
            ColumnStyle("cost_limit", "limit", "points", 2, span="least costly k"),
        ],
        notes=[
            f"Primary metric: {m.primary}. p of the null that one k is optimal in the lowest and "
            "the highest bucket at once: intersection-union over k, image-cluster covariance, "
            f"Hansen recentring, {DRAWS:,} Monte Carlo draws; p = 1 where one k is best at both. "
            "±1 SD: the same test on the curves of the saturated regression, unadjusted.",
            "Holm: over models for the primary metric, over all the rest for the others. The "
            "sets of k (level .05) are not adjusted.",
            "Least costly k: cost is the largest estimated shortfall from the best k at either "
            "end, limit its upper 95 % limit, simultaneous over all pairs of k and both ends.",
        ],
    )
    by_k = content.p_by_k(m.answers)
    paths += write_table(
        by_k,
        folder / "p_by_k",
        formats=("csv",),
        caption="",
        label="tab:p-by-k",
    )
    paths += write_table(
        content.across(by_k, ["metric", "model"], lambda row: numbers.p_number(row.p)),
        folder / "p_by_k",
        formats=("md", "tex"),
        caption="p of the null that this k is optimal at both ends of complexity.",
        label="tab:p-by-k",
        notes=["The k with p above .05 are a confidence set for one k that serves both ends."],
    )
    gains = content.gains_by_k(m.primary_answers())
    paths += write_table(
        gains, folder / "gains_by_k", formats=("csv",), caption="", label="tab:gains-by-k"
    )
    paths += write_table(
        content.across(gains, ["model", "reference", "group"], _points),
        folder / "gains_by_k",
        formats=("md", "tex"),
        caption=f"Accuracy of each k against the reference k, by {m.primary} (points).",
        label="tab:gains-by-k",
        notes=[
            "Paired within questions, clustered by image; ± is the half-width of the 95 % "
            "interval, simultaneous over the k of a row. The reference is the k most accurate "
            "over all images, chosen on the same data.",
            ranges,
        ],
    )
    paths += write_table(
        content.quadratics(m.answers),
        folder / "quadratic",
        caption="Second opinion on a shift: the quadratic in log2 k.",
        label="tab:quadratic",
        columns=[
            ColumnStyle("metric", group=True),
            ColumnStyle("model"),
            ColumnStyle("wald_lack_of_fit", "Wald", "number", 1, span="lack of fit"),
            ColumnStyle("df_lack_of_fit", "df", "count", span="lack of fit"),
            ColumnStyle("p_lack_of_fit", "p", "p", span="lack of fit"),
            ColumnStyle("p_flat", "p", "p", span="flat curve"),
            ColumnStyle("wald", "Wald", "number", 1, span="no shift"),
            ColumnStyle("p", "p", "p", span="no shift"),
            ColumnStyle("shift", "estimate", "number", 2, span="size"),
            ColumnStyle("shift_low", "95 % interval", "number", 2, upper="shift_high", span="size"),
        ],
        notes=[
            "Logit of the score on x, x², c, xc, x²c (x = log2 k, c = complexity standardised over "
            "images) and covariates, clustered by image (CR1), p from F. No shift: b1 b5 = b2 b4, "
            "by the delta method; degenerate on a flat curve (b1 = b2 = b4 = b5 = 0 not rejected) "
            "and then not shown.",
            "Size: doublings of k per standard deviation of complexity, delta method, given only "
            "where the quadratic is not rejected against the saturated curve, certainly has a "
            "maximum within the k measured, and agrees with the arg max.",
        ],
    )
    paths += write_table(
        content.coefficients(m.accuracy_fits, ["model", "curve"]),
        folder / "coefficients_accuracy",
        caption=f"Logit of the score on k, {m.primary} (c, standardised) and covariates.",
        label="tab:coefficients-accuracy",
        columns=_coefficient_columns(["model", "curve"]),
        notes=["Covariance clustered by image (CR1), t with images - 1 degrees of freedom."],
    )
    return paths


def _latency_tables(m: Material, folder: Path) -> list[Path]:
    assert m.latency is not None
    keys = ["device", "phase", "model"]
    latency = content.latency_by_k(m.latency, m.samples, m.labels[m.primary])
    paths = write_table(
        latency, folder / "latency_by_k", formats=("csv",), caption="", label="tab:latency-by-k"
    )
    carried = latency[latency["carried_by"].notna() & (latency["bucket"] == content.ALL)]
    paths += write_table(
        content.across(latency, [*keys, "bucket", "n_items"], _milliseconds),
        folder / "latency_by_k",
        formats=("md", "tex"),
        caption=f"Mean latency (ms) by active experts k and {m.primary}.",
        label="tab:latency-by-k",
        notes=[
            "n_items: timed samples; repeats are averaged within a sample. ± is the half-width of "
            "the 95 % interval (normal, clustered by image). Medians and maxima are in the CSV.",
            *(
                f"{row.model}, {row.device}, {row.phase}, k = {row.k}: the mean is carried by "
                f"{row.carried_by} (median {row.median_ms:.2f} ms, maximum {row.max_ms:.1f} ms)."
                for row in carried.itertuples()
            ),
        ],
    )
    if not m.latency_fits:
        return paths
    methods = sorted({f"{fit['formula']} ({fit['method'].upper()})" for fit in m.latency_fits})
    troubled = [
        f"{fit['model']}, {fit['device']}, {fit['phase']}: {warning}"
        for fit in m.latency_fits
        for warning in fit["warnings"]
    ]
    paths += write_table(
        content.coefficients(m.latency_fits, keys),
        folder / "coefficients_latency",
        caption="Linear mixed models of latency (ms).",
        label="tab:coefficients-latency",
        columns=_coefficient_columns(keys),
        notes=[
            f"Models: {'; '.join(methods)}. k as a factor, c: standardised {m.primary}, order: "
            "position in the run (0 to 1). Wald z.",
            *troubled,
        ],
    )
    paths += write_table(
        content.variance_components(m.latency_fits, keys),
        folder / "random_effects_latency",
        caption="Random-effect standard deviations of the latency models (ms).",
        label="tab:random-effects-latency",
        columns=[
            *(ColumnStyle(key, group=True) for key in keys),
            ColumnStyle("group"),
            ColumnStyle("term"),
            ColumnStyle("sd_or_corr", "SD", "number", 4),
            ColumnStyle("n_groups", "groups", "count"),
        ],
    )
    return paths


def _coefficient_columns(keys: Sequence[str]) -> list[ColumnStyle]:
    return [
        *(ColumnStyle(key, group=True) for key in keys),
        ColumnStyle("term"),
        ColumnStyle("estimate", kind="number", decimals=4),
        ColumnStyle("se", "SE", "number", 4),
        ColumnStyle("statistic", "t or z", "number", 2),
        ColumnStyle("p", kind="p"),
        ColumnStyle("ci_low", "95 % interval", "number", 3, upper="ci_high"),
    ]


def _accuracy(row: Any) -> str:
    return _plus_minus(100 * row.accuracy, 100 * (row.ci_high - row.ci_low) / 2, 1)


def _points(row: Any) -> str:
    return _plus_minus(100 * row.gain, 100 * (row.ci_high - row.ci_low) / 2, 1, signed=True)


def _milliseconds(row: Any) -> str:
    return _plus_minus(row.mean_ms, (row.ci_high - row.ci_low) / 2, 3 if row.mean_ms < 5 else 2)


def _plus_minus(value: float, half: float, decimals: int, *, signed: bool = False) -> str:
    spell = numbers.signed if signed else numbers.number
    return f"{spell(value, decimals)} ± {numbers.number(half, decimals)}"


def _examples(m: Material) -> dict[str, list[tuple[str, Any, float]]]:
    """Pick images spread over each bucket, always the same ones."""
    readable = m.complexity[m.complexity["width"].notna()]
    values = readable.set_index("image_id")[m.primary].dropna()
    bucket = m.labels[m.primary]
    chosen: dict[str, list[tuple[str, Any, float]]] = {}
    for name in bucket.cat.categories:
        of_bucket = values.loc[values.index.isin(bucket.index[bucket == name])]
        ranked = of_bucket.reset_index().sort_values([m.primary, "image_id"], kind="stable")
        if not len(ranked):
            continue
        n = min(EXAMPLES_PER_BUCKET, len(ranked))
        positions = [round((i + 0.5) / n * len(ranked) - 0.5) for i in range(n)]
        picked = [str(image) for image in ranked["image_id"].iloc[positions]]
        chosen[str(name)] = [
            (image, prepare(m.images.read(image)).rgb, float(values.loc[image])) for image in picked
        ]
    return chosen


def _spelled(ranges: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {range_}" for name, range_ in ranges.items())
