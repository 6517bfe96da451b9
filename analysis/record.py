"""The record of a run: what was done, with what, and which stages still hold.

A stage is a function of files and settings. Its fingerprint is a hash of both; while the
fingerprint and the hashes of the files that it wrote agree with the record, it is not done
again. Everything that changes between two equal runs (times, command, folder) lives here and
nowhere else.
"""

from __future__ import annotations

import functools
import hashlib
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from complexity import buckets
from complexity.errors import InputError
from complexity.files import plain, sha256_file, write_json

FILE = "run.json"
LIBRARIES = (
    "optik",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "pillow",
    "opencv-python-headless",
    "scikit-image",
    "statsmodels",
    "formulae",
    "numba",
    "seaborn",
    "matplotlib",
)


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries whose results a run rests on."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


@functools.cache
def code_fingerprint() -> str:
    """Return the SHA-256 of this package's source, so that a change of code is a change.

    Measuring is not behind it: there each metric has its own version.
    """
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in [*sorted(root.rglob("*.py")), Path(buckets.__file__)]:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def fingerprint(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hexadecimal."""
    text = json.dumps(plain(value), sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Record:
    """`run.json`, kept up to date while a run goes on.

    Attributes
    ----------
    folder : Path
        The run's folder.
    content : dict
        What `run.json` holds.
    done, kept : list of str
        Stages computed and stages found unchanged, in this run.
    """

    folder: Path
    content: dict[str, object]
    done: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    _stages: dict[str, dict[str, object]] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, about: Mapping[str, object], *, fresh: bool = False) -> Record:
        """Start a record in a folder, taking over the stages of an earlier run there.

        Parameters
        ----------
        folder : Path
            The run's folder; made if it is missing.
        about : mapping
            Study, manifest hash, seed, command.
        fresh : bool
            Forget earlier stages, so that everything is done again.

        Raises
        ------
        InputError
            When the folder holds a run of another study, or files but no run.
        """
        earlier = _earlier(folder)
        if earlier is not None and earlier.get("study") != about.get("study"):
            raise InputError(
                f"{folder} holds a run of the study '{earlier.get('study')}', not of "
                f"'{about.get('study')}'. Name another folder with -o."
            )
        for leftover in folder.glob("**/.*.tmp.*"):
            leftover.unlink(missing_ok=True)  # of a run that was killed while writing
        stages = {} if fresh or earlier is None else earlier.get("stages", {})
        content: dict[str, object] = {
            "status": "started",
            **about,
            "versions": versions(),
            "started": _now(),
            "finished": None,
            "error": None,
        }
        record = cls(folder, content, _stages=stages if isinstance(stages, dict) else {})
        record.save()
        return record

    def save(self) -> None:
        """Write `run.json`."""
        write_json(self.folder / FILE, {**self.content, "stages": self._stages})

    def stage(
        self,
        name: str,
        inputs: object,
        work: Callable[[], Sequence[Path]],
        *,
        say: Callable[[str], None],
    ) -> None:
        """Do a stage, unless its inputs and outputs are as recorded.

        Parameters
        ----------
        name : str
            Name of the stage.
        inputs : object
            Everything that its outputs depend on, as a value JSON can hold.
        work : callable
            Does it; returns the files written.
        say : callable
            Takes a line of progress.
        """
        wanted = fingerprint(inputs)
        if self._holds(name, wanted):
            self.kept.append(name)
            say(f"{name:<10} unchanged, kept")
            return
        started = time.perf_counter()
        stale = self.outputs(name)
        self._stages.pop(name, None)
        self.save()
        outputs = work()
        written = {path.relative_to(self.folder).as_posix(): sha256_file(path) for path in outputs}
        for leftover in set(stale) - set(written):
            (self.folder / leftover).unlink(missing_ok=True)
        seconds = round(time.perf_counter() - started, 2)
        self._stages[name] = {"fingerprint": wanted, "seconds": seconds, "outputs": written}
        self.done.append(name)
        self.save()
        say(f"{name:<10} {seconds:6.1f} s")

    def finish(self, status: str, error: str | None = None) -> None:
        """Close the record with its final status."""
        self.content.update(status=status, error=error, finished=_now())
        self.save()

    def drop(self, names: Sequence[str]) -> None:
        """Forget stages that no longer apply and remove what they wrote."""
        for name in names:
            for path in self.outputs(name):
                (self.folder / path).unlink(missing_ok=True)
            self._stages.pop(name, None)

    def outputs(self, name: str) -> dict[str, str]:
        """Return the files a stage wrote, with their SHA-256."""
        outputs = self._stages.get(name, {}).get("outputs", {})
        return dict(outputs) if isinstance(outputs, dict) else {}

    def _holds(self, name: str, wanted: str) -> bool:
        stage = self._stages.get(name, {})
        outputs = stage.get("outputs")
        if stage.get("fingerprint") != wanted or not isinstance(outputs, dict):
            return False
        for path, digest in outputs.items():
            target = self.folder / path
            if not target.is_file() or sha256_file(target) != digest:
                return False
        return True


def _earlier(folder: Path) -> dict[str, object] | None:
    path = folder / FILE
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder for the run with -o.")
    if not path.exists():
        if folder.is_dir() and any(not p.name.startswith(".") for p in folder.iterdir()):
            raise InputError(
                f"{folder} holds files but no {FILE}, so it is not the folder of a run. "
                "Name a new or empty folder with -o."
            )
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None  # not ours to repair: the run starts anew and writes a whole one
    return content if isinstance(content, dict) else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
