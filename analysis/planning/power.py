"""How often a study of some size would see the optimal k move, by simulation."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.planning.cells import Job, Outcome, Store, jobs_of, seed_of, together, work
from analysis.planning.detectable import WANTED, detectable, wilson
from analysis.planning.scenario import Scenario, slices
from analysis.planning.truth import third_of, truth
from complexity.errors import InputError
from complexity.workers import cores

SEED = 20261123
SETS = 400
DESIGN = ("ks", "n_questions", "n_images")


@dataclass(frozen=True)
class Power:
    """Power by design and shift.

    Attributes
    ----------
    cells : DataFrame
        One row per k grid, questions per image, number of images and shift: `ks`,
        `n_questions`, `n_images`, `shift` (doublings per standard deviation of complexity),
        `best_low` and `best_high` (truly most accurate k in the lowest and the highest third),
        `moves` (whether no k is best in both: false is the null of the headline test), `power`
        (share of sets in which that test rejects at .05) with `power_low` and `power_high`,
        `interaction` (share in which the curve changes) with its bounds, `kept` (mean number
        of k not rejected as serving both ends), `untested` (sets without an interaction test)
        and `sets`. Bounds are Wilson's, 95 %.
    detectable : DataFrame
        One row per design: `shift` found with 80 % power, `shift_low` and `shift_high` (its
        Monte Carlo interval) and `remark`.
    n_sets, seed : int
    apart : float
        Standard deviations of complexity between the means of the two thirds compared.
    """

    cells: pd.DataFrame
    detectable: pd.DataFrame
    n_sets: int
    seed: int
    apart: float


def power(
    scenario: Scenario,
    *,
    images: Sequence[int],
    questions: Sequence[int],
    ks: Sequence[Sequence[int]],
    shifts: Sequence[float],
    n_sets: int = SETS,
    seed: int = SEED,
    workers: int | None = 1,
    folder: str | Path | None = None,
) -> Power:
    """Simulate studies over a grid of designs and shifts, and count what the tests find.

    Every cell and every set draws from a stream of its own, made from what it is: adding a
    design changes no other, and the number of workers changes nothing.

    Parameters
    ----------
    scenario : Scenario
        How answers come about; its size, k and shift are replaced.
    images, questions : sequence of int
        Numbers of images, and of questions about each.
    ks : sequence of sequence of int
        One or more k grids.
    shifts : sequence of float
        Doublings of the optimum per standard deviation of complexity, all of one sign.
    n_sets : int
        Simulated studies a cell; the standard error of a power near .8 is ``.4 / sqrt(n_sets)``.
    seed : int
    workers : int or None
        Processes; None uses all cores.
    folder : str, Path or None
        Where finished cells are kept: stopped at any moment, the same call goes on there.

    Returns
    -------
    Power

    Raises
    ------
    InputError
        For an empty or impossible grid.
    """
    grids = [tuple(int(k) for k in grid) for grid in ks]
    _check(images, questions, grids, shifts, n_sets)
    designs = [
        (grid, q, n, float(shift) + 0.0)
        for grid in grids
        for q in questions
        for n in images
        for shift in shifts
    ]
    worlds = {
        (grid, shift): replace(scenario.on_grid(grid), shift=shift)
        for grid in grids
        for shift in {design[3] for design in designs}
    }
    cells = [
        replace(worlds[grid, shift], n_images=n, n_questions=q) for grid, q, n, shift in designs
    ]
    outcomes = _simulate(cells, n_sets, seed, workers, None if folder is None else Path(folder))
    truths = {key: truth(world) for key, world in worlds.items()}
    rows = []
    for (grid, q, n, shift), outcome in zip(designs, outcomes, strict=True):
        known = truths[grid, shift]
        seen, changed = wilson(outcome.shift, n_sets), wilson(outcome.interaction, n_sets)
        rows.append(
            {
                "ks": grid,
                "n_questions": q,
                "n_images": n,
                "shift": shift,
                "best_low": known.best_low,
                "best_high": known.best_high,
                "moves": known.shifts,
                "power": outcome.shift / n_sets,
                "power_low": seen[0],
                "power_high": seen[1],
                "interaction": outcome.interaction / n_sets,
                "interaction_low": changed[0],
                "interaction_high": changed[1],
                "kept": outcome.kept / n_sets,
                "untested": outcome.untested,
                "sets": n_sets,
            }
        )
    frame = pd.DataFrame(rows)
    c = slices(scenario, 300)
    place = third_of(c)
    return Power(
        cells=frame,
        detectable=_detectable(frame),
        n_sets=n_sets,
        seed=seed,
        apart=float((c[place == place.max()].mean() - c[place == 0].mean()) / c.std()),
    )


def _check(
    images: Sequence[int],
    questions: Sequence[int],
    grids: Sequence[tuple[int, ...]],
    shifts: Sequence[float],
    n_sets: int,
) -> None:
    named = {"images": images, "questions": questions, "k grids": grids, "shifts": shifts}
    for name, values in named.items():
        if not len(values):
            raise InputError(f"name at least one value of {name}.")
        if len(set(values)) < len(values):
            raise InputError(f"the {name} hold one value twice: {', '.join(map(str, values))}.")
    if min(images) < 9:
        raise InputError(f"{min(images)} images are too few to cut into thirds: ask for 9 or more.")
    if min(questions) < 1:
        raise InputError("every image needs a question: ask for 1 or more.")
    if not np.isfinite(shifts).all():
        raise InputError("a shift is a number of doublings, such as 0.4.")
    if min(shifts) < 0 < max(shifts):
        raise InputError(
            "the shifts have both signs; ask for upward (more experts for complex images) and "
            "downward shifts apart, since the smallest one found may differ."
        )
    if n_sets < 1:
        raise InputError("at least one set has to be simulated.")


def _simulate(
    cells: Sequence[Scenario], n_sets: int, seed: int, workers: int | None, folder: Path | None
) -> list[Outcome]:
    from tqdm import tqdm

    store = Store(folder)
    streams = [seed_of(cell, seed) for cell in cells]
    done = {i: store.read(stream, n_sets) for i, stream in enumerate(streams)}
    finished: dict[int, Outcome] = {i: found for i, found in done.items() if found is not None}
    jobs: list[Job] = []
    for i, cell in enumerate(cells):
        if i not in finished:
            jobs += jobs_of(i, cell, streams[i], n_sets)
    parts: dict[int, list[Outcome]] = {}
    # Counted in images: a set of 2,000 takes longer than one of 200.
    total = sum(cell.n_images * n_sets for cell in cells)
    known = sum(cells[i].n_images * n_sets for i in finished)
    with tqdm(
        total=total,
        initial=known,
        desc=f"power, {len(cells)} cells of {n_sets} studies",
        unit=" images",
        unit_scale=True,
        disable=None,
        file=sys.stderr,
    ) as bar:
        for job, outcome in work(jobs, cores() if workers is None else workers):
            of_cell = parts.setdefault(job.cell, [])
            of_cell.append(outcome)
            bar.update(cells[job.cell].n_images * outcome.sets)
            if sum(part.sets for part in of_cell) == n_sets:
                finished[job.cell] = together(parts.pop(job.cell))
                store.write(streams[job.cell], n_sets, finished[job.cell])
    return [finished[i] for i in range(len(cells))]


def _detectable(cells: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for key, part in cells.groupby(list(DESIGN), sort=False):
        counts = (part["power"] * part["sets"]).round().astype(int)
        found = detectable(list(part["shift"]), list(counts), list(part["sets"]), WANTED)
        rows.append(
            {
                **dict(zip(DESIGN, key, strict=True)),
                "shift": found.shift,
                "shift_low": found.low,
                "shift_high": found.high,
                "remark": found.remark,
            }
        )
    return pd.DataFrame(rows)
