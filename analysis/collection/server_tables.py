"""From the log of a sweep over servers to the tables that a study reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.collection.log import Log
from analysis.collection.provenance import versions
from analysis.collection.request import Outputs
from analysis.collection.server_asking import Job
from analysis.scoring import score
from analysis.tables import LATENCY, RESULTS, write_table
from complexity.files import atomic_path, write_json

if TYPE_CHECKING:
    from analysis.manifest import Study

_KEY = ["sample_id", "k", "repeat"]


@dataclass(frozen=True)
class Collected:
    """What a sweep left.

    Attributes
    ----------
    results, latency : DataFrame
        As in `analysis.schemas`, sorted by sample, k and repeat.
    failures : DataFrame
        What got no answer, with `error`.
    notes : tuple of str
        What a reader should know.
    files : tuple of Path
        What was written.
    """

    results: pd.DataFrame
    latency: pd.DataFrame
    failures: pd.DataFrame
    notes: tuple[str, ...]
    files: tuple[Path, ...]


def write_tables(
    study: Study, samples: pd.DataFrame, jobs: Sequence[Job], log: Log, request: Mapping[str, Any],
    outputs: Outputs,
) -> Collected:  # fmt: skip
    """Write what a finished sweep found.

    Parameters
    ----------
    study : Study
        Its scorer.
    samples : DataFrame
        The questions asked.
    jobs : sequence of Job
        All that was to be asked.
    log : Log
        What became of it.
    request : mapping
        What was asked for; `model` and `device` go into the tables.
    outputs : Outputs
        Where the tables go.

    Returns
    -------
    Collected
        The first answer of each question, k and repeat counts; a failure only where there is no
        answer, and then the last one.
    """
    position = {sample: place for place, sample in enumerate(samples["sample_id"])}
    wanted = sorted((job.key for job in jobs), key=lambda key: (position[key[0]], *key[1:]))
    answers: dict[tuple[Any, ...], dict[str, Any]] = {}
    failed: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in log.of("answer"):
        answers.setdefault(tuple(record[name] for name in _KEY), record)
    for record in log.of("failure"):
        failed[tuple(record[name] for name in _KEY)] = record
    had = [answers[key] for key in wanted if key in answers]
    lost = [failed[key] for key in wanted if key not in answers]
    common = {"dataset": study.name, "run": outputs.results.stem, "model": request["model"]}
    results, scoring = _results(study, samples, had, common)
    latency = _latency(had, common | {"device": request["device"]})
    failures = pd.DataFrame(
        [common | {name: r[name] for name in (*_KEY, "tries", "error")} for r in lost]
    )
    failure_file = outputs.results.with_name(f"{outputs.results.stem}.failures.csv")
    files = []
    if had:
        files = [outputs.results, outputs.latency]
        results = write_table(results, files[0], RESULTS)
        latency = write_table(latency, files[1], LATENCY)
    if lost:
        with atomic_path(failure_file) as temporary:
            failures.to_csv(temporary, index=False, lineterminator="\n", encoding="utf-8")
        files.append(failure_file)
    else:
        failure_file.unlink(missing_ok=True)
    sessions = list(log.of("session"))
    notes = (*scoring, *_notes(sessions, had, lost))
    write_json(
        outputs.provenance,
        {
            "request": request,
            "sessions": sessions,
            "answers": len(had),
            "failures": len(lost),
            "asked_more_than_once": sum(record["tries"] > 1 for record in had),
            "cut_at_the_longest_answer": sum(record["finish"] == "length" for record in had),
            "notes": notes,
            "clock": "time.perf_counter, at the client",
            "versions": versions(),
        },
    )
    return Collected(results, latency, failures, notes, (*files, outputs.provenance))


def _results(
    study: Study, samples: pd.DataFrame, had: Sequence[dict[str, Any]], common: dict[str, str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Score the answers by the study's rule."""
    frame = pd.DataFrame([common | {name: r[name] for name in _KEY} for r in had])
    if not had:
        return frame, ()
    rule = study.manifest.scorer
    about = samples.set_index("sample_id").loc[frame["sample_id"]]
    said = pd.Series([record["text"].strip() for record in had])
    options = about["options"].reset_index(drop=True) if "options" in about else None
    scored = score(rule, said, about["answers"].reset_index(drop=True), options)
    return frame.assign(score=scored.scores, prediction=said, scorer=rule), scored.notes


def _latency(had: Sequence[dict[str, Any]], common: dict[str, str]) -> pd.DataFrame:
    rows = []
    for record in had:
        first = record["ttft_ms"]
        rows.append(
            common
            | {name: record[name] for name in (*_KEY, "batch", "order")}
            | {
                "request": record["order"],
                "vision_ms": None,
                "prefill_ms": None,
                "ttft_ms": first,
                "decode_ms": None if first is None else record["total_ms"] - first,
                "total_ms": record["total_ms"],
                "n_prompt_tokens": record["n_prompt_tokens"],
                "n_new_tokens": record["n_new_tokens"],
                "n_image_tokens": None,
                "dtype": None,
                "decode_mode": "server",
            }
        )
    return pd.DataFrame(rows)


def _notes(
    sessions: Sequence[dict[str, Any]], had: Sequence[Any], lost: Sequence[Any]
) -> tuple[str, ...]:
    basis = {e["k"]: e["basis"] for session in sessions for e in session["endpoints"]}
    notes = []
    for kind, meaning in (
        ("claimed", "the servers do not report their k; it is as given"),
        ("logged", "k is what the servers printed when they started"),
        ("reported", "k is what the servers report"),
    ):
        ks = sorted(k for k, found in basis.items() if found == kind)
        if ks:
            notes.append(f"k = {', '.join(map(str, ks))}: {meaning}")
    if lost:
        notes.append(
            f"{len(lost):,} of {len(lost) + len(had):,} requests got no answer; the same command "
            f"asks them again"
        )
    uncounted = sum(record["n_new_tokens"] is None for record in had)
    if uncounted:
        notes.append(f"{uncounted:,} answers without a count of their tokens")
    return tuple(notes)
