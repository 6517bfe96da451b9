"""The study of two seeds of each recipe: its files, its records, what its README quotes."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.checking import inspect
from analysis.manifest import Study, load_study, verify_checksums
from data_manifests.shapes.training import accuracy, seeds

STUDIES = Path(__file__).parents[1] / "data_manifests"
FOLDER = STUDIES / "shapes_seeds"
NEW = ("fixed4_seed1", "anyk_seed1")


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study("shapes_seeds")


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    return pd.read_parquet(FOLDER / "results.parquet")


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "provenance.json").read_text(encoding="utf-8"))
    return found


def block(page: Path, name: str) -> str:
    """What stands between the marks of a generated part."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"<!-- {name}:begin -->\n(.*?)\n<!-- {name}:end -->", text, re.DOTALL)
    assert found is not None
    return found[1]


def test_four_checkpoints_answer_every_question_at_every_k(study: Study) -> None:
    found = list(inspect(study))
    assert not [item for item in found if item.level in ("wrong", "note")]
    said = "\n".join(item.what for item in found)
    assert "12,000 questions about 3,000 images" in said
    assert "all 48,000 (sample, model) pairs have every k" in said
    for name in ("fixed4", "anyk", *NEW):
        assert f"{name}: k = 1, 2, 3, 4, 6, 8, 12, 16" in said


def test_images_samples_and_seed_0_are_those_of_shapes(study: Study) -> None:
    named = [study.label(file.path) for file in study.data_files()]
    shared = ["shapes/images.parquet", "shapes/samples.parquet", "shapes/results.parquet"]
    assert named == [*shared, "shapes_seeds/results.parquet"]
    assert [study.label(path) for path in verify_checksums(study)] == shared[:1]
    declared, theirs = study.manifest.analysis, load_study("shapes").manifest.analysis
    assert declared == theirs.model_copy(update={"latency": declared.latency})


def test_what_was_answered_right_was_scored_right(results: pd.DataFrame) -> None:
    samples = pd.read_parquet(STUDIES / "shapes" / "samples.parquet").set_index("sample_id")
    answers = results["sample_id"].map(samples["answer"])
    assert ((results["prediction"] == answers) == (results["correct"] == 1)).all()


def test_the_provenance_is_of_these_files(results: pd.DataFrame, record: dict[str, Any]) -> None:
    for name, expected in record["sha256"].items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == expected, name
    for name, rows in results.groupby("checkpoint"):
        for k, right in record["evaluation"][f"study {name}"]["right"]["all"].items():
            assert rows.loc[rows["k"] == int(k), "correct"].mean() == pytest.approx(right, abs=6e-5)


@pytest.mark.parametrize("name", NEW)
def test_only_the_seed_is_another(name: str, record: dict[str, Any]) -> None:
    recipe = name.removesuffix("_seed1")
    ours, theirs = (
        json.loads(path.read_text(encoding="utf-8"))
        for path in (
            FOLDER / "training" / f"{name}.json",
            STUDIES / "shapes" / "models" / recipe / "training.json",
        )
    )
    assert ours["finished"] and ours["settings"] == theirs["settings"] | {"seed": 1}
    for key in ("recipe", "answers_per_step", "parameters", "versions", "device", "steps_done"):
        assert ours[key] == theirs[key] == record["checkpoints"][name][key]


def test_the_tables_of_the_pages_are_what_the_scripts_print() -> None:
    assert block(FOLDER / "README.md", "accuracy") == accuracy.tables(FOLDER)
    assert block(FOLDER / "README.md", "seeds") == seeds.tables(FOLDER)
    page = STUDIES.parent / "docs" / "shapes_large.md"
    assert block(page, "seeds") == accuracy.large()


def test_the_large_accuracies_of_seed_0_are_those_of_its_table() -> None:
    """Those of seed 1 stand in its record alone."""
    table = pd.read_parquet(
        STUDIES / "shapes_large" / "results.parquet", columns=["checkpoint", "k", "correct"]
    )
    right = table.groupby(["checkpoint", "k"], observed=True)["correct"].mean()
    for name in ("fixed4", "anyk"):
        shares = " | ".join(f"{100 * share:.2f}" for share in right[name])
        assert f"| `{name}` | {shares} |" in accuracy.large()


def test_intervals_are_those_of_t_tests() -> None:
    rng = np.random.default_rng(0)
    one, zero = rng.normal(size=(2, 30, 3))
    mean, half = seeds.paired(one - zero)
    theirs = stats.ttest_rel(one, zero).confidence_interval(0.95)
    np.testing.assert_allclose([mean - half, mean + half], [theirs.low, theirs.high])
    first, second = rng.normal(size=(2, 2, 3))
    wide = seeds.two_samples(first, second)
    found = stats.ttest_ind(first, second).confidence_interval(0.95)
    between = first.mean(axis=0) - second.mean(axis=0)
    np.testing.assert_allclose([between - wide, between + wide], [found.low, found.high])


def test_shares_are_by_image_and_seeds_in_order() -> None:
    recipes, ks = seeds.by_image(FOLDER)
    assert ks == [1, 2, 3, 4, 6, 8, 12, 16]
    assert {name: [x.shape for x in found] for name, found in recipes.items()} == {
        "fixed4": [(3000, 8)] * 2,
        "anyk": [(3000, 8)] * 2,
    }
    table = pd.read_parquet(STUDIES / "shapes" / "results.parquet")
    theirs = table[table["checkpoint"] == "anyk"].groupby("k")["correct"].mean()
    np.testing.assert_allclose(recipes["anyk"][0].mean(axis=0), 100 * theirs.to_numpy())
    labels = [label for label, *_ in seeds.rows(recipes)]
    assert len(labels) == 4 and labels[0] == "`fixed4`, seed 1 less seed 0"
