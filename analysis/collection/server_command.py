"""`optik collect --endpoint` and `--serve`: from options to a sweep, and what is said of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import typer

from analysis.collection.endpoints import parse_endpoints
from analysis.collection.server_sweep import Asking, Progress, Servers, collect_from_servers
from analysis.collection.server_tables import Collected
from analysis.manifest import Study
from complexity.errors import InputError


def servers_of(
    endpoints: Sequence[str], template: str | None, ks: Sequence[int], *, together: bool = False,
    model: str | None = None, key_variable: str | None = None,
) -> Servers:  # fmt: skip
    """Read the options that say where the model runs.

    Parameters
    ----------
    endpoints : sequence of str
        ``K=URL``.
    template : str or None
        Of ``--serve``.
    ks : sequence of int
        Of ``--k``; with endpoints it may be left out, or choose some of them.
    together, model
        See `Servers`.
    key_variable : str or None
        The environment variable that holds the key.

    Raises
    ------
    InputError
        They contradict each other, or the variable is not set.
    """
    if endpoints and template is not None:
        raise InputError("give --endpoint for servers that run, or --serve to start some, not both")
    key = None if key_variable is None else os.environ.get(key_variable, "")
    if key == "":
        raise InputError(f"--api-key-env: the environment variable {key_variable} is not set")
    servers = Servers(model=model, key=key, together=together)
    if template is not None:
        return replace(servers, template=template, ks=tuple(ks))
    urls = parse_endpoints(endpoints)
    absent = [k for k in ks if k not in urls]
    if absent:
        raise InputError(f"--k: no --endpoint for k = {absent[0]}; give {absent[0]}=URL")
    return replace(servers, urls={k: url for k, url in urls.items() if not ks or k in ks})


def run(
    study: Study, servers: Servers, asking: Asking, out: Path, *, name: str | None, device: str,
    progress: Progress,
) -> Collected:  # fmt: skip
    """Sweep, and print what was found.

    Raises
    ------
    InputError
        See `collect_from_servers`; or not one answer was had.
    """
    done = collect_from_servers(
        study, servers, out, model=name, device=device, asking=asking, progress=progress
    )
    for note in done.notes:
        typer.echo(f"note: {note}")
    if not len(done.results):
        raise InputError(f"no answer was had; see {done.files[0]}")
    results, latency = done.files[:2]
    typer.echo(f"{len(done.results):,} answers in {results}, their times in {latency}")
    typer.echo("In the manifest:")
    typer.echo(f"  results: [{{path: {results.name}}}]")
    typer.echo(f"  latency: [{{path: {latency.name}}}]")
    return done
