"""What each method says, side by side; and which methods say that they are no headline."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from optimum_cases import simulate, tertiles

from analysis.optimum import ShiftAnswer, analyse, cautions
from analysis.report import side_by_side as table
from analysis.report.side_by_side import side_by_side
from analysis.report.side_by_side_tables import page, write_side_by_side
from analysis.shift import shift_of_table, shift_text
from complexity.files import to_json

SHAPES = {
    "moves": lambda x, z: 1.5 - 0.5 * (x - 2 - 0.5 * z) ** 2,
    "flat": lambda x, z: 0 * x + 0.8 - z,
}


@cache
def asked(shape: str, ks: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 12, 16)) -> ShiftAnswer:
    simulated = simulate(SHAPES[shape], n_images=200, seed=4, ks=ks)
    (found,) = analyse(simulated, "objects", tertiles(simulated), n_boot=200)
    return found


def spelled(shape: str, **options: Any) -> dict[str, Any]:
    """Give an answer as a run's file holds it."""
    content: dict[str, Any] = json.loads(to_json(asked(shape, **options).to_dict()))
    return content


def rows(answer: dict[str, Any]) -> pd.DataFrame:
    return side_by_side([answer]).set_index("method")


def test_every_row_is_what_the_answer_holds() -> None:
    answer = spelled("moves")
    found = rows(answer)
    assert list(side_by_side([answer]).columns) == list(table.MEANINGS)
    assert found.index.is_unique
    shift, logit = answer["shift"], answer["interaction"]
    assert found.loc["common k at both ends", "p"] == shift["p"]
    assert found.loc["interaction, logit", "statistic"] == logit["statistic"] / logit["df"]
    assert found.loc["interaction, logit", "df2"] == logit["df_denom"] == 199
    both = max(logit["p"], answer["interaction_probability"]["p"])
    assert found.loc["interaction, both scales", "p_adjusted"] == both
    assert found.loc["interaction, shuffled", "p"] == answer["interaction_permutation"]["p"]
    assert found.loc["equivalence", "p"] == answer["equivalence"]["p"]
    assert found.loc["cost of one k", "ci_high"] == 100 * answer["single_k"]["limit"]
    assert found.loc["quadratic, Wald", "p"] == answer["quadratic"]["p"]
    assert found.loc["quadratic size, delta", "ci_low"] == shift["ci_low"]
    assert found.loc["quadratic size, bootstrap", "ci_low"] == shift["bootstrap_ci_low"]
    assert found.loc["spline, lack of fit", "p"] == answer["spline"]["lack_of_fit"]["p"]
    k = [f"{item['k']:.1f}" for item in answer["quadratic"]["optima"]]
    assert found.loc["quadratic top", "estimate"] == ", ".join(k)
    assert len(k) == 3


def test_only_the_test_of_a_common_optimum_decides() -> None:
    for shape in SHAPES:
        found = rows(spelled(shape))
        assert list(found.index[found["headline"] == "yes"]) == ["common k at both ends"]
        alone = ["interaction, logit", "interaction, probability", "quadratic, Wald"]
        assert (found.loc[alone, "headline"] == "no").all()


def test_a_method_that_may_not_be_read_says_why() -> None:
    answer = spelled("flat")
    found = rows(answer)
    assert found.loc["quadratic, Wald", "verdict"] == "not to be read"
    size = found.loc["quadratic size, delta"]
    assert "flat" in size["how"]
    assert size["verdict"] == "not given"
    assert pd.isna(size["estimate"])
    assert answer["quadratic"]["optima"] == []
    assert not answer["quadratic"]["shown"]
    assert "flat" in answer["quadratic"]["reason"]
    assert spelled("moves")["quadratic"]["reason"] is None


@pytest.mark.parametrize("ks", [(1, 8), (1, 2, 8), (1, 2, 4, 8), (1, 2, 4, 8, 16)])
def test_small_grids_have_every_method_or_why_not(ks: tuple[int, ...], tmp_path: Path) -> None:
    found = rows(spelled("moves", ks=ks))
    assert found[["question", "how", "verdict"]].notna().all(axis=None)
    assert not found[["how", "verdict"]].eq("").any(axis=None)
    lack = found.loc["spline, lack of fit", "verdict"]
    assert (lack == "not made") == (len(ks) < 5)
    if len(ks) < 3:
        assert found.loc["quadratic", "verdict"] == "not made"
        assert "needs three values of k" in found.loc["quadratic", "how"]


def test_written_for_machines_and_readers(tmp_path: Path) -> None:
    one, two = spelled("moves"), {**spelled("flat"), "metric": "edge_density"}
    paths = write_side_by_side([one, two], [one], tmp_path)
    assert [path.suffix for path in paths] == [".csv", ".md", ".tex"]
    csv = pd.read_csv(paths[0])
    assert set(csv["metric"]) == {"objects", "edge_density"}
    for path in paths[1:]:
        text = path.read_text(encoding="utf-8")
        assert "nan" not in text.lower().split()
        assert "interaction, both scales" in text
    text = page([one])
    # Among the methods, in the results, and in the note.
    assert text.count("common k at both ends") == 3
    assert "one-step image-cluster bootstrap" in text


# ---- methods that are no headline say so ------------------------------------------------
def operating() -> pd.DataFrame:
    path = Path(__file__).parents[1] / "docs" / "operating.json"
    return pd.DataFrame(json.loads(path.read_text(encoding="utf-8")))


def test_the_cautions_state_the_rates_that_were_measured() -> None:
    rates = operating()
    still = rates[rates["no_interaction"]]
    assert still["interaction"].max() == cautions.INTERACTION_LOGIT
    assert still["interaction_probability"].max() == cautions.INTERACTION_PROBABILITY
    assert still["interaction_both"].max() == cautions.INTERACTION_BOTH
    fixed = rates[rates["no_conditional_shift"]]
    assert fixed["quadratic"].max() == cautions.QUADRATIC_TEST
    assert fixed["quadratic_shown_rejects"].max() == cautions.QUADRATIC_SHOWN
    for text in (cautions.INTERACTION, cautions.QUADRATIC):
        assert "no headline" in text


def test_results_carry_the_caution_and_the_headline_has_none() -> None:
    answer = spelled("moves")
    for name in ("interaction", "interaction_probability", "quadratic"):
        assert "no headline" in answer[name]["caution"], name
    assert answer["linearity"]["caution"] is None
    assert "caution" not in answer["shift"]


def test_the_text_has_one_line_each_and_one_note() -> None:
    simulated = simulate(SHAPES["moves"], n_images=200, seed=4)
    text = shift_text(shift_of_table(simulated, "objects"))
    (quadratic,) = [line for line in text.splitlines() if "quadratic, top" in line]
    assert quadratic.count("[") == 3
    assert len([line for line in text.splitlines() if "spline, top" in line]) == 1
    assert text.count(cautions.SHORT) == 1
