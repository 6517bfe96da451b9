"""A study of a few rows, in text files that a test can bend."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from analysis.manifest import Study, load_study

MANIFEST: dict[str, Any] = {
    "version": 1,
    "name": "tiny",
    "title": "three questions",
    "license": "MIT",
    "images": {"source": "images"},
    "samples": {"path": "samples.csv"},
    "results": [{"path": "results.csv"}],
    "latency": [{"path": "latency.csv"}],
    "analysis": {
        "primary": {"metric": "edge_density"},
        "metrics": ["edge_density", "object_count"],
    },
}
SAMPLES = """\
sample_id,image_id,question,answers,question_type,n_objects
001,a.png,how many?,2,count,2
002,a.png,what colour?,red,color,2
10,b.png,how many?,7,count,7
"""
RESULTS = """\
model,sample_id,k,score
m,001,1,0
m,001,2,1
m,002,1,1
m,002,2,1
m,10,1,0.25
m,10,2,0.5
"""
LATENCY = """\
device,model,sample_id,k,prefill_ms
cpu,m,001,1,10
cpu,m,001,2,12.5
cpu,m,10,1,11
"""


def write_study(
    folder: Path, files: Mapping[str, str | bytes] | None = None, **manifest: Any
) -> Path:
    """Write the study, with other or further files and top-level keys (None: left out)."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"samples.csv": SAMPLES, "results.csv": RESULTS, "latency.csv": LATENCY}
    content = {k: v for k, v in (MANIFEST | manifest).items() if v is not None}
    texts["manifest.yaml"] = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    for name, text in (texts | dict(files or {})).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / "manifest.yaml"


def tiny(folder: Path, files: Mapping[str, str | bytes] | None = None, **manifest: Any) -> Study:
    """Write the study and load it."""
    return load_study(write_study(folder, files, **manifest))


def json_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)
