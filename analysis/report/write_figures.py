"""Write a run's figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.numerals import points
from analysis.report import answered, measured, robustness_tables, worth_frames
from analysis.report.material import Material
from analysis.report.worth_tables import policy_words
from complexity.image import prepare

EXAMPLES_PER_BUCKET = 5


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
    accuracy = measured.accuracy_by_k(m.table, m.labels[m.primary])
    by_bucket = accuracy[accuracy["bucket"] != measured.ALL]
    paths += figures.save(
        figures.accuracy_curves(by_bucket, metric=m.primary, bucket_ranges=ranges),
        folder / "accuracy_vs_k",
    )
    answers = m.primary_answers()
    paths += figures.save(
        figures.optimal_k(
            answered.bootstrap_shares(answers),
            answered.common_k(answers),
            ranges,
            metric=m.primary,
        ),
        folder / "optimal_k_vs_complexity",
    )
    paths += _worth(m, folder)
    if m.robustness:
        fig = figures.specification_curve(robustness_tables.specifications(m.robustness), m.primary)
        paths += figures.save(fig, folder / "specification_curve")
    if m.latency is None or not len(m.latency):
        return paths
    latency = measured.latency_by_k(m.latency, m.samples, m.labels[m.primary])
    overall = latency[latency["bucket"] == measured.ALL]
    paths += figures.save(figures.latency_curves(overall), folder / "latency_vs_k")
    if m.choice is not None:
        device, phase = m.choice
        chosen = latency[(latency["device"] == device) & (latency["phase"] == phase)]
        front = measured.frontier(accuracy, chosen)
        front = front[front["bucket"] != measured.ALL]
        if len(front):
            paths += figures.save(
                figures.frontier(
                    front, device=device, phase=phase, metric=m.primary, bucket_ranges=ranges
                ),
                folder / "accuracy_latency_frontier",
            )
    return paths


def _worth(m: Material, folder: Path) -> list[Path]:
    from analysis.report import figures

    paths = []
    primary = [worth for worth in m.worth if worth["metric"] == m.primary]
    by_price = worth_frames.utility_by_price(primary)
    if len(by_price):
        fig = figures.best_k_by_price(by_price, metric=m.primary, bucket_ranges=m.ranges[m.primary])
        paths += figures.save(fig, folder / "worth_best_k_by_price")
    values = [
        (worth_frames.objective(row), row)
        for row in worth_frames.policy_values(primary).to_dict("records")
    ]
    for stem, unit, scale, names in (
        ("worth_of_choosing_k", "points of accuracy or utility", 100.0, ("accuracy", "utility")),
        ("worth_of_choosing_k_ms", "mean ms (in brackets: accuracy)", 1.0, ("ms",)),
    ):
        rows = [
            {
                "model": row["model"],
                "what": _what(row, own),
                "value": scale * row[own],
                **{end: scale * row[f"{own}_{end}"] for end in ("low", "high", "naive", "oracle")},
                # Too much hope goes into their accuracy, which this axis does not show.
                **({"naive": float("nan"), "oracle": float("nan")} if own == "ms" else {}),
            }
            for own, row in values
            if own in names
        ]
        if rows:
            fig = figures.policy_value(pd.DataFrame(rows), unit=unit, metric=m.primary)
            paths += figures.save(fig, folder / stem)
    return paths


def _what(row: Mapping[Any, Any], own: str) -> str:
    words = policy_words(row["policy"], row["price"])
    return words if own != "ms" else f"{words} ({points(row['accuracy'], 2)})"


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
