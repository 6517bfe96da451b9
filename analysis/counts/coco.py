"""COCO instances JSON (Lin et al. 2014, doi:10.1007/978-3-319-10602-1_48)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from analysis.counts.matching import Counted
from analysis.json_stream import elements
from complexity.errors import InputError

#: What a crowd (``iscrowd: 1``, a group outlined as a whole) counts: as one object, or not.
CROWDS = ("one", "none")


def read(path: Path, crowd: str = CROWDS[0]) -> Counted:
    """Count the instances of every image.

    ``images`` lists the images (`id`, `file_name`), ``annotations`` one instance each
    (`image_id`, `iscrowd`); the order of the two lists does not matter. An image with no
    annotation has 0 objects; one that ``images`` lacks has no count.

    Parameters
    ----------
    path : Path
        ``instances_val2017.json`` or another file of its layout, of any size.
    crowd : {"one", "none"}
        Whether a crowd counts as one object. Either way the image holds more than the count.

    Returns
    -------
    Counted
        Counts by file name, or by the number where an image has no name.

    Raises
    ------
    InputError
        Not this layout; the key is named.
    """
    names: dict[Any, str] = {}
    counts: Counter[Any] = Counter()
    crowds: set[Any] = set()
    for place, (key, item) in enumerate(elements(path, ("images", "annotations"))):
        if not isinstance(item, dict):
            raise _wrong(path, key, f"holds {item!r:.40}, which is not a mapping")
        if key == "images":
            number = _number(path, key, item, "id")
            name = item.get("file_name", str(number))
            if not isinstance(name, str) or not name:
                raise _wrong(path, key, f"has file_name {name!r:.40} for image {number}")
            if number in names:
                raise _wrong(path, key, f"has image {number} twice")
            names[number] = name
            continue
        number = _number(path, key, item, "image_id")
        kind = item.get("iscrowd", 0)
        if kind not in (0, 1):
            raise _wrong(path, key, f"has iscrowd {kind!r:.40} in entry {place:,}; want 0 or 1")
        if kind:
            crowds.add(number)
        counts[number] += 1 if not kind or crowd == "one" else 0
    strays = [number for number in counts if number not in names]
    if strays:
        raise _wrong(path, "annotations", f"has image_id {strays[0]}, which 'images' does not list")
    if len(set(names.values())) < len(names):
        twice = Counter(names.values()).most_common(1)[0][0]
        raise _wrong(path, "images", f"has file_name '{twice}' twice")
    return Counted(
        {name: counts[number] for number, name in names.items()},
        names,
        frozenset(names[number] for number in crowds),
    )


def _number(path: Path, key: str, item: dict[str, Any], name: str) -> int:
    number = item.get(name)
    if isinstance(number, bool) or not isinstance(number, int):
        said = "an entry without" if name not in item else f"{number!r:.40} as"
        raise _wrong(path, key, f"has {said} '{name}', a whole number")
    return number


def _wrong(path: Path, key: str, what: str) -> InputError:
    return InputError(f"{path}: '{key}' {what}; is this a file of instances in COCO's layout?")
