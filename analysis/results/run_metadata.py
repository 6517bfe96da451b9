"""What a run says of itself: the results file beside a sample log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.results.logs import Problem


def beside(path: Path, name: str, task: str, problems: list[Problem]) -> dict[str, Any]:
    """Read the results file that a harness writes beside a sample log.

    Parameters
    ----------
    path : Path
        The sample log.
    name : str
        The results file's name; empty if the log's name does not tell.
    task : str
        The task of the log.
    problems : list of Problem
        A results file that cannot be read is added as a note.

    Returns
    -------
    dict
        Its content, and under `task` the configuration of the log's own task; empty if there
        is no such file.
    """
    file = path.with_name(name) if name else None
    if file is None or not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        problems.append(Problem(str(file), "not whole JSON, not used", level="note"))
        return {}
    if not isinstance(found, dict):
        return {}
    configs = found.get("configs")
    own = configs.get(task, {}) if isinstance(configs, dict) else {}
    return {**found, "task": own}


def version(metadata: Mapping[str, Any], task: str) -> str:
    """Return a task's name and version where the run says them; else empty."""
    versions = metadata.get("versions")
    given = versions.get(task) if isinstance(versions, Mapping) else None
    return "" if given is None else f"{task} {given}"


def look_up(metadata: Mapping[str, Any], key: str) -> Any:
    """Return what a run says under a key; dots lead inwards, also into ``a=1,b=2`` texts.

    Parameters
    ----------
    metadata : mapping
        From `beside`, or the head of a log.
    key : str
        Such as ``config.model_args.num_experts_per_tok``.

    Returns
    -------
    object
        None if there is nothing.
    """
    value: Any = metadata
    for part in key.split("."):
        if isinstance(value, str):
            value = dict(pair.split("=", 1) for pair in value.split(",") if "=" in pair)
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value
