"""What all parts of a manifest share: strict blocks, kinds of values, worded problems."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Strict, StringConstraints
from pydantic_core import PydanticCustomError

from complexity.errors import did_you_mean

T = TypeVar("T")
Items = Annotated[tuple[T, ...], Strict(False)]  # YAML has lists only
Text = Annotated[str, StringConstraints(min_length=1)]


class Block(BaseModel):
    """A part of the manifest: closed, immutable, no guessing at types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def problem(message: str, key: str | None = None) -> PydanticCustomError:
    """Word what is wrong with a block, or with one of its keys."""
    return PydanticCustomError("manifest", "{said}", {"said": message, "key": key or ""})


def one_of(name: str, known: tuple[str, ...], what: str) -> str:
    """Return a name that is known; else raise a problem with the nearest one."""
    if name not in known:
        raise problem(
            f"unknown {what} '{name}'{did_you_mean(name, known)}; this version knows "
            f"{', '.join(known)}"
        )
    return name
