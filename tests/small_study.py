"""A small real study: a part of `shapes`, written as a study of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

SHAPES = Path(__file__).parents[1] / "data_manifests" / "shapes"
MODELS = ("fixed4", "anyk")
KS = (1, 2, 4, 8)


def small_study(
    folder: Path,
    *,
    n_images: int = 60,
    models: tuple[str, ...] = MODELS,
    ks: tuple[int, ...] = KS,
    as_files: bool = False,
    **analysis: Any,
) -> Path:
    """Write the study and return its manifest.

    `as_files` writes the images as single files instead of one Parquet file; further keywords
    replace keys of the manifest's `analysis` block.
    """
    folder.mkdir(parents=True, exist_ok=True)
    latency = pd.read_parquet(SHAPES / "latency.parquet")
    latency = latency[latency["device"] == "cpu-1thread-fp32"]
    samples = pd.read_parquet(SHAPES / "samples.parquet")
    timed = samples.loc[samples["sample_id"].isin(latency["sample_id"]), "image_id"]
    chosen = sorted(timed.unique())[:n_images]
    samples = samples[samples["image_id"].isin(chosen)]
    kept = set(samples["sample_id"])

    images = pq.read_table(SHAPES / "images.parquet")
    images = images.filter(pa.compute.is_in(images["image_id"], pa.array(chosen)))
    if as_files:
        for row in images.to_pylist():
            (folder / "images").mkdir(exist_ok=True)
            name = f"{row['image_id']}.webp"
            (folder / "images" / name).write_bytes(row["image"]["bytes"])
        samples = samples.assign(image_id=samples["image_id"] + ".webp")
    else:
        pq.write_table(images, folder / "images.parquet")
    samples.to_parquet(folder / "samples.parquet", index=False)

    results = pd.read_parquet(SHAPES / "results.parquet")
    rows = results["sample_id"].isin(kept) & results["k"].isin(ks)
    rows &= results["checkpoint"].isin(models)
    results[rows].to_parquet(folder / "results.parquet", index=False)
    rows = latency["sample_id"].isin(kept) & latency["k"].isin(ks)
    rows &= latency["model"].isin(models)
    latency[rows].drop(columns="dataset").to_parquet(folder / "latency.parquet", index=False)

    manifest = yaml.safe_load((SHAPES / "manifest.yaml").read_text(encoding="utf-8"))
    manifest["name"] = "small"
    manifest["images"] = (
        {"source": "images"}
        if as_files
        else {
            "source": "images.parquet",
            "id": "image_id",
        }
    )
    manifest["analysis"].update(analysis)
    return write_manifest(folder, manifest)


def read_manifest(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def write_manifest(folder: Path, manifest: Any) -> Path:
    path = folder / "manifest.yaml"
    path.write_text(yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a run but `run.json`, by relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }
