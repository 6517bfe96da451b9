"""Tables with a known optimum, and the part of the shapes pilot that R has answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

GOLDEN = Path(__file__).parent / "golden" / "optimum"
KS = (1, 2, 3, 4, 6, 8, 12, 16)
Logit = Callable[[np.ndarray, np.ndarray], np.ndarray]


def simulate(
    logit: Logit,
    *,
    n_images: int = 120,
    n_questions: int = 4,
    ks: tuple[int, ...] = KS,
    seed: int = 1,
    model: str = "m",
    soft: bool = False,
    sticky: float = 0.8,
) -> pd.DataFrame:
    """Simulate answers: logit(x, z) with x = log2 k and z the standardised complexity.

    Images and questions have intercepts of their own; with chance `sticky` the answers of one
    question at different k come from one draw, as greedy decoding makes them.
    """
    rng = np.random.default_rng(seed)
    # The same images whatever the seed.
    objects = np.random.default_rng(0).permutation(np.arange(n_images) % 24 + 1).astype(float)
    z = (objects - objects.mean()) / objects.std()
    shape = (n_images, n_questions, len(ks))
    eta = logit(np.log2(np.asarray(ks, dtype=float)), z[:, None, None])
    eta = eta + rng.normal(0, 0.7, (n_images, 1, 1)) + rng.normal(0, 0.8, shape[:2])[..., None]
    chance = np.broadcast_to(1 / (1 + np.exp(-eta)), shape)
    own, shared = rng.uniform(size=shape), rng.uniform(size=shape[:2])[..., None]
    draw = np.where(rng.uniform(size=shape) < sticky, shared, own)
    score = np.round(10 * chance) / 10 if soft else (draw < chance).astype(float)
    image, question, k = (part.ravel() for part in np.indices(shape))
    return pd.DataFrame(
        {
            "model": model,
            "image_id": [f"i{i:04d}" for i in image],
            "sample_id": [f"i{i:04d}_{q}" for i, q in zip(image, question, strict=True)],
            "k": np.asarray(ks)[k],
            "score": score.ravel(),
            "objects": objects[image],
            "kind": np.array(["count", "color", "shape"])[question % 3],
        }
    )


def tertiles(table: pd.DataFrame, metric: str = "objects", n: int = 3) -> pd.Series:
    """Quantile buckets over images: low, mid, high (low, high for two)."""
    values = table.drop_duplicates("image_id").set_index("image_id")[metric]
    names = {2: ["low", "high"], 3: ["low", "mid", "high"]}[n]
    return pd.qcut(values.rank(method="first"), n, labels=names)


@cache
def reference() -> dict[str, Any]:
    """R's answers (tests/golden/optimum/make.R)."""
    content: dict[str, Any] = json.loads((GOLDEN / "answers.json").read_text(encoding="utf-8"))
    return content


@cache
def _real() -> pd.DataFrame:
    wide = pd.read_csv(GOLDEN / "answers.csv")
    ids = ["model", "image_id", "sample_id", "question_type", "n_objects"]
    long = wide.rename(columns={f"k{k}": k for k in KS}).melt(ids, var_name="k", value_name="score")
    return long.astype({"k": int, "score": float, "n_objects": float})


def real() -> pd.DataFrame:
    """Answer by answer what R was given: 2 models × 600 questions × 8 k."""
    return _real().copy()


def real_buckets() -> pd.Series:
    """Buckets that R was given: up to 8 objects, up to 16, more."""
    objects = _real().drop_duplicates("image_id").set_index("image_id")["n_objects"]
    return pd.cut(objects, [-np.inf, 8, 16, np.inf], labels=["low", "mid", "high"])
