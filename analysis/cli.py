"""The `optik` command: thin wrappers around the functions of `complexity` and `analysis`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from analysis.cli_collect import collect
from analysis.cli_import import import_
from analysis.cli_power import power
from complexity.errors import InputError

DEMO = "shapes"
KEYS = ("dataset", "model", "image_id", "sample_id", "item")


class Commands(TyperGroup):
    """The commands, with the errors that are the user's to mend said plainly."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; a user's mistake leaves with 1 and no traceback, Ctrl-C with 130."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            print(f"optik: {error}", file=sys.stderr)
            raise SystemExit(1) from None
        except KeyboardInterrupt:
            print("optik: interrupted; the same command resumes.", file=sys.stderr)
            raise SystemExit(130) from None


app = typer.Typer(
    name="optik",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help=(
        "What does the number of active experts k buy in a sparse mixture-of-experts "
        "vision-language model, in VQA accuracy and in latency, and does the best k shift with how "
        "visually complex the image is?\n\nStart with: optik demo"
    ),
)

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of the run; made if missing.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Worker processes (default: all cores).")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Redo every stage, changed or not.")]
Detector = Annotated[
    Path | None, typer.Option("--detector", help="ONNX model that counts objects.")
]
DetectorOption = Annotated[
    list[str] | None,
    typer.Option(
        "--detector-option",
        help="KEY=VALUE, repeatable: score, nms, size, style, pixels, classes (parted by commas).",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"optik {version('optik')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say and leave.")
    ] = False,
) -> None:
    """Hold the options that go before a command."""


@app.command()
def demo(out: Out = Path("runs") / DEMO, workers: Workers = None, fresh: Fresh = False) -> None:
    """Answer the question on the study that ships.

    Measures 3,000 images, joins 192,000 measured answers of two checkpoints of a small
    sparse-MoE vision-language model at eight k, and says whether the best k shifts with
    complexity. The same as: optik run shapes
    """
    _run(DEMO, out, workers, fresh)


@app.command()
def run(
    manifest: Annotated[
        str, typer.Argument(help="manifest.yaml, its folder, or the name of a study that ships.")
    ],
    out: Out,
    workers: Workers = None,
    fresh: Fresh = False,
) -> None:
    """Run every stage of a study.

    A second run redoes only what changed.

    Writes complexity.parquet, buckets.json, table.parquet, join.json, fits/, optimum/, tables/,
    figures/ and run.json into the folder, and prints the answer. Without per-k results it stops
    after the buckets and says what is missing. A study of latency alone has no images: only
    fits/, tables/ and figures/.
    """
    _run(manifest, out, workers, fresh)


@app.command()
def check(
    manifest: Annotated[
        str, typer.Argument(help="manifest.yaml, its folder, or the name of a study that ships.")
    ],
) -> None:
    """Validate a study without measuring it.

    Says what is present, what is missing and what is wrong. Reads everything but measures
    nothing. Leaves with 1 when something is wrong.
    """
    from analysis.checking import inspect
    from analysis.manifest import load_any

    study = load_any(manifest)
    findings = inspect(study)
    typer.echo(f"{study.manifest.title} ({study.shown})")
    for item in findings:
        typer.echo(f"  {item.level:<8} {item.where}: {item.what}")
        if item.remedy:
            typer.echo(f"           {item.remedy}")
    wrong = sum(item.level == "wrong" for item in findings)
    missing = sum(item.level == "missing" for item in findings)
    if wrong:
        raise InputError(f"{wrong} of {len(findings)} checks found something wrong; see above.")
    typer.echo(
        "Nothing is wrong."
        + (f" {missing} part(s) are missing; see above." if missing else " Ready: optik run")
    )


@app.command()
def measure(
    source: Annotated[
        list[str], typer.Argument(help="Manifest, folder, glob, Parquet, tar shards or image.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Table to write: .parquet or .csv.")],
    metrics: Annotated[
        str, typer.Option(help="card, lite, all, or names parted by commas (see: optik metrics).")
    ] = "card",
    workers: Workers = None,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.001, help="Seconds for one image; longer, and its process is killed: error row."
        ),
    ] = 60.0,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Dask scheduler, e.g. tcp://host:8786: measure on its workers."
        ),
    ] = None,
    detector: Detector = None,
    detector_option: DetectorOption = None,
) -> None:
    """Measure the visual complexity of images.

    One row per image. An image that is unreadable, hangs or crashes the process that measures
    it is a row with an error. Interrupted or killed, the same command resumes. With --dask the
    images must lie under the same paths on every worker; the table is written here.
    With --detector the metric object_count is what an ONNX model finds.
    """
    from analysis.counts.command import detector_of
    from analysis.measuring import measure_sources

    if dask is not None and workers is not None:
        raise InputError("--workers counts processes here; with --dask the cluster has its own.")
    model = detector_of(detector, detector_option or [], metrics)
    if model is not None:
        typer.echo(f"detector: {model.describe()}")
    done = measure_sources(
        source,
        metrics=metrics,
        workers=workers,
        timeout=timeout,
        dask=dask,
        out=out,
        detector=model,
    )
    images = "1 image" if done.images == 1 else f"{done.images:,} images"
    typer.echo(f"{images} measured, table in {out}")
    if done.failed:
        typer.echo(f"{done.failed:,} with an error, for instance:")
        for image_id, error in done.examples:
            typer.echo(f"  {image_id}: {error}")


