"""The `optik import` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from complexity.errors import InputError


def import_(
    format: Annotated[
        str,
        typer.Argument(help="lmms-eval | vlmevalkit | lm-eval | vllm | guidellm | table"),
    ],
    paths: Annotated[list[Path], typer.Argument(help="The logs; several combine.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Table: .parquet or .csv.")],
    manifest: Annotated[
        str | None, typer.Option(help="Study: match its samples, score by its rule.")
    ] = None,
    k: Annotated[
        str | None,
        typer.Option("--k", help="4, 'file:k(?P<k>[0-9]+)', metadata:KEY or column:NAME."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name, or where it is, as for --k.")] = None,
    device: Annotated[
        str | None, typer.Option(help="Latencies: name, or where it is, as for --k.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Data set. [the manifest's name; else open until the join]")
    ] = None,
    run: Annotated[str | None, typer.Option(help="Name of the run. [the file's stem]")] = None,
    metric: Annotated[
        str | None, typer.Option(help="The metric that is the score; none: predictions only.")
    ] = None,
    filter: Annotated[
        str | None, typer.Option(help="lm-eval: the filter whose rows are taken.")
    ] = None,
    match: Annotated[
        str | None,
        typer.Option(help="Where the log's ids are in the samples: a column, or row."),
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="OURS=THEIRS, repeatable: prediction=response.")
    ] = None,
    scorer: Annotated[
        str | None, typer.Option(help="Score the predictions by this rule, not by a metric.")
    ] = None,
    percent: Annotated[bool, typer.Option("--percent", help="The scores are percent.")] = False,
    repeats: Annotated[
        bool, typer.Option("--repeats", help="Logs of one model and k are true repeats.")
    ] = False,
    lenient: Annotated[
        bool, typer.Option("--lenient", help="Leave out what is wrong, and say so.")
    ] = False,
) -> None:
    """Turn logs of other tools into a table of results or latencies.

    k, model and device are never guessed: say them, or where they are to be found.

    optik import lmms-eval logs/k*/*/*_samples_vqav2_val.jsonl --k 'file:/k(?P<k>[0-9]+)/'
    --model lfm2 --manifest my_study -o my_study/results.parquet

    optik import vllm k4.json --k metadata:k --model metadata:model_id --device H200 -o lat.parquet
    """
    from analysis.manifest import load_study
    from analysis.results.importing import IMPORTED_LATENCY, IMPORTED_RESULTS, import_logs
    from analysis.tables import write_table

    frame, problems = import_logs(
        format,
        paths,
        study=load_study(manifest) if manifest is not None else None,
        lenient=lenient,
        k=k,
        model=model,
        device=device,
        dataset=dataset,
        run=run,
        metric=metric,
        filter=filter,
        match=match,
        columns=_pairs(column or []),
        scorer=scorer,
        percent=percent,
        repeats=repeats,
    )
    latency = "device" in frame.columns
    write_table(frame, out, IMPORTED_LATENCY if latency else IMPORTED_RESULTS)
    for item in problems:
        typer.echo(f"{'left out' if item.level == 'problem' else 'note'}: {item}")
    for (name, at), rows in frame.groupby(["model", "k"], sort=True):
        said = f"{len(rows):,} requests" if latency else f"{len(rows):,} samples"
        if "score" in rows:
            said += f", mean score {rows['score'].mean():.4f}"
        elif "total_ms" in rows and rows["total_ms"].notna().any():
            said += f", mean total {rows['total_ms'].mean():.2f} ms"
        typer.echo(f"{name}  k = {at}: {said}")
    typer.echo(f"{len(frame):,} rows: {out}")


def _pairs(given: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        ours, equals, theirs = text.partition("=")
        if not (ours and equals and theirs):
            raise InputError(f"--column {text}: OURS=THEIRS is expected, such as prediction=reply")
        found[ours] = theirs
    return found
