"""What a study of latency alone found, in plain words."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.join_report import counted, counted_between
from analysis.latency import PER_TOKEN
from analysis.latency_study.cells import CELL, one_time_for_all_k
from analysis.latency_study.floors import doubts, read_floors
from analysis.manifest import LatencyStudy
from analysis.numerals import MISSING, number, significant
from analysis.report.names import readable
from analysis.report.wide import decimals_of, plus_minus
from analysis.report.wording import bullet, indented, opening, paragraph, section, sentence

ALPHA = 0.05
#: Phases that the answer spells out; the others are sums of them, or do not run experts.
SHOWN = ("prefill_ms", PER_TOKEN)
QUESTION = "What does one more active expert k cost in time?"
HOW_TO_READ = (
    "Medians. An expert: b of a + b k; from k to k: what one more costs between the two. ± is the "
    "half-width of the 95 % interval."
)
LIMITS = (
    "Intervals are about timing the same requests again in the session(s) measured: another "
    "device, driver, library or day may differ by more.",
    "There are no answers here, so nothing is said about what k buys.",
)
FLOOR_LIMIT = (
    "The memory floor counts the weights that a token reads, once; the cache of keys and values "
    "and activations come on top."
)


def latency_answer(study: LatencyStudy, folder: Path) -> str:
    """Spell out what a finished run of a study of latency alone found.

    Parameters
    ----------
    study : LatencyStudy
        The study.
    folder : Path
        The run's folder.

    Returns
    -------
    str
        Lines for a terminal; the numbers are those of the run's tables.
    """
    tables = folder / "tables"
    summary = _cells(tables / "latency_by_k.csv")
    costs = _cells(tables / "latency_cost.csv")
    steps = _cells(tables / "latency_steps.csv")
    floors = _cells(tables / "decode_floor.csv")
    lines = [*opening(study.manifest.title, QUESTION), *paragraph(HOW_TO_READ)]
    for about, rows in summary.groupby(list(CELL[:4]), sort=False):
        here = dict(zip(CELL[:4], about, strict=True))
        lines += ["", *paragraph("{1} on {0}, {2}: {3}".format(*about)), *_grid(rows)]
        phases = list(rows["phase"].unique())
        shown = [phase for phase in SHOWN if phase in phases] or phases
        for phase in shown:
            cell = {**here, "phase": phase}
            lines += ["", *_phase(rows[rows["phase"] == phase], _of(costs, cell), _of(steps, cell))]
        beside = _of(floors, here)
        for batch in sorted(beside["batch"].unique()):
            lines += ["", *_floor(beside[beside["batch"] == batch])]
        lines += _elsewhere(rows, [phase for phase in phases if phase not in shown])
    given = read_floors(study)
    odd = [] if given is None else doubts(summary, given)
    said = [f"{sentence(what)}. {sentence(mend)}." for what, mend in odd]
    lines += section("To look into", said, bullet)
    refused = folder / "fits" / "latency_refused.json"
    if refused.is_file():
        reasons = by_reason(json.loads(refused.read_text(encoding="utf-8")))
        said = [f"No regression of {phase} in {n}: {why}." for phase, why, n in reasons]
        lines += section("Set aside", said, bullet)
    limits = [*study.manifest.notes, *LIMITS, *([FLOOR_LIMIT] if len(floors) else [])]
    lines += section("What this cannot tell", limits, bullet)
    return "\n".join(lines) + "\n"


def _cells(path: Path) -> pd.DataFrame:
    """Read a table of the run; names of cells stay text."""
    if not path.is_file():
        return pd.DataFrame(columns=[*CELL, "k", "next_k"])
    return pd.read_csv(
        path, dtype=dict.fromkeys(CELL[:5], str), keep_default_na=False, na_values=[""]
    )


def _elsewhere(rows: pd.DataFrame, phases: Sequence[str]) -> list[str]:
    """Say where the phases are that the answer does not lay out."""
    drawn, told = list[str](), list[str]()
    for phase in phases:
        once = one_time_for_all_k(rows[rows["phase"] == phase])
        (told if once else drawn).append(readable(phase))
    said = f"In tables and figures: {', '.join(drawn)}." if drawn else ""
    if told:
        said += f" In tables, timed once for all k: {', '.join(told)}."
    return ["", *indented(said.strip())] if said else []


def _of(frame: pd.DataFrame, cell: Mapping[str, object]) -> pd.DataFrame:
    chosen = pd.Series(True, index=frame.index)
    for name, value in cell.items():
        chosen &= frame[name] == value
    return frame[chosen]


def _grid(rows: pd.DataFrame) -> list[str]:
    ks = ", ".join(str(k) for k in sorted(rows["k"].unique()))
    return indented(f"k = {ks}; {counted_between(rows['n_units'], rows['unit'].iloc[0])} of each.")


def _phase(rows: pd.DataFrame, costs: pd.DataFrame, steps: pd.DataFrame) -> list[str]:
    """Lay out a phase: time at both ends of k, and what an expert costs, by batch and tokens."""
    phase = str(rows["phase"].iloc[0])
    name = "A decoded token" if phase == PER_TOKEN else readable(phase).capitalize()
    ends = [int(rows["k"].min()), int(rows["k"].max())]
    pairs = sorted({(int(a), int(b)) for a, b in zip(steps["k"], steps["next_k"], strict=True)})
    pairs = list(dict.fromkeys([*pairs[:1], *pairs[-1:]]))
    head = [f"{name}, ms", *(f"k = {k}" for k in ends), "an expert"]
    table = [[*head, *(f"from {a} to {b}" for a, b in pairs)]]
    bent = False
    for (batch, n), cell in rows.groupby(["batch", "image_tokens"], sort=True):
        here = {"batch": batch, "image_tokens": n}
        times = cell.set_index("k")["median_ms"]
        cost = next(iter(_of(costs, here).to_dict("records")), None)
        line = [f"  batch {batch}, {_tokens(int(str(n)))}"]
        line += [significant(float(times[k])) if k in times.index else MISSING for k in ends]
        line.append(MISSING if cost is None else _interval(cost, "per_expert_ms"))
        if cost is not None and cost["lack_of_fit_p"] <= ALPHA:
            line[-1] = f"* {line[-1]}"
            bent = True
        for a, b in pairs:
            mine = _of(steps, {**here, "k": a, "next_k": b}).to_dict("records")
            line.append(_interval(mine[0], "per_expert_ms") if mine else MISSING)
        table.append(line)
    said = indented("* the times do not lie on a line in k (p ≤ .05): an average") if bent else []
    if phase == PER_TOKEN and int(rows["batch"].max()) > 1:
        said += indented("batch above 1: a step, in which every answer gets one token")
    return [*_aligned(table), *said]


def _tokens(n: int) -> str:
    return f"{n:,} image tokens" if n else "image tokens not told"


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Set a table in columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  " + "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in table
    ]


def _interval(found: Mapping[Any, Any], name: str) -> str:
    value, half = float(found[name]), float(found["ci_high"] - found[name])
    decimals = decimals_of(value, half)
    return number(value, decimals) if math.isnan(half) else plus_minus(value, half, decimals)


def _floor(rows: pd.DataFrame) -> list[str]:
    """Lay out how many times its floor a decoded token takes, by image tokens."""
    floor = rows.drop_duplicates("k").set_index("k")["floor_ms"].sort_index()
    ks = list(floor.index)
    table = [
        [
            f"A decoded token over its floor, batch {rows['batch'].iloc[0]}",
            *(f"k = {k}" for k in ks),
        ],
        ["  floor, ms", *(significant(float(ms)) for ms in floor)],
    ]
    for n, of_size in rows.groupby("image_tokens", sort=True):
        ratio = of_size.set_index("k")["ratio"]
        found = [number(float(ratio[k]), 2) if k in ratio.index else MISSING for k in ks]
        table.append([f"  {_tokens(int(str(n)))}", *found])
    return _aligned(table)


def by_reason(refused: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Name what has no regression, cells of one reason together: phase, why, how many cells."""
    found = Counter((readable(str(cell["phase"])), str(cell["why"])) for cell in refused)
    return [(phase, why, counted(n, "cell")) for (phase, why), n in found.items()]
