"""YAML with line numbers, so that an error names the line a user must mend."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from complexity.errors import SHOWN, InputError, did_you_mean

Place = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader that also reads 1e-3 as a number, as YAML 1.2 does."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def load_yaml(path: Path, shown: str) -> tuple[dict[str, Any], dict[Place, int]]:
    """Read a YAML mapping and where its keys stand.

    Parameters
    ----------
    path : Path
        The file.
    shown : str
        How messages name it.

    Returns
    -------
    content : dict
        What the file says.
    lines : dict
        1-based line of each key and list item, by its place: ``("images", "source")``.

    Raises
    ------
    InputError
        Not UTF-8, not YAML, empty, not a mapping, or a key given twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{shown}: byte {error.start:,} is not UTF-8; save the file as UTF-8"
        ) from error
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if isinstance(node, yaml.MappingNode):
            _refuse_twice(node, shown, (), set())
        content = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        raise InputError(_syntax(error, text, shown)) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        said = str(error).partition("\n")[0]
        raise InputError(f"{shown}: not YAML ({said}); see the manifests that ship") from error
    if node is None:
        raise InputError(
            f"{shown}: the file is empty; a manifest starts with 'version: 1' and 'name: …'"
        )
    if not isinstance(content, dict) or not isinstance(node, yaml.MappingNode):
        kind = {"list": "a list", "str": "plain text"}.get(type(content).__name__, "a single value")
        raise InputError(
            f"{shown}, line {node.start_mark.line + 1}: a manifest is a mapping of 'key: value' "
            f"lines, this is {kind}; start with 'version: 1' and 'name: …'"
        )
    return content, dict(_places(node, (), set()))


def _syntax(error: yaml.MarkedYAMLError, text: str, shown: str) -> str:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    said = error.problem or error.context or "unreadable"
    rows = text.splitlines()
    quoted = f": {rows[line - 1].strip()!r}" if 0 < line <= len(rows) else ""
    hint = "mend the line or the one above it"
    if "\t" in (rows[line - 1] if 0 < line <= len(rows) else ""):
        hint = "indent with spaces, not tabs"
    elif "mapping values are not allowed" in said:
        hint = "put quotes around a text that contains ': '"
    return f"{shown}, line {line}: not YAML ({said}){quoted}; {hint}"


def _key(node: yaml.Node) -> str:
    return str(node.value)


def _refuse_twice(node: yaml.Node, shown: str, place: Place, seen: set[int]) -> None:
    if id(node) in seen:  # an alias: looked at already, and it may hold itself
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            name, line = _key(key), key.start_mark.line + 1
            if name in first:
                raise InputError(
                    f"{shown}, line {line}: {dotted((*place, name))} is given twice (first in line "
                    f"{first[name]}); keep one of them"
                )
            first[name] = line
            _refuse_twice(value, shown, (*place, name), seen)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            _refuse_twice(item, shown, (*place, number), seen)


def _places(node: yaml.Node, place: Place, seen: set[int]) -> Iterator[tuple[Place, int]]:
    yield place, node.start_mark.line + 1
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _places(value, (*place, _key(key)), seen)
            # The key's own line: a block below it starts further down.
            yield (*place, _key(key)), key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _places(item, (*place, number), seen)


def dotted(place: Place) -> str:
    """Spell a place as ``results[0].columns.score``."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def line_of(lines: Mapping[Place, int], place: Place) -> int | None:
    """Return the line of a place, or of the nearest block around it that is there."""
    for length in range(len(place), -1, -1):
        if place[:length] in lines:
            return lines[place[:length]]
    return None


def at(shown: str, lines: Mapping[Place, int], place: Place) -> str:
    """Spell where a key stands: ``manifest.yaml, line 12: images.source``."""
    line = line_of(lines, place) if place else None
    where = shown if line is None else f"{shown}, line {line}"
    return f"{where}: {dotted(place)}" if place else where


def explain(
    error: ValidationError,
    model: type[BaseModel],
    content: Any,
    lines: Mapping[Place, int],
    shown: str,
) -> str:
    """Put a validation error in words: where, what, how to mend it; five of them at most.

    Parameters
    ----------
    error : ValidationError
        Raised by `model`.
    model : type
        The class that `content` was to become.
    content : object
        What was validated.
    lines : mapping
        From `load_yaml`.
    shown : str
        How the file is named.

    Returns
    -------
    str
        One line per problem, in the file's order.
    """
    schema = model.model_json_schema(by_alias=True)
    problems: dict[tuple[int, str], None] = {}
    for item in error.errors(include_url=False):
        place, given = _follow(item["loc"], content, item["type"])
        if _other_branch(item["loc"], content):
            continue
        context = item.get("ctx") or {}
        if item["type"] == "manifest" and context.get("key"):
            place = (*place, *str(context["key"]).split(".", 1))
        text = f"{at(shown, lines, place)}: {_words(item, place, schema, given)}"
        problems[line_of(lines, place) or 0, text] = None
    found = [text for _, text in sorted(problems)]
    more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return "\n".join(found[:SHOWN] + more)


def _follow(loc: Place, content: Any, kind: str) -> tuple[Place, Any]:
    """Keep of pydantic's location what stands in the file (it also names union branches)."""
    place: list[str | int] = []
    given = content
    for number, part in enumerate(loc):
        listed = isinstance(given, list) and isinstance(part, int) and part < len(given)
        if listed or (isinstance(given, dict) and part in given):
            given = given[part]
        elif kind != "missing" or number < len(loc) - 1:
            continue
        place.append(part)
    return tuple(place), given


