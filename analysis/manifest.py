"""A study: its manifest as read, checked and hashed, and the files that it names."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import ValidationError

from analysis.manifest_latency import LatencyManifest, is_latency_alone
from analysis.manifest_model import About, Manifest, Rendered
from analysis.manifest_schema import json_schema
from analysis.studies import find
from analysis.yaml_lines import Place, at, explain, load_yaml
from complexity.errors import SHOWN, InputError, did_you_mean
from complexity.files import sha256_file

if TYPE_CHECKING:
    from complexity.sources import ImageSource

__all__ = [
    "AnyStudy",
    "DataFile",
    "LatencyStudy",
    "Manifest",
    "Study",
    "json_schema",
    "load_any",
    "load_study",
    "verify_checksums",
]

M = TypeVar("M", bound=About)

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class DataFile:
    """A file or folder that a study reads.

    Attributes
    ----------
    key : str
        The manifest key that names it, such as ``results[0].path``.
    path : Path
        Where it lies; for images, the source without its wildcards.
    exists : bool
        Whether it is there.
    """

    key: str
    path: Path
    exists: bool


@dataclass(frozen=True)
class AnyStudy(Generic[M]):
    """A manifest, of a whole study or of latency alone, and the way to its files.

    Attributes
    ----------
    manifest : Manifest or LatencyManifest
        What the file says, validated.
    path : Path
        The manifest, absolute.
    hash : str
        SHA-256 of the validated manifest in canonical JSON: the same for two files that say
        the same, whatever their comments and order of keys.
    shown : str
        How messages name the manifest.
    lines : mapping
        1-based lines of its keys.
    """

    manifest: M
    path: Path
    hash: str
    shown: str
    lines: Mapping[Place, int] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.manifest.name

    @property
    def root(self) -> Path:
        """The folder that the manifest's paths are relative to, absolute.

        Raises
        ------
        InputError
            An environment variable is not set, a package is not installed, or there is no
            such folder. Raised on use, not on loading, so that `check` can say the rest too.
        """
        given = self.manifest.data_root
        where = self.at("data_root")
        if isinstance(given, str):
            folder = self.path.parent / self._expand(given, "data_root")
            if not folder.is_dir():
                named = _VARIABLE.findall(given)
                mend = f"set {named[0]} to" if named else "point it at"
                raise InputError(
                    f"{where}: no folder {folder}; {mend} the folder with the study's data"
                )
            return folder.resolve()
        spec = importlib.util.find_spec(given.package)
        places = list(spec.submodule_search_locations or ()) if spec is not None else []
        if not places:
            distribution = given.package.replace("_", "-")
            raise InputError(
                f"{where}: the package '{given.package}' that holds the data is not installed; "
                f"pip install {distribution}"
            )
        return Path(places[0]).resolve()

    def at(self, *place: str | int) -> str:
        """Say where a key stands: ``…/manifest.yaml, line 12: images.source``."""
        return at(self.shown, self.lines, place)

    def label(self, path: Path) -> str:
        """Name a file for outputs: relative to the data root where it lies under it."""
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError:
            return path.name

    def _expand(self, text: str, *place: str | int) -> str:
        def value(match: re.Match[str]) -> str:
            name = match[1]
            found = os.environ.get(name, "")
            if not found:
                raise InputError(
                    f"{self.at(*place)}: the environment variable {name} is not set; set it to "
                    f"where the data lie on this machine, e.g. export {name}=/path/to/data"
                )
            return found

        return _VARIABLE.sub(value, text)

    def locate(self, text: str, *place: str | int) -> Path:
        """Turn a path of the manifest into an absolute one; it need not exist."""
        return self.root / self._expand(text, *place)

    def file(self, text: str, *place: str | int) -> Path:
        """Turn a path of the manifest into that of a file which is there.

        Raises
        ------
        InputError
            No such file; names the key's line, the path and the nearest name beside it.
        """
        path = self.locate(text, *place)
        if not path.is_file():
            raise InputError(f"{self.at(*place)}: {_absent(path)}")
        return path

    def files(self, text: str, *place: str | int) -> list[Path]:
        """Turn a path or glob of the manifest into the files it means, sorted, at least one.

        Raises
        ------
        InputError
            No such file, or nothing matches.
        """
        path = self.locate(text, *place)
        if path.is_file() or not _WILD.search(str(path)):
            return [self.file(text, *place)]
        found = _matches(path)
        if not found:
            raise InputError(
                f"{self.at(*place)}: no file matches '{path}'; correct the pattern (* within a "
                f"folder's name, ** across folders) or put the files there"
            )
        return found

    def _listed(self, named: Sequence[tuple[str, Place]]) -> list[DataFile]:
        """Spell out the globs of some keys; one that matches nothing is an absent file."""
        found = []
        for text, place in named:
            path = self.locate(text, *place)
            wild = bool(_WILD.search(str(path))) and not path.is_file()
            paths = _matches(path) if wild else []
            key = at("", {}, place).removeprefix(": ")
            found += [DataFile(key, item, item.is_file()) for item in paths or [path]]
        return found


@dataclass(frozen=True)
class Study(AnyStudy[Manifest]):
    """A whole study: images, samples, and per-k results where there are some."""

    def image_source(self) -> ImageSource:
        """Open the images.

        Raises
        ------
        InputError
            See `root` and `complexity.sources.open_source`; the manifest's key is named.
        """
        from complexity.sources import open_source

        images = self.manifest.images
        if isinstance(images.source, Rendered):
            from analysis.datasets.rendered import rendered_images

            try:
                return rendered_images(self, images.source.rendered)
            except InputError as error:
                raise InputError(f"{self.at('images', 'source')}: {error}") from error
        source = self._expand(images.source, "images", "source")
        root = self.root
        try:
            return open_source(source, root=root, id_column=images.id)
        except InputError as error:
            raise InputError(f"{self.at('images', 'source')}: {error}") from error

    def data_files(self) -> tuple[DataFile, ...]:
        """List what the study reads, globs spelled out, in the manifest's order.

        Returns
        -------
        tuple of DataFile
            The image source first (a folder, or a file; none if images are rendered), then
            samples, the file of object counts or the detector, results, latency. A glob that
            matches nothing is one entry that does not exist.

        Raises
        ------
        InputError
            See `root`.
        """
        found = []
        if not isinstance(self.manifest.images.source, Rendered):
            source = self.locate(self.manifest.images.source, "images", "source")
            fixed = _fixed(source)
            there = fixed.exists() if fixed == source else any(True for _ in _glob(source))
            found = [DataFile("images.source", fixed, there)]
        named: list[tuple[str, Place]] = [(self.manifest.samples.path, ("samples", "path"))]
        if self.manifest.samples.annotations is not None:
            named.append((self.manifest.samples.annotations, ("samples", "annotations")))
        counts = self.manifest.object_count
        for key, text in (("path", counts.path), ("model", counts.model)):
            if text is not None:
                named.append((text, ("object_count", key)))
        for key, entries in (
            ("results", self.manifest.results),
            ("latency", self.manifest.latency),
        ):
            named += [(entry.path, (key, n, "path")) for n, entry in enumerate(entries)]
        return (*found, *self._listed(named))


@dataclass(frozen=True)
class LatencyStudy(AnyStudy[LatencyManifest]):
    """A study of latency alone."""

    def data_files(self) -> tuple[DataFile, ...]:
        """List what the study reads, as `Study.data_files`: latency, then floors."""
        entries = self.manifest.latency
        named: list[tuple[str, Place]] = [
            (entry.path, ("latency", n, "path")) for n, entry in enumerate(entries)
        ]
        if self.manifest.floors is not None:
            named.append((self.manifest.floors.path, ("floors", "path")))
        return tuple(self._listed(named))


def _fixed(path: Path) -> Path:
    """Return the part of a glob before its first wildcard."""
    if path.exists():
        return path
    for part in reversed((path, *path.parents)):
        if _WILD.search(part.name):
            return part.parent
    return path


def _glob(path: Path) -> Any:
    fixed = _fixed(path)
    return fixed.glob(path.relative_to(fixed).as_posix()) if fixed != path else iter(())


def _matches(path: Path) -> list[Path]:
    return sorted(item for item in _glob(path) if item.is_file() and item.name[0] != ".")


def _absent(path: Path) -> str:
    if path.is_dir():
        return f"{path} is a folder; name a file in it"
    if not path.parent.is_dir():
        return f"no file {path} (nor the folder it should lie in); correct the path or fetch it"
    beside = sorted(item.name for item in path.parent.iterdir() if item.is_file())
    return f"no file {path}{did_you_mean(path.name, beside)}; correct the path or fetch the file"


def load_study(path_or_name: str | Path) -> Study:
    """Read, check and hash the manifest of a whole study.

    Parameters
    ----------
    path_or_name : str or Path
        A manifest, the folder of one, or the name of a study that ships with Optik.

    Returns
    -------
    Study
        Its data need not be there: that is looked up when used.

    Raises
    ------
    InputError
        No such manifest, or one that is not right; each problem with its line. A study of
        latency alone has no images to work on.
    """
    study = load_any(path_or_name)
    if isinstance(study, LatencyStudy):
        raise InputError(
            f"{study.shown}: a study of latency alone, without images and samples; optik check "
            "and optik run take it, the rest needs a whole study"
        )
    return study


def load_any(path_or_name: str | Path) -> Study | LatencyStudy:
    """Read, check and hash a manifest, of a whole study or of latency alone.

    A manifest with `latency` and without images, samples and results is of latency alone. For
    the rest see `load_study`.
    """
    path = find(path_or_name)
    shown = _shown(path)
    content, lines = load_yaml(path, shown)
    model = LatencyManifest if is_latency_alone(content) else Manifest
    try:
        manifest = model.model_validate(content)
    except ValidationError as error:
        raise InputError(explain(error, model, content, lines, shown)) from error
    about = (path.resolve(), manifest_hash(manifest), shown, lines)
    if isinstance(manifest, LatencyManifest):
        return LatencyStudy(manifest, *about)
    return Study(manifest, *about)


def manifest_hash(manifest: Manifest | LatencyManifest) -> str:
    """Return the SHA-256 of a manifest's canonical JSON."""
    content = manifest.model_dump(mode="json", by_alias=True)
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _shown(path: Path) -> str:
    try:
        return path.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)


def verify_checksums(study: Study) -> list[Path]:
    """Check the files of `images.sha256` against their sums.

    Parameters
    ----------
    study : Study
        With the sums.

    Returns
    -------
    list of Path
        The files checked.

    Raises
    ------
    InputError
        Files that are missing or have another sum, the first five of them with both sums.
    """
    checked, problems = [], []
    for name, expected in study.manifest.images.sha256.items():
        place = ("images", "sha256", name)
        try:
            path = study.file(name, *place)
        except InputError as error:
            problems.append(str(error))
            continue
        found = sha256_file(path)
        if found != expected:
            problems.append(
                f"{study.at(*place)}: {path} has SHA-256 {found}, the manifest says {expected}; "
                f"fetch the file again, or correct the sum if the file is meant to have changed"
            )
        checked.append(path)
    if problems:
        more = [f"and {len(problems) - SHOWN:,} more"] if len(problems) > SHOWN else []
        raise InputError("\n".join(problems[:SHOWN] + more))
    return checked
