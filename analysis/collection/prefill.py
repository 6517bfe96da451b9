"""The prefill as a captured CUDA graph, for each shape of prompts and each k.

With few tokens a prefill is a queue of short kernels and takes as long as they take to launch,
whatever k is; replayed as a graph it shows what k costs. What is captured is the text model, from
the embeddings with the image's already in their places to the last token's logits. Batches without
padding only.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from analysis.collection.extra import require


class GraphedPrefill:
    """Stands for the model in `decoding.answer`: its prefill is replayed, for the k captured.

    Parameters
    ----------
    model : torch.nn.Module
        With `model.language_model` and `lm_head`, k set.
    given : mapping
        What the text model is handed (`handed`); copied.
    static : StaticCache
        The decoder's cache, filled once before by such a prompt.
    captured : bool
        Whether the prefill is captured, which needs a GPU; else it is run.
    pool : object, optional
        A pool of memory that several such graphs share.

    Raises
    ------
    Exception
        Whatever capturing raises in a model that does not allow it.
    """

    def __init__(
        self,
        model: Any,
        given: Mapping[str, Any],
        static: Any,
        *,
        captured: bool = True,
        pool: Any = None,
    ) -> None:
        self.torch, self.transformers = require()
        self.model, self.static, self.captured = model, static, captured
        self.text = model.model.language_model
        self.given = _copied(given)
        self.rows = self._rows(given)
        self.length = int(given["inputs_embeds"].shape[1])
        self.graph: Any = None
        self.logits: Any = None
        if captured:
            self._capture(pool)

    def __call__(self, **inputs: Any) -> Any:
        """Run the prefill that was prepared, whatever is given, and fill the static cache."""
        if self.captured:
            self.graph.replay()
        else:
            self.logits = self._run()
        for layer in self.static.layers:
            if hasattr(layer, "has_previous_state"):
                layer.has_previous_state.update(dict.fromkeys(layer.has_previous_state, True))
        return SimpleNamespace(logits=self.logits, past_key_values=self.static)

    def fill(self, given: Mapping[str, Any]) -> None:
        """Take another prompt of the same shape."""
        _copy(self.given, given)
        for mine, other in zip(self.rows or (), self._rows(given) or (), strict=True):
            mine.copy_(other)

    def _rows(self, given: Mapping[str, Any]) -> Any:
        """Find the image's places: to look for them waits for the device, and is not captured."""
        mask = given.get("visual_pos_masks")
        if mask is None or not hasattr(self.text, "_deepstack_process"):
            return None
        return mask.nonzero(as_tuple=True)

    def _run(self) -> Any:
        cache = self.transformers.DynamicCache(config=self.text.config)
        with _placed(self.text, self.rows):
            made = self.text(**(self.given | {"past_key_values": cache, "use_cache": True}))
        for own, fixed in zip(cache.layers, self.static.layers, strict=True):
            if hasattr(fixed, "conv_states"):
                for number, state in fixed.conv_states.items():
                    state.copy_(own.conv_states[number])
            else:
                fixed.keys[:, :, : self.length].copy_(own.keys)
                fixed.values[:, :, : self.length].copy_(own.values)
                fixed.cumulative_length.fill_(self.length)
        return self.model.lm_head(made.last_hidden_state[:, -1:])

    def _capture(self, pool: Any) -> None:
        cuda = self.torch.cuda
        side = cuda.Stream()
        side.wait_stream(cuda.current_stream())
        with cuda.stream(side):
            self._run()
        cuda.current_stream().wait_stream(side)
        self.graph = cuda.CUDAGraph()
        with cuda.graph(self.graph, pool=pool):
            self.logits = self._run()


class Prefills:
    """Captured prefills, one per shape of prompts and k.

    Parameters
    ----------
    model : torch.nn.Module
        See `GraphedPrefill`.
    static : StaticCache
        The decoder's cache, filled once before.
    captured : bool
        False: run instead of replayed.
    """

    def __init__(self, model: Any, static: Any, *, captured: bool = True) -> None:
        self.torch, _ = require()
        self.model, self.static, self.captured = model, static, captured
        self.pool = self.torch.cuda.graph_pool_handle() if captured else None
        self.made: dict[Hashable, GraphedPrefill] = {}

    def at(self, k: int, given: Mapping[str, Any]) -> GraphedPrefill:
        """Return the prefill at the k that is set, ready for what the text model is handed.

        The first call for a shape and a k captures it.
        """
        key = (k, _shape(given))
        if key in self.made:
            self.made[key].fill(given)
        else:
            self.made[key] = GraphedPrefill(
                self.model, given, self.static, captured=self.captured, pool=self.pool
            )
        return self.made[key]


class _Enough(Exception):
    pass


def handed(model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Find what a model hands its text model in a prefill; the text model is not run.

    Parameters
    ----------
    model : torch.nn.Module
        With `model.language_model`.
    inputs : mapping of str to Tensor
        Prompts of equal length, no padding; image features are replayed already.

    Returns
    -------
    dict
        Embeddings, positions and the like. Without a cache, which every run makes anew, and
        without a mask over tokens: nothing is padded.

    Raises
    ------
    AttributeError, ValueError
        A model that is built otherwise.
    """
    seen: dict[str, Any] = {}

    def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if args:
            raise ValueError("the text model is handed something without a name")
        seen.update(kwargs)
        raise _Enough

    handle = model.model.language_model.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        model(**inputs, use_cache=True, logits_to_keep=1)
    except _Enough:
        pass
    finally:
        handle.remove()
    mask = seen.get("attention_mask")
    if mask is not None and not isinstance(mask, dict) and mask.dim() == 2:
        seen["attention_mask"] = None
    for name in ("past_key_values", "logits_to_keep"):
        seen.pop(name, None)
    return seen


def _shape(value: Any) -> Hashable:
    """Describe all but the contents of tensors."""
    if isinstance(value, Mapping):
        return tuple((name, _shape(part)) for name, part in sorted(value.items()))
    if isinstance(value, list | tuple):
        return tuple(_shape(part) for part in value)
    if hasattr(value, "copy_"):
        return (tuple(value.shape), str(value.dtype))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"the text model is handed a {type(value).__name__}")


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copied(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(part) for part in value]
    return value.clone() if hasattr(value, "copy_") else value


def _copy(mine: Any, other: Any) -> None:
    """Copy the contents of tensors; the shape is the same."""
    if isinstance(mine, Mapping):
        for name, part in mine.items():
            _copy(part, other[name])
    elif isinstance(mine, list):
        for one, two in zip(mine, other, strict=True):
            _copy(one, two)
    elif hasattr(mine, "copy_"):
        mine.copy_(other)


@contextmanager
def _placed(text: Any, rows: Any) -> Iterator[None]:
    """Add deep image features by place: a mask would ask the device how many there are."""
    if rows is None:
        yield
        return

    def process(hidden_states: Any, masks: Any, embeds: Any) -> Any:
        hidden_states = hidden_states.clone()
        hidden_states[rows] = hidden_states[rows] + embeds.to(hidden_states.dtype)
        return hidden_states

    text._deepstack_process = process
    try:
        yield
    finally:
        del text._deepstack_process
