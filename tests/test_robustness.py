"""The answer under other choices, and without some of the data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.mixed import fit, predictions
from analysis.optimum import analyse
from analysis.optimum.curves import prepare, standardise
from analysis.optimum.rung import ready_frame
from analysis.planning.scenario import Drawn, Scenario, draw
from analysis.report import figures
from analysis.robustness.joint import joint_test
from analysis.robustness.leave_out import leave_out
from analysis.robustness.rungs import averaged_ends
from analysis.robustness.specifications import as_frame, ends_of, outer_thirds, verdicts
from complexity.buckets import cut

KS = (1, 2, 4, 8)


def rows_of(drawn: Drawn, model: str = "m") -> pd.DataFrame:
    """The long table of a simulated study, with a kind of question."""
    n, questions, n_k = drawn.scores.shape
    image, question, at = (part.ravel() for part in np.indices((n, questions, n_k)))
    images = np.asarray(drawn.cells.images)
    return pd.DataFrame(
        {
            "model": model,
            "image_id": images[image],
            "sample_id": [f"{images[i]}_{q}" for i, q in zip(image, question, strict=True)],
            "k": np.asarray(drawn.cells.ks)[at],
            "score": drawn.scores.ravel(),
            "kind": np.array(["count", "color"])[question % 2],
            "c": drawn.c[image],
        }
    )


def complexity_of(drawn: Drawn, **others: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"c": drawn.c, **others}, index=pd.Index(drawn.cells.images))


@pytest.fixture(scope="module")
def moved() -> Drawn:
    return draw(Scenario(600, 4, KS, bend=0.5, shift=1.0), np.random.default_rng(1))


def test_every_specification_sees_a_large_shift(moved: Drawn) -> None:
    found = as_frame(
        verdicts(rows_of(moved), complexity_of(moved), ["kind"], np.random.default_rng(2)), "m"
    )
    # Four pairs of ends by means; logit, linear and quadratic, with and without covariates.
    clustered = found[found["effects"] == "clustered"]
    assert clustered["curve"].value_counts().to_dict() == {
        "means": 4,
        "logit": 2,
        "linear": 2,
        "quadratic": 2,
    }
    assert (found["p"] <= 0.05).all()
    assert (found["common"].map(len) == 0).all()
    assert (found["best_low"] < found["best_high"]).all()


def test_the_headline_is_one_of_the_specifications(moved: Drawn) -> None:
    rows = rows_of(moved)
    buckets = cut(complexity_of(moved)["c"], metric="c", n=3)
    labels = pd.Series(buckets.assign(complexity_of(moved)["c"]), index=moved.cells.images)
    (answer,) = analyse(rows, "c", labels, covariates=["kind"])
    found = as_frame(
        verdicts(rows, complexity_of(moved), ["kind"], np.random.default_rng(2)), "m"
    ).set_index(["ends", "curve", "adjusted", "effects"])
    thirds = found.loc[("thirds", "means", False, "clustered")]
    assert thirds["p"] == pytest.approx(answer.common.p, abs=0.005)
    assert tuple(thirds["common"]) == answer.common.kept
    assert answer.common_curve is not None
    assert found.loc[("±1 SD", "logit", True, "clustered")]["p"] == pytest.approx(
        answer.common_curve.p, abs=0.005
    )


def test_soft_scores_are_asked_about_both_ways() -> None:
    drawn = draw(Scenario(120, 2, KS, soft=True), np.random.default_rng(3))
    found = as_frame(
        verdicts(rows_of(drawn), complexity_of(drawn), [], np.random.default_rng(4)), "m"
    )
    clustered = found[found["effects"] == "clustered"]
    for coding in ("score", "right", "exact"):
        curves = set(clustered.loc[clustered["coding"] == coding, "curve"])
        assert {"means", "logit", "linear"} <= curves
    # Random effects need scores of 0 or 1.
    assert "score" not in set(found.loc[found["effects"] != "clustered", "coding"])


def test_exact_counts_full_scores_only() -> None:
    drawn = draw(Scenario(60, 2, KS), np.random.default_rng(30))
    rows = rows_of(drawn)
    soft = rows.assign(score=rows["score"].where(rows["score"] == 1, 0.9))
    arguments = complexity_of(drawn), [], np.random.default_rng(31)
    found = [item for item in verdicts(soft, *arguments) if item.specification.curve == "means"]
    by_coding = {
        coding: [item for item in found if item.specification.coding == coding]
        for coding in ("right", "exact")
    }
    whole = [
        item
        for item in verdicts(rows, complexity_of(drawn), [], np.random.default_rng(31))
        if item.specification.curve == "means"
    ]
    for exact, hard in zip(by_coding["exact"], whole, strict=True):
        assert (exact.best_low, exact.best_high) == (hard.best_low, hard.best_high)
    # From one half on every answer is right, and all k are as good.
    assert all(item.p == 1 for item in by_coding["right"])


def test_rungs_that_hold_are_specifications_of_the_first_metric(moved: Drawn) -> None:
    noise = np.random.default_rng(32).normal(size=600)
    found = as_frame(
        verdicts(rows_of(moved), complexity_of(moved, other=noise), [], np.random.default_rng(2)),
        "m",
    )
    mixed = found[found["effects"] != "clustered"]
    assert len(mixed) > 0
    assert set(mixed["effects"]) <= {"rung 1", "rung 2", "rung 3"}
    assert set(mixed["metric"]) == {"c"}
    assert (mixed["p"] <= 0.05).all()
    clustered = found[(found["metric"] == "c") & (found["curve"] == "logit")].iloc[0]
    assert (mixed["best_low"] == clustered["best_low"]).all()
    assert (mixed["best_high"] == clustered["best_high"]).all()


def test_a_rungs_averaged_curve_is_that_of_predictions() -> None:
    drawn = draw(
        Scenario(120, 4, KS, image_sd=(0.8, 0.5), question_sd=(1.0, 0.5)), np.random.default_rng(33)
    )
    rows = rows_of(drawn)
    c = standardise(complexity_of(drawn)["c"])
    data = prepare(rows, c, ["kind"])
    frame = ready_frame(data, rows["sample_id"])
    frame = frame.assign(**{f"k{k}": (data.k == k).astype(float) for k in KS[1:]})
    fitted = fit(
        "score ~ (k2 + k4 + k8) * c + z0 + (1 + x | image) + (1 + x | image:question)",
        frame,
        family="binomial",
    )
    means, covariance = averaged_ends(data, fitted, (-1.0, 1.0))
    for c_at, mean in zip((-1.0, 1.0), means, strict=True):
        for i, k in enumerate(KS):
            one = frame[(data.k == k)].assign(c=c_at)
            one = one.drop_duplicates("z0")
            by_hand = predictions(fitted, one, kind="population")
            assert mean[i] == pytest.approx(by_hand["prediction"].mean(), abs=1e-9)
    # Errors of single accuracies: the delta method of one kind of question alone.
    alone = prepare(rows, c, [])
    fitted = fit(
        "score ~ (k2 + k4 + k8) * c + (1 + x | image) + (1 + x | image:question)",
        frame,
        family="binomial",
    )
    _, covariance = averaged_ends(alone, fitted, (0.0, 1.0))
    ridge = 1 / (2 * (len(rows) / len(KS)) ** 2)
    for i, k in enumerate(KS):
        one = frame[data.k == k].assign(c=0.0).iloc[:1]
        se = float(predictions(fitted, one, kind="population")["se"].iloc[0])
        assert covariance[i, i] - ridge == pytest.approx(se**2, rel=1e-6)


def test_ends_of_equal_widths_are_thirds_of_the_range() -> None:
    values = np.r_[np.linspace(0, 1, 101), 50.0]
    low, high = outer_thirds(values)
    middle = np.quantile(values, [0.05, 0.95])
    assert values[low].max() <= middle[0] + np.ptp(middle) / 3 < values[~low].min()
    assert values[high].min() > middle[1] - np.ptp(middle) / 3
    assert not (low & high).any()


def test_a_metric_of_one_value_is_left_out(moved: Drawn) -> None:
    flat = complexity_of(moved, same=np.ones(600))
    found = as_frame(verdicts(rows_of(moved), flat, [], np.random.default_rng(5)), "m")
    assert set(found["metric"]) == {"c"}


def test_ends_never_overlap() -> None:
    values = np.array([1.0, 1, 1, 2, 2, 3, 3, 3, 3])
    for share in (1 / 2, 1 / 3, 1 / 4):
        low, high = ends_of(values, share)
        assert not (low & high).any()


def test_joint_p_is_uniform_where_complexity_means_nothing() -> None:
    scenario = Scenario(60, 2, KS, main=0.0)
    rng = np.random.default_rng(6)
    ps = []
    for _ in range(60):
        drawn = draw(scenario, rng)
        other = complexity_of(drawn, other=drawn.c + rng.normal(size=60))
        ps.append(joint_test(drawn.cells, other, rng, 39).p)
    # The least shortfall is often exactly 0, so that p is only bounded.
    assert np.mean(np.array(ps) <= 0.1) < 0.2
    assert stats.kstest(ps, "uniform", alternative="less").pvalue > 0.01 or np.mean(ps) > 0.5


def test_joint_test_sees_a_large_shift(moved: Drawn) -> None:
    found = joint_test(moved.cells, complexity_of(moved), np.random.default_rng(7), 99)
    assert found.p == pytest.approx(0.01)
    assert found.statistic > found.expected


def test_leaving_out_names_what_and_keeps_the_rest(moved: Drawn) -> None:
    rows = rows_of(moved)
    labels = pd.Series(
        cut(complexity_of(moved)["c"], metric="c", n=3).assign(complexity_of(moved)["c"]),
        index=moved.cells.images,
    )
    found = {
        item.left_out: item for item in leave_out(rows, labels, ["kind"], np.random.SeedSequence(8))
    }
    assert found["nothing"].p <= 0.05
    assert {"bucket: low", "bucket: high", "kind: color", "kind: count"} <= set(found)
    images = [item for name, item in found.items() if name.startswith("image: ")]
    assert len(images) == 20
    # No single image carries a shift of this size.
    assert all(item.p <= 0.05 for item in images)
    by_hand = leave_out(rows[rows["kind"] != "color"], labels, [], np.random.SeedSequence(8))[0]
    assert (found["kind: color"].p, found["kind: color"].common) == (by_hand.p, by_hand.common)


def test_one_image_that_carries_the_answer_is_found() -> None:
    drawn = draw(Scenario(60, 1, KS, shape="flat"), np.random.default_rng(9))
    rows = rows_of(drawn)
    odd = rows["image_id"].iloc[0]
    many = rows[rows["image_id"] == odd]
    copies = [
        many.assign(sample_id=f"{odd}_more{i}", score=(many["k"] == 8) * 1.0) for i in range(30)
    ]
    rows = pd.concat([rows, *copies])
    labels = pd.Series(
        cut(complexity_of(drawn)["c"], metric="c", n=2).assign(complexity_of(drawn)["c"]),
        index=drawn.cells.images,
    )
    found = leave_out(rows, labels, [], np.random.SeedSequence(10))
    first = next(item for item in found if item.left_out.startswith("image: "))
    assert first.left_out == f"image: {odd}"
    assert (first.best_low, first.best_high) != (found[0].best_low, found[0].best_high)


def test_the_curve_is_drawn_for_any_number_of_models(moved: Drawn) -> None:
    found = as_frame(
        verdicts(rows_of(moved), complexity_of(moved), ["kind"], np.random.default_rng(2)), "m"
    )
    for n in (1, 5):
        several = pd.concat([found.assign(model=f"m{i}") for i in range(n)])
        assert len(figures.specification_curve(several, "c").axes) == 2 * n
