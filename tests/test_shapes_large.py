"""The study of 25,000 rendered images: its tables, its images, its answers."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import complexity
from analysis.checking import inspect
from analysis.datasets import shapes
from analysis.manifest import Study, load_study

N_CHECKED = 100
KS = (1, 2, 3, 4, 6, 8, 12, 16)


@pytest.fixture(scope="module")
def large() -> Study:
    return load_study("shapes_large")


@pytest.fixture(scope="module")
def samples(root: Path) -> pd.DataFrame:
    return pd.read_parquet(root / "data_manifests" / "shapes_large" / "samples.parquet")


def test_every_question_has_an_answer_at_every_k(large: Study) -> None:
    found = list(inspect(large))
    assert not [item for item in found if item.level in ("wrong", "note")]
    said = "\n".join(item.what for item in found)
    assert "25,000 images" in said
    assert "all 200,000 (sample, model) pairs have every k" in said


def test_images_are_made_as_they_were(large: Study, samples: pd.DataFrame) -> None:
    sums = samples.drop_duplicates("image_id").set_index("image_id")["image_sha256_rgb"].dropna()
    assert len(sums) == shapes.LARGE_IMAGES // 10
    some = sums.iloc[:: len(sums) // N_CHECKED]
    for name, held in some.head(5).items():
        assert hashlib.sha256(shapes.render(str(name)).tobytes()).hexdigest() == held
    source = large.image_source()
    table = complexity.measure(source, metrics="edge_density", only=set(some.index), workers=1)
    assert len(table) == N_CHECKED
    assert table["error"].isna().all()  # a sum that does not agree is an error of the image


def test_samples_are_the_design_s(samples: pd.DataFrame) -> None:
    made = shapes.study_frames(shapes.LARGE_FIRST, 25)
    for name in ("sample_id", "question", "answer", "n_objects", "clutter", "background"):
        assert list(made[name]) == list(samples[name].head(len(made))), name
    factors = samples.drop_duplicates("image_id")[["n_objects", "clutter", "texture", "occlusion"]]
    together = factors.corr().to_numpy()
    assert np.abs(together[np.triu_indices(4, 1)]).max() < 0.01


def test_what_was_answered_right_was_scored_right(root: Path, samples: pd.DataFrame) -> None:
    path = root / "data_manifests" / "shapes_large" / "results.parquet"
    rows = pq.read_table(path, filters=[("k", "in", [1, 4])]).to_pandas()
    assert len(rows) == 2 * 2 * len(samples)
    answers = rows["sample_id"].map(samples.set_index("sample_id")["answer"])
    assert ((rows["prediction"] == answers) == (rows["correct"] == 1)).all()
