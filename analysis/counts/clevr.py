"""CLEVR scenes JSON (Johnson et al. 2017, doi:10.1109/CVPR.2017.215)."""

from __future__ import annotations

from pathlib import Path

from analysis.counts.matching import Counted
from analysis.json_stream import elements
from complexity.errors import InputError


def read(path: Path, crowd: str = "") -> Counted:
    """Count the objects of every scene: ``scenes``, each with `image_filename` and `objects`.

    Parameters
    ----------
    path : Path
        ``CLEVR_val_scenes.json`` or another file of its layout, of any size.
    crowd : str
        Means nothing here.

    Returns
    -------
    Counted
        Counts by file name.

    Raises
    ------
    InputError
        Not this layout; the key is named.
    """
    counts: dict[str, int] = {}
    for number, (_, scene) in enumerate(elements(path, ("scenes",)), start=1):
        where = f"{path}: scene {number:,}"
        name = scene.get("image_filename") if isinstance(scene, dict) else None
        if not isinstance(name, str) or not name:
            raise InputError(f"{where} has no text 'image_filename'; is object_count.format right?")
        objects = scene.get("objects")
        if not isinstance(objects, list):
            raise InputError(
                f"{where} ({name}) has no list 'objects'; is object_count.format right?"
            )
        if counts.setdefault(name, len(objects)) != len(objects):
            raise InputError(
                f"{where}: '{name}' was there before, with {counts[name]} objects instead of "
                f"{len(objects)}; keep one of them"
            )
    return Counted(counts)
