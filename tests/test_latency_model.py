"""Latency by k: averages over repeats, means, and the mixed model against lme4."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from optimum_cases import GOLDEN, KS, reference

from analysis.latency import PHASES, by_item, mean_latency
from analysis.latency_models import fit_latency, step_ratios
from analysis.mixed import MixedFit
from analysis.optimum.curves import standardise

MODELS = ("fixed4", "anyk")
TIMED = ("prefill_ms", "vision_ms")


def real() -> pd.DataFrame:
    """CPU times of 40 questions of the shapes pilot, in the latency table's wide form."""
    rows = pd.read_csv(GOLDEN / "latency.csv")
    empty = dict.fromkeys((p for p in PHASES if p not in rows.columns), np.nan)
    return rows.assign(batch=1, request=0, **empty)


def complexity(rows: pd.DataFrame) -> pd.Series:
    return standardise(rows.drop_duplicates("sample_id").set_index("sample_id")["n_objects"])


def made(n: int = 6, repeats: int = 2, **changed: object) -> pd.DataFrame:
    """Times of n samples at k = 1, 2, 4, in order of rows."""
    cells = [(s, k, r) for r in range(repeats) for s in range(n) for k in (1, 2, 4)]
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(cells, columns=["sample", "k", "repeat"])
    level = rng.normal(0, 1, n)
    frame["prefill_ms"] = 10 + frame["k"] + level[frame["sample"]] + rng.normal(0, 0.2, len(frame))
    return frame.assign(
        device="cpu",
        model="m",
        sample_id=[f"s{s}" for s in frame["sample"]],
        batch=1,
        request=0,
        order=range(len(frame)),
        **{phase: np.nan for phase in PHASES if phase != "prefill_ms"},
    ).assign(**changed)


# ---- averages ---------------------------------------------------------------------------
def test_repeats_are_averaged_within_item() -> None:
    rows = made()
    items = by_item(rows)
    keys = ["device", "phase", "model", "item", "run", "k"]
    assert list(items.columns) == [*keys, "ms", "order", "image_tokens"]
    assert len(items) == 18
    assert set(items["phase"]) == {"prefill_ms"}
    expected = rows.groupby(["sample_id", "k"])["prefill_ms"].mean()
    found = items.set_index(["item", "k"])["ms"]
    np.testing.assert_allclose(found.reindex(expected.index), expected)


def test_place_in_the_run_is_scaled_within_device_and_model() -> None:
    rows = made(repeats=1)
    later = rows.assign(model="n", order=100 + 2 * rows["order"])
    items = by_item(pd.concat([rows, later], ignore_index=True))
    for _, part in items.groupby("model"):
        np.testing.assert_allclose(np.sort(part["order"]), np.linspace(0, 1, 18))
    assert (by_item(rows.assign(order=7))["order"] == 0).all()


def test_requests_stand_in_for_samples_that_are_not_named() -> None:
    rows = made()
    nameless = rows.assign(sample_id=None, request=rows["sample"])
    items = by_item(nameless)
    assert set(items["item"]) == {f"request {i}" for i in range(6)}
    np.testing.assert_allclose(np.sort(items["ms"]), np.sort(by_item(rows)["ms"]))


def test_a_phase_that_was_not_timed_is_absent() -> None:
    rows = made(vision_ms=5.0)
    rows.loc[rows["k"] == 4, "vision_ms"] = np.nan
    items = by_item(rows)
    assert set(items["phase"]) == {"prefill_ms", "vision_ms"}
    assert set(items.loc[items["phase"] == "vision_ms", "k"]) == {1, 2}


def test_batches_are_not_mixed() -> None:
    rows = made()
    slower = rows.assign(batch=8, prefill_ms=100.0)
    pd.testing.assert_frame_equal(by_item(pd.concat([rows, slower])), by_item(rows))


# ---- means ------------------------------------------------------------------------------
def test_means_by_hand() -> None:
    items = by_item(made())
    means = mean_latency(items)
    assert list(means["k"]) == [1, 2, 4]
    for k, mean, low, high, n in means[["k", "mean_ms", "ci_low", "ci_high", "n_items"]].to_numpy():
        ms = items.loc[items["k"] == k, "ms"].to_numpy()
        half = 1.959964 * ms.std(ddof=1) / np.sqrt(6)
        assert n == 6
        assert (mean, low, high) == pytest.approx((ms.mean(), ms.mean() - half, ms.mean() + half))


def test_one_item_has_a_mean_and_no_interval() -> None:
    means = mean_latency(by_item(made(n=1)))
    assert means["mean_ms"].notna().all()
    assert means[["ci_low", "ci_high"]].isna().all(axis=None)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("phase", TIMED)
def test_means_agree_with_r(model: str, phase: str) -> None:
    means = mean_latency(by_item(real()))
    mine = means[(means["model"] == model) & (means["phase"] == phase)].sort_values("k")
    theirs = reference()["latency"][model][phase]
    np.testing.assert_array_equal(mine["k"], KS)
    np.testing.assert_allclose(mine["mean_ms"], theirs["means"], rtol=1e-12)
    half = (mine["ci_high"] - mine["ci_low"]) / 2
    np.testing.assert_allclose(half, 1.959964 * np.array(theirs["means_se"]), rtol=1e-9)


