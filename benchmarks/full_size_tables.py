"""The tables of docs/full_size_latency.md, from the two studies that are measured.

    python benchmarks/full_size_tables.py

Puts them between the marks of that page; every number is of data_manifests/*/latency.parquet and
provenance.json of these studies.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from analysis.latency_study import CELL, beside_floors, fit_cells, read_floors, summarise, units  # noqa: E402
from analysis.manifest import load_any  # noqa: E402
from analysis.numerals import number, significant  # noqa: E402
from analysis.report.answered import latency_cost  # noqa: E402
from analysis.report.wide import decimals_of, plus_minus  # noqa: E402
from analysis.results import read_latency  # noqa: E402

PAGE = ROOT / "docs" / "full_size_latency.md"
STUDIES = {"lfm2_8b_a1b": "LFM2", "qwen3_vl_30b_a3b": "Qwen3-VL"}
VALUES = "values of the cache in a decoded token"
MARKS = "<!-- {name}:begin -->\n", "<!-- {name}:end -->"


class Measured:
    """One study, read.

    Attributes
    ----------
    units, summary, floors : DataFrame
        See `analysis.latency_study`.
    runs : set of (str, int)
        Sessions of the rows, and their batches.
    sessions, checks : list of dict
        Of its provenance.
    """

    def __init__(self, name: str) -> None:
        study: Any = load_any(ROOT / "data_manifests" / name / "manifest.yaml")
        rows = read_latency(study)[0]
        self.units = units(rows)
        self.runs = set(zip(rows["run"], rows["batch"], strict=True))
        self.summary = summarise(self.units)
        read = read_floors(study)
        assert read is not None
        self.by_k = read.set_index("k")["floor_ms"]
        self.floors = beside_floors(self.summary, read)
        path = ROOT / "data_manifests" / name / "provenance.json"
        provenance = json.loads(path.read_text(encoding="utf-8"))
        self.sessions, self.checks = provenance["sessions"], provenance["checks"]

    def times(self, phase: str, way: str, batch: int, tokens: int) -> dict[int, float]:
        """Medians by k of one cell; empty where it was not measured."""
        rows = self.summary
        rows = rows[(rows["phase"] == phase) & rows["decode_mode"].str.startswith(way)]
        rows = rows[(rows["batch"] == batch) & (rows["image_tokens"] == tokens)]
        return {int(k): float(ms) for k, ms in zip(rows["k"], rows["median_ms"], strict=True)}


def table(head: list[str], rows: list[list[str]]) -> str:
    """Lay out in Markdown, the first column to the left."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


def decoding(of: dict[str, Measured]) -> str:
    """Set a decoded token at batch 1 beside its floor, by k: medians at 64 image tokens."""
    head, columns, ends = ["k"], [], []
    ks = [int(k) for k in next(iter(of.values())).by_k.index]
    for name, found in of.items():
        head += [f"{name}, ms", "floor, ms", "floors"]
        ms = found.times("tpot_ms", "captured prefill", 1, 64)
        columns.append([(ms[k], float(found.by_k[k])) for k in ks])
        by_k = found.floors.groupby("k")["median_ms"]
        apart = 100 * float((by_k.max() / by_k.min() - 1).max())
        ends.append(f"{name} {number(apart, 1)} %")
    rows = []
    for i, k in enumerate(ks):
        row = [str(k)]
        for column in columns:
            ms, floor = column[i]
            row += [significant(ms), significant(floor), number(ms / floor, 2)]
        rows.append(row)
    return (
        f"{table(head, rows)}\n\nMedians of 5 repeats after a captured prefill of 64 image tokens. "
        "All image sizes, after eager and captured prefills, are within "
        f"{' and '.join(ends)} of each other."
    )


