"""Measure whatever a user names: a study, folders, globs, single images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis import studies
from complexity.batch import measure


def measure_sources(
    sources: Sequence[str | Path],
    *,
    metrics: str = "card",
    workers: int | None = None,
    out: str | Path | None = None,
) -> pd.DataFrame:
    """Measure images, resumably.

    Parameters
    ----------
    sources : sequence of str or Path
        One manifest (or the name of a study that ships), or any number of folders, globs,
        Parquet files, tar shards and images.
    metrics : str
        A preset or names parted by commas.
    workers : int, optional
        Worker processes; all cores when left out.
    out : str or Path, optional
        Table to write.

    Returns
    -------
    DataFrame
        The complexity table. A study's object counts come from where its manifest says.
    """
    if len(sources) == 1 and _is_study(str(sources[0])):
        from analysis.datasets import object_counts, read_samples
        from analysis.manifest import load_study

        study = load_study(sources[0])
        samples = read_samples(study)
        return measure(
            study.image_source(),
            metrics=metrics,
            dataset=study.name,
            object_counts=object_counts(study, samples),
            workers=workers,
            out=out,
        )
    return measure(
        sources[0] if len(sources) == 1 else list(sources),
        metrics=metrics,
        workers=workers,
        out=out,
    )


def _is_study(source: str) -> bool:
    path = Path(source)
    if path.suffix.lower() in {".yaml", ".yml"} or (path / "manifest.yaml").is_file():
        return True
    return not path.exists() and source in studies.shipped()
