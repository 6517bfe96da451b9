"""Tables of the latencies of a study with answers, by k and bucket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from analysis.report import answered, measured
from analysis.report.export import ColumnStyle, default_styles, write_csv, write_table
from analysis.report.material import Material
from analysis.report.names import readable
from analysis.report.styles import COST, coefficient_columns, key_columns, line_note
from analysis.report.wide import across, plus_minus

KEYS = ("device", "phase", "model")


def write_bucket_latency(m: Material, folder: Path) -> list[Path]:
    """Write `latency_by_k`, and of its regressions costs, steps and coefficients.

    Parameters
    ----------
    m : Material
        What to write, with latencies.
    folder : Path
        The run's `tables/` folder.

    Returns
    -------
    list of Path
        The files.
    """
    assert m.latency is not None
    latency = measured.latency_by_k(m.latency, m.samples, m.labels[m.primary])
    paths = write_csv(latency, folder / "latency_by_k")
    carried = latency[latency["carried_by"].notna() & (latency["bucket"] == measured.ALL)]
    for phase, rows in latency.groupby("phase", sort=False):
        wide = across(rows, ["device", "model", "bucket", "n_items"], _milliseconds)
        name = readable(str(phase))
        paths += write_table(
            wide,
            folder / f"latency_by_k_{phase}",
            formats=("md", "tex"),
            caption=f"Mean {name} latency (ms) by active experts k and {readable(m.primary)}.",
            label=f"tab:latency-by-k-{phase}",
            columns=default_styles(wide, group=["device", "model"]),
            notes=[
                "Repeats are averaged within a sample. ± is the half-width of the 95 % interval "
                "(normal, clustered by image). Medians and maxima are in the CSV.",
                *(
                    f"{row.model}, {row.device}, k = {row.k}: the mean is carried by "
                    f"{row.carried_by} (median {row.median_ms:.2f} ms, maximum "
                    f"{row.max_ms:.1f} ms)."
                    for row in carried[carried["phase"] == phase].itertuples()
                ),
                m.buckets(),
            ],
        )
    if not m.latency_fits:
        return paths
    paths += _latency_costs(m, folder)
    methods = sorted({f"{fit['formula']} ({fit['method'].upper()})" for fit in m.latency_fits})
    troubled = [
        f"{fit['model']}, {fit['device']}, {fit['phase']}: {warning}"
        for fit in m.latency_fits
        for warning in fit["warnings"]
    ]
    paths += write_table(
        answered.coefficients(m.latency_fits, KEYS),
        folder / "coefficients_latency",
        caption="Linear mixed models of latency (ms).",
        columns=coefficient_columns(KEYS),
        notes=[
            f"Models: {'; '.join(methods)}. k as a factor, c: standardised "
            f"{readable(m.primary)}, order: position in the run (0 to 1). "
            "t, Satterthwaite degrees of freedom.",
            *troubled,
        ],
    )
    paths += write_table(
        answered.variance_components(m.latency_fits, KEYS),
        folder / "random_effects_latency",
        caption="Random-effect standard deviations of the latency models (ms).",
        columns=[
            *key_columns(KEYS),
            ColumnStyle("group"),
            ColumnStyle("term", kind="name"),
            ColumnStyle("sd_or_corr", "SD", "number", 4),
            ColumnStyle("n_groups", "groups", "count"),
        ],
    )
    return paths


def _latency_costs(m: Material, folder: Path) -> list[Path]:
    paths = write_table(
        answered.latency_cost(m.latency_fits, KEYS),
        folder / "latency_cost",
        caption="What one more active expert costs (ms).",
        columns=[
            *key_columns(KEYS),
            *COST,
            ColumnStyle("complexity_p", "complexity, p", "p"),
        ],
        notes=[
            line_note(m.latency_fits),
            "Line: F test that the means by k (as a factor) lie on one; where it is rejected b is "
            f"an average slope. Complexity: F test that {readable(m.primary)} changes neither the "
            "level nor the curve in k, image tokens adjusted for where they vary. p not adjusted.",
        ],
    )
    return paths + write_table(
        answered.latency_steps(m.latency_fits, KEYS),
        folder / "latency_steps",
        caption="Mean latency at each k over that at the k before it.",
        columns=[
            *key_columns(KEYS),
            ColumnStyle("k", "from k", "count"),
            ColumnStyle("next_k", "to k", "count"),
            ColumnStyle("ratio", kind="number", decimals=3),
            ColumnStyle("ci_low", "95 % interval", "number", 3, upper="ci_high"),
            ColumnStyle("n_items", "timed samples", "count"),
        ],
        notes=["Paired within samples, clustered by image, delta method on the log scale."],
    )


def _milliseconds(row: Any) -> str:
    return plus_minus(row.mean_ms, (row.ci_high - row.ci_low) / 2, 3 if row.mean_ms < 5 else 2)
