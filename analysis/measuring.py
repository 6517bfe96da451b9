"""Measure whatever a user names: a study, folders, globs, single images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis import studies
from complexity.batch import Measured, measure_into


def measure_sources(
    sources: Sequence[str | Path],
    *,
    out: str | Path,
    metrics: str = "card",
    workers: int | None = None,
    timeout: float | None = None,
    dask: str | None = None,
) -> Measured:
    """Measure images, resumably.

    Parameters
    ----------
    sources : sequence of str or Path
        One manifest (or the name of a study that ships), or any number of folders, globs,
        Parquet files, tar shards and images.
    out : str or Path
        Table to write.
    metrics : str
        A preset or names parted by commas.
    workers : int, optional
        Worker processes; all cores when left out.
    timeout : float, optional
        Seconds for one image; see `complexity.measure`.
    dask : str, optional
        Address of a Dask scheduler.

    Returns
    -------
    Measured
        What was done. A study's object counts come from where its manifest says.
    """
    if len(sources) == 1 and _is_study(str(sources[0])):
        from analysis.datasets import object_counts, read_samples
        from analysis.manifest import load_study

        study = load_study(sources[0])
        samples = read_samples(study)
        return measure_into(
            study.image_source(),
            out,
            metrics=metrics,
            dataset=study.name,
            object_counts=object_counts(study, samples),
            workers=workers,
            timeout=timeout,
            dask=dask,
        )
    return measure_into(
        sources[0] if len(sources) == 1 else list(sources),
        out,
        metrics=metrics,
        workers=workers,
        timeout=timeout,
        dask=dask,
    )


def _is_study(source: str) -> bool:
    path = Path(source)
    if path.suffix.lower() in {".yaml", ".yml"} or (path / "manifest.yaml").is_file():
        return True
    return not path.exists() and source in studies.shipped()