def test_an_item_that_two_models_share_is_one_cluster() -> None:
    items = by_item(made())
    both = pd.concat([items, items.assign(model="copy")])
    one, two = mean_latency(items, ["phase"]), mean_latency(both, ["phase"])
    pd.testing.assert_frame_equal(one, two)


# ---- the mixed model --------------------------------------------------------------------
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("phase", TIMED)
def test_agrees_with_lme4(model: str, phase: str) -> None:
    rows = real()
    rows = rows[rows["model"] == model]
    items = by_item(rows)
    (found,) = fit_latency(items[items["phase"] == phase], complexity(rows))
    assert (found.device, found.phase, found.model) == ("cpu-1thread-fp32", phase, model)
    fitted, theirs = found.fit, reference()["latency"][model][phase]
    assert isinstance(fitted, MixedFit)
    assert fitted.n_obs == theirs["n_obs"] == 320
    assert list(fitted.n_groups.values()) == [theirs["n_items"]] == [40]
    order = [theirs["names"].index(_r_name(name)) for name in fitted.names]
    assert sorted(order) == list(range(10))
    se = np.array(theirs["se"])[order]
    np.testing.assert_allclose(
        (fitted.params - np.array(theirs["params"])[order]) / se, 0, atol=1e-3
    )
    np.testing.assert_allclose(np.sqrt(np.diag(fitted.cov)), se, rtol=1e-3)
    (component,) = fitted.random
    assert component.sd_or_corr == pytest.approx(theirs["item_sd"], rel=1e-3, abs=1e-4)
    assert fitted.residual_sd == pytest.approx(theirs["residual_sd"], rel=1e-3)
    assert fitted.loglik == pytest.approx(theirs["loglik"], abs=1e-3)
    assert fitted.converged


def _r_name(name: str) -> str:
    """Our names of columns as R's."""
    renamed = {"Intercept": "(Intercept)", "order": "position", "c": "c"}
    return renamed.get(name, "kf" + name.partition("[")[2].rstrip("]"))


def test_one_fit_for_each_device_phase_and_model() -> None:
    rows = made(n=8, vision_ms=lambda r: 3 + 0.1 * r["prefill_ms"])
    two = pd.concat([rows, rows.assign(model="n"), rows.assign(device="gpu")], ignore_index=True)
    fits = fit_latency(by_item(two), None)
    assert len(fits) == 6
    assert {(f.device, f.phase, f.model) for f in fits} == {
        (device, phase, model)
        for device, model in (("cpu", "m"), ("cpu", "n"), ("gpu", "m"))
        for phase in ("prefill_ms", "vision_ms")
    }


def test_groups_that_cannot_be_compared_are_left_out() -> None:
    items = by_item(made())
    assert fit_latency(items[items["k"] == 2], None) == []
    assert fit_latency(items[items["item"] == "s1"], None) == []
    assert fit_latency(items.assign(ms=0.0), None) == []


def test_complexity_is_left_out_where_it_says_nothing() -> None:
    items = by_item(made(n=8))
    names = [f"s{i}" for i in range(8)]
    with_c = pd.Series(np.linspace(-1, 1, 8) ** 2, index=names)

    def terms(c: pd.Series | None) -> tuple[str, int]:
        (found,) = fit_latency(items, c)
        assert isinstance(found.fit, MixedFit)
        return found.fit.formula, found.fit.n_obs

    assert terms(None) == ("ms ~ C(k) + order + (1 | item)", 24)
    assert terms(with_c) == ("ms ~ C(k) + c + order + (1 | item)", 24)
    assert terms(with_c.where(with_c.index != "s3")) == ("ms ~ C(k) + c + order + (1 | item)", 21)
    assert terms(pd.Series(0.0, index=names)) == ("ms ~ C(k) + order + (1 | item)", 24)
    assert terms(pd.Series(dtype=float)) == ("ms ~ C(k) + order + (1 | item)", 24)


def test_items_seen_at_one_k_each_need_no_random_term() -> None:
    items = by_item(made(n=9, repeats=1))
    sparse = items[
        [int(i[1:]) % 3 == {1: 0, 2: 1, 4: 2}[k] for i, k in items[["item", "k"]].to_numpy()]
    ]
    (found,) = fit_latency(sparse, None)
    assert isinstance(found.fit, MixedFit)
    assert "|" not in found.fit.formula
    assert found.fit.random == ()


def test_run_order_leaves_the_formula_where_it_is_complexity_again() -> None:
    # Questions asked from the simplest to the hardest, each at k = 1, 2, 4 in turn.
    items = by_item(made(n=8))
    (found,) = fit_latency(items, pd.Series(np.arange(8.0), index=[f"s{i}" for i in range(8)]))
    assert isinstance(found.fit, MixedFit)
    assert found.fit.formula == "ms ~ C(k) + c + (1 | item)"


