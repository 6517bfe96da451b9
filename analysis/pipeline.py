"""A study from manifest to answer: ordered stages, redone only where something changed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis import stages
from analysis.counts import annotated, study_detector
from analysis.datasets import read_samples
from analysis.joining import check_results
from analysis.manifest import LatencyStudy, Study, load_any, verify_checksums
from analysis.record import Record, code_fingerprint, versions
from analysis.results import read_latency, read_results
from analysis.threads import one_thread
from complexity.errors import InputError
from complexity.files import sha256_file
from complexity.sources import ImageSource

if TYPE_CHECKING:
    from complexity.detector import Detector

AFTER_BUCKETS = ("join", "optimum", "latency", "worth", "robustness", "report")


@dataclass(frozen=True)
class RunResult:
    """What a run leaves behind.

    Attributes
    ----------
    folder : Path
        The run's folder.
    status : str
        ``finished``, or ``no results`` when the study has none yet.
    computed, kept : tuple of str
        Stages done in this run, and stages found unchanged.
    answer : str
        The answer in plain words.
    """

    folder: Path
    status: str
    computed: tuple[str, ...]
    kept: tuple[str, ...]
    answer: str

    def __str__(self) -> str:
        return self.answer

    def complexity(self) -> pd.DataFrame:
        """Read the complexity table: one row per image."""
        return stages.read_complexity(self.folder)

    def table(self) -> pd.DataFrame:
        """Read the analysis table: one row per model × sample × k."""
        return stages.read_analysis_table(self.folder)

    def answers(self, metric: str) -> list[dict[str, Any]]:
        """Read the answers for one metric, one per model."""
        found: list[dict[str, Any]] = _read_json(self.folder / "optimum" / f"{metric}.json")
        return found


@one_thread
def run(
    study: str | Path | Study | LatencyStudy,
    out: str | Path,
    *,
    workers: int | None = None,
    fresh: bool = False,
    command: Sequence[str] | None = None,
    say: Callable[[str], None] | None = None,
) -> RunResult:
    """Run a study: measure, bucket, join, fit, find the optimal k, say what it is worth, report.

    Parameters
    ----------
    study : str, Path, Study or LatencyStudy
        A manifest, its folder, the name of a study that ships, or a loaded study. Of a study of
        latency alone there is nothing to measure: fit, report.
    out : str or Path
        Folder of the run; made if missing. A second run there redoes only what changed.
    workers : int, optional
        Worker processes for measuring; all cores when left out.
    fresh : bool
        Redo everything.
    command : sequence of str, optional
        What to record as the command.
    say : callable, optional
        Takes lines of progress; silent when left out.

    Returns
    -------
    RunResult
        Where everything lies and the answer in words.

    Raises
    ------
    InputError
        When data or request are wrong. Everything that can be known without measuring is
        checked before anything is written.
    """
    say = say or (lambda line: None)
    if isinstance(study, str | Path):
        study = load_any(study)
    folder = Path(out)
    prepared = _prepare(study, workers, say)
    record = Record.open(
        folder,
        {
            "study": study.name,
            "manifest_sha256": study.hash,
            "seed": study.manifest.seed,
            "command": list(command) if command is not None else ["analysis.run", study.shown],
        },
        fresh=fresh,
    )
    try:
        status = prepared.work(record)
    except InputError as error:
        record.finish("failed", str(error))
        raise
    except KeyboardInterrupt:
        record.finish("interrupted")
        raise
    record.finish(status)
    answer = prepared.answer(folder, status)
    return RunResult(folder, status, tuple(record.done), tuple(record.kept), answer)


@dataclass(frozen=True)
class _Prepared:
    """A study whose data are read: what is left to do, and to say."""

    work: Callable[[Record], str]
    answer: Callable[[Path, str], str]


def _prepare(
    study: Study | LatencyStudy, workers: int | None, say: Callable[[str], None]
) -> _Prepared:
    """Read and check everything, before anything is written."""
    if isinstance(study, LatencyStudy):
        from analysis.latency_study import running

        timed, alone = running.read(study), study

        def latency_answer(folder: Path, status: str) -> str:
            from analysis.report.latency_words import latency_answer

            return latency_answer(alone, folder)

        return _Prepared(
            lambda record: running.do_stages(alone, timed, record, say), latency_answer
        )
    data, whole = _load(study), study

    def answer(folder: Path, status: str) -> str:
        from analysis.report.words import answer_text, no_results_text

        text = answer_text if status == "finished" else no_results_text
        return text(whole, folder)

    return _Prepared(lambda record: _stages(whole, data, record, workers, say), answer)


@dataclass(frozen=True)
class Data:
    """Everything of a study but its images, read and checked.

    Attributes
    ----------
    images : ImageSource
        Where the images are; it holds at least one.
    samples, results, latency : DataFrame
        Their tables; the last two are None where the manifest names none.
    counts : mapping of str to float, or None
        Annotated object counts by image.
    detector : Detector, or None
        What counts objects in their stead.
    notes : dict
        What readers counted or left out, by table.
    """

    images: ImageSource
    samples: pd.DataFrame
    results: pd.DataFrame | None
    latency: pd.DataFrame | None
    counts: Mapping[str, float] | None
    detector: Detector | None
    notes: dict[str, Any]


def _load(study: Study) -> Data:
    verify_checksums(study)
    images = study.image_source()
    samples = read_samples(study)
    stages.check_columns(study, samples)
    results, latency = None, None
    notes: dict[str, Any] = {}
    if study.manifest.results:
        results, notes["results"] = read_results(study, samples)
        check_results(study.name, samples, results)
    if study.manifest.latency:
        latency, notes["latency"] = read_latency(study)
    found = annotated(study, samples)
    if found is not None and study.manifest.object_count.path is not None:
        notes["object_count"] = found.report(samples["image_id"])
    counts = None if found is None else found.counts
    counted = "object_count" in study.manifest.analysis.metrics
    detector = study_detector(study) if counted else None
    return Data(images, samples, results, latency, counts, detector, notes)


def _stages(
    study: Study,
    data: Data,
    record: Record,
    workers: int | None,
    say: Callable[[str], None],
) -> str:
    folder = record.folder
    samples = data.samples
    manifest = study.manifest
    analysis = manifest.analysis.model_dump(mode="json", by_alias=True)
    code = {"code": code_fingerprint(), "versions": versions()}
    sources = {"images": data.images.fingerprint(), "samples": _content(study, "samples")}
    entries = manifest.model_dump(mode="json", by_alias=True)

    record.stage(
        "measure",
        {
            **sources,
            "metrics": stages.metric_versions(manifest.analysis.metrics),
            "object_count": [
                entries["object_count"],
                _content(study, "object_count"),
                None if data.detector is None else data.detector.entry(),
            ],
            "columns": entries["samples"],
        },
        lambda: stages.measure(
            study, data.images, samples, data.counts, data.detector, folder, workers
        ),
        say=say,
    )
    measured = sha256_file(folder / stages.COMPLEXITY)
    record.stage(
        "buckets",
        {**code, "complexity": measured, "samples": sources["samples"], "analysis": analysis},
        lambda: stages.cut_buckets(study, samples, folder),
        say=say,
    )
    cut: dict[str, object] = {
        **code,
        "complexity": measured,
        "buckets": sha256_file(folder / stages.BUCKETS),
        "samples": {"content": sources["samples"], "entry": entries["samples"]},
        "analysis": analysis,
    }
    if data.results is None:
        record.drop([name for name in AFTER_BUCKETS if name != "report"])
        record.stage(
            "report",
            {**cut, "images": sources["images"]},
            lambda: stages.write_report(study, data.images, samples, None, folder),
            say=say,
        )
        return "no results"

    results, latency = data.results, data.latency
    timed = {"content": _content(study, "latency"), "entries": entries["latency"]}
    scored = {
        "content": _content(study, "results"),
        "entries": entries["results"],
        "scorer": manifest.scorer,
    }
    record.stage(
        "join",
        {**cut, "results": scored, "latency": timed},
        lambda: stages.join_tables(study, samples, results, latency, data.notes, folder),
        say=say,
    )
    table = sha256_file(folder / stages.TABLE)
    record.stage(
        "optimum",
        {**cut, "table": table, "seed": manifest.seed},
        lambda: stages.fit_optimum(study, samples, folder),
        say=say,
    )
    if latency is None:
        record.drop(["latency"])
    else:
        record.stage(
            "latency",
            {**cut, "latency": timed},
            lambda: stages.fit_latency(study, samples, latency, folder),
            say=say,
        )
    record.stage(
        "worth",
        {
            **cut,
            "table": table,
            "latency": timed,
            "optimum": record.outputs("optimum"),
            "seed": manifest.seed,
        },
        lambda: stages.find_worth(study, samples, latency, folder),
        say=say,
    )
    record.stage(
        "robustness",
        {**cut, "table": table, "optimum": record.outputs("optimum"), "seed": manifest.seed},
        lambda: stages.check_robustness(study, samples, folder),
        say=say,
    )
    before = ("optimum", "latency", "worth", "robustness")
    upstream = {name: record.outputs(name) for name in before}
    record.stage(
        "report",
        {**cut, "images": sources["images"], "table": table, "latency": timed, **upstream},
        lambda: stages.write_report(study, data.images, samples, latency, folder),
        say=say,
    )
    return "finished"


def _content(study: Study, key: str) -> list[str]:
    """Hashes of the data files that a manifest key names."""
    return [
        sha256_file(item.path)
        for item in study.data_files()
        if item.key.startswith(key) and item.exists
    ]


def _read_json(path: Path) -> Any:
    if not path.is_file():
        raise InputError(
            f"{path} is not there; metrics with an answer: "
            f"{', '.join(sorted(p.stem for p in path.parent.glob('*.json'))) or 'none'}."
        )
    return json.loads(path.read_text(encoding="utf-8"))


def progress_to_stderr(line: str) -> None:
    """Write a line of progress to standard error."""
    print(line, file=sys.stderr, flush=True)
