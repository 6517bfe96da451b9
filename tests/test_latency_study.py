"""Studies of latency alone: cells, fits of known truth, floors, the run and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from latency_cells import (
    BANDWIDTH,
    EAGER,
    GRAPH,
    KS,
    active_bytes,
    cells,
    floors,
    latency_study,
    per_expert,
)
from scipy import stats
from small_study import contents
from typer.testing import CliRunner

import analysis
from analysis.checking import inspect
from analysis.cli import app
from analysis.latency_study import CELL, beside_floors, fit_cells, read_floors, summarise, units
from analysis.manifest import LatencyStudy, load_any, load_study
from analysis.report import figures
from analysis.report.answered import latency_cost, latency_steps
from analysis.results import read_latency
from complexity.errors import InputError

FEW: dict[str, Any] = {"ks": (1, 2, 4), "tokens": (64, 256), "repeats": 3}
RUN = FEW | {"batches": (1,)}
UNTIMED = dict.fromkeys(("vision_ms", "ttft_ms", "total_ms"), np.nan)


def table(**how: Any) -> pd.DataFrame:
    """The latency table as it is read."""
    return cells(**how).assign(dataset="toy_latency", run="latency")


def one_cell(**how: Any) -> pd.DataFrame:
    """Prefills of one size and batch, one way."""
    made = table(**({"tokens": (256,), "batches": (1,), "modes": (GRAPH,)} | how))
    return made.assign(**UNTIMED, decode_ms=np.nan)


def study(folder: Path, latency: pd.DataFrame | None = None, **changed: Any) -> LatencyStudy:
    found = load_any(latency_study(folder, cells(**FEW) if latency is None else latency, **changed))
    assert isinstance(found, LatencyStudy)
    return found


# ---- cells ------------------------------------------------------------------------------
def test_sizes_batches_and_ways_are_kept_apart() -> None:
    summary = summarise(units(table(**FEW)))
    prefill = summary[summary["phase"] == "prefill_ms"]
    assert len(prefill) == 2 * 2 * 2 * 3
    assert not prefill.duplicated([*CELL, "k"]).any()
    assert list(prefill["decode_mode"].unique()) == [GRAPH, EAGER]
    assert set(prefill["n_units"]) == {3}
    assert set(prefill["unit"]) == {"repeat"}


def test_medians_and_quartiles_by_hand() -> None:
    rows = one_cell(repeats=5)
    summary = summarise(units(rows)).set_index("k")
    for k, times in rows.groupby("k")["prefill_ms"]:
        found = summary.loc[k]
        low, middle, high = np.sort(times)[1:4]
        assert (found["q1_ms"], found["median_ms"], found["q3_ms"]) == (low, middle, high)
        assert (found["min_ms"], found["max_ms"]) == (times.min(), times.max())
        assert found["sd_ms"] == pytest.approx(times.std(ddof=1))


def test_requests_of_a_batch_are_no_repeats() -> None:
    rows = one_cell(batches=(8,), repeats=4)
    eight = pd.concat([rows.assign(request=i) for i in range(8)], ignore_index=True)
    summary = summarise(units(eight))
    assert set(summary["n_units"]) == {4}
    pd.testing.assert_frame_equal(summary, summarise(units(rows)))


def test_a_batch_that_was_not_repeated_is_described_by_its_requests() -> None:
    rows = one_cell(batches=(8,), repeats=1)
    eight = pd.concat([rows.assign(request=i, sample_id=None) for i in range(8)])
    summary = summarise(units(eight.reset_index(drop=True)))
    assert set(summary["unit"]) == {"request"}
    assert set(summary["n_units"]) == {8}


def test_single_requests_are_the_units_and_their_repeats_are_averaged() -> None:
    rows = one_cell(repeats=2)
    many = pd.concat([rows.assign(sample_id=f"s{i}") for i in range(5)], ignore_index=True)
    timed = units(many)
    assert set(timed["item"]) == {f"s{i}" for i in range(5)}
    expected = rows.groupby("k")["prefill_ms"].mean()
    found = timed[timed["item"] == "s0"].set_index("k")["ms"]
    np.testing.assert_allclose(found, expected.reindex(found.index))


def test_sessions_number_their_repeats_apart() -> None:
    rows = one_cell(repeats=3)
    two = pd.concat([rows, rows.assign(run="later", prefill_ms=rows["prefill_ms"] + 5)])
    timed = units(two.reset_index(drop=True))
    assert set(summarise(timed)["n_units"]) == {6}
    ((_, fit, _),) = fit_cells(timed).fitted
    level = fit.fit.tidy().set_index("term").loc["run[later]"]
    assert level["estimate"] == pytest.approx(5, abs=1e-6)
    assert fit.fit.n_groups == {"item": 6}


def test_a_decoded_token_is_the_decoding_per_token_after_the_first() -> None:
    rows = table(**FEW)
    timed = units(rows)
    token = timed[timed["phase"] == "tpot_ms"]["ms"].to_numpy()
    decode = timed[timed["phase"] == "decode_ms"]["ms"].to_numpy()
    np.testing.assert_allclose(token, decode / 16)
    one = units(rows.assign(n_new_tokens=1))
    assert "tpot_ms" not in set(one["phase"])


def test_image_tokens_are_known_throughout_or_not_at_all() -> None:
    rows = table(**FEW)
    none = units(rows.assign(n_image_tokens=pd.array([None] * len(rows), dtype="Int64")))
    assert set(none["image_tokens"]) == {0}
    some = rows["n_image_tokens"].astype("Int64").where(rows["k"] > 1)
    with pytest.raises(InputError, match=r"n_image_tokens is empty in 24 of 72 rows; fill it in"):
        units(rows.assign(n_image_tokens=some))


# ---- what an expert costs ---------------------------------------------------------------
def test_the_line_is_least_squares_on_a_balanced_grid() -> None:
    rows = one_cell(repeats=4, noise=0.05).assign(order=0)
    timed = units(rows)
    ((_, found, steps),) = fit_cells(timed).fitted
    assert found.linear.formula == "ms ~ k + (1 | item)"
    slope = np.polyfit(rows["k"], rows["prefill_ms"], 1)
    np.testing.assert_allclose(found.linear.params, slope[::-1], rtol=1e-6)
    means = rows.groupby("k")["prefill_ms"].mean()
    factor = found.fit.params + np.r_[0, np.full(len(KS) - 1, found.fit.params[0])]
    np.testing.assert_allclose(factor, means, rtol=1e-6)
    wide = rows.pivot_table(index="repeat", columns="k", values="prefill_ms")
    for step in steps:
        low, high = stats.ttest_rel(wide[step.next_k], wide[step.k]).confidence_interval(0.95)
        width = step.next_k - step.k
        assert (step.ci_low, step.ci_high) == pytest.approx((low / width, high / width))
        assert step.n_units == 4


def test_intervals_hold_the_true_cost_and_the_line_is_not_rejected_for_nothing() -> None:
    sizes = tuple(range(100, 2100, 100))
    rows = table(tokens=sizes, batches=(1,), modes=(GRAPH,), repeats=4, noise=0.03, seed=7)
    costs = latency_cost(fit_cells(units(rows.assign(**UNTIMED))).to_dicts(), CELL)
    for phase in ("prefill_ms", "tpot_ms"):
        found = costs[costs["phase"] == phase]
        assert len(found) == 20
        true = np.array([per_expert(phase, GRAPH, n, 1) for n in found["image_tokens"]])
        held = ((found["ci_low"] <= true) & (true <= found["ci_high"])).mean()
        assert held >= 0.85
        assert (found["lack_of_fit_p"] < 0.05).mean() <= 0.15
        np.testing.assert_allclose(found["per_expert_ms"], true, rtol=0.1)


def test_a_bend_is_seen_and_its_steps_say_where() -> None:
    rows = one_cell(repeats=5)
    flat = rows["prefill_ms"] + np.where(rows["k"] > 8, 0.5 * (rows["k"] - 8), 0)
    found = fit_cells(units(rows.assign(prefill_ms=flat)))
    (cost,) = latency_cost(found.to_dicts(), CELL).to_dict("records")
    assert cost["lack_of_fit_p"] < 1e-6
    steps = latency_steps(found.to_dicts(), CELL).set_index("k")["per_expert_ms"]
    true = per_expert("prefill_ms", GRAPH, 256, 1)
    assert steps.loc[4] == pytest.approx(true, abs=0.1)
    assert steps.loc[16] == pytest.approx(true + 0.5, abs=0.1)


def test_a_cell_that_cannot_be_fitted_does_not_end_the_others() -> None:
    good = one_cell()
    exact = good.assign(n_image_tokens=2, prefill_ms=3.0 + good["k"])
    additive = good.assign(n_image_tokens=6, prefill_ms=3.0 + good["k"] + good["repeat"])
    same = good.assign(n_image_tokens=3, prefill_ms=3.0)
    single = good[good["k"] == 4].assign(n_image_tokens=4)
    once = good[good["repeat"] == 0].assign(n_image_tokens=5)
    shared = good.assign(n_image_tokens=7, prefill_ms=3.0 + good["repeat"])
    every = [good, exact, same, single, once, additive, shared]
    found = fit_cells(units(pd.concat(every, ignore_index=True)))
    assert [cell["image_tokens"] for cell, _, _ in found.fitted] == [256]
    why = {cell["image_tokens"]: reason for cell, reason in found.refused}
    assert set(why) == {2, 3, 4, 5, 6, 7}
    assert "no variance is left" in why[2]
    assert "no variance is left" in why[6]
    assert why[3] == "the same time throughout"
    assert why[4] == "timed at one k only"
    assert why[7] == "one time stands for all k"
    assert why[5] == "timed once at each k: repeats are needed to tell k from noise"


# ---- floors -----------------------------------------------------------------------------
def test_floors_from_a_table_or_from_the_provenance(tmp_path: Path) -> None:
    from_csv = read_floors(study(tmp_path / "csv"))
    assert from_csv is not None
    assert list(from_csv["k"]) == list(KS)
    assert list(from_csv["batch"]) == [1] * 6
    assert from_csv["floor_ms"].iloc[2] == pytest.approx(active_bytes(4) / BANDWIDTH)
    made = study(tmp_path / "json", floors={"path": "provenance.json"})
    rows = floors().to_dict("records")
    text = json.dumps({"gpu": "one", "floors": rows})
    (tmp_path / "json" / "provenance.json").write_text(text, encoding="utf-8")
    pd.testing.assert_frame_equal(read_floors(made), from_csv)
    named = study(tmp_path / "named", floors={"path": "f.parquet", "columns": {"floor_ms": "ms"}})
    floors().rename(columns={"floor_ms": "ms"}).to_parquet(tmp_path / "named" / "f.parquet")
    pd.testing.assert_frame_equal(read_floors(named), from_csv)
    assert read_floors(study(tmp_path / "none", floors=None)) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("k,floor_ms\n1,0\n", "a floor_ms of 0 is no floor"),
        ("k,floor_ms\n1,.4\n1,.5\n", "the same key twice"),
        ("k,ms\n1,.4\n", "no column 'floor_ms'"),
        ('{"floors": 3}', "its floors are not what is expected"),
        ('{"bandwidth": 3}', 'not an object with "floors", a list of rows'),
        ("[", 'not an object with "floors", a list of rows'),
    ],
)
def test_floors_that_are_not_right(tmp_path: Path, text: str, said: str) -> None:
    name = "f.csv" if text[0] == "k" else "f.json"
    made = study(tmp_path, floors={"path": name})
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_floors(made)
    assert said in str(caught.value)
    assert name in str(caught.value)


def test_a_decoded_token_over_its_floor() -> None:
    summary = summarise(units(table(**FEW)))
    own = floors((1, 2)).assign(batch=1, device=None, model=None)
    beside = beside_floors(summary, own)
    assert set(beside["k"]) == {1, 2}
    assert set(beside["batch"]) == {1}
    assert set(beside["phase"]) == {"tpot_ms"}
    assert set(beside["decode_mode"]) == {GRAPH, EAGER}
    np.testing.assert_allclose(
        beside["ratio"], beside["median_ms"] * BANDWIDTH / beside["k"].map(active_bytes)
    )
    # A floor of the device itself goes before one for all; those of others do not count.
    mine = own.assign(device="NVIDIA H200", floor_ms=0.1)
    other = own.assign(device="another", floor_ms=9.0)
    both = beside_floors(summary, pd.concat([own, other, mine], ignore_index=True))
    assert set(both["floor_ms"]) == {0.1}
    assert beside_floors(summary, other).empty


# ---- the manifest -----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("analysis", {"primary": {"metric": "edge_density"}}, "it asks about accuracy"),
        ("scorer", "exact", "it scores answers"),
        ("object_count", {"from": "proto"}, "it counts objects in images"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, key: str, value: Any, why: str) -> None:
    path = latency_study(tmp_path, cells(**FEW), **{key: value})
    run = CliRunner().invoke(app, ["run", str(path), "-o", str(tmp_path / "run")])
    assert isinstance(run.exception, SystemExit)
    assert run.exception.code == 1
    assert f": {key}: makes no sense in a study of latency alone" in run.output
    assert why in run.output
    assert not (tmp_path / "run").exists()


def test_other_commands_want_a_whole_study(tmp_path: Path) -> None:
    path = latency_study(tmp_path, cells(**FEW))
    with pytest.raises(InputError, match="a study of latency alone, without images and samples"):
        load_study(path)
    # With any part of a whole study it is one that lacks the rest.
    with pytest.raises(InputError, match="images: is missing"):
        load_any(latency_study(tmp_path, cells(**FEW), samples={"path": "samples.csv"}))
    with pytest.raises(InputError, match=r"floors\.columns\.floor: unknown column of ours"):
        load_any(latency_study(tmp_path, floors={"path": "f", "columns": {"floor": "ms"}}))


def test_rows_that_differ_in_size_or_way_only_are_not_one_measurement(tmp_path: Path) -> None:
    latency, _ = read_latency(study(tmp_path, cells(**FEW).assign(sample_id=None)))
    assert len(latency) == 2 * 2 * 2 * 3 * 3
    twice = pd.concat([cells(**FEW), cells(**FEW)])
    with pytest.raises(InputError, match="the same key twice"):
        read_latency(study(tmp_path, twice))


def test_one_k_is_not_enough(tmp_path: Path) -> None:
    made = study(tmp_path, cells(ks=(4,), tokens=(64,), repeats=2))
    with pytest.raises(InputError, match="all latencies are at k = 4"):
        analysis.run(made, tmp_path / "run")


# ---- check ------------------------------------------------------------------------------
def test_check_says_what_is_there(tmp_path: Path) -> None:
    rows = cells(**FEW)
    hole = (rows["k"] == 4) & (rows["n_image_tokens"] == 64) & (rows["decode_mode"] == EAGER)
    made = study(tmp_path, rows[~hole])
    said = {(item.level, item.what) for item in inspect(made)}
    who = "NVIDIA H200, lfm2-8b-a1b, bfloat16"
    texts = [what for _, what in said]
    assert any(
        what.startswith(f"{who}, {GRAPH}: k = 1, 2, 4; image tokens 64, 256; batch 1, 8")
        for what in texts
    )
    lacks = "prefill_ms, batch 1, 64 image tokens (lacks 4)"
    assert any(
        level == "note" and "eager: not at every k" in what and lacks in what
        for level, what in said
    )
    assert ("ok", f"{who}, {GRAPH}: 3 repeats of each") in said
    assert any(what.startswith("6 floors, 0.391 to 3.85 ms") for what in texts)
    assert not [item for item in inspect(made) if item.level in ("wrong", "missing")]
    (tmp_path / "floors.csv").unlink()
    (tmp_path / "latency.parquet").unlink()
    wrong = [item.where for item in inspect(made) if item.level == "wrong"]
    assert wrong == ["latency", "floors"]


def test_check_names_what_a_run_would_lack(tmp_path: Path) -> None:
    once = cells(ks=(4,), tokens=(64,), repeats=1, batches=(8,), modes=(GRAPH,))
    found = inspect(study(tmp_path, once))
    assert [item.remedy for item in found if item.level == "wrong"] == ["time it at two k or more"]
    notes = [item.what for item in found if item.level == "note"]
    assert any("6 times measured once, so without an interval" in note for note in notes)
    assert any("no decoded token was timed at the floors'" in note for note in notes)
    notes = [item.what for item in inspect(study(tmp_path, floors=None)) if item.level == "note"]
    assert "no memory floors" in notes


def test_check_counts_a_single_repeat(tmp_path: Path) -> None:
    once = cells(ks=(1, 4), tokens=(64,), repeats=1, batches=(1,), modes=(GRAPH,))
    said = [item.what for item in inspect(study(tmp_path, once))]
    assert [what for what in said if what.endswith(": 1 repeat of each")]


def test_check_says_of_times_below_their_floor(tmp_path: Path) -> None:
    made = study(tmp_path)
    assert not [item for item in inspect(made) if "below the memory floor" in item.what]
    rows = floors((1, 2, 4)).assign(batch=1)
    rows.loc[rows["k"] == 4, "floor_ms"] = 1e6
    rows.to_csv(tmp_path / "floors.csv", index=False)
    notes = [item.what for item in inspect(made) if "below the memory floor" in item.what]
    assert len(notes) == 1 and "at k = 4; the floor or the time is wrong" in notes[0]


# ---- the run ----------------------------------------------------------------------------
@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, analysis.RunResult]:
    folder = tmp_path_factory.mktemp("latency")
    path = latency_study(folder / "study", cells(**RUN).assign(**UNTIMED))
    return path, analysis.run(path, folder / "run")


def test_a_run_leaves_tables_figures_and_an_answer(
    done: tuple[Path, analysis.RunResult],
) -> None:
    _, result = done
    assert (result.status, result.computed) == ("finished", ("latency", "report"))
    tables, phases = result.folder / "tables", ("prefill_ms", "decode_ms", "tpot_ms")
    for phase in phases:
        for name in ("latency_by_k", "latency_cost", "latency_steps"):
            assert (tables / f"{name}_{phase}.tex").is_file()
            assert (tables / f"{name}_{phase}.md").is_file()
        assert (result.folder / "figures" / f"latency_vs_k_{phase}.png").is_file()
    assert not list(tables.glob("*vision*"))
    summary = pd.read_csv(tables / "latency_by_k.csv")
    assert len(summary) == len(phases) * 2 * 2 * 3
    costs = pd.read_csv(tables / "latency_cost.csv")
    assert len(costs) == len(phases) * 2 * 2
    assert len(pd.read_csv(tables / "latency_steps.csv")) == 2 * len(costs)
    ratio = pd.read_csv(tables / "decode_floor.csv").set_index(["decode_mode", "image_tokens", "k"])
    one = ratio.loc[(GRAPH, 64, 4)]
    assert one["ratio"] == pytest.approx(one["median_ms"] * BANDWIDTH / active_bytes(4))
    answer = result.answer
    assert "lfm2-8b-a1b on NVIDIA H200, bfloat16: captured graph" in answer
    assert "lfm2-8b-a1b on NVIDIA H200, bfloat16: eager" in answer
    assert "The weights are random, which routes more evenly" in answer
    assert f"{one['ratio']:.2f}" in answer
    assert "In tables and figures: decode." in answer
    record = json.loads((result.folder / "run.json").read_text("utf-8"))
    assert (record["study"], record["status"]) == ("toy_latency", "finished")


def test_a_second_run_redoes_only_what_changed(
    done: tuple[Path, analysis.RunResult], tmp_path: Path
) -> None:
    path, first = done
    again = analysis.run(path, first.folder)
    assert (again.computed, again.kept) == ((), ("latency", "report"))
    assert again.answer == first.answer
    elsewhere = analysis.run(path, tmp_path / "run")
    assert contents(elsewhere.folder) == contents(first.folder)
    (elsewhere.folder / "tables" / "latency_cost.csv").unlink()
    assert analysis.run(path, elsewhere.folder).computed == ("report",)
    copy = latency_study(tmp_path / "study", cells(**RUN).assign(**UNTIMED), floors=None)
    bare = analysis.run(copy, elsewhere.folder)
    assert bare.computed == ("latency", "report")
    assert not (elsewhere.folder / "tables" / "decode_floor.csv").exists()
    assert "floor" not in bare.answer


def test_a_token_below_its_floor_is_said(
    done: tuple[Path, analysis.RunResult], tmp_path: Path
) -> None:
    assert "To look into" not in done[1].answer
    rows = floors((1, 2, 4)).assign(batch=1)
    rows.loc[rows["k"] == 4, "floor_ms"] = 1e6
    path = latency_study(tmp_path / "study", cells(**RUN).assign(**UNTIMED))
    rows.to_csv(tmp_path / "study" / "floors.csv", index=False)
    result = analysis.run(path, tmp_path / "run")
    answer = " ".join(result.answer.split())
    said = "lie below the memory floor, at k = 4; the floor or the time is wrong."
    assert f"To look into - 4 of 12 times of a decoded token {said}" in answer
    assert said in (result.folder / "tables" / "decode_floor.md").read_text("utf-8")
    assert "below" not in (done[1].folder / "tables" / "decode_floor.md").read_text("utf-8")


def test_floors_of_no_k_that_was_timed_are_said(tmp_path: Path) -> None:
    path = latency_study(tmp_path / "study", cells(**RUN).assign(**UNTIMED))
    floors((3, 8)).to_csv(tmp_path / "study" / "floors.csv", index=False)
    result = analysis.run(path, tmp_path / "run")
    answer = " ".join(result.answer.split())
    assert "the floors are of k = 3, 8, batch 1; timed were NVIDIA H200, lfm2-8b-a1b" in answer
    assert "k = 1, 2, 4, batch 1. Give decode_ms and n_new_tokens" in answer
    assert not (result.folder / "tables" / "decode_floor.csv").exists()


def test_what_has_no_regression_is_said(tmp_path: Path) -> None:
    rows = one_cell(ks=(1, 2, 4), repeats=3)
    vision = rows.assign(vision_ms=np.where(rows["k"] == 1, 5.0 + rows["repeat"], np.nan))
    made = study(tmp_path / "study", vision.drop(columns=["dataset", "run"]), floors=None)
    result = analysis.run(made, tmp_path / "run")
    assert "No regression of vision in 1 cell: timed at one k only." in result.answer
    (refused,) = json.loads((result.folder / "fits" / "latency_refused.json").read_text("utf-8"))
    assert (refused["phase"], refused["image_tokens"]) == ("vision_ms", 256)


def test_a_phase_that_never_ran_and_names_that_look_empty(tmp_path: Path) -> None:
    rows = one_cell(ks=(1, 2), repeats=2).drop(columns=["dataset", "run"])
    rows = rows.assign(vision_ms=0.0, decode_mode="NA", prefill_ms=rows["prefill_ms"] + 1)
    result = analysis.run(study(tmp_path / "study", rows), tmp_path / "run")
    assert "lfm2-8b-a1b on NVIDIA H200, bfloat16: NA" in result.answer
    assert "No regression of vision in 1 cell: the same time throughout." in result.answer
    assert not list((result.folder / "figures").glob("*vision*"))
    assert (result.folder / "tables" / "latency_by_k_vision_ms.md").is_file()


def test_a_run_without_any_fit_still_describes(tmp_path: Path) -> None:
    rows = one_cell(ks=(1, 2), repeats=1).drop(columns=["dataset", "run"])
    result = analysis.run(study(tmp_path / "study", rows), tmp_path / "run")
    assert result.status == "finished"
    assert not (result.folder / "tables" / "latency_cost.csv").exists()
    assert "No regression of prefill in 1 cell: timed once at each k" in result.answer


# ---- the figure -------------------------------------------------------------------------
def test_a_panel_for_each_way_and_batch_with_floors_where_given() -> None:
    summary = summarise(units(table(**FEW)))
    own = beside_floors(summary, floors().assign(batch=1, device=None, model=None))
    fig = figures.latency_cells(summary[summary["phase"] == "tpot_ms"], own)
    titles = [ax.get_title(loc="left").replace("\u00a0", " ") for ax in fig.axes]
    ways = (GRAPH, EAGER)
    assert titles == [f"{way}, batch {batch}" for way in ways for batch in (1, 8)]
    for ax, title in zip(fig.axes, titles, strict=True):
        assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
        dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
        assert len(dashed) == ("batch 1" in title)
        assert len(ax.lines) == 2 + len(dashed)
        low, high = ax.get_ylim()
        for line in ax.lines:
            times = np.asarray(line.get_ydata(), dtype=float)
            assert ((low < times) & (times < high)).all()
    assert len({ax.get_ylim() for ax in fig.axes}) == 1
    # Ways that were not taken at every batch fill the panels in their order.
    odd = summary[(summary["phase"] == "prefill_ms") & ~(
        (summary["decode_mode"] == EAGER) & (summary["batch"] == 1))]  # fmt: skip
    assert len(figures.latency_cells(odd).axes) == 3
