"""Sample logs of lm-evaluation-harness (``samples_TASK_DATE.jsonl``).

Format: lm-eval 0.4.13, which wrote the fixtures of the tests. A row has `doc_id` (its place in the
split), `doc`, `target` as text, `arguments`, `resps`, `filtered_resps`, `filter`, `metrics` (the
names of its metrics), `doc_hash`, `prompt_hash`, `target_hash`, and a field for each metric. A task
with several filters has each document once for each of them. ``results_DATE.json`` beside it has
what was given with ``--metadata``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from analysis.results.log_lines import rows
from analysis.results.logs import Asked, Collector, Log, one_text
from analysis.results.run_metadata import beside, version
from complexity.errors import InputError, did_you_mean, listing

_NAME = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)\.jsonl(\.gz)?$")


def read(path: Path, asked: Asked) -> Log:
    """Read a log; see `analysis.results.logs`."""
    log = Collector(path, asked, "doc_id", "filtered_resps")
    filters: dict[str, int] = {}
    for place, row in rows(path, log.problems):
        name = str(row.get("filter", "none"))
        filters[name] = filters.get(name, 0) + 1
        if asked.filter is not None and name != asked.filter:
            continue
        if asked.filter is None and len(filters) > 1:
            continue  # refused below, once all filters are known
        prompt, prediction = row.get("prompt_hash"), one_text(row.get("filtered_resps"))
        log.add(
            place,
            row,
            _metrics(row),
            prediction=prediction,
            prompt=prompt if isinstance(prompt, str) else None,
            target=_target(row) if prediction is None else one_text(row.get("target")),
        )
    if asked.filter is None and len(filters) > 1:
        raise InputError(
            f"{path}: rows of several filters ({listing(filters)}); name one: filter: "
            f"{next(iter(filters))} (--filter {next(iter(filters))})"
        )
    if asked.filter is not None and filters and asked.filter not in filters:
        raise InputError(
            f"{path}: no filter '{asked.filter}'{did_you_mean(asked.filter, filters)}; it has "
            f"{listing(filters)}"
        )
    found = _NAME.match(path.name)
    task = found["task"] if found else ""
    name = f"results_{found['date']}.json" if found else ""
    metadata = beside(path, name, task, log.problems)
    return Log(log.finish(), metadata, version(metadata, task), tuple(log.problems))


def _target(row: dict[str, Any]) -> str | None:
    """Return the right answer of a task with choices, where `target` is its place among them.

    Without the choices a place says nothing: as a text it might be another sample's answer.
    """
    target, doc = row.get("target"), row.get("doc")
    if not isinstance(target, str) or not target.isdecimal():
        return one_text(target)
    choices = doc.get("choices") if isinstance(doc, dict) else None
    if not isinstance(choices, list) or int(target) >= len(choices):
        return None
    return one_text(choices[int(target)])


def _metrics(row: dict[str, Any]) -> dict[str, Any]:
    names = row.get("metrics")
    return {name: row[name] for name in names if name in row} if isinstance(names, list) else {}
