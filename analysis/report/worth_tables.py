"""Write the tables of what k is worth."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import numerals
from analysis.report import worth_frames
from analysis.report.export import ColumnStyle, default_styles, write_csv, write_table
from analysis.report.material import Material
from analysis.report.names import readable
from analysis.report.wide import across, plus_minus
from analysis.worth.cross_fit import N_FOLDS, N_REPEATS


def write_worth_tables(m: Material, folder: Path) -> list[Path]:
    """Write `worth_smallest_k`, `worth_policies` and, with latency, `worth_utility`.

    Parameters
    ----------
    m : Material
        What to write; every metric goes into the CSV, the primary one into print.
    folder : Path
        The run's `tables/` folder.
    """
    if not m.worth:
        return []
    primary = [worth for worth in m.worth if worth["metric"] == m.primary]
    paths = _smallest(m, primary, folder)
    if any(worth["value"] for worth in m.worth):
        paths += _policies(m, primary, folder)
    if any(worth["utility"] for worth in m.worth):
        paths += _utility(m, primary, folder)
    return paths


def _smallest(m: Material, primary: list[Any], folder: Path) -> list[Path]:
    margin = numerals.number(100 * primary[0]["margin"], 1)
    wide = across(
        worth_frames.smallest_k(primary),
        ["model", "bucket", "n_images", "best", "smallest"],
        lambda row: numerals.number(100 * row.limit, 1),
    )
    return write_table(
        wide,
        folder / "worth_smallest_k",
        full=worth_frames.smallest_k(m.worth),
        caption=f"Smallest k within {margin} accuracy points of the most accurate one, by "
        f"{readable(m.primary)}; upper 95 % limits of each k's distance (points).",
        columns=default_styles(wide, group=["model"]),
        notes=[
            "Limits are simultaneous over the k of a row (multiple comparisons with the best "
            "after Hsu, image-cluster covariance), not over rows. None: no k is certain to be "
            "within the margin.",
            *(f"{worth['model']}: {note}" for worth in primary for note in worth["notes"]),
            m.buckets(),
        ],
    )


def _policies(m: Material, primary: list[Any], folder: Path) -> list[Path]:
    stem = folder / "worth_policies"
    everything = worth_frames.policy_values(m.worth)
    frame = worth_frames.policy_values(primary)
    if frame.empty:
        return write_csv(everything, stem)
    spelled = pd.DataFrame([_policy_row(row) for row in frame.to_dict("records")])
    styles = [
        ColumnStyle("model", group=True),
        ColumnStyle("policy", "chosen for"),
        ColumnStyle("single", "one k", "count"),
        ColumnStyle("ks", "k by bucket", "ks"),
        ColumnStyle("accuracy", "accuracy (points)", span="policy less one k, cross-fitted"),
        ColumnStyle("ms", "latency (ms)", span="policy less one k, cross-fitted"),
        ColumnStyle("utility", "utility (points)", span="policy less one k, cross-fitted"),
        ColumnStyle("naive", "in-sample", span="optimistic"),
        ColumnStyle("oracle", "oracle", span="optimistic"),
    ]
    if frame["ms"].isna().all():
        styles = [style for style in styles if style.column not in ("ms", "utility")]
    return write_table(
        spelled,
        stem,
        full=everything,
        caption=f"What choosing k by {readable(m.primary)} is worth against the best single k.",
        columns=styles,
        notes=[
            f"Cross-fitted: cut points, k by bucket and the one k are learned in {N_FOLDS - 1} of "
            f"{N_FOLDS} folds of images and valued in the other, {N_REPEATS} draws of folds; ± is "
            "the half-width of the 95 % interval (clustered by image, widened for what folds "
            "share). One k and k by bucket as shown: chosen on all images.",
            "Optimistic, of what the policy is chosen for: in-sample, learned and valued on all "
            "images; oracle, chosen on the held-out images themselves.",
            "Utility is accuracy less price times latency. Equal accuracy: the fastest policy as "
            "accurate in training as the most accurate k; within margin: as the fastest k "
            "within the margin of it.",
            m.buckets(),
        ],
    )


def _policy_row(row: dict[Any, Any]) -> dict[str, Any]:
    own = worth_frames.objective(row)

    def with_half(what: str) -> str:
        value, low, high = row[what], row[f"{what}_low"], row[f"{what}_high"]
        if math.isnan(value):
            return numerals.MISSING
        scale = 1.0 if what == "ms" else 100.0
        return plus_minus(scale * value, scale * (high - low) / 2, 2, signed=True)

    def bare(kind: str) -> str:
        value = row[f"{own}_{kind}"]
        if own != "ms":
            return numerals.points(value, 2)
        lost = numerals.points(row[f"accuracy_{kind}"], 2)
        return f"{numerals.signed(value, 2)} ms, {lost}"

    return {
        "model": row["model"],
        "policy": policy_words(row["policy"], row["price"]),
        "single": row["single"],
        "ks": row["ks"],
        **{what: with_half(what) for what in ("accuracy", "ms", "utility")},
        "naive": bare("naive"),
        "oracle": bare("oracle"),
    }


def policy_words(policy: str, price: float) -> str:
    """Name a policy for print: ``utility at 0.25 points per ms``."""
    if policy == "utility":
        return f"utility at {numerals.significant(100 * price, 2)} points per ms"
    return f"speed, {policy}" if policy in ("equal accuracy", "within margin") else policy


def _utility(m: Material, primary: list[Any], folder: Path) -> list[Path]:
    stem = folder / "worth_utility"
    everything = worth_frames.utility_by_price(m.worth)
    frame = worth_frames.utility_by_price(primary)
    if frame.empty:
        return write_csv(everything, stem)
    prices = ["price_from", "price_to", "price_to_low", "price_to_high"]
    notes = sorted(
        {
            f"{worth['model']}: the bootstrap takes {worth['latency']['resampled']}."
            for worth in primary
            if worth["latency"] is not None
        }
    )
    return write_table(
        frame.assign(**{name: 100 * frame[name] for name in prices}),
        stem,
        full=everything,
        caption="k of highest utility (accuracy less price times latency) by price, in accuracy "
        "points per ms.",
        columns=[
            ColumnStyle("model", group=True),
            ColumnStyle("bucket", group=True),
            ColumnStyle("k", kind="count"),
            ColumnStyle("accuracy", kind="percent"),
            ColumnStyle("latency_ms", "latency (ms)", "number", 2),
            ColumnStyle("standing"),
            ColumnStyle("price_from", "from", "number", 3, span="best at prices"),
            ColumnStyle("price_to", "to", "number", 3, span="best at prices"),
            ColumnStyle(
                "price_to_low",
                "95 % of “to”",
                "number",
                3,
                upper="price_to_high",
                span="best at prices",
            ),
            ColumnStyle("share", kind="proportion"),
        ],
        notes=[
            "To: the break-even price with the next faster k; none for the fastest. Its interval "
            "is a percentile bootstrap, an open end means that no price may make the faster k "
            "worth it. Share: of resamples with k on the envelope.",
            "Dominated: another k is no slower and no less accurate. Inside the hull: at every "
            "price some other k is worth at least as much.",
            *notes,
            m.buckets(),
        ],
    )
