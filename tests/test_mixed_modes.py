"""Conditional modes and their covariance, against lme4 and dense algebra."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from fitted_cases import CASES, fitted, name_of, ours, table
from test_mixed_engine import STRUCTURES, dense, small

from analysis.mixed import fit, mode_covariance, random_effects
from analysis.mixed.modes import modes_of
from complexity.errors import InputError


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_modes_and_their_spread_agree_with_lme4(case: dict[str, Any]) -> None:
    found = random_effects(fitted(case))
    truth = pd.DataFrame(case["modes"])
    truth["term"] = truth["term"].map(ours)
    both = truth.merge(found, on=["group", "level", "term"], suffixes=("", "_ours"))
    assert len(both) == len(truth) == len(found)
    assert list(found.columns) == ["group", "level", "term", "mode", "sd"]
    # In units of the spread of the modes, for effects that are zero on the boundary too.
    for _, part in both.groupby(["group", "term"]):
        size = max(float(np.sqrt((part["mode"] ** 2 + part["sd"] ** 2).mean())), 1e-3)
        np.testing.assert_allclose(part["mode_ours"] / size, part["mode"] / size, atol=1e-3)
        np.testing.assert_allclose(part["sd_ours"] / size, part["sd"] / size, atol=1e-3)


@pytest.mark.parametrize("outcome", ["ms", "y"])
@pytest.mark.parametrize("random", STRUCTURES)
def test_conditional_covariances_are_blocks_of_the_dense_inverse(random: str, outcome: str) -> None:
    found = fit(
        f"{outcome} ~ x + {random}", small(), family="gaussian" if outcome == "ms" else "binomial"
    )
    assert found.model is not None
    design = found.model.design
    modes = modes_of(found).blocks
    eta = design.X @ found.params
    for block, of_block in zip(design.random, modes, strict=True):
        eta = eta + (block.Z * of_block.values[block.codes]).sum(axis=1)
    if outcome == "ms":
        assert found.residual_sd is not None
        score, weights = (design.y - eta) / found.residual_sd**2, found.residual_sd**-2
        weights = np.full(len(eta), weights)
    else:
        mu = 1 / (1 + np.exp(-eta))
        score, weights = design.y - mu, mu * (1 - mu)
    # Everything in the units of the random effects: factors of their covariances.
    lowers = [_root(covariance) for covariance in found.model.covariances]
    V = dense(design, np.concatenate([lower[np.tril_indices(len(lower))] for lower in lowers]))
    inverse = np.linalg.inv((V * weights[:, None]).T @ V + np.eye(V.shape[1]))
    np.testing.assert_allclose(
        modes_of(found).variance, np.einsum("ni,ij,nj->n", V, inverse, V), rtol=1e-6, atol=1e-9
    )
    slope, start = V.T @ score, 0
    for block, of_block, lower in zip(design.random, modes, lowers, strict=True):
        q, stop = len(lower), start + block.n_levels * len(lower)
        # Modes are where the penalised likelihood is flat: Lambda' Z' score = u, b = Lambda u.
        expected = slope[start:stop].reshape(-1, q) @ lower.T
        size = max(1e-3, float(np.abs(expected).max()))
        np.testing.assert_allclose(of_block.values / size, expected / size, atol=1e-5)
        for level in range(block.n_levels):
            at = slice(start + level * q, start + (level + 1) * q)
            expected = lower @ inverse[at, at] @ lower.T
            np.testing.assert_allclose(of_block.covariances[level], expected, rtol=1e-6, atol=1e-9)
        start = stop


def _root(covariance: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A lower triangular root of a covariance that may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    half = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return np.asarray(np.linalg.qr(half)[1].T)


def test_one_groups_covariance_holds_its_spread() -> None:
    found = fit("Reaction ~ Days + (1 + Days | Subject)", table("sleepstudy"))
    covariance = mode_covariance(found, "Subject", "309")
    assert list(covariance.index) == list(covariance.columns) == ["Intercept", "Days"]
    frame = random_effects(found).set_index(["level", "term"])
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), frame.loc["309", "sd"])
    # The data tell an intercept and a slope apart by their opposite errors.
    assert covariance.loc["Intercept", "Days"] < 0
    apart = mode_covariance(
        fit("Reaction ~ Days + (Days || Subject)", table("sleepstudy")), "Subject", "309"
    )
    assert np.isnan(apart.loc["Intercept", "Days"])
    with pytest.raises(InputError, match=r"no grouping factor 'subject'.*Subject"):
        mode_covariance(found, "subject", "309")
    with pytest.raises(InputError, match="'Subject' has no level '1'"):
        mode_covariance(found, "Subject", "1")


def test_a_fit_without_random_terms_has_no_modes() -> None:
    found = fit("Reaction ~ Days", table("sleepstudy"))
    with pytest.raises(InputError, match="no random terms"):
        random_effects(found)


def test_levels_are_named_in_the_order_of_their_group() -> None:
    rows = table("vqa")
    for random, group, level in (
        ("(1 | image:question)", "image:question", "i01:q1"),
        ("(1 | image/question)", "question:image", "q1:i01"),
    ):
        frame = random_effects(fit(f"ms ~ x + {random}", rows))
        assert level in set(frame.loc[frame["group"] == group, "level"])
