"""Sample logs of lmms-eval (``DATE_samples_TASK.jsonl``).

Format: lmms-eval 0.7.3, ``evaluator.py`` and ``loggers/evaluation_tracker.py`` (the latter the same
in commit e8e78f05 of EvolvingLMMs-Lab/lmms-eval), whose writer made the fixtures of the tests. A
row has `doc_id` (its place in the split), `target` as text, `filtered_resps`, `resps` only where
they differ, `input` (the prompt), `doc_hash`, `token_counts` and a field for each metric. The
document is removed. `doc_hash` of a document with images contains the address of the image in
memory, so that it differs from run to run: it is not compared. Every filter of a task writes its
rows into the same file without its name.
"""

from __future__ import annotations

from pathlib import Path

from analysis.results.log_lines import rows
from analysis.results.logs import Asked, Collector, Log, one_text
from analysis.results.run_metadata import beside, version

# Fields that are no metrics, of current and earlier versions.
_OWN = frozenset(
    [
        *("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "token_counts"),
        *("doc_hash", "prompt_hash", "target_hash", "input_media", "input", "filter", "metrics"),
    ]
)


def read(path: Path, asked: Asked) -> Log:
    """Read a log; see `analysis.results.logs`."""
    log = Collector(path, asked, "doc_id", "filtered_resps")
    for place, row in rows(path, log.problems):
        prompt = row.get("input")
        target = row.get("target")
        log.add(
            place,
            row,
            {name: value for name, value in row.items() if name not in _OWN},
            prediction=one_text(row.get("filtered_resps")),
            prompt=prompt if isinstance(prompt, str) else None,
            target=target if isinstance(target, str) else None,
        )
    date, found, task = path.name.partition("_samples_")
    name = f"{date}_results.json" if found else ""
    task = task.removesuffix(".gz").removesuffix(".jsonl")
    metadata = beside(path, name, task, log.problems)
    return Log(log.finish(), metadata, version(metadata, task), tuple(log.problems))