def test_what_cannot_be_fitted_is_named_and_does_not_end_the_others() -> None:
    items = by_item(made(n=5))
    few = by_item(made(n=2, repeats=1, model="scarce"))
    scarce = few[(few["item"] + few["k"].astype(str)).isin(["s01", "s12"])]
    level = items["item"].str[1:].astype(int)
    exact = items.assign(model="exact", ms=2.0 * items["k"])
    additive = items.assign(model="additive", ms=2.0 * items["k"] + level)
    found = fit_latency(pd.concat([scarce, exact, additive, items], ignore_index=True), None)
    assert [fit.model for fit in found] == ["m"]
    names = [f"latency of {name} on cpu, prefill_ms" for name in ("scarce", "exact", "additive")]
    assert list(found.refused) == names
    assert all("no variance is left" in found.refused[name] for name in names[1:])


def test_one_time_for_all_k_says_nothing_of_k() -> None:
    items = by_item(made(n=5))
    once = items.assign(phase="vision_ms", ms=items.groupby("item")["ms"].transform("first"))
    found = fit_latency(pd.concat([once, items], ignore_index=True), None)
    assert [fit.phase for fit in found] == ["prefill_ms"]
    assert not found.refused


# ---- what an expert costs ---------------------------------------------------------------
def test_steps_are_ratios_of_means_paired_within_items() -> None:
    items = by_item(made(n=40, repeats=3))
    steps = step_ratios(items)
    means = items.groupby("k")["ms"].mean()
    assert [(s.k, s.next_k, s.n_items) for s in steps] == [(1, 2, 40), (2, 4, 40)]
    for step in steps:
        assert step.ratio == pytest.approx(means[step.next_k] / means[step.k], rel=1e-12)
        # Items differ by 1 ms, and the answers of one item by .1: only the latter counts.
        assert step.ci_high - step.ci_low < 0.015
        assert step.ci_low < (10 + step.next_k) / (10 + step.k) < step.ci_high


def test_steps_of_a_time_that_is_proportional_have_no_error() -> None:
    items = by_item(made(n=5, repeats=1))
    items["ms"] = items["item"].str[1:].astype(int).add(1) * items["k"]
    assert [(s.ratio, s.ci_low, s.ci_high) for s in step_ratios(items)] == [(2.0, 2.0, 2.0)] * 2
    clustered = step_ratios(items.assign(cluster="one"))
    assert all(s.ratio == 2.0 and np.isnan(s.ci_low) for s in clustered)


def test_a_line_is_told_from_a_bend() -> None:
    items = by_item(made(n=60, repeats=2))
    (straight,) = fit_latency(items, None)
    assert straight.linear.formula == "ms ~ k + order + (1 | item)"
    slope = straight.linear.tidy().set_index("term").loc["k"]
    assert slope["ci_low"] < 1.0 < slope["ci_high"]
    assert straight.lack_of_fit is not None
    assert straight.lack_of_fit.df == 1
    assert straight.lack_of_fit.p > 0.01
    (bent,) = fit_latency(items.assign(ms=items["ms"] + (items["k"] == 2)), None)
    assert bent.lack_of_fit is not None
    assert bent.lack_of_fit.p < 1e-6
    two = items[items["k"] != 4]
    assert fit_latency(two, None)[0].lack_of_fit is None


def test_sessions_have_levels_of_their_own() -> None:
    rows = pd.concat(
        [made(n=12, run="first"), made(n=12, run="second", prefill_ms=made(n=12)["prefill_ms"] + 5)]
    )
    items = by_item(rows)
    assert len(items) == 2 * 12 * 3
    (found,) = fit_latency(items, None)
    level = found.fit.tidy().set_index("term").loc["run[second]"]
    assert level["estimate"] == pytest.approx(5, abs=0.2)


def test_complexity_is_asked_at_the_same_number_of_image_tokens() -> None:
    rows = made(n=60)
    index = rows["sample_id"].str[1:].astype(int)
    tokens = 100 + 7 * (index * 37 % 60)
    # Complexity goes with the tokens, which cost time; on its own it costs none.
    c = pd.Series(
        standardise((tokens + 40 * np.sin(index)).groupby(rows["sample_id"]).first()).to_dict()
    )
    slow = rows.assign(prefill_ms=rows["prefill_ms"] + tokens / 50, n_image_tokens=tokens)
    (found,) = fit_latency(by_item(slow), c)
    assert "image_tokens" in found.fit.names
    assert found.complexity is not None
    assert found.complexity.df == 3
    assert found.complexity.p > 0.01
    (blind,) = fit_latency(by_item(slow.drop(columns="n_image_tokens")), c)
    assert blind.complexity is not None
    assert blind.complexity.p < 1e-6


def test_decoding_is_also_given_per_token() -> None:
    rows = made(decode_ms=30.0, n_new_tokens=pd.array([4] * 36, dtype="Int64"))
    rows.loc[rows["sample"] == 0, "n_new_tokens"] = 1
    items = by_item(rows)
    per_token = items[items["phase"] == "tpot_ms"]
    assert set(per_token["ms"]) == {10.0}
    assert "s0" not in set(per_token["item"])
