"""The studies that ship with Optik, and any other, found by name or path."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from complexity.errors import InputError, did_you_mean

MANIFEST = "manifest.yaml"


def folder() -> Path:
    """Return the folder of the shipped studies: in the package, else in the checkout."""
    package = Path(str(files("analysis")))
    installed = package / "_studies"
    return installed if installed.is_dir() else package.parent / "data_manifests"


def shipped() -> dict[str, Path]:
    """Return the manifests that ship with Optik, by name, sorted."""
    return {path.parent.name: path for path in sorted(folder().glob(f"*/{MANIFEST}"))}


def find(path_or_name: str | Path) -> Path:
    """Return the manifest that a path, a folder or the name of a shipped study means.

    Parameters
    ----------
    path_or_name : str or Path
        A file, a folder with ``manifest.yaml``, or a name. A file or folder of that name
        comes before a shipped study.

    Returns
    -------
    Path
        The manifest.

    Raises
    ------
    InputError
        Nothing of that name; lists the shipped studies.
    """
    path = Path(path_or_name).expanduser()
    if path.is_file():
        return path
    inside = path / MANIFEST
    if inside.is_file():
        return inside
    known = shipped()
    if str(path_or_name) in known:
        return known[str(path_or_name)]
    if path.is_dir():
        if inside.is_dir() or path.name == MANIFEST:
            raise InputError(
                f"{inside if inside.is_dir() else path}: {MANIFEST} there is a folder; it must be "
                f"a file: move the folder away, and write the manifest under this name"
            )
        raise InputError(f"{path}: this folder has no {MANIFEST}; name the manifest itself")
    near = did_you_mean(str(path_or_name), known)
    raise InputError(
        f"{path_or_name}: no such manifest{near}; give a manifest, its folder, or a study that "
        f"ships: {', '.join(known)}"
    )
