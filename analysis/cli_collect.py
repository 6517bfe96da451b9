"""The command `optik collect`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer


def collect(
    manifest: Annotated[
        str, typer.Argument(help="manifest.yaml, its folder, or the name of a study that ships.")
    ],
    model: Annotated[str, typer.Option(help="Folder or hub id of a Transformers model.")],
    k: Annotated[str, typer.Option(help="Active experts to sweep, parted by commas: 1,2,4,8.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Results table: .parquet or .csv.")],
    name: Annotated[
        str | None, typer.Option(help="How the tables call the model (default: its last part).")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="Ask this many, drawn over all complexities; default all.")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Cap of an answer.")] = 32,
    batch: Annotated[int, typer.Option(help="Most questions at once, for accuracy.")] = 16,
    timed: Annotated[int, typer.Option(help="Questions timed at batch 1; 0: none.")] = 50,
    repeats: Annotated[int, typer.Option(help="Times that each of them is timed.")] = 3,
    warm_up: Annotated[int, typer.Option(help="Untimed passes before the first.")] = 3,
    instruction: Annotated[str, typer.Option(help="Appended to every question.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of draws and orders; default the manifest's.")
    ] = None,
) -> None:
    """Sweep k in a live model.

    Asks a mixture-of-experts vision-language model every question at every k, greedily, and
    times some of them at batch 1. Writes the results table, FILE.latency beside it, the
    provenance and the log. Killed at any moment, the same command goes on where it was. Needs:
    pip install 'optik[collect]'
    """
    from analysis.collection.request import Request, ks_of
    from analysis.collection.sweep import collect as run
    from analysis.manifest import load_study

    study = load_study(manifest)
    request = Request(
        source=model,
        name=name or Path(model.rstrip("/")).name,
        ks=ks_of(k),
        samples=samples,
        longest=max_new_tokens,
        batch=batch,
        timed=timed,
        repeats=repeats,
        warm_up=warm_up,
        instruction=instruction,
        seed=study.manifest.seed if seed is None else seed,
    )
    done = run(
        study,
        request,
        str(out),
        device=device,
        dtype=dtype,
        say=lambda text: print(f"optik: {text}", file=sys.stderr),
        progress=_bar,
    )
    typer.echo(f"{done.n_answers:,} answers in {done.outputs.results}")
    if done.n_times:
        typer.echo(f"{done.n_times:,} times in {done.outputs.latency}")
    for note in done.notes:
        typer.echo(f"note: {note}")
    typer.echo("In the manifest:")
    typer.echo(f"  results: [{{path: {done.outputs.results.name}}}]")
    if done.n_times:
        typer.echo(f"  latency: [{{path: {done.outputs.latency.name}}}]")


def _bar(name: str, total: int, initial: int) -> Any:
    from tqdm import tqdm

    return tqdm(desc=name, total=total, initial=initial, file=sys.stderr, unit="", mininterval=1)
