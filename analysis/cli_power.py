"""The `optik power` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from complexity.errors import InputError

DEFAULT_K = "1,2,4,8,16"
#: What the options that state effects mean when they are left out.
ACCURACY, BEND, MAIN = 0.7, 0.1, -0.3
IMAGE_SD, QUESTION_SD = "0.8,0.15", "1.2,0.3"


def power(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for table, figure and finished cells.")
    ],
    table: Annotated[
        Path | None,
        typer.Argument(help="Pilot: Parquet or CSV as for `optik shift`, or a run's table."),
    ] = None,
    complexity: Annotated[
        str | None, typer.Option(help="Pilot: column with the complexity of the image.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Pilot: which model.")] = None,
    images: Annotated[str, typer.Option(help="Numbers of images.")] = "200,600,2000",
    questions: Annotated[str, typer.Option(help="Questions about each image.")] = "1,4",
    k: Annotated[
        list[str] | None,
        typer.Option("--k", help=f"A k grid; again for another. Default: pilot's, {DEFAULT_K}."),
    ] = None,
    shift: Annotated[
        str, typer.Option(help="Doublings of the best k per SD of complexity, of one sign.")
    ] = "0,0.2,0.4,0.8",
    sets: Annotated[int, typer.Option(min=1, help="Studies simulated for each cell.")] = 400,
    accuracy: Annotated[
        float | None, typer.Option(help="Stated: accuracy at the best k. [0.7]")
    ] = None,
    bend: Annotated[
        float | None,
        typer.Option(help="Stated: logits lost one doubling from the best k (4 x at two). [0.1]"),
    ] = None,
    peak: Annotated[
        float | None, typer.Option(help="Stated: best k on average. [middle of the first grid]")
    ] = None,
    main: Annotated[
        float | None,
        typer.Option(help="Stated: logits that an SD of complexity adds at every k. [-0.3]"),
    ] = None,
    image_sd: Annotated[
        str | None,
        typer.Option(help="Stated: SD between images, level and per doubling. [0.8,0.15]"),
    ] = None,
    question_sd: Annotated[
        str | None, typer.Option(help="Stated: SD between questions, likewise. [1.2,0.3]")
    ] = None,
    floor: Annotated[
        float, typer.Option(min=0, max=1, help="Accuracy of guessing (yes/no: 0.5).")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulation.")] = 20261123,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes (default: all cores).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Foretell what a study of some size would find.

    Simulates studies in which the best k moves with complexity by a known amount, applies the
    test of `optik shift` to each, and says how often it finds the shift and which shift it
    finds in 80 % of studies. What answers look like comes from a pilot (TABLE, --complexity)
    or from stated effects. Lists are parted by commas. Interrupted, the same command resumes.

    optik power runs/shapes/table.parquet --complexity object_count --model fixed4 -o power

    optik power --accuracy 0.6 --bend 0.2 --images 300,1000 -o power
    """
    from analysis.planning.pilot import Pilot, pilot_scenario
    from analysis.planning.power import power as simulate
    from analysis.planning.report import power_json, power_text, write_power
    from analysis.planning.stated import stated_scenario
    from analysis.record import Record
    from complexity.files import sha256_file, to_json

    stated = {
        "accuracy": accuracy,
        "bend": bend,
        "peak": peak,
        "main": main,
        "image_sd": image_sd,
        "question_sd": question_sd,
    }
    grids = [_whole(text, "--k") for text in k or ()]
    pilot: Pilot | None = None
    if table is None:
        for name, value in (("--complexity", complexity), ("--model", model)):
            if value is not None:
                raise InputError(f"{name} is about a pilot: name its TABLE, or leave it out.")
        grids = grids or [_whole(DEFAULT_K, "--k")]
        scenario = stated_scenario(
            grids[0],
            accuracy=ACCURACY if accuracy is None else accuracy,
            bend=BEND if bend is None else bend,
            peak=peak,
            main=MAIN if main is None else main,
            image_sd=_pair(image_sd or IMAGE_SD, "--image-sd"),
            question_sd=_pair(question_sd or QUESTION_SD, "--question-sd"),
            floor=floor,
        )
    else:
        from analysis.cli import KEYS
        from analysis.frames import read_frame

        extra = [
            f"--{name.replace('_', '-')}" for name, value in stated.items() if value is not None
        ]
        if extra:
            raise InputError(f"{', '.join(extra)}: taken from the pilot {table}; leave it out.")
        if complexity is None:
            raise InputError("name the column with the complexity of the images: --complexity.")
        pilot = pilot_scenario(read_frame(table, text=KEYS), complexity, model=model, floor=floor)
        scenario = pilot.scenario
        grids = grids or [scenario.ks]
    about = {
        "study": "optik power",
        "pilot": None if table is None else {"file": str(table), "sha256": sha256_file(table)},
        "seed": seed,
        "command": ["optik", *sys.argv[1:]],
    }
    record = Record.open(out, about)
    try:
        found = simulate(
            scenario,
            images=_whole(images, "--images"),
            questions=_whole(questions, "--questions"),
            ks=grids,
            shifts=_numbers(shift, "--shift"),
            n_sets=sets,
            seed=seed,
            workers=workers,
            folder=out,
        )
        write_power(found, scenario, pilot, out)
    except InputError as error:
        record.finish("failed", str(error))
        raise
    except KeyboardInterrupt:
        record.finish("interrupted")
        raise
    record.finish("finished")
    if as_json:
        typer.echo(to_json(power_json(found, scenario, pilot)).rstrip())
        return
    typer.echo(power_text(found, pilot))
    typer.echo(f"Tables and figure: {out}")


def _numbers(text: str, option: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            f"{option} {text}: numbers parted by commas are expected, such as 0,0.4,0.8."
        ) from None


def _whole(text: str, option: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"{option} {text}: whole numbers parted by commas are expected, such as 1,2,4."
        ) from None


def _pair(text: str, option: str) -> tuple[float, float]:
    found: Sequence[float] = _numbers(text, option)
    if len(found) != 2:
        raise InputError(
            f"{option} {text}: two numbers are expected, the SD of levels and of slopes per "
            "doubling, such as 0.8,0.15."
        )
    return found[0], found[1]
