"""Degenerate studies: refused in words, or answered with what cannot be told; never a nan."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from optimum_cases import simulate, tertiles
from tiny_study import write_study
from typer.testing import CliRunner

from analysis.cli import app
from analysis.optimum import analyse, one_model
from analysis.optimum.common import CommonOptimum, common_optimum
from analysis.shift import shift_of_table, shift_text
from complexity.errors import InputError
from complexity.files import to_json

Spoil = Callable[[pd.DataFrame], pd.DataFrame]
KS = (1, 2, 4, 8)
#: A number that is none, but not the "k" of "nan" inside a word.
NO_NUMBER = re.compile(r"(?<![A-Za-z])(nan|NaN|inf|Infinity|NaT)(?![A-Za-z])")


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    def quick(*arguments: Any, **options: Any) -> CommonOptimum:
        return common_optimum(*arguments, **{**options, "n_draws": 5_000})

    monkeypatch.setattr(one_model, "common_optimum", quick)


def base(n_images: int = 24, n_questions: int = 2, **kwargs: Any) -> pd.DataFrame:
    def logit(x: np.ndarray, z: np.ndarray) -> np.ndarray:
        return 0.8 + 0.1 * x - 0.5 * z

    kwargs = {"ks": KS, "seed": 3, **kwargs}
    return simulate(logit, n_images=n_images, n_questions=n_questions, **kwargs)


def one_question(_: pd.DataFrame) -> pd.DataFrame:
    return base(n_questions=1)


def soft(_: pd.DataFrame) -> pd.DataFrame:
    return base(soft=True)


def scattered(t: pd.DataFrame) -> pd.DataFrame:
    return t.sample(frac=0.9, random_state=1)


def emptied(t: pd.DataFrame) -> pd.DataFrame:
    lost = np.random.default_rng(0).random(len(t)) < 0.1
    return t.assign(score=t["score"].where(~lost))


def wrong_once(t: pd.DataFrame) -> pd.DataFrame:
    return t.assign(score=1.0 - ((t["sample_id"] == "i0003_1") & (t["k"] == 1)))


def without_nulls(value: object, path: str = "") -> None:
    """Where a number is missing, a text beside it must say why."""
    if isinstance(value, dict):
        for key in ("p", "estimate"):
            if key in value and value[key] is None and key == "p":
                assert value["method"], path
        for key, item in value.items():
            without_nulls(item, f"{path}.{key}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            without_nulls(item, f"{path}[{i}]")
    else:
        assert not (isinstance(value, float) and not np.isfinite(value)), path


ANSWERED: dict[str, tuple[Spoil, list[str]]] = {
    "two k": (
        lambda t: t[t["k"].isin([2, 8])],
        ["k = 2 and 8", "the quadratic needs three values of k"],
    ),
    "constant score": (
        lambda t: t.assign(score=0.5),
        ["every image scores the same at all k: these data cannot tell which k is best"],
    ),
    "same answers at every k": (
        lambda t: t.assign(score=t.groupby("sample_id")["score"].transform("first")),
        ["every image scores the same at all k"],
    ),
    "one question each": (one_question, ["24 samples of 24 images"]),
    "perfect at every k": (
        lambda t: t.assign(score=1.0),
        ["every answer is right at all k", "could not be tested"],
    ),
    "wrong at every k": (lambda t: t.assign(score=0.0), ["every answer is wrong at all k"]),
    "perfect but for one answer": (wrong_once, ["only the probability scale speaks"]),
    "perfect at one k": (
        lambda t: t.assign(score=t["score"].where(t["k"] != 8, 1.0)),
        ["separation", "best k, all: 8 (100 % of bootstrap resamples"],
    ),
    "a tenth of the rows missing": (
        scattered,
        ["of 48 samples lack some k and are set aside", "has the fewest results"],
    ),
    "a tenth of the scores empty": (emptied, ["of 48 samples lack some k and are set aside"]),
    "no score at one k": (
        lambda t: t.assign(score=t["score"].where(t["k"] != 4)),
        ["k = 1, 2 and 8", "k = 4 has rows but no score and is left out"],
    ),
    "six images": (
        lambda t: t[t["image_id"] < "i0006"],
        ["few images (bucket 'low' 2, 'mid' 2, 'high' 2)", "could not be tested"],
    ),
    "two complexities": (
        lambda t: t.assign(objects=(t["objects"] > 12).astype(float)),
        ["ties: 3 quantile buckets of objects were asked for"],
    ),
    "right or wrong as complexity": (
        lambda t: t.assign(objects=t["objects"] > 12),
        ["ties: 3 quantile buckets of objects were asked for"],
    ),
    "complexity mostly tied": (
        lambda t: t.assign(objects=np.where(t["image_id"] < "i0018", 1.0, t["objects"])),
        ["so there are 2", "few images (bucket"],
    ),
    "some complexities missing": (
        lambda t: t.assign(objects=t["objects"].where(t["image_id"] > "i0004")),
        ["10 samples whose image has no objects are left out"],
    ),
    "soft scores": (soft, ["48 samples of 24 images"]),
    "very large k": (lambda t: t.assign(k=t["k"] * 10**8), ["k = 100000000"]),
    "a large k apart": (
        lambda t: t.assign(k=t["k"].where(t["k"] != 8, 2**31 - 1)),
        ["2147483647"],
    ),
}


@pytest.mark.parametrize("name", ANSWERED)
def test_a_reduced_answer_says_what_it_cannot_tell(name: str) -> None:
    spoil, words = ANSWERED[name]
    found = shift_of_table(spoil(base()), "objects")
    text = shift_text(found)
    for said in words:
        assert said in text
    assert not NO_NUMBER.search(text)
    spelled = to_json([one.to_dict() for one in found])
    assert not NO_NUMBER.search(spelled)
    without_nulls(json.loads(spelled))


REFUSED: dict[str, tuple[Spoil, str]] = {
    "one k": (lambda t: t[t["k"] == 4], r"results at one k only \(k = 4\)"),
    "one image": (
        lambda t: t[t["image_id"] == "i0001"],
        "one image has scores together with objects",
    ),
    "two images": (
        lambda t: t[t["image_id"].isin(["i0001", "i0002"])],
        "'low' has one image. Use fewer or other buckets, or more images",
    ),
    "three images": (
        lambda t: t[t["image_id"] < "i0003"],
        "has one image. Use fewer or other buckets, or more images",
    ),
    "one image apart": (
        lambda t: t.assign(objects=(t["image_id"] == "i0004") * 1.0),
        "'high' has one image",
    ),
    "constant complexity": (
        lambda t: t.assign(objects=3.0),
        r"the same value on every image that has results \(3\)",
    ),
    "complexity constant but for rounding": (
        lambda t: t.assign(objects=1e9 + 1e-9 * t["objects"]),
        "the same value on every image",
    ),
    "no complexity": (
        lambda t: t.assign(objects=np.nan),
        "no image has scores together with objects",
    ),
    "infinite complexity": (
        lambda t: t.assign(objects=t["objects"].where(t["image_id"] != "i0001", np.inf)),
        r"column 'objects' must be finite, or empty: row 9: infinite",
    ),
    "complexity too small to square": (
        lambda t: t.assign(objects=1e-320 * t["objects"]),
        "too narrow to be computed with. Give it in other units",
    ),
    "complexity too large to square": (
        lambda t: t.assign(objects=1e300 * t["objects"]),
        "too wide to be computed with",
    ),
    "complexity differs within an image": (
        lambda t: t.assign(objects=t["objects"] + (t["sample_id"] == "i0007_1")),
        r"'objects' differs between rows of one image \(i0007\)",
    ),
    "text as complexity": (
        lambda t: t.assign(objects="many", edges=t["objects"]),
        "column 'objects' holds text; it must be numbers. Columns that could be a complexity: "
        "edges.",
    ),
    "no rows": (lambda t: t.iloc[:0], "the table has no rows"),
    "no scores": (
        lambda t: t.assign(score=np.nan),
        "no image has scores together with objects",
    ),
    "infinite score": (
        lambda t: t.assign(score=t["score"].where(t["image_id"] != "i0001", np.inf)),
        r"column 'score' must lie in \[0, 1\]: row 9: infinite",
    ),
    "k beyond all experts": (
        lambda t: t.assign(k=t["k"] * 1e30),
        "column 'k' counts experts: it cannot be that large: row 1: 1e",
    ),
    "no image id": (
        lambda t: t.assign(image_id=t["image_id"].where(t["image_id"] != "i0001")),
        "column 'image_id' is empty; fill it in or leave the row out: row 9: empty",
    ),
    "no model": (
        lambda t: t.assign(model=t["model"].where(t["image_id"] != "i0001")),
        "column 'model' is empty",
    ),
    "no question at every k": (
        lambda t: t[(t["image_id"] < "i0010") == (t["k"] < 4)],
        "no sample has results at all 4 k",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_answered_is_refused_with_a_way_out(name: str) -> None:
    spoil, message = REFUSED[name]
    with pytest.raises(InputError, match=message) as caught:
        shift_of_table(spoil(base()), "objects")
    assert not re.search(r"(?<![A-Za-z])(nan|NaN)(?![A-Za-z])", str(caught.value))


def several() -> pd.DataFrame:
    t = base()
    return pd.concat(
        [
            t[t["k"] == 4].assign(model="one k"),
            t[t["image_id"] == "i0001"].assign(model="one image"),
            t.assign(model="perfect", score=1.0),
            t[(t["image_id"] < "i0010") == (t["k"] < 4)].assign(model="no whole sample"),
            t.assign(model="no scores", score=np.nan),
            t[t["k"].isin([1, 4])].assign(model="other grid"),
            t,
        ]
    )


def test_one_degenerate_model_does_not_silence_the_others() -> None:
    found = shift_of_table(several(), "objects")
    assert [one.model for one in found] == ["perfect", "other grid", "m"]
    assert set(found.unanswered) == {"one k", "one image", "no whole sample", "no scores"}
    text = shift_text(found)
    assert "one k: no answer. it has results at one k only (k = 4)" in text
    assert "one image: no answer. complexity cannot be compared" in text
    assert "no scores: no answer. none of its rows has both a score and objects" in text
    # What is said of a model does not depend on who stands beside it.
    alone = shift_of_table(base(), "objects")
    assert to_json(alone[0].to_dict()) == to_json(found[-1].to_dict())
    assert alone.unanswered == {}


def test_where_no_model_can_be_answered_every_reason_is_given() -> None:
    table = several()
    table = table[table["model"].isin(["one k", "one image"])]
    with pytest.raises(InputError, match=r"no model can be answered by objects\. one k: .*one im"):
        shift_of_table(table, "objects")


def test_an_empty_bucket_is_said() -> None:
    table = base()
    labels = tertiles(table)
    rows = table[table["image_id"].map(labels) != "mid"]
    (one,) = analyse(rows, "objects", labels, n_boot=50)
    assert one.ends == ("low", "high")
    assert any("bucket mid has no results of this model" in text for text in one.warnings)


def test_a_wrong_metric_lists_the_columns_that_could_be_one() -> None:
    table = base().assign(edges=lambda t: t["objects"] ** 2, flat=1.0, order=range(192))
    with pytest.raises(
        InputError,
        match=r"no column 'object' \(did you mean 'objects'\?\)\. Columns that could be a "
        r"complexity \(numbers, one value per image\): objects, edges\.$",
    ):
        shift_of_table(table, "object")
    with pytest.raises(InputError, match="none of its columns could be a complexity"):
        shift_of_table(table.drop(columns=["objects", "edges"]), "entropy")


def test_the_command_refuses_and_answers_without_a_traceback(tmp_path: Path) -> None:
    several().to_parquet(tmp_path / "several.parquet")
    call = ["shift", str(tmp_path / "several.parquet"), "--complexity", "objects", "--json"]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert [one["model"] for one in found if "no_answer" not in one] == [
        "perfect",
        "other grid",
        "m",
    ]
    assert {one["model"] for one in found if "no_answer" in one} == {
        "one k",
        "one image",
        "no whole sample",
        "no scores",
    }
    base().assign(objects=3.0).to_parquet(tmp_path / "flat.parquet")
    done = CliRunner().invoke(
        app, ["shift", str(tmp_path / "flat.parquet"), "--complexity", "objects"]
    )
    assert done.exit_code == 1
    assert "the same value" in done.output
    assert "Traceback" not in done.output


def study_of(folder: Path, table: pd.DataFrame) -> Path:
    """Write the table as a study with one small image each."""
    noise = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    for image in table["image_id"].unique():
        pixels = noise.integers(0, 255, (16, 16, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "images" / f"{image}.png"), pixels)
    samples = table.drop_duplicates("sample_id")
    samples = pd.DataFrame(
        {
            "sample_id": samples["sample_id"],
            "image_id": samples["image_id"] + ".png",
            "question": "how many?",
            "answers": "1",
            "n_objects": samples["objects"],
        }
    )
    results = table[["model", "sample_id", "k", "score"]]
    return write_study(
        folder,
        {
            "samples.csv": samples.to_csv(index=False),
            "results.csv": results.to_csv(index=False),
        },
        latency=None,
        object_count={"from": "annotations", "column": "n_objects"},
        analysis={"primary": {"metric": "object_count"}, "metrics": ["object_count"]},
    )


def test_a_run_with_degenerate_models_and_ties_answers_the_rest(tmp_path: Path) -> None:
    table = several()
    table = table[table["score"].notna()].assign(objects=lambda t: (t["objects"] > 12) * 1.0)
    manifest = study_of(tmp_path / "study", table)
    done = CliRunner().invoke(app, ["run", str(manifest), "-o", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    plain = " ".join(done.output.split())
    assert "no whole sample by object_count was not analysed: no sample has results at all" in plain
    assert "one k was set aside: it has results at k = 4 only" in plain
    assert "every answer is right at all k" in plain
    assert "ties: 3 quantile buckets of object_count were asked for" in plain
    for path in (tmp_path / "run").rglob("*"):
        if path.suffix in (".json", ".csv", ".tex", ".md"):
            assert not NO_NUMBER.search(path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t[t["k"] == 4], "results at one k only"),
        (lambda t: t[t["image_id"] == "i0001"], "so there is no low and no high"),
        (lambda t: t[t["image_id"] < "i0003"], "has one image"),
        (lambda t: t.assign(objects=3.0), "object_count is 3 on all 24 images"),
        (lambda t: t.assign(score=t["score"].where(t["k"] != 4)), "column 'score' is empty"),
    ],
    ids=["one k", "one image", "three images", "constant complexity", "no score at one k"],
)
def test_a_run_that_cannot_answer_says_so(tmp_path: Path, spoil: Spoil, message: str) -> None:
    manifest = study_of(tmp_path / "study", spoil(base()))
    done = CliRunner().invoke(app, ["run", str(manifest), "-o", str(tmp_path / "run")])
    assert done.exit_code == 1
    assert message in " ".join(done.output.split())
    assert "Traceback" not in done.output
