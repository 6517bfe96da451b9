"""Several logs of one study: are they of the same task, and is every k there once?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.results.logs import PROMPT, TARGET, Log, Problem
from complexity.errors import SHOWN, listing


@dataclass
class _Seen:
    path: Path
    ids: pd.Index
    prompt: np.ndarray
    target: np.ndarray
    version: str
    cells: set[tuple[str, int]]


class LogSet:
    """The logs of a study, compared as they are read."""

    def __init__(self) -> None:
        self._seen: list[_Seen] = []
        self._cells: dict[tuple[str, int], list[str]] = {}
        self._samples: dict[tuple[str, int], set[str]] = {}

    def add(self, path: Path, log: Log, frame: pd.DataFrame, repeats: bool) -> list[Problem]:
        """Compare a log with those before it.

        Parameters
        ----------
        path : Path
            The log.
        log : Log
            As read.
        frame : DataFrame
            Its rows, with our sample ids.
        repeats : bool
            Several logs of one model and k are true repeats.

        Returns
        -------
        list of Problem
            Other task version, other prompts or targets, a k that is there already.
        """
        found: list[Problem] = []
        pairs = frame[["model", "k"]].drop_duplicates()
        cells = {(str(model), int(k)) for model, k in pairs.itertuples(index=False, name=None)}
        for cell in sorted(cells):
            earlier = self._cells.setdefault(cell, [])
            if earlier and not repeats:
                found.append(
                    Problem(
                        str(path),
                        f"{cell[0]} at k = {cell[1]} is in {earlier[-1]} already",
                        "correct the k of one of them (a file-name pattern may find the wrong "
                        "number), keep one, or say that they are repeats: "
                        "repeats: true (--repeats)",
                    )
                )
            earlier.append(str(path))
        for model, k in cells:
            here = (frame["model"] == model) & (frame["k"].astype(int) == k)
            self._samples.setdefault((model, k), set()).update(frame.loc[here, "sample_id"])
        now = _Seen(
            path,
            pd.Index(frame["sample_id"]),
            frame[PROMPT].to_numpy(),
            frame[TARGET].to_numpy(),
            log.version,
            cells,
        )
        if self._seen:
            found += _compare(self._seen[0], now)
        else:
            self._seen.append(now)
        return found

    def repeats(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the repeat of each row of the log added last: how many logs came before it."""
        pairs = zip(frame["model"].astype(str), frame["k"].astype(int), strict=True)
        return np.array([len(self._cells[pair]) - 1 for pair in pairs], dtype=np.int64)

    def incomplete(self) -> list[Problem]:
        """Name the samples that a k lacks and another k of the same model has."""
        found: list[Problem] = []
        models = list(dict.fromkeys(model for model, _ in self._samples))
        for model in models:
            grid = {k: ids for (name, k), ids in self._samples.items() if name == model}
            union = set().union(*grid.values())
            for k, ids in sorted(grid.items()):
                lacking = sorted(union - ids)
                if lacking:
                    found.append(
                        Problem(
                            f"{model} at k = {k}",
                            f"{len(lacking):,} of {len(union):,} samples that another k has are "
                            f"missing: {listing(lacking)}",
                            "evaluate them at this k too, or import leniently: the join counts "
                            "and names them",
                        )
                    )
        return found


def _compare(first: _Seen, now: _Seen) -> list[Problem]:
    file, found = str(now.path), []
    if first.version and now.version and first.version != now.version:
        found.append(
            Problem(
                file,
                f"task version {now.version}, but {first.version} in {first.path}",
                "evaluate every k with one version of the task; a difference between k would "
                "else be one between versions",
            )
        )
    at = first.ids.get_indexer(now.ids)
    both = at >= 0
    for theirs, ours, what in (
        (first.prompt, now.prompt, "prompts"),
        (first.target, now.target, "right answers"),
    ):
        known = both & (ours >= 0)
        known[known] = theirs[at[known]] >= 0
        wrong = np.flatnonzero(known)[ours[known] != theirs[at[known]]]
        if len(wrong):
            found.append(
                Problem(
                    file,
                    f"other {what} than in {first.path} for {len(wrong):,} of "
                    f"{int(known.sum()):,} samples: {listing(now.ids[i] for i in wrong[:SHOWN])}"
                    + (" and more" if len(wrong) > SHOWN else ""),
                    "evaluate every k with the same task, template and few-shot examples, or "
                    "import them as studies of their own",
                )
            )
    return found
