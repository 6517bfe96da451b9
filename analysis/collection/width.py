"""How many experts a live model really dispatches a token to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from analysis.collection.routers import Router, set_k
from complexity.errors import InputError, listing


@contextmanager
def dispatched(model: Any) -> Iterator[dict[str, set[int]]]:
    """Watch the experts' inputs.

    Transformers hands every experts module the indices of the chosen experts, shape
    (tokens, k), as its second argument `top_k_index`; a module without it runs every expert.

    Yields
    ------
    dict of str to set of int
        Module to the widths seen; 0 stands for a module that was given no choice of experts.
    """
    seen: dict[str, set[int]] = {}
    hooks = []

    def watch(name: str) -> Callable[..., None]:
        def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            index: Any = kwargs.get("top_k_index", args[1] if len(args) > 1 else None)
            none = index is None or index.is_floating_point()
            seen[name].add(0 if none else int(index.shape[-1]))

        return hook

    for name, module in model.named_modules():
        if type(module).__name__.endswith("Experts"):
            seen[name] = set()
            hooks.append(module.register_forward_pre_hook(watch(name), with_kwargs=True))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def verify_width(
    model: Any, routers: Sequence[Router], ks: Sequence[int], forward: Callable[[], object]
) -> dict[int, int]:
    """Check on the live model that the width dispatched is k, for every k.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    routers : sequence of Router
        From `find_routers`.
    ks : sequence of int
        What is to be swept.
    forward : callable
        One pass of a real prompt through the model.

    Returns
    -------
    dict of int to int
        k to the number of experts modules seen to dispatch just k.

    Raises
    ------
    InputError
        No experts module to watch; one of another width; none that ran.
    """
    counts: dict[int, int] = {}
    kind = type(model).__name__
    for k in ks:
        set_k(model, routers, k)
        with dispatched(model) as seen:
            forward()
        ran = {name: widths for name, widths in seen.items() if widths}
        if not ran:
            raise InputError(
                f"{kind}: no experts module ran that could be watched ({len(seen)} in the model), "
                "so it cannot be verified that k is honoured; this model is refused"
            )
        wrong = {name: widths for name, widths in ran.items() if widths != {k}}
        if wrong:
            said = [
                f"{name} ran {'every expert' if 0 in widths else sorted(widths)}"
                for name, widths in wrong.items()
            ]
            raise InputError(
                f"{kind} ignores k: set to {k}, {listing(said, shown=2)}; results would "
                "be labelled with a k that never was, so this model is refused"
            )
        counts[k] = len(ran)
    return counts
