from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.scoring import exact


@pytest.mark.parametrize(
    ("prediction", "answers", "score"),
    [
        ("red", ["red"], 1),
        (" Red\n", ["red"], 1),
        ("red.", ["red"], 0),
        ("blue", ["red", "BLUE "], 1),
        ("", ["red"], 0),
        ("2", ["two"], 0),
        ("02", ["2"], 0),
        ("cafe\u0301", ["caf\u00e9"], 1),
        ("STRASSE", ["straße"], 1),
        ("red", [], 0),
    ],
)
def test_exact(prediction: str, answers: list[str], score: float) -> None:
    made = exact(pd.Series([prediction]), pd.Series([answers], dtype=object))
    assert made.tolist() == [score]


def test_exact_agrees_with_the_scores_of_shapes(shapes: Path) -> None:
    """`correct` in the shipped results was computed where the model ran, not by this rule."""
    samples = pd.read_parquet(shapes / "samples.parquet").set_index("sample_id")["answer"]
    results = pd.read_parquet(shapes / "results.parquet")
    answers = samples.map(lambda text: [text]).loc[results["sample_id"]]
    scores = exact(results["prediction"], answers.reset_index(drop=True))
    assert np.array_equal(scores, results["correct"].to_numpy())


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.sampled_from("abcABC"))), max_size=9))
def test_exact_row_by_row(rows: list[tuple[str, list[str]]]) -> None:
    predictions = pd.Series([p for p, _ in rows], dtype=object)
    answers = pd.Series([a for _, a in rows], dtype=object)
    expected = [float(p in {a.lower() for a in accepted}) for p, accepted in rows]
    assert exact(predictions, answers).tolist() == expected
