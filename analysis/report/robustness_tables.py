"""Tables and words on how far the answer depends on choices and on single data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.numerals import k_list, p_value
from analysis.report.export import ColumnStyle, write_csv, write_table
from analysis.robustness.leave_out import TRIED

MEANINGS = {
    "specifications": {
        "metric": "what complexity is",
        "ends": "which images are the two ends: shares of the images, outer thirds of the range of "
        "complexity, or curves at ±1 SD",
        "curve": "means at the ends; saturated logit; linear probability model; quadratic logit",
        "coding": "the score as it is; right from ½ on; right at 1 only (exact)",
        "adjusted": "whether the regression adjusts for the covariates",
        "effects": "clustered by image, or the rung of random effects of a mixed logit",
        "p": "of the null that some k is optimal at both ends; not adjusted",
        "common": "the k not rejected",
        "best_low": "arg max at the low end",
        "best_high": "arg max at the high end",
    },
    "left_out": {
        "left_out": "what was left out",
        "p": "of the headline test without it",
        "common": "the k not rejected",
        "best_low": "arg max at the low end",
        "best_high": "arg max at the high end",
    },
}


def specifications(found: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Stack the specifications of all models (`MEANINGS` has the columns)."""
    return pd.DataFrame([row for model in found for row in model["specifications"]])


def left_out(found: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Stack what was left out, by model."""
    return pd.DataFrame(
        [{"model": model["model"], **row} for model in found for row in model["left_out"]]
    )


def kept_anywhere(found: Sequence[Mapping[str, Any]]) -> list[int]:
    """Name every k that some specification does not reject."""
    return sorted({k for model in found for row in model["specifications"] for k in row["common"]})


def agreement(found: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Count, by model, in how many specifications each k serves both ends.

    Returns
    -------
    DataFrame
        `model`, `specifications`, `shift` (share that rejects every k), `joint_p`, then one
        column per k: share of specifications in which it is not rejected.
    """
    ks = kept_anywhere(found)
    rows = []
    for model in found:
        asked = model["specifications"]
        rows.append(
            {
                "model": model["model"],
                "specifications": len(asked),
                "shift": sum(row["p"] <= model["alpha"] for row in asked) / len(asked),
                "joint_p": model["joint"]["p"],
                **{f"k = {k}": sum(k in row["common"] for row in asked) / len(asked) for k in ks},
            }
        )
    return pd.DataFrame(rows)


def write_robustness_tables(found: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Write `specifications`, `specification_agreement` and `left_out`.

    Parameters
    ----------
    found : sequence of mapping
        ``robustness.json``.
    folder : Path
        The run's `tables/` folder.
    """
    if not found:
        return []
    everything = specifications(found).assign(common=lambda f: f["common"].map(_joined))
    paths = write_csv(everything, folder / "specifications")
    shares = agreement(found)
    joint = found[0]["joint"]
    paths += write_table(
        shares,
        folder / "specification_agreement",
        caption="Share of specifications in which each k is not rejected as best at both ends.",
        columns=[
            ColumnStyle("model"),
            ColumnStyle("specifications", kind="count"),
            ColumnStyle("shift", "every k rejected", "number", 2),
            ColumnStyle("joint_p", "joint p", "p"),
            *(ColumnStyle(f"k = {k}", kind="number", decimals=2) for k in kept_anywhere(found)),
        ],
        notes=[
            "Specifications: every metric; ends by halves, thirds, quarters of the images or by "
            "outer thirds of the range, or a logit, a linear probability model and (where it fits) "
            "a quadratic logit at ±1 SD, with and without covariates; for the primary metric also "
            "mixed logits on each rung of random effects that holds; soft scores also as right or "
            "wrong, from ½ on and at 1 only.",
            f"Joint p: {joint['n_shuffles']} shuffles; {joint['method']}.",
        ],
    )
    rows = left_out(found).assign(common=lambda f: f["common"].map(_joined))
    return paths + write_table(
        rows,
        folder / "left_out",
        caption="The headline test without a bucket, a kind of question or a single image.",
        columns=[
            ColumnStyle("model", group=True),
            ColumnStyle("left_out", "left out"),
            ColumnStyle("p", kind="p"),
            ColumnStyle("common", "k not rejected"),
            ColumnStyle("best_low", "best k, low", "count"),
            ColumnStyle("best_high", "best k, high", "count"),
        ],
        notes=[
            "Images: those whose answers move the differences between k most, one at a time. "
            "A bucket left out makes its neighbour the end."
        ],
    )


def _joined(ks: Sequence[int]) -> str:
    return " ".join(str(k) for k in ks)


def robustness_sentences(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say in a sentence or two whether the answer depends on choices or on single data."""
    if not found:
        return []
    total = sum(len(model["specifications"]) for model in found)
    shifted = [
        f"{model['model']} {count} of {len(model['specifications'])}"
        for model in found
        if (count := sum(row["p"] <= model["alpha"] for row in model["specifications"]))
    ]
    mixed = any(row["effects"] != "clustered" for m in found for row in m["specifications"])
    lines = [
        f"{total} specifications (metrics, ends, curves, covariates"
        f"{', random effects' if mixed else ''}): "
        + (f"every k is rejected in {', '.join(shifted)}." if shifted else "a shift in none.")
    ]
    always = []
    for model in found:
        sets = [set(row["common"]) for row in model["specifications"]]
        kept = sorted(set.intersection(*sets))
        always.append(f"{model['model']} {k_list(kept, 'and') if kept else 'none'}")
    lines.append(f"k that serve both ends in all of them: {'; '.join(always)}.")
    turned = []
    for model in found:
        whole, *rest = model["left_out"]
        for item in rest:
            if whole is not None and (item["p"] <= model["alpha"]) != (
                whole["p"] <= model["alpha"]
            ):
                turned.append(f"{model['model']} without {item['left_out']} ({p_value(item['p'])})")
    lines.append(
        f"Leaving out a bucket, a kind of question or any of the {TRIED} most influential images "
        + (
            f"turns the verdict for {', '.join(turned[:3])}"
            + (f" and {len(turned) - 3} more" if len(turned) > 3 else "")
            if turned
            else "turns no verdict"
        )
        + "."
    )
    return lines
