"""The whole answer for one model: known truths, degenerate tables, stability."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from optimum_cases import KS, real, real_buckets, reference, simulate, tertiles
from scipy.stats import multivariate_normal

from analysis.optimum import ShiftAnswer, analyse, one_model
from analysis.optimum.answer import Optimum
from analysis.optimum.common import CommonOptimum, common_optimum
from analysis.optimum.curves import averaged_curve, fit_curve, prepare, standardise
from analysis.optimum.hypotheses import why_no_size
from analysis.optimum.multiplicity import holm
from analysis.optimum.quadratic import Quadratic
from analysis.optimum.reported import ReportedTest
from complexity.errors import InputError
from complexity.files import to_json

#: Keys that ``optik shift --json`` promises.
PROMISED: dict[str, set[str]] = {
    "interaction": {"statistic", "df", "p", "method"},
    "shift": {"p", "method", "common_k", "estimate", "ci_low", "ci_high", "unit"},
    "lack_of_fit": {"p"},
}


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    def quick(*arguments: Any, **options: Any) -> CommonOptimum:
        return common_optimum(*arguments, **{**options, "n_draws": 10_000})

    monkeypatch.setattr(one_model, "common_optimum", quick)


def ask(
    table: pd.DataFrame, labels: pd.Series | None = None, metric: str = "objects", **kwargs: Any
) -> tuple[ShiftAnswer, ...]:
    """Answer and check what must hold of every answer."""
    labels = tertiles(table, metric) if labels is None else labels
    found = analyse(table, metric, labels, **{"n_boot": 200, **kwargs})
    for one in found:
        spelled = json.loads(to_json(one.to_dict()))
        assert {"model", "metric", "optimum", "warnings", *PROMISED} <= set(spelled)
        for part, keys in PROMISED.items():
            assert keys <= set(spelled[part]), part
        for item in spelled["optimum"]:
            assert {"bucket", "k", "share", "set"} <= set(item)
            assert item["k"] in item["set"]
            assert item["share"] == item["shares"][str(item["k"])]
            assert sum(item["shares"].values()) == pytest.approx(1)
        assert not [text for text in texts(spelled) if "nan" in text.lower()]
        assert one.common.kept == tuple(
            k for k, p in zip(one.ks, one.common.p_by_k, strict=True) if p > 0.05
        )
        assert spelled["shift"]["common_k"] == list(one.common.kept)
        assert (spelled["shift"]["estimate"] is None) == (not one.quadratic_shown)
        assert all(to_json(fitted.to_json()) for fitted in one.fits)
    return found


def texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, str) else []


def alike(one: object, two: object, **tolerance: float) -> None:
    """Equal but for rounding, all the way down."""
    if isinstance(one, dict):
        assert isinstance(two, dict)
        assert one.keys() == two.keys()
        for key in one:
            alike(one[key], two[key], **tolerance)
    elif isinstance(one, list | tuple):
        assert isinstance(two, list | tuple)
        assert len(one) == len(two)
        for first, second in zip(one, two, strict=True):
            alike(first, second, **tolerance)
    elif isinstance(one, float):
        assert two == pytest.approx(one, nan_ok=True, **tolerance)
    else:
        assert one == two


# ---- known truths -----------------------------------------------------------------------
def test_an_optimum_that_moves_is_found() -> None:
    table = simulate(lambda x, z: 1.5 - 0.8 * (x - 2 - z) ** 2, n_images=150)
    (one,) = ask(table)
    assert one.common.p < 0.001
    assert one.common.kept == ()
    assert one.common_curve is not None
    assert one.common_curve.kept == ()
    assert one.interaction.p is not None
    assert one.interaction.p < 1e-6
    low, mid, high = one.optimum
    assert (low.bucket, mid.bucket, high.bucket) == ("low", "mid", "high")
    assert low.complexity < mid.complexity < high.complexity
    assert low.k <= 3 < 6 <= high.k
    assert not set(low.set) & set(high.set)
    objects = table.drop_duplicates("image_id")["objects"]
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    np.testing.assert_allclose([p.complexity for p in one.along], objects.quantile(levels))
    z = (objects - objects.mean()) / objects.std()
    np.testing.assert_allclose([p.c for p in one.along], z.quantile(levels))
    assert [point.k for point in one.along] == sorted(point.k for point in one.along)
    assert one.along[0].k <= 2 < 8 <= one.along[-1].k


def test_a_steeper_fall_at_low_k_is_an_interaction_and_no_shift() -> None:
    # The peak is at k = 4 for all; few experts cost hard images more.
    table = simulate(
        lambda x, z: 1.2 - (0.45 + 0.3 * z) * np.maximum(2 - x, 0) - 0.25 * np.maximum(x - 2, 0),
        n_images=300,
        n_questions=6,
        seed=2,
    )
    (one,) = ask(table)
    assert one.interaction.p is not None
    assert one.interaction.p < 1e-4
    assert one.common.p > 0.2
    assert 4 in one.common.kept
    assert one.overall.k == 4
    # The quadratic is fooled, and says that it does not fit.
    assert one.quadratic is not None
    assert one.quadratic.p < 0.05
    assert not one.quadratic_shown
    assert one.to_dict()["shift"]["estimate"] is None  # type: ignore[index]


def test_flat_curves_leave_every_k() -> None:
    (one,) = ask(simulate(lambda x, z: 0 * x + 0.8 - z, n_images=200, seed=3))
    assert one.common.p > 0.05
    assert len(one.common.kept) >= 6
    assert one.interaction.p is not None
    assert one.interaction.p > 0.01
    assert not one.quadratic_shown
    assert any("flat" in warning for warning in one.warnings)
    assert not any("linearly" in warning for warning in one.warnings)


def test_a_quadratic_that_fits_gives_the_size_of_the_shift() -> None:
    table = simulate(lambda x, z: 1.5 - 0.5 * (x - 2 - 0.5 * z) ** 2, n_images=200, seed=4)
    (one,) = ask(table)
    assert one.quadratic_shown
    shift = one.to_dict()["shift"]
    assert isinstance(shift, dict)
    assert shift["ci_low"] < 0.5 < shift["ci_high"]
    assert shift["ci_high"] - shift["ci_low"] < 0.4
    assert shift["ci_low"] < shift["estimate"] < shift["ci_high"]


def test_agrees_with_r_from_end_to_end() -> None:
    found = analyse(real(), "n_objects", real_buckets(), covariates=["question_type"], n_boot=200)
    assert {one.model for one in found} == {"fixed4_3k", "anyk_3k"}
    for one in found:
        theirs = reference()["models"][one.model]
        for name in ("interaction", "interaction_probability", "linearity", "lack_of_fit"):
            assert getattr(one, name).p == pytest.approx(theirs["adjusted"][name]["p"], rel=1e-6)
        for p, q in zip(one.common.p_by_k, theirs["p_ends"], strict=True):
            assert abs(p - q) < 5 * np.sqrt(q * (1 - q) / 10_000) + 2e-4
        for item in (*one.optimum, one.overall):
            means = theirs["cells"][item.bucket]["means"]
            # Sums of 0 and 1 that tie in truth differ in R's last digit.
            assert item.k == KS[int(np.argmax(np.array(means) > max(means) - 1e-9))]
            assert item.n_images == theirs["cells"][item.bucket]["n_images"]
        assert one.n_images == 150
        assert one.n_samples == 600


def test_a_main_effect_of_complexity_is_neither() -> None:
    (one,) = ask(simulate(lambda x, z: 1 - 0.4 * (x - 2) ** 2 - 1.2 * z, n_images=200, seed=6))
    assert one.interaction.p is not None
    assert one.interaction.p > 0.01
    assert one.common.p > 0.05
    assert one.overall.k in one.common.kept


def test_the_curve_s_ends_are_compared_with_their_joint_covariance() -> None:
    # Two k: the larger of two losses, a bivariate normal probability (240 images are many).
    table = simulate(lambda x, z: 0.9 + 0.06 * x + 0.02 * x * z, n_images=240, ks=(1, 8), seed=3)
    c = standardise(table.drop_duplicates("image_id").set_index("image_id")["objects"])
    data = prepare(table, c, [])
    fitted = fit_curve(data, "saturated")
    gradient, gain = [], []
    for at in (-1.0, 1.0):
        accuracy, jacobian = averaged_curve(data, fitted, at)
        gain.append(accuracy[1] - accuracy[0])
        gradient.append(jacobian[1] - jacobian[0])
    spread = np.array(gradient) @ fitted.fit.cov @ np.array(gradient).T
    spread += np.eye(2) / 960**2
    se = np.sqrt(np.diag(spread))
    (one,) = ask(table)
    assert one.common_curve is not None
    # Losses of k = 1 and of k = 8; neither is far enough behind to be recentred.
    losses = np.array(gain) / se, -np.array(gain) / se
    assert all(loss.min() > -1.8 for loss in losses)
    assert max(losses[0]) > 0.5
    for loss, p in zip(losses, one.common_curve.p_by_k, strict=True):
        both = multivariate_normal(cov=spread / np.outer(se, se)).cdf([max(loss)] * 2)
        assert p == pytest.approx(1 - both if max(loss) > 0 else 1, abs=0.02)


# ---- degenerate tables ------------------------------------------------------------------
def plain(**kwargs: Any) -> pd.DataFrame:
    return simulate(lambda x, z: 0.8 + 0.1 * x - 0.5 * z, **{"n_images": 72, "seed": 8, **kwargs})


def same_at_every_k(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(score=table.groupby("sample_id")["score"].transform("first"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: t.assign(score=1.0),
        lambda t: t.assign(score=0.0),
        lambda t: t.assign(score=0.5),
        same_at_every_k,
    ],
    ids=["perfect", "all wrong", "constant soft score", "same answers at every k"],
)
def test_answers_that_never_change(spoil: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    (one,) = ask(spoil(plain()))
    assert one.common.p == 1
    assert one.common.kept == KS
    for item in (*one.optimum, one.overall):
        assert item.k == 1  # ties go to the smaller k
        assert item.set == KS
        assert item.share == pytest.approx(1 / 8)
    for test in (one.interaction, one.interaction_probability, one.linearity, one.lack_of_fit):
        assert test.p is None
        assert test.method
    assert not one.quadratic_shown
    assert any("could not be tested" in warning for warning in one.warnings)


def test_perfect_at_one_k_leaves_the_probability_scale() -> None:
    table = plain()
    table.loc[table["k"] == 8, "score"] = 1.0
    (one,) = ask(table)
    assert one.common.kept == (8,)
    assert one.common.p == 1
    assert one.interaction.p is None
    assert "separation" in one.interaction.method
    assert one.interaction_probability.p is not None
    assert any("only the probability scale" in warning for warning in one.warnings)
    assert {point.k for point in one.along} == {8}
    assert one.common_curve is not None
    assert one.common_curve.kept == (8,)


def test_two_and_three_k() -> None:
    table = plain()
    (two,) = ask(table[table["k"].isin([2, 8])])
    assert two.ks == (2, 8)
    assert two.quadratic is None
    assert two.lack_of_fit.p is None
    assert two.interaction.df == 1
    (three,) = ask(table[table["k"].isin([2, 4, 8])])
    assert three.quadratic is not None
    assert three.lack_of_fit.method == "needs four values of k"
    assert not three.quadratic_shown


def test_soft_scores() -> None:
    table = simulate(lambda x, z: 1 - 0.5 * (x - 2) ** 2, n_images=90, soft=True, seed=9)
    assert not set(table["score"]) <= {0, 1}
    (one,) = ask(table)
    assert one.overall.k == 4
    assert 4 in one.common.kept
    assert one.fits[0].fit.loglik is None


def test_one_question_an_image() -> None:
    (one,) = ask(plain(n_questions=1, n_images=120))
    assert one.n_samples == one.n_images == 120


def test_missing_cells_are_set_aside_and_said() -> None:
    table = plain().sample(frac=0.9, random_state=1)
    (one,) = ask(table)
    whole = (table.groupby("sample_id").size() == 8).sum()
    assert one.n_samples == whole
    assert f"{288 - whole:,} of 288 samples lack some k" in one.warnings[0]


def test_samples_without_metric_or_covariate_are_left_out_and_said() -> None:
    table = plain()
    table.loc[table["image_id"].isin(["i0003", "i0004"]), "objects"] = np.nan
    table.loc[table["sample_id"] == "i0010_2", "kind"] = None
    (one,) = ask(table, tertiles(plain()), covariates=["kind"])
    # A gap in the metric takes a sample out of everything, one in a covariate out of the
    # regressions only.
    assert one.n_samples == 288 - 8
    assert one.n_images == 70
    assert "8 samples whose image has no objects are left out." in one.warnings
    assert "1 samples without kind are left out of the regressions." in one.warnings
    assert one.fits[0].fit.n_obs == (288 - 9) * len(KS)


def test_few_images_in_a_bucket_are_said_and_regressions_left_out() -> None:
    table = plain()
    (one,) = ask(table[table["image_id"] < "i0009"])
    assert any("'low' 3, 'mid' 3, 'high' 3" in warning for warning in one.warnings)
    assert one.interaction.p is None
    assert "9 images are too few for 16 coefficients" in one.interaction.method
    assert one.common_curve is None
    assert one.along == ()


def test_models_with_their_own_grids() -> None:
    table = plain()
    others = [
        table[table["k"].isin([1, 4, 8])].assign(model="three"),
        table[table["k"] == 4].assign(model="one k"),
        table[table["k"].isin([2, 16])].assign(model="two"),
    ]
    found = ask(pd.concat([table, *others]))
    assert [one.model for one in found] == ["m", "three", "two"]
    assert [one.ks for one in found] == [KS, (1, 4, 8), (2, 16)]


def test_two_complexities_only() -> None:
    table = plain()
    table["objects"] = (table["objects"] > 12).astype(float)
    (one,) = ask(table, tertiles(table, n=2))
    assert one.ends == ("low", "high")
    assert one.linearity.p is None
    assert "not estimable" in one.linearity.method
    assert one.interaction.p is not None


def test_a_skewed_metric_is_not_extrapolated() -> None:
    table = plain()
    table["objects"] = np.exp(table["objects"] / 3)
    (one,) = ask(table)
    values = table.drop_duplicates("image_id")["objects"]
    assert all(values.min() <= point.complexity <= values.max() for point in one.along)


def test_a_bucket_without_images_is_said() -> None:
    table = plain()
    labels = tertiles(table).cat.set_categories(["none", "low", "mid", "high"])
    (one,) = ask(table, labels)
    assert one.ends == ("low", "high")
    assert any(warning.startswith("bucket none has no results") for warning in one.warnings)


def test_every_bucket_asks_for_one_k_for_all() -> None:
    # Low and high agree on k = 2, the middle wants 8.
    table = simulate(lambda x, z: 1.5 - 1.0 * (x - np.where(np.abs(z) < 0.6, 3, 1)) ** 2, seed=11)
    (ends,) = ask(table)
    (every,) = ask(table, every_bucket=True)
    assert ends.common.p > 0.05
    assert every.common.p < 0.001
    assert every.ends == ("low", "mid", "high")
    # A line in c cannot tell: that is noticed, and said.
    assert ends.linearity.p is not None
    assert ends.linearity.p < 1e-6
    assert any("does not change linearly" in warning for warning in ends.warnings)
    assert every.to_dict()["shift"]["ends"] == ("low", "mid", "high")  # type: ignore[index]


def test_images_outside_every_bucket_still_count_over_all() -> None:
    table = plain()
    labels = tertiles(table).copy()
    labels.iloc[:5] = np.nan
    (one,) = ask(table, labels)
    assert sum(item.n_images for item in one.optimum) == 67
    assert one.overall.n_images == one.n_images == 72


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t[t["k"] == 4], r"every model has results at one k only \(k = 4\)"),
        (lambda t: t.assign(objects=3.0), "objects has the same value on every image"),
        (lambda t: t[t["image_id"] == "i0001"], "one image has scores together with objects"),
        (lambda t: t.iloc[:0], "no image has scores together with objects"),
        (lambda t: t.assign(score=np.nan), "no image has scores together with objects"),
        (lambda t: t.assign(objects=np.nan), "no image has scores together with objects"),
        (lambda t: t.assign(objects="many"), "'objects' holds text or infinite values"),
        (
            lambda t: t.assign(objects=t["objects"].where(t["image_id"] != "i0001", np.inf)),
            "'objects' holds text or infinite values",
        ),
        (
            lambda t: t.assign(objects=t["objects"] + (t["sample_id"] == "i0007_1")),
            r"'objects' differs between rows of one image \(i0007\)",
        ),
        (lambda t: t.drop(columns="score"), "the table has no column 'score'"),
        (lambda t: t.rename(columns={"objects": "object"}), r"did you mean 'object'\?"),
        (lambda t: t[t["image_id"] < "i0003"], "has one image. Use fewer or other buckets"),
        (
            # Results at k = 32 for a single sample: all others are incomplete.
            lambda t: pd.concat([t, t[(t["k"] == 1) & (t["sample_id"] == "i0001_0")].assign(k=32)]),
            r"287 of 288 samples lack some k.*k = 32 has the fewest results \(1\)",
        ),
        (
            lambda t: t[(t["image_id"] < "i0030") == (t["k"] < 4)],
            "no sample has results at all 8 k",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused_in_words(
    spoil: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    table = plain()
    with pytest.raises(InputError, match=message):
        analyse(spoil(table), "objects", tertiles(table), n_boot=50)


def test_a_bucketing_of_one_is_refused() -> None:
    table = plain()
    images = table["image_id"].unique()
    labels = pd.Series(pd.Categorical(["all"] * len(images), ["all"], ordered=True), index=images)
    with pytest.raises(InputError, match="there is one bucket with results"):
        analyse(table, "objects", labels)


def test_a_covariate_that_repeats_the_metric_is_refused() -> None:
    table = plain()
    with pytest.raises(InputError, match="cannot estimate objects"):
        analyse(table, "objects", tertiles(table), covariates=["objects"], n_boot=50)
    with pytest.raises(InputError, match=r"no column 'kin' \(did you mean 'kind'\?\)"):
        analyse(table, "objects", tertiles(table), covariates=["kin"])


def test_ids_may_be_numbers() -> None:
    table = plain()
    numbers = table.assign(
        image_id=table["image_id"].str[1:].astype(int),
        sample_id=table.groupby("sample_id").ngroup(),
    )
    labels = tertiles(table)
    numbered = labels.set_axis(labels.index.str[1:].astype(int))
    one, two = ask(table, labels)[0], ask(numbers, numbered)[0]
    # Sorted as text either way, but '10' < '2': the bootstrap takes other images.
    assert one.interaction.p == pytest.approx(two.interaction.p)
    assert [item.k for item in one.optimum] == [item.k for item in two.optimum]


# ---- stability --------------------------------------------------------------------------
def test_another_model_changes_nothing() -> None:
    table = plain()
    other = simulate(lambda x, z: 0.2 * x * z, n_images=72, seed=21, model="other")
    alone = ask(table)[0]
    for both in (pd.concat([table, other]), pd.concat([other, table])):
        beside = next(one for one in ask(both) if one.model == "m")
        assert to_json(beside.to_dict()) == to_json(alone.to_dict())


def test_another_seed_changes_only_draws() -> None:
    table = plain()
    one, two = ask(table)[0], ask(table, seed=5)[0]
    assert one.interaction == two.interaction
    assert to_json(one.to_dict()["quadratic"]) == to_json(two.to_dict()["quadratic"])
    assert one.common.p_by_k != two.common.p_by_k
    np.testing.assert_allclose(one.common.p_by_k, two.common.p_by_k, atol=0.03)


def test_models_and_metrics_draw_from_streams_of_their_own() -> None:
    table = plain()
    twin = ask(pd.concat([table, table.assign(model="twin")]))
    assert twin[0].overall.k == twin[1].overall.k
    assert twin[0].overall.shares != twin[1].overall.shares


@pytest.mark.parametrize("soft", [False, True])
def test_order_of_rows_does_not_matter(soft: bool) -> None:
    table = plain(soft=soft)
    one = ask(table, covariates=["kind"])[0].to_dict()
    for seed in (0, 1):
        turned = table.sample(frac=1, random_state=seed)
        two = ask(turned, tertiles(table), covariates=["kind"])[0].to_dict()
        alike(one, two, rel=1e-6, abs=1e-9)


def test_units_of_complexity_do_not_matter() -> None:
    table = plain()
    labels = tertiles(table)
    one = ask(table, labels)[0]
    two = ask(table.assign(objects=1000 - 250 * table["objects"]), labels)[0]
    assert two.interaction.statistic == pytest.approx(one.interaction.statistic, rel=1e-6)
    assert two.common.p_by_k == one.common.p_by_k
    assert one.quadratic is not None
    assert two.quadratic is not None
    assert two.quadratic.p == pytest.approx(one.quadratic.p, rel=1e-6)


def test_covariates_adjust_the_regression_and_not_the_cells() -> None:
    table = plain()
    one, two = ask(table)[0], ask(table, covariates=["kind"])[0]
    assert one.common == two.common
    assert one.overall == two.overall
    assert one.interaction.statistic != two.interaction.statistic
    assert two.fits[0].formula == "score ~ C(k) * c + kind"


# ---- when a size of shift is given ------------------------------------------------------
def opinion(**changed: Any) -> Quadratic:
    fine: dict[str, Any] = {
        "statistic": 4.0,
        "df": 1.0,
        "df_denom": 99.0,
        "p": 0.04,
        "method": "",
        "slope": 0.5,
        "slope_se": 0.1,
        "vertex_low": 1.0,
        "vertex_high": 2.0,
        "curvature_negative": True,
        "bootstrap_low": 0.3,
        "bootstrap_high": 0.7,
        "flat_p": 1e-5,
    }
    return Quadratic(**{**fine, **changed})


def reasons(quadratic: Quadratic | None, p: float | None = 0.5) -> list[str]:
    ends = [
        Optimum(name, at, 50, k, 0.9, found, {k: 0.9}, (k,))
        for name, at, k, found in (("low", 1.0, 2, (2, 3)), ("high", 9.0, 4, (4, 6)))
    ]
    fit = ReportedTest(None if p is None else 1.0, 10, 99, p, "why")
    return why_no_size(quadratic, fit, ends, ("low", "high"), KS, 0.05)


def test_the_size_of_a_shift_is_given_only_where_it_is_one() -> None:
    assert reasons(opinion()) == []
    for quadratic, p, words in (
        (None, None, "size of shift is given: why"),
        (opinion(flat_p=0.2), 0.5, "flat one (p = .200)"),
        (opinion(flat_p=float("nan")), 0.5, "flat one, where"),
        (opinion(curvature_negative=False), 0.5, "not certain to have a maximum"),
        (opinion(), None, "lack of fit could not be tested (why)"),
        (opinion(), 0.01, "does not fit"),
        (opinion(vertex_high=4.5), 0.5, "outside the k that were measured"),
        (opinion(vertex_low=-0.1), 0.5, "outside the k that were measured"),
        (opinion(vertex_high=1e6), 0.5, "outside the k that were measured"),
        (opinion(vertex_high=float("nan")), 0.5, "outside the k that were measured"),
        (opinion(vertex_low=2.0), 0.5, "disagrees with the arg max of 'low'"),
        (opinion(vertex_high=1.0), 0.5, "disagrees with the arg max of 'high'"),
    ):
        (found,) = reasons(quadratic, p)
        assert words in found


# ---- many answers -----------------------------------------------------------------------
def test_holm_by_hand() -> None:
    adjusted = holm([0.01, None, 0.04, 0.03, float("nan")])
    assert adjusted == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06), None]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([None]) == [None]
    assert holm([]) == []
