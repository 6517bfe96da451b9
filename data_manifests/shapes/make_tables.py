"""Write the tables of the shapes study, or of the large one, from their seeds.

python data_manifests/shapes/make_tables.py study FOLDER
python data_manifests/shapes/make_tables.py large FOLDER

The study: images.parquet (3,000 images as lossless WebP) and samples.parquet. The large study:
samples.parquet alone, for its images are made when they are asked for (`rendered: shapes`);
every tenth has the sum of its pixels.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from analysis.datasets import shapes

FIRSTS = {
    "study": (shapes.STUDY_FIRST, shapes.STUDY_IMAGES),
    "large": (shapes.LARGE_FIRST, shapes.LARGE_IMAGES),
}

# Sums do not compress. Of the large study's images one in so many has its sum: enough to see
# that they are made as they were.
SUMMED = 10


def write_samples(frame: pd.DataFrame, path: Path) -> None:
    """Write a samples table as small as it gets; one row group."""
    small = {"n_objects": "int8", "clutter": "int8", "texture": "float32", "occlusion": "float32"}
    # Ids in order shrink to almost nothing when each is told from the last.
    told = dict.fromkeys(("sample_id", "image_id"), "DELTA_BYTE_ARRAY")
    table = pa.Table.from_pandas(frame.astype(small), preserve_index=False)
    pq.write_table(
        table.replace_schema_metadata(None),
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=[name for name in table.column_names if name not in told],
        column_encoding=told,
        write_statistics=False,
        row_group_size=len(frame),
    )


def write_images(first: int, count: int, path: Path) -> None:
    """Write images as lossless WebP, in a column {bytes, path} as Hugging Face has them."""
    names, rows = [], []
    for index in range(count):
        held = io.BytesIO()
        made = shapes.study_scene(index, first)
        Image.fromarray(made.image).save(held, "WEBP", lossless=True, quality=75, method=6)
        names.append(shapes.image_id(index, first))
        rows.append({"bytes": held.getvalue(), "path": f"{names[-1]}.webp"})
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image_id": pa.array(names), "image": pa.array(rows, type=kind)})
    pq.write_table(table, path, compression="none", row_group_size=500, write_statistics=False)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", choices=FIRSTS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, help="how many; all of them when left out")
    given = parser.parse_args()
    first, count = FIRSTS[given.which]
    count = count if given.images is None else given.images
    given.folder.mkdir(parents=True, exist_ok=True)
    samples = shapes.study_frames(first, count)
    if given.which == "large":
        image = samples["image_id"].str[1:].astype(int)
        samples.loc[image % SUMMED != 0, "image_sha256_rgb"] = None
    write_samples(samples, given.folder / "samples.parquet")
    if given.which == "study":
        write_images(first, count, given.folder / "images.parquet")
    for path in sorted(given.folder.glob("*.parquet")):
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
