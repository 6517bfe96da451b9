"""A power study on disk and in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from analysis import numerals
from analysis.planning.detectable import NOT_REACHED, SMALLEST, WANTED
from analysis.planning.pilot import Pilot
from analysis.planning.power import DESIGN, Power
from analysis.planning.scenario import Scenario
from analysis.report.export import ColumnStyle, write_table
from analysis.report.figures import power_curves, save
from complexity.files import write_json

JSON = "power.json"
_DESIGN_STYLES = (
    ColumnStyle("ks", "k", "ks", group=True),
    ColumnStyle("n_questions", "questions an image", "count", group=True),
    ColumnStyle("n_images", "images", "count", group=True),
)


def write_power(
    found: Power, scenario: Scenario, pilot: Pilot | None, folder: str | Path
) -> list[Path]:
    """Write power.{csv,md,tex}, detectable.{csv,md,tex}, figures/power.* and power.json.

    Parameters
    ----------
    found : Power
    scenario : Scenario
        What was simulated.
    pilot : Pilot or None
        Where it came from; None for stated effects.
    folder : str or Path

    Returns
    -------
    list of Path
        The files; the same bytes for the same study.
    """
    folder = Path(folder)
    sets = f"{numerals.count(found.n_sets)} simulated studies a row, seed {found.seed}."
    paths = write_table(
        found.cells,
        folder / "power",
        caption="Power to find that the best k moves with complexity",
        label="tab:power",
        columns=[
            *_DESIGN_STYLES,
            ColumnStyle("shift", "shift", "number", decimals=2),
            ColumnStyle("best_low", "low third", "count", span="truly best k"),
            ColumnStyle("best_high", "high third", "count", span="truly best k"),
            ColumnStyle("power", "found", "percent", 0, span="shift"),
            ColumnStyle("power_low", "95 %", "percent", 0, upper="power_high", span="shift"),
            ColumnStyle("interaction", "found", "percent", 0, span="interaction"),
            ColumnStyle("kept", "k left", "number", 1),
        ],
        notes=[
            sets,
            "Shift: doublings of k per standard deviation of complexity. Found: share of studies "
            "in which no single k is left that serves both the lowest and the highest third, level "
            ".05, with its Monte Carlo interval (Wilson). Where the truly best k is the same in "
            "both, finding a shift is an error. Interaction: the curve in k changes with "
            "complexity, robust Wald test on the logit scale, level .05. k left: mean number of k "
            "not rejected as serving both.",
        ],
    )
    paths += write_table(
        found.detectable,
        folder / "detectable",
        caption=f"Smallest shift of the best k found in {100 * WANTED:g} % of studies",
        label="tab:detectable",
        columns=[
            *_DESIGN_STYLES,
            ColumnStyle("shift", "shift", "number", decimals=2),
            ColumnStyle("shift_low", "95 %", "number", 2, upper="shift_high"),
            ColumnStyle("remark", "remark"),
        ],
        notes=[
            sets,
            "Doublings of k per standard deviation of complexity, interpolated between the shifts "
            "simulated; the interval is Monte Carlo error, open where it leaves the range.",
        ],
    )
    paths += save(power_curves(found.cells), folder / "figures" / "power")
    write_json(folder / JSON, power_json(found, scenario, pilot))
    return [*paths, folder / JSON]


def power_json(found: Power, scenario: Scenario, pilot: Pilot | None) -> dict[str, Any]:
    """Spell a power study as ``optik power --json`` prints it."""
    world = dict(vars(scenario))
    # Hundreds of numbers that are the pilot's own.
    world["values"] = f"{len(scenario.values)} values" if scenario.values else None
    about = None
    if pilot is not None:
        about = {key: value for key, value in vars(pilot).items() if key != "scenario"}
    return {
        "test": "no common optimum of the lowest and the highest third of complexity, level .05",
        "unit": "doublings of k per standard deviation of complexity",
        "sets": found.n_sets,
        "seed": found.seed,
        "wanted": WANTED,
        "pilot": about,
        "scenario": world,
        "cells": found.cells.to_dict("records"),
        "detectable": found.detectable.to_dict("records"),
        "warnings": [] if pilot is None else pilot.warnings,
    }


def power_text(found: Power, pilot: Pilot | None) -> str:
    """Say what a power study found, for a terminal."""
    lines: list[str] = []
    if pilot is not None:
        best = max(pilot.accuracy)
        lines.append(
            f"Pilot: {pilot.model} by {pilot.metric}, {numerals.count(pilot.n_samples)} questions "
            f"about {numerals.count(pilot.n_images)} images, best accuracy "
            f"{numerals.percent(best)}. Simulated noise over the pilot's: {pilot.noise:.2f}."
        )
        lines += [f"  note: {warning}" for warning in pilot.warnings]
        lines.append("")
    lines.append("Share of studies that find the shift (truly best k, low / high third)")
    shifts = list(dict.fromkeys(found.cells["shift"]))
    designs = found.cells[["ks", "n_questions"]].drop_duplicates()
    for ks, questions in zip(designs["ks"], designs["n_questions"], strict=True):
        part = found.cells[(found.cells["ks"] == ks) & (found.cells["n_questions"] == questions)]
        lines.append(f"  k = {numerals.k_list(ks, 'and')}; {_questions(questions)}")
        head = [f"{'images':>10}"] + [f"{f'shift {shift:g}':>14}" for shift in shifts]
        lines.append("".join(head))
        for n, row in part.groupby("n_images", sort=False):
            columns = (row["power"], row["best_low"], row["best_high"])
            cells = [
                f"{f'{numerals.percent(share, 0)} ({low}/{high})':>14}"
                for share, low, high in zip(*columns, strict=True)
            ]
            lines.append(f"{numerals.count(float(str(n))):>10}" + "".join(cells))
    lines.append("")
    lines += [detectable_sentence(row, found) for _, row in found.detectable.iterrows()]
    still = found.cells[(found.cells["shift"] != 0) & ~found.cells["moves"]]
    if len(still):
        lines.append(
            "Where the truly best k is the same in both thirds there is no shift to find on that "
            "grid, however large the study: a finer grid of k would be needed."
        )
    lines.append(
        f"Shifts are doublings of k per standard deviation of complexity; the thirds compared "
        f"lie {found.apart:.1f} of them apart. {numerals.count(found.n_sets)} studies each, tests "
        f"at .05."
    )
    return "\n".join(lines)


def detectable_sentence(row: pd.Series, found: Power) -> str:
    """Say the smallest detectable shift of one design."""
    ks, questions, images = (row[name] for name in DESIGN)
    head = (
        f"{numerals.count(images)} images, {_questions(questions)}, k = "
        f"{numerals.k_list(ks, 'and')}: "
    )
    if row["remark"] == NOT_REACHED:
        part = found.cells[
            (found.cells["ks"] == ks)
            & (found.cells["n_questions"] == questions)
            & (found.cells["n_images"] == images)
        ]
        largest = part.loc[part["shift"].abs().idxmax()]
        return (
            head + f"no shift asked for is found in {100 * WANTED:g} % of studies; the largest, "
            f"{largest['shift']:g}, in {numerals.percent(largest['power'], 0)}."
        )
    ends = numerals.interval(row["shift_low"], row["shift_high"], leading_zero=True)
    ends = ends.replace(f", {numerals.MISSING}]", ", beyond the range]")
    less = " or less" if row["remark"] == SMALLEST else ""
    ratio = 2.0 ** abs(row["shift"] * found.apart)
    return (
        head + f"a shift of {numerals.number(row['shift'])}{less} is found in {100 * WANTED:g} % "
        f"of studies (Monte Carlo 95 %: {ends}); it makes the best k {ratio:.1f} times as large in "
        f"one third as in the other."
    )


def _questions(n: int) -> str:
    return "1 question each" if n == 1 else f"{n} questions each"
