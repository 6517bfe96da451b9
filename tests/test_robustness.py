"""The answer under other choices, and without some of the data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.optimum import analyse
from analysis.planning.scenario import Drawn, Scenario, draw
from analysis.report import figures
from analysis.robustness.joint import joint_test
from analysis.robustness.leave_out import leave_out
from analysis.robustness.specifications import as_frame, ends_of, verdicts
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
    assert found["coding"].value_counts().to_dict() == {"score": 5, "right": 5}


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
