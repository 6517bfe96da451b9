"""The shipped latencies of full-size models: they check, and the page about them is theirs."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.checking import inspect
from analysis.latency_study import beside_floors, read_floors, summarise, units
from analysis.latency_study.cells import one_time_for_all_k
from analysis.latency_study.running import fit_latency, read, write_report
from analysis.manifest import LatencyStudy, load_any
from analysis.report.wide import decimals_of
from analysis.results import read_latency

ROWS = {"lfm2_8b_a1b": 14, "qwen3_vl_30b_a3b": 12}


def shipped(name: str) -> LatencyStudy:
    study = load_any(name)
    assert isinstance(study, LatencyStudy)
    return study


@pytest.mark.parametrize("name", ROWS)
def test_a_shipped_study_is_whole_and_checks(name: str) -> None:
    study = shipped(name)
    assert {finding.level for finding in inspect(study)} == {"ok"}
    latency, notes = read_latency(study)
    assert notes == ()
    # Five repeats of six k in every cell, none twice.
    by_cell = latency.groupby(["decode_mode", "batch", "n_image_tokens"])
    assert by_cell.ngroups == ROWS[name]
    assert set(by_cell.size()) == {30}
    prefill = latency["decode_mode"].str.partition(",")[0]
    assert (latency["run"].str.partition(", ")[2] == prefill).all()
    assert latency.groupby(["decode_mode", "batch"])["run"].nunique().max() == 1
    # The phases are parts of the whole.
    parts = latency["ttft_ms"] + latency["decode_ms"]
    np.testing.assert_allclose(latency["total_ms"], parts, rtol=1e-9)
    assert (latency["ttft_ms"] >= latency["vision_ms"] + latency["prefill_ms"]).all()


@pytest.mark.parametrize("name", ROWS)
def test_floors_are_bytes_over_the_bandwidth_of_the_session(name: str, root: Path) -> None:
    study = shipped(name)
    floors = read_floors(study)
    assert floors is not None
    path = root / "data_manifests" / name / "provenance.json"
    first = json.loads(path.read_text(encoding="utf-8"))["sessions"][0]
    bandwidth = first["copy bandwidth, bytes/s"]
    np.testing.assert_allclose(floors["floor_ms"], floors["active_bytes"] / bandwidth * 1e3)
    # One more expert is three matrices of hidden × width in every sparse layer, in bfloat16.
    text: dict[str, Any] = first["config"]["text_config"]
    sparse = text["num_hidden_layers"] - text.get("num_dense_layers", 0)
    expert = 2 * 3 * text["hidden_size"] * text["moe_intermediate_size"] * sparse
    np.testing.assert_allclose(np.diff(floors["active_bytes"]) / np.diff(floors["k"]), expert)
    beside = beside_floors(summarise(units(read_latency(study)[0])), floors)
    assert (beside["batch"] == 1).all() and (beside["ratio"] > 1).all()


def test_the_page_has_the_studies_numbers(root: Path) -> None:
    script = runpy.run_path(str(root / "benchmarks" / "full_size_tables.py"))
    text = (root / "docs" / "full_size_latency.md").read_text(encoding="utf-8")
    assert script["page"](text) == text, "python benchmarks/full_size_tables.py"


def test_a_phase_timed_once_for_all_k_has_a_table_and_no_figure(tmp_path: Path) -> None:
    timed = read(shipped("qwen3_vl_30b_a3b"))
    one = timed.units[timed.units["phase"].isin(("vision_ms", "prefill_ms"))]
    few = type(timed)(one[one["image_tokens"] == 64], None, ())
    by_phase = dict(list(summarise(few.units).groupby("phase")))
    assert one_time_for_all_k(by_phase["vision_ms"])
    assert not one_time_for_all_k(by_phase["prefill_ms"])
    fit_latency(few, tmp_path)
    made = {path.name for path in write_report(few, tmp_path)}
    assert "latency_by_k_vision_ms.md" in made and "latency_vs_k_prefill_ms.png" in made
    assert "latency_vs_k_vision_ms.png" not in made


@pytest.mark.parametrize(
    ("value", "half", "decimals"),
    [(0.1228, 0.00081, 4), (35.98, 0.079, 2), (-5.1, 13.0, 0), (-0.00526, 0.00079, 5),
     (4.26, 0.0002, 4), (1.2, 1.0, 1)],
)  # fmt: skip
def test_a_cost_has_four_digits_at_most_unless_its_interval_would_be_zero(
    value: float, half: float, decimals: int
) -> None:
    assert decimals_of(value, half) == decimals
