"""A study of latency alone whose truth is known: a + b k, noise, a floor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

KS = (1, 2, 4, 8, 16, 32)
TOKENS = (64, 256, 1024, 2560)
BATCHES = (1, 8)
GRAPH, EAGER = "captured graph", "eager"
N_NEW = 17
#: Bytes of weights that a decoded token reads, and the bandwidth (bytes per ms) of the toy.
BANDWIDTH = 4.3e9
ABOUT = {"device": "NVIDIA H200", "model": "lfm2-8b-a1b", "dtype": "bfloat16"}


def per_expert(phase: str, mode: str, tokens: int, batch: int) -> float:
    """b of a + b k, in ms."""
    if phase == "tpot_ms":
        return 0.15 + 0.02 * (batch - 1) if mode == GRAPH else 0.0
    return 0.0012 * tokens * batch if mode == GRAPH else 0.0006 * tokens * batch


def at_zero(phase: str, mode: str, tokens: int, batch: int) -> float:
    """a of a + b k, in ms."""
    if phase == "tpot_ms":
        return (1.5 if mode == GRAPH else 26.0) + 0.0001 * tokens * batch
    return (4.0 if mode == GRAPH else 26.0) + 0.01 * tokens * batch


def active_bytes(k: int) -> float:
    return 1.2e9 + 0.48e9 * k


def cells(
    *,
    ks: tuple[int, ...] = KS,
    tokens: tuple[int, ...] = TOKENS,
    batches: tuple[int, ...] = BATCHES,
    modes: tuple[str, ...] = (GRAPH, EAGER),
    repeats: int = 5,
    noise: float = 0.01,
    seed: int = 1,
) -> pd.DataFrame:
    """Times in the latency table's wide form: k in random order within each round.

    `noise` is the standard deviation of a time over its level at the smallest k.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for batch in batches:
        for n in tokens:
            vision = 2.0 + 0.004 * n * batch
            for repeat in range(repeats):
                for k in rng.permutation(ks):
                    for mode in modes:
                        prefill, step = (
                            at_zero(phase, mode, n, batch)
                            + per_expert(phase, mode, n, batch) * k
                            + noise * at_zero(phase, mode, n, batch) * rng.normal()
                            for phase in ("prefill_ms", "tpot_ms")
                        )
                        rows.append(
                            {
                                **ABOUT,
                                "sample_id": f"{n} image tokens",
                                "k": int(k),
                                "batch": batch,
                                "repeat": repeat,
                                "request": 0,
                                "vision_ms": vision * (1 + noise * rng.normal()),
                                "prefill_ms": prefill,
                                "ttft_ms": prefill + 0.2,
                                "decode_ms": step * (N_NEW - 1),
                                "total_ms": prefill + 0.2 + step * (N_NEW - 1),
                                "n_prompt_tokens": n + 20,
                                "n_new_tokens": N_NEW,
                                "n_image_tokens": n,
                                "decode_mode": mode,
                                "order": len(rows),
                            }
                        )
    return pd.DataFrame(rows)


def floors(ks: tuple[int, ...] = KS) -> pd.DataFrame:
    used = np.array([active_bytes(k) for k in ks])
    return pd.DataFrame({"k": ks, "active_bytes": used, "floor_ms": used / BANDWIDTH})


def latency_study(folder: Path, latency: pd.DataFrame | None = None, **changed: Any) -> Path:
    """Write a study and return its manifest; further keywords replace its keys (None: no key)."""
    folder.mkdir(parents=True, exist_ok=True)
    (cells() if latency is None else latency).to_parquet(folder / "latency.parquet", index=False)
    floors().to_csv(folder / "floors.csv", index=False)
    manifest: dict[str, Any] = {
        "version": 1,
        "name": "toy_latency",
        "title": "A toy of known cost",
        "license": "MIT",
        "latency": [{"path": "latency.parquet"}],
        "floors": {"path": "floors.csv"},
        "notes": ["The weights are random, which routes more evenly than trained ones."],
        "seed": 1,
    }
    manifest |= changed
    path = folder / "manifest.yaml"
    kept = {key: value for key, value in manifest.items() if value is not None}
    path.write_text(yaml.safe_dump(kept, sort_keys=False), encoding="utf-8")
    return path
