"""Few images behind an answer, or as good as few, are warned of; the rows' order says nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from optimum_cases import simulate

from analysis.optimum import one_model
from analysis.optimum.answer import ShiftAnswer
from analysis.optimum.cells import Cells
from analysis.optimum.common import CommonOptimum, common_optimum
from analysis.optimum.reported import ReportedTest
from analysis.optimum.thin import steered, thin_groups
from analysis.shift import shift_of_table
from complexity.files import to_json

SHUFFLED = ReportedTest(3.0, 4.0, None, 0.42, "shuffled")


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    def quick(*arguments: Any, **options: Any) -> CommonOptimum:
        return common_optimum(*arguments, **{**options, "n_draws": 2_000})

    monkeypatch.setattr(one_model, "common_optimum", quick)


def group(questions: list[int]) -> Cells:
    counts = np.repeat(np.array(questions, dtype=float)[:, None], 2, axis=1)
    names = tuple(f"{i:04d}" for i in range(len(questions)))
    return Cells((1, 2), names, counts / 2, counts)


def table() -> pd.DataFrame:
    return simulate(lambda x, z: 0.8 + 0.1 * x - 0.5 * z, n_images=96, n_questions=2, ks=(1, 2, 4))


def answer(rows: pd.DataFrame) -> ShiftAnswer:
    return shift_of_table(rows, "objects", mixed_model=False)[0]


def test_images_of_equal_size_count_as_many_as_they_are() -> None:
    assert group([4] * 50).effective_images() == pytest.approx(50)
    # One image with half of 120 questions: 120² / (60² + 60).
    assert group([60] + [1] * 60).effective_images() == pytest.approx(14_400 / 3_660)


def test_questions_crowded_on_few_images_are_named() -> None:
    assert thin_groups({"low": group([4] * 40), "high": group([3] * 30)}) == []
    (note,) = thin_groups({"low": group([60] + [1] * 60), "high": group([4] * 40)})
    assert "'low': 61 images that count as 4, the largest with 50 % of the questions" in note
    (note,) = thin_groups({"low": group([4] * 29), "high": group([4] * 40)})
    assert note.startswith("few images (bucket 'low' 29)")


def test_extreme_complexities_are_named_only_where_they_steer() -> None:
    rng = np.random.default_rng(0)
    normal = rng.normal(size=200)
    assert steered(normal, np.ones(200), "objects", SHUFFLED) == []
    assert steered(rng.normal(size=95), np.ones(95), "objects", SHUFFLED) == []
    (note,) = steered(np.r_[normal, 40.0], np.ones(201), "objects", SHUFFLED)
    assert "201 images count as 1" in note
    assert "by shuffling (p = .420)" in note
    # Below 90 images there are few in some bucket, and that is said already.
    assert steered(np.r_[normal[:80], 40.0], np.ones(81), "objects", SHUFFLED) == []


def test_an_answer_warns_of_extreme_complexity() -> None:
    rows = table()
    assert not any("steer" in text for text in answer(rows).warnings)
    far = rows.assign(objects=rows["objects"].where(rows["image_id"] != "i0007", 900.0))
    assert any("96 images count as 1)" in text for text in answer(far).warnings)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_rows_changes_no_digit(seed: int) -> None:
    rows = table()
    shuffled = rows.sample(frac=1.0, random_state=seed).reset_index(drop=True)
    first, second = (to_json(answer(one).to_dict()) for one in (rows, shuffled))
    assert first == second


def test_models_keep_the_order_of_the_table() -> None:
    rows = pd.concat([table().assign(model="b"), table().assign(model="a")])
    found = shift_of_table(rows, "objects", mixed_model=False)
    assert [one.model for one in found] == ["b", "a"]


def test_p_values_have_their_degrees_of_freedom() -> None:
    found = answer(table())
    spelled: dict[str, Any] = found.to_dict()
    images = {item.bucket: item.n_images for item in found.optimum}
    expected = [images["low"] - 1, images["high"] - 1]
    assert spelled["shift"]["df"] == expected
    assert spelled["equivalence"]["df"] == expected
    assert spelled["shift_curve"]["df"] == 95


def test_levels_drawn_in_to_the_data_are_named() -> None:
    rows = table()
    skewed = rows.assign(objects=np.where(rows["objects"] > 18, rows["objects"], 1.0))
    found = answer(skewed)
    assert found.common_curve is not None
    assert "at -1 and +1 SD" not in found.common_curve.method
    plain = answer(rows).common_curve
    assert plain is not None
    assert plain.method == "the same test on the saturated regression at -1 and +1 SD"