@app.command()
def fit(
    table: Annotated[
        Path, typer.Argument(help="Parquet, CSV, TSV or JSON Lines with the formula's columns.")
    ],
    formula: Annotated[
        str, typer.Option(help="As in lme4, for instance 'ms ~ C(k) + (1 | sample_id)'.")
    ],
    family: Annotated[
        Literal["gaussian", "binomial"], typer.Option(help="Linear or logistic.")
    ] = "gaussian",
    method: Annotated[
        Literal["reml", "ml"] | None,
        typer.Option(help="Default: reml for gaussian, ml for binomial."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(help="Column to cluster robust standard errors by; no random terms then."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Column with the trials of each row; the outcome is their share."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit one regression to a table.

    Formulas are lme4's: C(k) makes categories, I(x**2) arithmetic, poly(x, 2), ns(x, df=3) and
    bs(x, df=4) curves; (1 + x | image), (x || image), (1 | image/question) random effects;
    cbind(right, wrong) counts of trials. Rows with a missing value in a used column are left
    out and counted.
    """
    from analysis import mixed
    from analysis.fit_table import read_fit_table
    from complexity.files import to_json

    fitted = mixed.fit(
        formula,
        read_fit_table(table, text=KEYS),
        family=family,
        method=method,
        cluster=cluster,
        weights=weights,
    )
    typer.echo(to_json(fitted.to_json()).rstrip() if as_json else fitted.summary())


@app.command()
def shift(
    table: Annotated[
        Path,
        typer.Argument(
            help="Parquet or CSV with model, image_id, sample_id, k, score, the metric."
        ),
    ],
    complexity: Annotated[str, typer.Option(help="Column with the complexity of the image.")],
    samples: Annotated[
        Path | None,
        typer.Option(help="Samples, by sample_id, for columns that TABLE lacks."),
    ] = None,
    covariates: Annotated[str, typer.Option(help="Columns to adjust for, parted by commas.")] = "",
    buckets: Annotated[int, typer.Option(min=2, help="Quantile buckets over images.")] = 3,
    mixed_model: Annotated[
        bool,
        typer.Option("--mixed-model/--no-mixed-model", help="Mixed logits as a second opinion."),
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Of bootstrap and Monte Carlo.")] = 20261123,
    as_json: AsJson = False,
) -> None:
    """Test whether the optimal k shifts with complexity."""
    from analysis.shift import read_table, shift_of_table, shift_text, size_hint
    from complexity.files import to_json

    names = [name.strip() for name in covariates.split(",") if name.strip()]
    rows = read_table(table, complexity, names, samples, KEYS)
    if hint := size_hint(rows):
        typer.echo(f"note: {hint}", err=True)
    answers = shift_of_table(
        rows,
        complexity,
        covariates=names,
        n_buckets=buckets,
        mixed_model=mixed_model,
        seed=seed,
    )
    if as_json:
        spelled = [answer.to_dict() for answer in answers]
        typer.echo(to_json([*spelled, *answers.unanswered_to_dicts(complexity)]).rstrip())
    else:
        typer.echo(shift_text(answers))


app.command()(collect)
app.command()(power)
app.command("import")(import_)


@app.command()
def metrics(
    name: Annotated[str | None, typer.Argument(help="Explain this metric.")] = None,
) -> None:
    """List the complexity metrics, or explain one."""
    from complexity.registry import all_metrics, get

    if name is None:
        known = all_metrics()
        width = max(len(item.name) for item in known)
        for item in known:
            presets = ", ".join(item.presets) or "by name only"
            typer.echo(f"{item.name:<{width}}  {item.summary} [{item.unit}] ({presets})")
        return
    typer.echo(explain(get(name)))


def explain(metric: Any) -> str:
    """Spell out one metric: definition, unit, range, parameters, source."""
    import inspect

    low, high = metric.range
    definition = inspect.cleandoc(metric.function.__doc__ or "").partition("\nParameters\n")[0]
    lines = [
        f"{metric.name} (version {metric.version})",
        f"  {metric.summary}",
        f"  unit: {metric.unit}; range: {low:g} to {'no bound' if high is None else f'{high:g}'}",
        f"  parameters: {', '.join(f'{k} = {v}' for k, v in metric.parameters.items()) or 'none'}",
        f"  source: {metric.reference}",
        "",
        definition.rstrip(),
    ]
    return "\n".join(lines)


def _run(manifest: str, out: Path, workers: int | None, fresh: bool) -> None:
    from analysis.pipeline import progress_to_stderr
    from analysis.pipeline import run as run_study

    result = run_study(
        manifest,
        out,
        workers=workers,
        fresh=fresh,
        command=["optik", *sys.argv[1:]],
        say=progress_to_stderr,
    )
    if not result.computed:
        typer.echo(f"Nothing changed since the last run in {result.folder}: nothing recomputed.\n")
    typer.echo(result.answer)
    typer.echo(f"Tables, figures and fits: {result.folder}")


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
