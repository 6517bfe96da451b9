"""The ladder of random effects: left for cause, and the cause named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.mixed import fit, fit_ladder, rungs_of
from analysis.mixed.formula import parse
from complexity.errors import InputError


def table(slope: float, inner_slope: float, seed: int = 1, images: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    image, question, k = (
        part.ravel()
        for part in np.meshgrid(np.arange(images), np.arange(4), np.arange(6), indexing="ij")
    )
    x = np.linspace(0, 1, 6)[k]
    level, inner = rng.normal(size=(images, 2)), rng.normal(size=(images * 4, 2))
    within = image * 4 + question
    ms = 1 + x + level[image, 0] + slope * level[image, 1] * x
    ms += inner[within, 0] + inner_slope * inner[within, 1] * x
    ms += rng.normal(size=len(x)) * 0.5
    return pd.DataFrame({"image": image, "question": question, "x": x, "ms": ms})


def test_the_richest_rung_that_holds_is_kept() -> None:
    rungs = rungs_of()[1:]
    ladder = fit_ladder("ms ~ x", table(1.5, 1.5), rungs)
    assert ladder.rung == rungs[0]
    assert ladder.held
    assert len(ladder.rungs) == 1
    assert ladder.words == f"random effects kept: {rungs[0]}"
    alone = fit(f"ms ~ x + {rungs[0]}", table(1.5, 1.5))
    np.testing.assert_array_equal(ladder.kept.params, alone.params)


def test_a_rung_is_left_for_singularity_and_says_so() -> None:
    ladder = fit_ladder("ms ~ x", table(1.5, 0.0, seed=4), rungs_of()[1:])
    assert ladder.rung == rungs_of()[2]
    first = ladder.rungs[0]
    assert first.fit is not None
    assert first.fit.singular
    assert str(first.left_for).startswith("singular: ")
    assert "image:question" in str(first.left_for)
    assert ladder.kept is ladder.rungs[1].fit
    assert f"left: {first.random}: singular" in ladder.words


def test_a_rung_with_too_few_rows_is_left() -> None:
    data = table(1.5, 0.5)
    thin = data[data["x"].isin([0.0, 1.0])]
    # Two rows a question bear no slope by question.
    ladder = fit_ladder("ms ~ x", thin, rungs_of()[1:])
    assert ladder.rungs[0].fit is None
    assert "random effects from" in str(ladder.rungs[0].left_for)
    assert ladder.held


def test_when_no_rung_holds_the_last_is_given_and_it_is_said() -> None:
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"g": np.repeat(np.arange(20), 5), "x": np.tile(np.arange(5.0), 20)})
    for _ in range(50):
        data["ms"] = rng.normal(size=100)
        if fit("ms ~ x + (1 | g)", data).singular:
            break
    ladder = fit_ladder("ms ~ x", data, ["(1 + x | g)", "(1 | g)"])
    if ladder.rungs[0].left_for is not None:
        assert not ladder.held
        assert ladder.rung == "(1 | g)"
        assert "no rung holds" in ladder.words
        assert "no variance of Intercept by g" in ladder.words


def test_the_ladder_of_the_design() -> None:
    rungs = rungs_of("k", "photo", "q", curve="k + I(k**2)")
    assert rungs == (
        "(1 + k + I(k**2) | photo) + (1 + k | photo:q)",
        "(1 + k | photo) + (1 + k | photo:q)",
        "(1 + k | photo) + (1 | photo:q)",
        "(1 | photo) + (1 | photo:q)",
    )
    for rung in rungs_of():
        assert len(parse(f"y ~ x + {rung}").random) == 2


def test_ladders_refuse() -> None:
    data = table(1.0, 1.0)
    with pytest.raises(InputError, match="richest first"):
        fit_ladder("ms ~ x", data, [])
    with pytest.raises(InputError, match="richest first"):
        fit_ladder("ms ~ x", data, "(1 | image)")
    with pytest.raises(InputError, match="belong to the rungs"):
        fit_ladder("ms ~ x + (1 | image)", data, ["(1 | image)"])
    with pytest.raises(InputError, match="no column 'z'"):
        fit_ladder("ms ~ z", data, ["(1 + x | image)", "(1 | image)"])


def test_a_misspelt_column_is_not_stepped_over() -> None:
    frame = pd.DataFrame({"y": np.arange(12.0) % 5, "x": np.arange(12), "g": np.arange(12) % 4})
    for rung in ("(1 + xx | g)", "(1 + x | gg)"):
        with pytest.raises(InputError, match="did you mean"):
            fit_ladder("y ~ x", frame, [rung, "(1 | g)"])
