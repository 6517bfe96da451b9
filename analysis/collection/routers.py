"""Find the routers of a sparse mixture-of-experts model, and set their number of experts k.

Transformers keeps k on every router module (`top_k`, or an older name), read at each call; some
routers read it from their configuration. Families with a line of their own were tried; others are
looked for in the same way. Whether the model then dispatches k experts is for `width` to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from analysis.collection.extra import require
from complexity.errors import InputError, listing


@dataclass(frozen=True)
class Family:
    """What is known of the text models of one architecture.

    Attributes
    ----------
    keys : tuple of str
        Names under which the configuration holds k; kept in step with the routers.
    refused : str or None
        Why k cannot be swept in it.
    """

    keys: tuple[str, ...] = ("num_experts_per_tok",)
    refused: str | None = None


FAMILIES: dict[str, Family] = {
    "lfm2_moe": Family(),
    "qwen3_vl_moe_text": Family(),
    "glm4v_moe_text": Family(),
    "olmoe": Family(),
    "qwen2_moe": Family(),
    "qwen3_moe": Family(),
    "aria_text": Family(("moe_topk",)),
    "ernie4_5_vl_moe_text": Family(("moe_k",)),
    "gemma4_text": Family(("top_k_experts",)),
    "phimoe": Family(
        refused="its sparse mixer always takes two experts, whatever k its configuration names"
    ),
    "llama4_text": Family(
        refused="it runs every expert on every token and weighs most of them with zero, so that k "
        "changes the answer but not the work"
    ),
}
"""`model_type` of a text model to what is known of it; one line a family."""

_KEYS = tuple(dict.fromkeys(key for family in FAMILIES.values() for key in family.keys))
_ATTRIBUTES = ("top_k", "num_experts_per_tok", "moe_topk", "moe_k", "topk")
_COUNTS = ("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts")
_ROUTER = re.compile(r"Rout|Gate|SparseMoe|MoE(Layer|Block)|MoeBlock")
_OTHER = re.compile(r"Attention|Indexer|ForConditionalGeneration|ForCausalLM|Rotary")


@dataclass(frozen=True)
class Router:
    """One module that picks experts.

    Attributes
    ----------
    name : str
        Its place in the model.
    holder : object
        What holds k: the module, or the configuration that it reads at each call.
    attribute : str
        The name of k on the holder.
    n_experts : int or None
        Experts to pick from.
    limit : int or None
        Most experts that its groups allow; None without groups.
    """

    name: str
    holder: Any
    attribute: str
    n_experts: int | None
    limit: int | None

    @property
    def k(self) -> int:
        """The number of experts it now picks."""
        return int(getattr(self.holder, self.attribute))


def text_types(config: Any) -> tuple[str, ...]:
    """List the `model_type` of a configuration and of those within it."""
    found = [str(getattr(config, "model_type", ""))]
    for value in vars(config).values():
        if hasattr(value, "model_type") and hasattr(value, "to_dict"):
            found += text_types(value)
    return tuple(dict.fromkeys(name for name in found if name))


def refuse_family(config: Any) -> None:
    """Refuse a model whose family is known to ignore k, before its weights are loaded.

    Raises
    ------
    InputError
        With the reason.
    """
    for kind in text_types(config):
        known = FAMILIES.get(kind)
        if known is not None and known.refused:
            raise InputError(f"k cannot be swept in {kind} models: {known.refused}")


def find_routers(model: Any) -> tuple[Router, ...]:
    """Find every module that picks experts.

    Parameters
    ----------
    model : torch.nn.Module
        A Transformers model.

    Returns
    -------
    tuple of Router

    Raises
    ------
    InputError
        The family is known to ignore k, or no router is found.
    """
    kinds = text_types(model.config)
    refuse_family(model.config)
    found: list[Router] = []
    configs: set[int] = set()
    for name, module in model.named_modules():
        kind = type(module).__name__
        if not _ROUTER.search(kind) or _OTHER.search(kind):
            continue
        own = next((key for key in _ATTRIBUTES if _whole(vars(module).get(key))), None)
        if own is not None:
            found.append(_router(name, module, module, own))
            continue
        config = getattr(module, "config", None)
        key = next((key for key in _KEYS if _whole(getattr(config, key, None))), None)
        if key is not None and re.search("Rout|Gate", kind) and id(config) not in configs:
            configs.add(id(config))
            found.append(_router(name, module, config, key))
    if not found:
        raise InputError(
            f"{type(model).__name__} ({listing(kinds)}): no router of a mixture of experts in it; "
            "k can be swept in sparse mixture-of-experts models only. If it is one, Transformers "
            f"{require()[1].__version__} builds it in a way not known here: another may do, "
            "5.23 is what was tested"
        )
    return tuple(found)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _router(name: str, module: Any, holder: Any, attribute: str) -> Router:
    n: int | None = None
    for source in (module, getattr(module, "config", None)):
        for key in _COUNTS:
            value: Any = getattr(source, key, None)
            value = value[0] if isinstance(value, list | tuple) and value else value
            if n is None and _whole(value):
                n = int(value)
    weight = getattr(module, "weight", None)
    if n is None and weight is not None and weight.dim() == 2:
        n = int(weight.shape[0])
    return Router(name, holder, attribute, n, _group_limit(module, n))


def _group_limit(module: Any, n: int | None) -> int | None:
    """Return experts within the groups that a token may use: beyond it, masked ones are picked."""
    groups: Any = getattr(module, "n_group", None) or getattr(module, "num_group", None)
    allowed: Any = getattr(module, "topk_group", None)
    if n and _whole(groups) and _whole(allowed) and groups > 1:
        return int(allowed) * (n // int(groups))
    return None


def refuse_impossible(routers: Sequence[Router], ks: Sequence[int]) -> None:
    """Refuse k that a model cannot serve.

    Raises
    ------
    InputError
        A k below 1, above the number of experts, or beyond what the router's groups allow.
    """
    fewest = min((r.n_experts for r in routers if r.n_experts), default=None)
    limit = min((r.limit for r in routers if r.limit), default=None)
    for k in ks:
        if k < 1:
            raise InputError(f"--k: {k} experts cannot be; k is 1 or more")
        if fewest is not None and k > fewest:
            raise InputError(
                f"--k: {k} is more than the {fewest} experts of a layer of this model; "
                f"give k from 1 to {fewest}"
            )
        if limit is not None and k > limit:
            raise InputError(
                f"--k: {k} is beyond this model's group limit: a token may use experts of some "
                f"groups only, {limit} in all, and masked experts would be picked; give k from 1 "
                f"to {limit}"
            )


def set_k(model: Any, routers: Sequence[Router], k: int) -> None:
    """Set k on every router, and keep the configurations in step.

    Parameters
    ----------
    model : torch.nn.Module
        Whose configurations may hold k too.
    routers : sequence of Router
        From `find_routers`.
    k : int
        Experts per token.
    """
    for router in routers:
        setattr(router.holder, router.attribute, k)
    for config, key, _ in _configured(model):
        setattr(config, key, k)


def _configured(model: Any) -> list[tuple[Any, str, int]]:
    """Find every configuration that holds k, in the model and in its modules."""
    seen: dict[int, Any] = {}

    def walk(config: Any) -> None:
        if config is None or id(config) in seen or not hasattr(config, "to_dict"):
            return
        seen[id(config)] = config
        for value in list(vars(config).values()):
            walk(value)

    for module in model.modules():
        walk(vars(module).get("config"))
    return [
        (config, key, getattr(config, key))
        for config in seen.values()
        for key in _KEYS
        if key in vars(config) and _whole(getattr(config, key))
    ]


@contextmanager
def k_restored(model: Any) -> Iterator[tuple[Router, ...]]:
    """Find the routers, and give every one its own k back on leaving."""
    routers = find_routers(model)
    before = [(router.holder, router.attribute, router.k) for router in routers]
    before += _configured(model)
    try:
        yield routers
    finally:
        for holder, attribute, value in before:
            setattr(holder, attribute, value)
