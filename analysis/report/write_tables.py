"""Write a run's tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from analysis import numerals
from analysis.optimum.common import DRAWS
from analysis.report import answered, measured
from analysis.report.export import ColumnStyle, default_styles, write_table
from analysis.report.latency_by_bucket import write_bucket_latency
from analysis.report.material import Material
from analysis.report.names import readable
from analysis.report.robustness_tables import write_robustness_tables
from analysis.report.side_by_side_tables import write_side_by_side
from analysis.report.styles import coefficient_columns
from analysis.report.wide import across, plus_minus
from analysis.report.worth_tables import write_worth_tables


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
    described = measured.descriptives(m.complexity, m.samples, m.labels)
    spelled = described.assign(
        **{name: described[name].map(numerals.significant) for name in ("mean", "sd", "min", "max")}
    )
    paths = write_table(
        spelled,
        folder / "descriptives",
        full=described,
        caption="Visual complexity of the images, overall and by bucket.",
        columns=[
            ColumnStyle("metric", kind="name", group=True),
            ColumnStyle("bucket"),
            ColumnStyle("n_images", "images", "count"),
            ColumnStyle("n_samples", "samples", "count"),
            *(ColumnStyle(name) for name in ("mean", "sd", "min", "max")),
        ],
        notes=[m.buckets(metric) for metric in m.ranges],
    )
    if m.table is not None:
        paths += _accuracy_tables(m, folder)
        paths += write_side_by_side(m.answers, m.primary_answers(), folder)
        paths += write_worth_tables(m, folder)
        paths += write_robustness_tables(m.robustness, folder)
    if m.latency is not None and len(m.latency):
        paths += write_bucket_latency(m, folder)
    return paths


def _accuracy_tables(m: Material, folder: Path) -> list[Path]:
    assert m.table is not None
    ranges = m.buckets()
    accuracy = measured.accuracy_by_k(m.table, m.labels[m.primary])
    wide = across(accuracy, ["model", "bucket", "n_images", "n_samples"], _accuracy)
    paths = write_table(
        wide,
        folder / "accuracy_by_k",
        full=accuracy,
        caption=f"Accuracy (%) by active experts k and {readable(m.primary)}.",
        columns=default_styles(wide, group=["model"]),
        notes=[
            "± is the half-width of the 95 % interval (normal, clustered by image). k are paired "
            "within questions: overlapping intervals are no test of a difference.",
            ranges,
        ],
    )
    paths += write_table(
        answered.optimal_k(m.primary_answers()),
        folder / "optimal_k",
        full=answered.optimal_k(m.answers),
        caption=f"Accuracy-optimal number of active experts k by {readable(m.primary)}.",
        columns=[
            ColumnStyle("model", group=True),
            ColumnStyle("bucket"),
            ColumnStyle("n_images", "images", "count"),
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
            "Neither set is adjusted for the number of models; not rejected does not mean "
            "equally good. All metrics are in the CSV.",
            m.buckets(),
        ],
    )
    paths += write_table(
        answered.interactions(m.answers),
        folder / "interaction_tests",
        caption="Does the curve of accuracy in k change with complexity?",
        columns=[
            ColumnStyle("metric", kind="name", group=True),
            ColumnStyle("model"),
            ColumnStyle("n_images", "images", "count"),
            ColumnStyle("f", "F", "number", 2, span="logit"),
            ColumnStyle("df", "df", "count", span="logit"),
            ColumnStyle("df2", "df2", "count", span="logit"),
            ColumnStyle("p", "p", "p", span="logit"),
            ColumnStyle("p_adjusted", "Holm", "p", span="logit"),
            ColumnStyle("p_probability", "p", "p", span="probability"),
            ColumnStyle("p_probability_adjusted", "Holm", "p", span="probability"),
            ColumnStyle("p_permutation", "p", "p", span="shuffled"),
            ColumnStyle("p_linearity", "p", "p", span="linearity"),
        ],
        notes=[
            f"Primary metric: {readable(m.primary)}. Robust Wald tests of all k × complexity "
            "terms, k as a factor, covariance clustered by image (CR1): in a logit, and in a "
            "linear probability model with the same terms. Linearity: k × c² terms in the logit. "
            "Shuffled: complexity permuted across images (within strata of the covariates where "
            "they are large enough), studentised; tests that complexity has nothing to do with "
            "the curve in k. The last two are unadjusted.",
            "Holm: over models for the primary metric, over all the rest for the others, each "
            "kind of test apart.",
        ],
    )
    paths += write_table(
        answered.shifts(m.answers),
        folder / "shift_tests",
        caption="Does the optimal k shift with complexity?",
        columns=[
            ColumnStyle("metric", kind="name", group=True),
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
            ColumnStyle("p_equivalence", "p", "p", span="within margin"),
            ColumnStyle("within", "k", "ks", span="within margin"),
        ],
        notes=[
            f"Primary metric: {readable(m.primary)}. p of the null that one k is optimal in the "
            "lowest and the highest bucket at once: intersection-union over k, image-cluster "
            f"covariance, Hansen recentring, {DRAWS:,} Monte Carlo draws; p = 1 where one k is "
            "best at both. ±1 SD: the same test on the curves of the saturated regression, "
            "unadjusted.",
            "Holm: over models for the primary metric, over all the rest for the others. The "
            "sets of k (level .05) are not adjusted.",
            "Least costly k: cost is the largest estimated shortfall from the best k at either "
            "end, limit its upper 95 % limit, simultaneous over all pairs of k and both ends.",
            "Within margin: p of the null that every k costs the manifest's margin or more at "
            "some end (one-sided t, intersection-union, Bonferroni over k), and the k shown to "
            "cost less.",
        ],
    )
    by_k = answered.p_by_k(m.answers)
    wide = across(by_k, ["metric", "model"], lambda row: numerals.p_number(row.p))
    paths += write_table(
        wide,
        folder / "p_by_k",
        full=by_k,
        caption="p of the null that this k is optimal at both ends of complexity.",
        columns=default_styles(wide, group=["metric"]),
        notes=["The k with p above .05 are a confidence set for one k that serves both ends."],
    )
    gains = answered.gains_by_k(m.primary_answers())
    wide = across(gains, ["model", "reference", "group"], _points)
    paths += write_table(
        wide,
        folder / "gains_by_k",
        full=gains,
        caption=f"Accuracy of each k against the reference k, by {readable(m.primary)} (points).",
        columns=default_styles(wide, group=["model", "reference"]),
        notes=[
            "Paired within questions, clustered by image; ± is the half-width of the 95 % "
            "interval, max-t, simultaneous over all pairs of k of a group (high - low: over the k "
            "of the row). The reference is the k most accurate over all images, chosen on the same "
            "data.",
            ranges,
        ],
    )
    paths += write_table(
        answered.quadratics(m.answers),
        folder / "quadratic",
        caption="Second opinion on a shift: the quadratic in log2 k.",
        columns=[
            ColumnStyle("metric", kind="name", group=True),
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
        answered.coefficients(m.accuracy_fits, ["model", "curve"]),
        folder / "coefficients_accuracy",
        caption=f"Logit of the score on k, {readable(m.primary)} (c, standardised) and covariates.",
        columns=coefficient_columns(["model", "curve"]),
        notes=[
            f"Models: {'; '.join(sorted({fit['formula'] for fit in m.accuracy_fits}))} "
            f"(x = log2 k). Reference: k = {min(m.primary_answers()[0]['ks'])}, and of each "
            "covariate the first level. Covariance clustered by image (CR1), t with images − 1 "
            f"degrees of freedom. Images and rows: {_sizes(m)}.",
        ],
    )
    return paths


def _accuracy(row: Any) -> str:
    if row.accuracy in (0, 1):
        low, high = numerals.number(100 * row.ci_low, 1), numerals.number(100 * row.ci_high, 1)
        return f"{numerals.number(100 * row.accuracy, 1)} [{low}, {high}]"
    return plus_minus(100 * row.accuracy, 100 * (row.ci_high - row.ci_low) / 2, 1)


def _points(row: Any) -> str:
    return plus_minus(100 * row.gain, 100 * (row.ci_high - row.ci_low) / 2, 1, signed=True)


def _sizes(m: Material) -> str:
    sizes = {fit["model"]: (fit["n_groups"]["image_id"], fit["n_obs"]) for fit in m.accuracy_fits}
    return "; ".join(f"{model} {images:,} and {rows:,}" for model, (images, rows) in sizes.items())