def prefills(of: dict[str, Measured]) -> str:
    """Lay out the prefill by image tokens × k, eager and captured."""
    ks = [int(k) for k in next(iter(of.values())).by_k.index]
    rows = []
    for name, found in of.items():
        sizes = sorted(found.summary["image_tokens"].unique())
        for batch in sorted(found.summary["batch"].unique()):
            for n in sizes:
                for way in ("eager", "captured"):
                    ms = found.times("prefill_ms", f"{way} prefill", int(batch), int(n))
                    if ms:
                        cells = [significant(ms[k]) for k in ks]
                        rows.append([name, str(batch), f"{n:,}", way, *cells])
    return table(["model", "batch", "image tokens", "prefill", *(f"k = {k}" for k in ks)], rows)


def costs(of: dict[str, Measured]) -> str:
    """Give what one more active expert costs: b of a + b k, prefills captured."""
    rows = []
    for name, found in of.items():
        some = found.units[found.units["decode_mode"].str.startswith("captured prefill")]
        some = some[some["phase"].isin(("prefill_ms", "tpot_ms"))]
        lines = latency_cost(fit_cells(some).to_dicts(), CELL)
        for (batch, n), cell in lines.groupby(["batch", "image_tokens"]):
            by_phase = cell.set_index("phase")
            spelled = [_cost(by_phase.loc[phase]) for phase in ("prefill_ms", "tpot_ms")]
            rows.append([name, str(batch), f"{n:,}", *spelled])
    return table(["model", "batch", "image tokens", "prefill, ms", "a decoded token, ms"], rows)


def _cost(line: Any) -> str:
    half = float(line["ci_high"] - line["per_expert_ms"])
    star = "\\* " if line["lack_of_fit_p"] <= 0.05 else ""
    value = float(line["per_expert_ms"])
    return star + plus_minus(value, half, decimals_of(value, half))


def ways(of: dict[str, Measured]) -> str:
    """List what was tried at k = 4: the step's time, its logits' distance from the eager ones."""
    rows = []
    for name, found in of.items():
        # A session's rows bear the time when it began.
        timed = {(run.partition(",")[0], str(batch)) for run, batch in found.runs}
        tried = [
            (batch, way, made, session)
            for session in found.sessions
            for batch, variants in session["variants"].items()
            for way, made in variants.items()
            if way != "taken"
        ]
        for batch, way, made, session in sorted(tried, key=lambda row: row[0]):
            ms = made["ms a token"]
            floors = number(ms / found.by_k[4], 1) if batch == "1" else ""
            taken = way == session["variants"][batch]["taken"]
            mark = " (timed)" if taken and (session["began"], batch) in timed else ""
            values = "in parts" if "parts" in session[VALUES] and way != "graph" else "at once"
            cells = [way + mark, values if way != "graph" else "", significant(ms), floors]
            rows.append([name, batch, *cells, number(made["error"], 3)])
    head = ["model", "batch", "decoding", "values", "ms a step", "floors"]
    return table([*head, "relative error of the logits"], rows)


def checks(of: dict[str, Measured]) -> str:
    """List the errors of the logits in float32: what was left when rounding is small."""
    rows = []
    for name, found in of.items():
        for check in found.checks:
            layers = str(check["layers"])
            for batch, errors in check["decoding, error of the logits"].items():
                for way, error in errors.items():
                    rows.append([name, layers, f"decoding, {way}, batch {batch}", f"{error:.0e}"])
            by_cell = check["captured prefill, error of the logits by k"]
            for where, by_k in by_cell.items():
                error = max(found["captured"] for found in by_k.values())
                rows.append([name, layers, f"captured prefill, {where}", f"{error:.0e}"])
    return table(["model", "layers", "what", "relative error of the logits"], rows)


def page(text: str) -> str:
    """Put the tables into the page's text."""
    of = {short: Measured(name) for name, short in STUDIES.items()}
    for make in (decoding, prefills, costs, ways, checks):
        begin, end = (mark.format(name=make.__name__) for mark in MARKS)
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        if len(pattern.findall(text)) != 1:
            raise SystemExit(f"{PAGE.name} has no one {begin.strip()} … {end}")
        made = f"{begin}\n{make(of)}\n\n{end}"
        text = pattern.sub(lambda _, made=made: made, text)  # type: ignore[misc]
    return text


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
