"""Counts by the names that an annotation file has, matched with a study's image ids."""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TypeVar

from complexity.errors import SHOWN, InputError, listing

Key = TypeVar("Key", bound=Hashable)

# A number padded with zeros, alone or behind the name of a COCO split.
_NUMBER = re.compile(r"(?:COCO_[a-z]+[0-9]{4}_)?([0-9]+)")


class NoneFound(InputError):
    """No image of the study is in the file."""


@dataclass(frozen=True)
class Counted:
    """What an annotation file says.

    Attributes
    ----------
    counts : dict of str to int
        Objects by file name, as the file spells it; 0 for an image without any.
    numbers : dict of int to str
        File names by the file's own numbers for images; empty where it has none.
    crowds : frozenset of str
        File names of the images with a crowd, whose objects were not annotated one by one.
    """

    counts: Mapping[str, int]
    numbers: Mapping[int, str] = field(default_factory=dict)
    crowds: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Annotated:
    """Counts by a study's image ids.

    Attributes
    ----------
    counts : dict of str to float
        Images without an annotation are left out: they are not images without objects.
    crowds : frozenset of str
        Those with a crowd.
    """

    counts: dict[str, float]
    crowds: frozenset[str] = frozenset()

    def report(self, images: Iterable[str]) -> dict[str, object]:
        """Count the images with a count, those with none in them, and those without a count.

        Parameters
        ----------
        images : iterable of str
            Image ids of the study.

        Returns
        -------
        dict
            Numbers of images: `images`, `counted`, `without_objects` (annotated, count 0),
            `with_crowd` (they hold more than their count) and `not_annotated`, of which
            `not_annotated_first` names five.
        """
        every = list(dict.fromkeys(images))
        absent = [image for image in every if image not in self.counts]
        return {
            "images": len(every),
            "counted": len(every) - len(absent),
            "without_objects": sum(self.counts.get(image) == 0 for image in every),
            "with_crowd": sum(image in self.crowds for image in every),
            "not_annotated": len(absent),
            "not_annotated_first": absent[:SHOWN],
        }


def match(counted: Counted, images: Collection[str], where: str) -> Annotated:
    """Find each image in an annotation file.

    The first of these rules that finds one decides: the image id is the file name; both end in
    the same name (folders apart); the same without suffix; the image's number, padded with
    zeros or not, is the one that the file gives to a name (``val2017/000000000139.jpg``,
    ``COCO_val2014_000000000139.jpg`` and ``139`` are COCO's image 139). A name that the file
    has in two folders is no name without its folder. Numbers count only if all names in the
    file that hold one agree with it.

    Parameters
    ----------
    counted : Counted
        What the file says.
    images : collection of str
        Image ids of the study.
    where : str
        The file, for messages.

    Returns
    -------
    Annotated
        Counts of the images found.

    Raises
    ------
    InputError
        Two images of the study are one image of the file; `NoneFound` where none is found.
    """
    names = {name: name for name in counted.counts}
    last = _unique((PurePosixPath(name).name, name) for name in names)
    stem = _unique((PurePosixPath(name).stem, name) for name in names)
    numbers = counted.numbers if _numbers_agree(counted.numbers) else {}
    found: dict[str, str] = {}
    for image in images:
        path = PurePosixPath(image)
        name = names.get(image) or last.get(path.name) or stem.get(path.stem)
        # An id without suffix may hold a dot: the key of a tar shard.
        name = name or stem.get(path.name) or numbers.get(_number(path.stem))
        if name is not None:
            found[image] = name
    owners: dict[str, str] = {}
    for image, name in found.items():
        other = owners.setdefault(name, image)
        if other != image:
            raise InputError(
                f"{where}: '{name}' is both '{other}' and '{image}' of the study; give file names "
                "with the folders that tell them apart"
            )
    if images and not found:
        raise NoneFound(
            f"{where}: none of the {len(images):,} images is in it: it has "
            f"{listing(map(repr, names), shown=3)}, the study "
            f"{listing(map(repr, images), shown=3)}; is it the file of this split?"
        )
    return Annotated(
        {image: float(counted.counts[name]) for image, name in found.items()},
        frozenset(image for image, name in found.items() if name in counted.crowds),
    )


def _unique(pairs: Iterable[tuple[Key, str]]) -> dict[Key, str]:
    found: dict[Key, str] = {}
    twice: set[Key] = set()
    for key, name in pairs:
        if found.setdefault(key, name) != name:
            twice.add(key)
    return {key: name for key, name in found.items() if key not in twice}


def _number(stem: str) -> int:
    matched = _NUMBER.fullmatch(stem)
    return int(matched[1]) if matched is not None else -1


def _numbers_agree(numbers: Mapping[int, str]) -> bool:
    held = ((number, _number(PurePosixPath(name).stem)) for number, name in numbers.items())
    return all(own in (-1, number) for number, own in held)
