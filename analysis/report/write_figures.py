"""Write a run's figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from analysis.report import answered, measured
from analysis.report.material import Material
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
