"""Sample logs in the layout of the tools' own fixtures (tests/logs), of any content."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

LOGS = Path(__file__).parent / "logs"
DATE = "2026-11-01T12-00-00.000000"


def lmms_row(doc_id: Any, target: str, reply: str, score: Any, **more: Any) -> dict[str, Any]:
    return {
        "doc_id": doc_id,
        "target": target,
        "filtered_resps": reply,
        "token_counts": [{"input_tokens": 90, "output_tokens": 2}],
        "doc_hash": sha256(f"{doc_id}".encode()).hexdigest(),
        "exact_match": score,
        "submission": {"question_id": doc_id, "answer": reply},
        "input": f"question {doc_id}",
    } | more


def lm_row(doc_id: Any, target: str, reply: str, score: Any, **more: Any) -> dict[str, Any]:
    hashed = sha256(f"{doc_id}".encode()).hexdigest()
    return {
        "doc_id": doc_id,
        "doc": {"question_id": f"id{doc_id}", "question": f"question {doc_id}"},
        "target": target,
        "arguments": {"gen_args_0": {"arg_0": f"question {doc_id}", "arg_1": {"until": ["\n"]}}},
        "resps": [[reply]],
        "filtered_resps": [reply],
        "filter": "none",
        "metrics": ["exact_match"],
        "doc_hash": hashed,
        "prompt_hash": hashed,
        "target_hash": sha256(target.encode()).hexdigest(),
        "exact_match": score,
    } | more


def lines(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as handle:
        for row in rows:
            handle.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def shapes_logs(study: Path, folder: Path) -> None:
    """Write a small study's results as logs of both harnesses, a folder for each model and k.

    `doc_id` is the place of the question in the study's samples, as it is in a data set's split.
    """
    samples = pd.read_parquet(study / "samples.parquet")
    place = pd.Series(range(len(samples)), index=samples["sample_id"])
    answer = samples.set_index("sample_id")["answer"].astype(str)
    results = pd.read_parquet(study / "results.parquet")
    for (model, k), rows in results.groupby(["checkpoint", "k"]):
        rows = rows.assign(place=place.loc[rows["sample_id"]].to_numpy()).sort_values("place")
        for tool, make, name in (
            ("lmms", lmms_row, "20261101_120000_samples_shapes_vqa.jsonl"),
            ("lm", lm_row, f"samples_shapes_vqa_{DATE}.jsonl"),
        ):
            made = (
                make(int(i), answer[s], answer[s] if right else "none", float(right))
                for i, s, right in zip(
                    rows["place"], rows["sample_id"], rows["correct"], strict=True
                )
            )
            lines(folder / tool / f"k{k}" / str(model) / name, made)
