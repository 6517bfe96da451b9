"""Measure whatever a user names: a study, folders, globs, single images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis import studies
from complexity.batch import Measured, measure_into
from complexity.errors import InputError
from complexity.registry import resolve
from complexity.rows import OBJECTS

if TYPE_CHECKING:
    from complexity.detector import Detector


def measure_sources(
    sources: Sequence[str | Path],
    *,
    out: str | Path,
    metrics: str = "card",
    workers: int | None = None,
    timeout: float | None = None,
    dask: str | None = None,
    detector: Detector | None = None,
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
    detector : Detector, optional
        Counts objects; see `complexity.open_detector`. Not for a study.

    Returns
    -------
    Measured
        What was done. A study's object counts come from where its manifest says.

    Raises
    ------
    InputError
        A study and a detector; else see `complexity.measure`.
    """
    if len(sources) == 1 and _is_study(str(sources[0])):
        from analysis.counts import study_detector
        from analysis.datasets import object_counts, read_samples
        from analysis.manifest import load_study

        study = load_study(sources[0])
        if detector is not None:
            raise InputError(
                f"{study.shown} says where object counts come from; name the detector there "
                "(object_count: {from: detector, model: …}), not in the command"
            )
        samples = read_samples(study)
        images = study.image_source()
        counted = OBJECTS in (item.name for item in resolve(metrics))
        return measure_into(
            images,
            out,
            metrics=metrics,
            dataset=study.name,
            object_counts=object_counts(study, samples, images.ids()) if counted else None,
            detector=study_detector(study) if counted else None,
            workers=workers,
            timeout=timeout,
            dask=dask,
        )
    return measure_into(
        sources[0] if len(sources) == 1 else list(sources),
        out,
        metrics=metrics,
        detector=detector,
        workers=workers,
        timeout=timeout,
        dask=dask,
    )


def _is_study(source: str) -> bool:
    path = Path(source)
    if path.suffix.lower() in {".yaml", ".yml"} or (path / "manifest.yaml").is_file():
        return True
    return not path.exists() and source in studies.shipped()
