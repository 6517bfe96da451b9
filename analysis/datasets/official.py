"""What the readers of official annotation files share: JSON in, clear refusals out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from complexity.errors import InputError, did_you_mean, listing

if TYPE_CHECKING:
    from analysis.manifest import Study

Row = Mapping[str, Any]
NAMES: dict[type, str] = {
    str: "text",
    int: "a whole number",
    list: "a list",
    dict: "an object",
    bool: "true or false",
}


def load_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    InputError
        It is not JSON, or not UTF-8.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise InputError(
            f"{path}: not JSON ({error}); fetch the file again, unpacked, or correct the path"
        ) from error


def load_json_lines(path: Path) -> list[Any]:
    """Read a JSON Lines file, whatever it is called.

    Raises
    ------
    InputError
        A line is not JSON; the first is named.
    """
    rows = []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not JSON Lines ({error}); fetch the file again, unpacked, or correct the path"
        ) from error
    # Not splitlines: texts may have other line separators than \n in them.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise InputError(
                    f"{path}: line {number:,} is not JSON ({error}); each line must be one question"
                ) from error
    return rows


def listed(content: Any, key: str, path: Path, layout: str) -> list[Any]:
    """Return the list under a key of a file's object.

    Parameters
    ----------
    content : object
        From `load_json`.
    key : str
        Where the list stands.
    path : Path
        The file, for messages.
    layout : str
        What the file should be, for messages.

    Raises
    ------
    InputError
        No such key, or no list there; says which keys there are.
    """
    found = content.get(key) if isinstance(content, dict) else None
    if isinstance(found, list) and found:
        return found
    if found == []:
        raise InputError(f"{path}: '{key}' is empty; fetch the file again")
    has = (
        f"its keys are {listing(content, shown=12)}"
        if isinstance(content, dict)
        else "it is a list"
    )
    near = did_you_mean(key, map(str, content)) if isinstance(content, dict) else ""
    raise InputError(
        f"{path}: no list '{key}'{near}: {layout} is expected, but {has}; is samples.format right, "
        f"and is this the right one of the set's files?"
    )


def demand(
    rows: Sequence[Any],
    path: Path,
    keys: Mapping[str, type | tuple[type, ...]],
    what: str = "question",
) -> None:
    """Refuse rows that lack a key or hold something else under it.

    Parameters
    ----------
    rows : sequence of object
        As read.
    path : Path
        The file, for messages.
    keys : mapping of str to type
        What every row must have.
    what : str
        What a row is.

    Raises
    ------
    InputError
        What is missing or wrong, with the first five places.
    """
    lacking: dict[str, list[str]] = {}
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            lacking.setdefault("is not an object", []).append(f"{number:,}")
            continue
        for key, kind in keys.items():
            kinds = kind if isinstance(kind, tuple) else (kind,)
            value = row.get(key)
            if value is None:
                lacking.setdefault(f"lacks '{key}'", []).append(f"{number:,}")
            elif not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                said = " or ".join(NAMES[one] for one in kinds)
                lacking.setdefault(f"has '{key}' that is not {said}", []).append(f"{number:,}")
    if lacking:
        said = "; ".join(
            f"{problem} ({what} {listing(where)})" for problem, where in lacking.items()
        )
        raise InputError(f"{path}: a {what} {said}; is samples.format right?")


def refuse_twice(ids: Iterable[object], path: Path, name: str) -> None:
    """Refuse ids that are there more than once."""
    twice = [str(key) for key, count in Counter(ids).items() if count > 1]
    if twice:
        raise InputError(
            f"{path}: {len(twice):,} values of '{name}' occur more than once: {listing(twice)}; "
            f"keep one question of each"
        )


def refuse_unanswered(
    ids: Sequence[object], answers: Sequence[Sequence[str] | None], path: Path, key: str
) -> None:
    """Refuse questions without an answer, as test splits have them."""
    none = [
        name for name, given in zip(ids, answers, strict=True)
        if not given or not any(text.strip() for text in given)
    ]  # fmt: skip
    if not none:
        return
    if len(none) == len(answers):
        raise InputError(
            f"{path}: no question has an answer under '{key}'; test splits are published without: "
            f"take the validation split"
        )
    raise InputError(
        f"{path}: {len(none):,} of {len(answers):,} questions have no answer under '{key}': "
        f"{listing(none)}; leave these questions out"
    )


def texts_under(
    rows: Sequence[Row], key: str, path: Path, inner: str | None = None
) -> list[list[str] | None]:
    """Return each row's list of texts.

    Parameters
    ----------
    rows : sequence of mapping
        As read.
    key : str
        Where the list stands.
    path : Path
        The file, for messages.
    inner : str, optional
        The list holds objects with the text under this key.

    Returns
    -------
    list of (list of str or None)
        None where a row has no list.

    Raises
    ------
    InputError
        Something else than texts in a list; the first five rows.
    """
    made: list[list[str] | None] = []
    wrong = []
    for number, row in enumerate(rows, start=1):
        found = row.get(key)
        if found is None:
            made.append(None)
            continue
        items = found if isinstance(found, list) else [found]
        if inner is not None:
            items = [item.get(inner) if isinstance(item, dict) else None for item in items]
        if not all(isinstance(item, str) for item in items):
            wrong.append(f"{number:,}")
        made.append(items)
    if wrong:
        each = f"objects with a text '{inner}'" if inner else "texts"
        raise InputError(
            f"{path}: '{key}' must be a list of {each}; it is not in question {listing(wrong)}; is "
            f"samples.format right?"
        )
    return made


def image_namer(study: Study, default: str | None, path: Path) -> Callable[[int | str], str]:
    """Return what turns an image's number into the name of its file.

    Parameters
    ----------
    study : Study
        Its `samples.image_name` goes before the set's own way.
    default : str or None
        The set's own way, with ``{image_id}``; None if the file does not tell.
    path : Path
        The file of the questions, for messages.

    Returns
    -------
    callable
        Image id of the set to ours.

    Raises
    ------
    InputError
        Neither is given, or the pattern is not one. The callable raises it where the pattern
        does not fit an id (``{image_id:012d}`` is for numbers).
    """
    pattern = study.manifest.samples.image_name or default
    where = study.at("samples", "image_name")
    if pattern is None:
        raise InputError(
            f"{path}: the file does not say how image files are called; add samples.image_name to "
            f"the manifest, such as COCO_val2014_{{image_id:012d}}.jpg"
        )

    def name(image_id: int | str) -> str:
        try:
            made = pattern.format(image_id=image_id)
        except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
            raise InputError(
                f"{where}: '{pattern}' does not fit image id {image_id!r} ({error}); write "
                f"{{image_id}} where the id goes, or {{image_id:012d}} for a number after zeros"
            ) from None
        return made

    if "{image_id" not in pattern:
        raise InputError(
            f"{where}: '{pattern}' is the same for every image; write {{image_id}} where the id is"
        )
    return name
