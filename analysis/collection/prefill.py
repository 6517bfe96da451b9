"""The prefill as one captured CUDA graph, for one shape of prompts and one k.

With few tokens a prefill is a queue of short kernels and takes as long as they take to launch,
whatever k is; replayed as a graph it shows what k costs. What is captured is the text model, from
the embeddings with the image's already in their places to the last token's logits. Batches without
padding only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    inputs : mapping of str to Tensor
        Prompts of equal length, no padding; image features are replayed already.
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
        inputs: Mapping[str, Any],
        static: Any,
        *,
        captured: bool = True,
        pool: Any = None,
    ) -> None:
        self.torch, self.transformers = require()
        self.model, self.static, self.captured = model, static, captured
        self.text = model.model.language_model
        self.given = self._given(inputs)
        mask: Any = self.given.get("visual_pos_masks")
        deep = mask is not None and hasattr(self.text, "_deepstack_process")
        # Finding the image's places waits for the device, so that it cannot be captured.
        self.rows = mask.nonzero(as_tuple=True) if deep else None
        self.length = int(inputs["input_ids"].shape[1])
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

    def _given(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Take what the text model is handed in a prefill."""
        seen: dict[str, Any] = {}

        def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            seen.update(kwargs)

        handle = self.text.register_forward_pre_hook(hook, with_kwargs=True)
        try:
            self.model(**inputs, use_cache=True, logits_to_keep=1)
        finally:
            handle.remove()
        # Nothing is padded, and the cache is made anew for every run.
        seen["attention_mask"] = None
        seen.pop("past_key_values", None)
        seen.pop("logits_to_keep", None)
        return seen

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