def _other_branch(loc: Place, content: Any) -> bool:
    # Some keys are a text or a mapping, and pydantic complains about both.
    for key in (("data_root",), ("images", "source")):
        if len(loc) > len(key) and loc[: len(key)] == key:
            given = content
            for part in key:
                given = given[part]
            return str(loc[len(key)]).endswith("str") == isinstance(given, dict)
    return False


def _schema_at(schema: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """Return what the JSON Schema says of a place; empty if it says nothing."""

    def opened(part: Mapping[str, Any]) -> dict[str, Any]:
        while "$ref" in part:
            part = schema["$defs"][part["$ref"].rsplit("/", 1)[1]]
        for option in part.get("anyOf", ()):
            if option.get("type") != "null":
                inner = opened(option)
                if inner.get("type") == "object":
                    return inner
        return dict(part)

    here = opened(schema)
    for name in place:
        inner = here.get("items") if isinstance(name, int) else here.get("properties", {}).get(name)
        if not isinstance(inner, Mapping):
            return {}
        described = {"description": inner["description"]} if "description" in inner else {}
        here = opened(inner) | described
    return here


_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "dict_type": "a mapping of 'key: value' lines",
    "model_type": "a mapping of 'key: value' lines",
    "model_attributes_type": "a mapping of 'key: value' lines",
    "tuple_type": "a list, such as [a, b]",
    "list_type": "a list, such as [a, b]",
    "bool_type": "true or false",
}


def _words(item: Any, place: Place, schema: Mapping[str, Any], given: Any) -> str:
    kind, context = item["type"], item.get("ctx") or {}
    if kind == "extra_forbidden":
        known = list(_schema_at(schema, place[:-1]).get("properties", {}))
        near = did_you_mean(str(place[-1]), known)
        return f"unknown key{near}; known here: {', '.join(known)}"
    if kind == "missing":
        meaning = _schema_at(schema, place).get("description")
        return "is missing; add it" + (f" ({meaning})" if meaning else "")
    if kind in _EXPECTED:
        if given is None:
            return "is empty; fill it in or remove the key"
        quotes = ""
        if kind == "string_type" and isinstance(given, bool | int | float):
            quotes = "; put it in quotes"
        return f"must be {_EXPECTED[kind]}, not {_spell(given)}{quotes}"
    if kind == "literal_error":
        return f"must be {context['expected']}, not {_spell(given)}"
    if kind == "string_pattern_mismatch":
        what = _schema_at(schema, place).get("description") or f"text like {context['pattern']}"
        if "64" in str(context["pattern"]):
            what = "a SHA-256, 64 hexadecimal digits (`sha256sum FILE` prints it)"
        elif place == ("name",):
            what = "made of letters, digits and ._- only"
        return f"must be {what}, not {_spell(given)}"
    if kind == "string_too_short":
        return "is empty; fill it in or remove the key"
    if kind == "invalid_key":
        return f"the key {_spell(place[-1] if place else given)} must be text; put it in quotes"
    if kind == "too_short":
        return "is empty; give at least one"
    if kind == "manifest":
        return str(item["msg"])
    message = str(item["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    return f"must be {message}, not {_spell(given)}"


def _spell(given: Any) -> str:
    if given is None:
        return "empty"
    if isinstance(given, bool):
        return f"{str(given).lower()} (yes, no, on and off are read as true and false)"
    if isinstance(given, str):
        return f"the text {given!r}"
    if isinstance(given, int | float):
        return f"the number {given}"
    if isinstance(given, list):
        return "a list"
    return "a mapping" if isinstance(given, dict) else str(given)
