"""Join the checkpoints' tables to the table of the study.

python -m data_manifests.shapes.training.assemble -o results.parquet \
    runs/results/results_study_fixed4.parquet runs/results/results_study_anyk.parquet
python -m data_manifests.shapes.training.assemble -o latency.parquet runs/*_*.latency.parquet

Rows stay as they are, in the order given; times are rounded to 0.0001 ms.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

DIGITS = 4


def assemble(parts: Sequence[Path], out: Path) -> pd.DataFrame:
    """Write the rows of several tables to one, as small as it gets.

    Parameters
    ----------
    parts : sequence of Path
        Parquet files of the same columns: results of `evaluate`, or latencies of `optik collect`.
    out : Path
        The table to write.

    Returns
    -------
    DataFrame
        What was written.
    """
    frame = pd.concat([pd.read_parquet(path) for path in parts], ignore_index=True)
    times = [name for name in frame if name.endswith("_ms")]
    frame[times] = frame[times].round(DIGITS)
    told = {"sample_id": "DELTA_BYTE_ARRAY"}
    pq.write_table(
        pa.Table.from_pandas(frame, preserve_index=False),
        out,
        compression="zstd",
        compression_level=19,
        use_dictionary=[name for name in frame if name not in ("sample_id", "logprob")],
        column_encoding=told,
        row_group_size=len(frame),
    )
    return frame


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", type=Path, nargs="+")
    parser.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    rows = len(assemble(given.parts, given.out))
    print(f"{given.out}: {rows:,} rows, {given.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
