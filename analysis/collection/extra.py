"""The libraries of the extra `collect`, loaded where used, or a word on how to get them."""

from __future__ import annotations

import importlib.util
from typing import Any

from complexity.errors import InputError


def require() -> tuple[Any, Any]:
    """Load PyTorch and Transformers.

    Returns
    -------
    torch, transformers : module

    Raises
    ------
    InputError
        One of them is not installed; says the pip command.
    """
    absent = [name for name in ("torch", "transformers") if importlib.util.find_spec(name) is None]
    if absent:
        raise InputError(
            f"collecting needs {' and '.join(absent)}, which {'is' if len(absent) == 1 else 'are'} "
            "not installed: pip install 'optik[collect]'"
        )
    import torch
    import transformers

    return torch, transformers
