"""The command `optik collect`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from complexity.errors import InputError


def collect(
    manifest: Annotated[
        str, typer.Argument(help="manifest.yaml, its folder, or the name of a study that ships.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Results table: .parquet or .csv.")],
    model: Annotated[
        str | None,
        typer.Option(help="Folder or hub id of a Transformers model; or a server's name for it."),
    ] = None,
    k: Annotated[
        str | None, typer.Option(help="Active experts to sweep, parted by commas: 1,2,4,8.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="How the tables call the model (default: its last part).")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="Ask this many, drawn over all complexities; default all.")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Cap of an answer.")] = 32,
    batch: Annotated[int, typer.Option(help="Most questions at once, for accuracy.")] = 16,
    timed: Annotated[int, typer.Option(help="Questions timed at batch 1; 0: none.")] = 50,
    repeats: Annotated[
        int | None, typer.Option(help="Times that each of them is timed: 3; by servers, 1.")
    ] = None,
    warm_up: Annotated[int, typer.Option(help="Untimed passes before the first.")] = 3,
    instruction: Annotated[str, typer.Option(help="Appended to every question.")] = "",
    device: Annotated[
        str, typer.Option(help="auto, cpu or cuda; for servers, what the tables call it.")
    ] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    decode: Annotated[
        str, typer.Option(help="On a GPU, timed answers: compiled, graph or eager.")
    ] = "compiled",
    prefill: Annotated[
        str, typer.Option(help="On a GPU, timed prompts: captured or eager.")
    ] = "captured",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of draws and orders; default the manifest's.")
    ] = None,
    endpoint: Annotated[
        list[str] | None,
        typer.Option(help="K=URL of an OpenAI-compatible server at that k; once per k."),
    ] = None,
    serve: Annotated[
        str | None, typer.Option(help="Command with {k} and {port} that starts a server.")
    ] = None,
    together: Annotated[
        bool, typer.Option("--together", help="Run the servers of --serve all at once.")
    ] = False,
    concurrency: Annotated[int, typer.Option(help="Requests to servers in flight.")] = 1,
    tries: Annotated[int, typer.Option(help="Times that a failing request is put.")] = 5,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds that a server may be silent.")
    ] = 120.0,
    api_key_env: Annotated[
        str | None, typer.Option(help="Environment variable that holds the servers' key.")
    ] = None,
) -> None:
    """Sweep k in a live model.

    Asks a mixture-of-experts vision-language model every question at every k, greedily, and
    times some of them at batch 1. Writes the results table, FILE.latency beside it, the
    provenance and the log. Killed at any moment, the same command goes on where it was. Needs:
    pip install 'optik[collect]'

    With --endpoint or --serve the model runs in servers, one per k, and nothing more need be
    installed here; every request is then timed.
    """
    from analysis.collection.request import Request, ks_of
    from analysis.manifest import load_study

    study = load_study(manifest)
    ks = () if k is None else ks_of(k)
    if endpoint or serve is not None:
        from analysis.collection import server_command as command
        from analysis.collection.server import Timeouts
        from analysis.collection.server_asking import Patience
        from analysis.collection.server_sweep import Asking

        servers = command.servers_of(
            endpoint or [],
            serve,
            ks,
            together=together,
            model=model,
            key_variable=api_key_env,
        )
        asking = Asking(
            instruction=instruction,
            max_tokens=max_new_tokens,
            samples=samples,
            repeats=1 if repeats is None else repeats,
            concurrency=concurrency,
            warmup=warm_up,
            seed=seed,
            patience=Patience(tries=tries),
            timeouts=Timeouts(silence=timeout, whole=5 * timeout),
        )
        label = "server" if device == "auto" else device
        command.run(study, servers, asking, out, name=name, device=label, progress=_bar)
        return
    if model is None or k is None:
        raise InputError("give --model and --k, or servers in --endpoint or --serve")
    from analysis.collection.sweep import collect as run

    request = Request(
        source=model,
        name=name or Path(model.rstrip("/")).name,
        ks=ks,
        samples=samples,
        longest=max_new_tokens,
        batch=batch,
        timed=timed,
        repeats=3 if repeats is None else repeats,
        warm_up=warm_up,
        instruction=instruction,
        seed=study.manifest.seed if seed is None else seed,
        decode=decode,
        prefill=prefill,
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
