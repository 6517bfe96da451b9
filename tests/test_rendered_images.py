"""Images that are made when asked for: the same table as from files, and clear refusals."""

from __future__ import annotations

import hashlib
import io
import pickle
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import complexity
from analysis.checking import inspect
from analysis.datasets import shapes
from analysis.manifest import Study, load_study
from analysis.measuring import measure_sources
from analysis.pipeline import run
from complexity.errors import InputError
from complexity.places import fetched
from complexity.sources_rendered import RenderedImages, stored_png

N_IMAGES = 40


def write_study(folder: Path, samples: pd.DataFrame, **images: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    samples.to_parquet(folder / "samples.parquet", index=False)
    rng = np.random.default_rng(3)
    rows = [("m", s, k, float(rng.random() < 0.6)) for s in samples["sample_id"] for k in (1, 2, 4)]
    results = pd.DataFrame(rows, columns=["model", "sample_id", "k", "score"])
    results.to_parquet(folder / "results.parquet", index=False)
    manifest = {
        "version": 1,
        "name": "made",
        "title": "images made on demand",
        "license": "MIT",
        "images": images or {"source": {"rendered": "shapes"}},
        "samples": {"path": "samples.parquet", "columns": {"answers": "answer"}},
        "object_count": {"from": "annotations", "column": "n_objects"},
        "results": [{"path": "results.parquet"}],
        "analysis": {
            "primary": {"metric": "object_count"},
            "metrics": ["object_count", "edge_density"],
        },
    }
    path = folder / "manifest.yaml"
    path.write_text(yaml.safe_dump(manifest, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    return shapes.study_frames(count=N_IMAGES)


@pytest.fixture
def study(tmp_path: Path, samples: pd.DataFrame) -> Study:
    return load_study(write_study(tmp_path / "study", samples))


def test_a_run_needs_no_image_files(tmp_path: Path, study: Study) -> None:
    found = run(study.path, tmp_path / "out", workers=2)
    table = complexity.read_complexity(tmp_path / "out" / "complexity.parquet")
    assert len(table) == N_IMAGES
    assert table["error"].isna().all()
    assert "m" in str(found.answer)
    assert (tmp_path / "out" / "figures" / "example_images.png").is_file()
    assert not [item for item in inspect(study) if item.level == "wrong"]
    assert [item.key for item in study.data_files()] == ["samples.path", "results[0].path"]


def test_numbers_are_those_of_the_same_images_in_files(tmp_path: Path, study: Study) -> None:
    source = study.image_source()
    for name in source.ids():
        (tmp_path / "files").mkdir(exist_ok=True)
        Image.fromarray(shapes.render(name)).save(tmp_path / "files" / f"{name}.png")
    made = complexity.measure(source, metrics="edge_density,segment_count", workers=1)
    read = complexity.measure(tmp_path / "files", metrics="edge_density,segment_count", workers=1)
    read["image_id"] = read["image_id"].str.removesuffix(".png")
    pd.testing.assert_frame_equal(
        made.drop(columns="sha256"), read.drop(columns="sha256"), check_like=True
    )
    one = complexity.measure(source, metrics="edge_density", workers=2, timeout=60)
    pd.testing.assert_series_equal(one["edge_density"], made["edge_density"])


def test_a_second_measurement_computes_nothing(tmp_path: Path, study: Study) -> None:
    out = tmp_path / "c.parquet"
    first = measure_sources([study.path], out=out, metrics="edge_density", workers=1)
    before = out.read_bytes()
    again = measure_sources([study.path], out=out, metrics="edge_density", workers=1)
    assert (first.computed, again.computed, again.reused) == (N_IMAGES, 0, N_IMAGES)
    assert out.read_bytes() == before
    half = set(study.image_source().ids()[::2])
    part = complexity.measure(study.image_source(), metrics="edge_density", only=half, workers=1)
    assert set(part["image_id"]) == half


def test_a_source_keeps_the_contract_of_all_sources(study: Study) -> None:
    source = study.image_source()
    ids = source.ids()
    assert ids == sorted(ids)
    assert source.count() == len(ids) == N_IMAGES
    assert [item.image_id for item in source.items()] == ids
    assert [item.image_id for item in source.items(["s00003", "other"])] == ["s00003"]
    data = source.read("s00003")
    assert (np.asarray(Image.open(io.BytesIO(data))) == shapes.render("s00003")).all()
    # Another machine gets the items pickled, and makes the images itself.
    sent = pickle.loads(pickle.dumps(list(source.described(["s00003"]))))
    assert [item.read() for item in fetched(sent)] == [data]
    with pytest.raises(InputError, match="rendered: shapes: no image 's99999'"):
        source.read("s99999")


def test_the_fingerprint_follows_ids_sums_and_version() -> None:
    function = "analysis.datasets.shapes:render"
    base = RenderedImages("x", function, "1", {"s00001": "", "s00000": ""})
    same = RenderedImages("y", function, "1", {"s00000": "", "s00001": ""})
    assert base.fingerprint() == same.fingerprint()
    for other in (
        RenderedImages("x", function, "2", base.sums),
        RenderedImages("x", function, "1", {"s00000": ""}),
        RenderedImages("x", function, "1", {"s00000": "", "s00001": "ab"}),
    ):
        assert other.fingerprint() != base.fingerprint()
    with pytest.raises(InputError, match="no image is named"):
        RenderedImages("x", function, "1", {}).ids()


def test_other_pixels_than_the_samples_tell_of_are_an_error_of_that_image(
    tmp_path: Path, samples: pd.DataFrame
) -> None:
    wrong = samples.copy()
    here = wrong["image_id"] == "s00001"
    wrong.loc[here, "image_sha256_rgb"] = hashlib.sha256(b"other").hexdigest()
    # Sums may be left out, of some images or of all.
    wrong.loc[wrong["image_id"] == "s00002", "image_sha256_rgb"] = None
    source = load_study(write_study(tmp_path / "wrong", wrong)).image_source()
    table = complexity.measure(source, metrics="edge_density", workers=1).set_index("image_id")
    bad = table["error"].dropna()
    assert list(bad.index) == ["s00001"]
    assert "makes other pixels than those that the samples' sum is of" in bad["s00001"]
    bare = samples.drop(columns="image_sha256_rgb")
    source = load_study(write_study(tmp_path / "bare", bare)).image_source()
    assert source.read("s00001")


def test_a_sum_that_is_none_is_refused_before_anything_is_measured(
    tmp_path: Path, samples: pd.DataFrame
) -> None:
    odd = samples.copy()
    odd.loc[odd["image_id"] == "s00001", "image_sha256_rgb"] = "xyz"
    study = load_study(write_study(tmp_path / "odd", odd))
    with pytest.raises(InputError, match=r"1 that are no SHA-256 .*: 'xyz' of s00001; correct"):
        study.image_source()
    assert [i.where for i in inspect(study) if i.level == "wrong"] == ["images.source"]
    upper = samples.assign(image_sha256_rgb=samples["image_sha256_rgb"].str.upper())
    assert load_study(write_study(tmp_path / "upper", upper)).image_source().read("s00001")


def test_ids_of_another_kind_are_refused(tmp_path: Path, samples: pd.DataFrame) -> None:
    foreign = samples.assign(image_id=samples["image_id"].replace("s00003", "t3"))
    study = load_study(write_study(tmp_path, foreign))
    with pytest.raises(InputError) as caught:
        study.image_source()
    said = str(caught.value)
    assert "images.source: 1 of the 40 images that the samples name are not of 'shapes': 't3'" in (
        said
    )
    assert "its ids are s00000 to s99999" in said
    assert [i.where for i in inspect(study) if i.level == "wrong"] == ["images.source"]


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (
            {"source": {"rendered": "shape"}},
            r"images\.source\.rendered: unknown renderer 'shape' \(did you mean 'shapes'\?\)",
        ),
        ({"source": {"renders": "shapes"}}, r"images\.source\.renders: unknown key"),
        ({"source": 3}, r"images\.source: must be text, not the number 3"),
        (
            {"source": {"rendered": "shapes"}, "id": "image_id"},
            r"images\.id: is for Parquet files; rendered images have the samples' ids",
        ),
    ],
)
def test_a_wrong_manifest_is_refused(
    tmp_path: Path, samples: pd.DataFrame, images: dict[str, Any], said: str
) -> None:
    path = write_study(tmp_path, samples, **images)
    with pytest.raises(InputError, match=said) as caught:
        load_study(path)
    assert "must be text, not a mapping" not in str(caught.value)


@pytest.mark.parametrize("which", ["study", "large"])
def test_the_script_writes_tables_that_measure_alike(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    script = root / "data_manifests" / "shapes" / "make_tables.py"
    monkeypatch.setattr(sys, "argv", [str(script), which, str(tmp_path), "--images", "12"])
    runpy.run_path(str(script), run_name="__main__")
    made = pd.read_parquet(tmp_path / "samples.parquet")
    assert len(made) == 48
    assert made.groupby("image_id")["image_sha256_rgb"].first().notna().sum() == (
        12 if which == "study" else 2
    )
    source = load_study(write_study(tmp_path / "made", made)).image_source()
    table = complexity.measure(source, metrics="edge_density", workers=1)
    assert table["error"].isna().all()
    if which == "study":
        held = complexity.open_source(tmp_path / "images.parquet", id_column="image_id")
        assert held.ids() == source.ids()
        same = complexity.measure(held, metrics="edge_density", workers=1)
        pd.testing.assert_series_equal(same["edge_density"], table["edge_density"])
    else:
        assert not (tmp_path / "images.parquet").exists()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 9))
def test_stored_files_hold_the_pixels(height: int, width: int, seed: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(stored_png(rgb))) as image:
        image.load()
        assert image.mode == "RGB"
        assert (np.asarray(image) == rgb).all()
