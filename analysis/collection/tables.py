"""The tables of a sweep, made from its log: the same log gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.collection.log import Log
from analysis.scoring import score
from analysis.tables import LATENCY, RESULTS, write_table

if TYPE_CHECKING:
    from analysis.collection.request import Outputs, Request
    from analysis.manifest import Study


def answered(log: Log) -> set[tuple[str, int]]:
    """List the (sample, k) that have an answer."""
    return {(row[0], record["k"]) for record in log.of("answers") for row in record["rows"]}


def timed(log: Log) -> set[tuple[str, int]]:
    """List the (sample, repeat) that were timed at every k."""
    return {(record["sample_id"], record["repeat"]) for record in log.of("times")}


def write_tables(
    study: Study,
    samples: pd.DataFrame,
    log: Log,
    request: Request,
    outputs: Outputs,
    place: Mapping[str, str],
) -> tuple[str, ...]:
    """Score the answers by the manifest's rule and write both tables.

    Parameters
    ----------
    study : Study
        Names the data set and the rule.
    samples : DataFrame
        All of the study's questions.
    log : Log
        With the answers and times.
    request : Request
        What was asked for.
    outputs : Outputs
        Where the tables go. Without times there is no latency table.
    place : mapping
        `label` and `dtype` of the device.

    Returns
    -------
    tuple of str
        What a reader should know of the scores.
    """
    order = {name: number for number, name in enumerate(samples["sample_id"])}
    rows = sorted(
        (
            (order[row[0]], record["k"], row)
            for record in log.of("answers")
            for row in record["rows"]
        ),
        key=lambda item: item[:2],
    )
    common = {"dataset": study.name, "run": outputs.results.stem, "model": request.name}
    results = pd.DataFrame(
        {
            **common,
            "sample_id": [row[0] for _, _, row in rows],
            "k": [k for _, k, _ in rows],
            "repeat": 0,
            "prediction": [row[1] for _, _, row in rows],
            "logprob": [row[3] for _, _, row in rows],
        }
    )
    known = samples.iloc[[position for position, _, _ in rows]]
    options = known["options"].reset_index(drop=True) if "options" in known else None
    answers = known["answers"].reset_index(drop=True)
    scored = score(study.manifest.scorer, results["prediction"], answers, options)
    results["score"] = scored.scores
    results["scorer"] = study.manifest.scorer
    write_table(results, outputs.results, RESULTS)
    latency = _latency(log, request.ks, common | {"device": place["label"]}, place["dtype"])
    if len(latency):
        write_table(latency, outputs.latency, LATENCY)
    return scored.notes


def _latency(log: Log, ks: Sequence[int], common: Mapping[str, Any], dtype: str) -> pd.DataFrame:
    rows = [
        {
            **common,
            "sample_id": record["sample_id"],
            "repeat": record["repeat"],
            "batch": 1,
            "request": 0,
            "dtype": dtype,
            "decode_mode": record["decode_mode"],
            "order": record["place"] * len(ks) + position,
            "n_prompt_tokens": record["n_prompt_tokens"],
            "n_image_tokens": record["n_image_tokens"],
            **one,
        }
        for record in sorted(log.of("times"), key=lambda record: record["place"])
        for position, one in enumerate(record["ks"])
    ]
    return pd.DataFrame(rows)
