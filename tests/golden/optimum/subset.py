"""Cut the tables beside this file out of the shapes pilot: python subset.py FOLDER.

FOLDER holds the pilot's samples.parquet, results.parquet and latency.parquet. Every 13th image
up to 150 of them; the two short checkpoints; the CPU times of 40 questions.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent


def main(folder: Path) -> None:
    samples = pd.read_parquet(folder / "samples.parquet")
    results = pd.read_parquet(folder / "results.parquet")
    latency = pd.read_parquet(folder / "latency.parquet")

    images = sorted(samples["image_id"].unique())[::13][:150]
    chosen = samples.loc[
        samples["image_id"].isin(images), ["sample_id", "image_id", "question_type", "n_objects"]
    ]
    wide = (
        results[results["checkpoint"].isin(["fixed4_3k", "anyk_3k"])]
        .pivot_table(
            index=["checkpoint", "sample_id"], columns="k", values="correct", aggfunc="sum"
        )
        .add_prefix("k")
        .reset_index()
        .rename(columns={"checkpoint": "model"})
    )
    answers = chosen.merge(wide, on="sample_id", validate="one_to_many")
    answers = answers.sort_values(["model", "sample_id"], kind="stable")
    answers.to_csv(HERE / "answers.csv", index=False)

    keys = ["device", "checkpoint", "sample_id", "k", "repeat"]
    phases = {"prefill_cputime": "prefill_ms", "vision_encode_cputime": "vision_ms"}
    times = latency[latency["phase"].isin(phases)]
    asked = sorted(times["sample_id"].unique())[::5][:40]
    times = times[times["sample_id"].isin(asked)].assign(
        phase=lambda rows: rows["phase"].map(phases),
        ms=lambda rows: rows["ms"].astype(float).round(6),
    )
    wide = times.pivot_table(index=keys, columns="phase", values="ms", aggfunc="sum")
    wide["order"] = times.reset_index().groupby(keys)["index"].min()
    wide = wide.reset_index().rename(columns={"checkpoint": "model"})
    wide = wide.merge(samples[["sample_id", "n_objects"]], on="sample_id", validate="many_to_one")
    wide = wide.sort_values(["model", "order"], kind="stable")
    wide.to_csv(HERE / "latency.csv", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
