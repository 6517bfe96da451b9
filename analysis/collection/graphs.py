"""Decoding on a cache of fixed size: layers compiled, and one captured CUDA graph per k.

At batch 1 a step's kernels are shorter than their launches, which hides what k costs; a replayed
graph has no launches, and a compiled layer has fewer kernels. Needs a model that runs with
Transformers' `StaticCache`; capturing needs a GPU.
"""

from __future__ import annotations

from typing import Any

from analysis.collection.decoding import greedy
from analysis.collection.experts import PART
from analysis.collection.extra import require
from analysis.collection.layers import FastLayers


class Graphed:
    """Computes every token by the same step, captured once per k.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    longest : int
        Most tokens of prompt and answer together.
    batch : int
        Questions at once.
    compiled : bool
        Whether the decoder layers are compiled first (`layers.FastLayers`).
    captured : bool
        Whether steps are captured, which needs a GPU; else they are run.
    more
        Settings of `FastLayers`.

    Attributes
    ----------
    logits : Tensor, shape (batch, vocabulary), or None
        Of the last step; the next one may overwrite it.

    Raises
    ------
    Exception
        Whatever compiling or capturing raises in a model that does not allow it; see
        `decoder_for`.
    """

    def __init__(
        self,
        model: Any,
        longest: int,
        *,
        batch: int = 1,
        compiled: bool = False,
        captured: bool = True,
        **more: Any,
    ) -> None:
        self.torch, transformers = require()
        # Whole parts of the cache are summed side by side (`experts.one_token_attention`).
        longest = -(-longest // PART) * PART
        self.model, self.longest, self.captured = model, longest, captured
        self.static = transformers.StaticCache(
            config=model.config.get_text_config(), max_cache_len=longest
        )
        long = {"dtype": self.torch.long, "device": model.device}
        self.tokens = self.torch.zeros((batch, 1), **long)
        self.place = self.torch.zeros((batch, 1), **long)
        self.at = self.torch.zeros(1, **long)
        self.fast = FastLayers(model, self.static, self.at, **more) if compiled else None
        self.graphs: dict[int, tuple[Any, Any]] = {}
        self.logits: Any = None
        self.side: Any = None
        parts = ("compiled layers" if compiled else "", "cuda-graph" if captured else "")
        self.name = ", ".join([part for part in parts if part] + ["static cache"])

    def cache(self, length: int) -> Any:
        """Return the fixed cache, emptied."""
        if length > self.longest:
            raise ValueError(f"{length} tokens do not fit a cache of {self.longest}")
        self.static.reset()
        return self.static

    def step(self, k: int, tokens: Any, place: int, cache: Any) -> tuple[Any, Any]:
        """Run k's step on new tokens; the first call for a k captures it."""
        self.tokens.copy_(tokens)
        self.at.fill_(place)
        # Models with positions in three dimensions keep how far an image moved them.
        moved = getattr(getattr(self.model, "model", None), "rope_deltas", None)
        self.place.fill_(place)
        if moved is not None:
            self.place.add_(moved)
        if not self.captured:
            self.logits, chosen, logprob = self._chosen()
            return chosen, logprob
        if k not in self.graphs:
            self.graphs[k] = self._capture()
        graph, (self.logits, chosen, logprob) = self.graphs[k]
        graph.replay()
        # The graph writes the next token to the same place.
        return chosen.clone(), logprob.clone()

    def _chosen(self) -> tuple[Any, Any, Any]:
        logits = self._forward()
        return (logits, *greedy(self.torch, logits))

    def _forward(self) -> Any:
        if self.fast is None:
            return self._model()
        with self.fast.working():
            return self._model()

    def _model(self) -> Any:
        made = self.model(
            input_ids=self.tokens,
            position_ids=self.place,
            past_key_values=self.static,
            use_cache=True,
        )
        return made.logits[:, -1]

    def _capture(self) -> tuple[Any, Any]:
        """Capture one step, leaving the cache as it was before."""
        cuda = self.torch.cuda
        tensors = [t for layer in self.static.layers for t in _tensors(vars(layer))]
        saved = [tensor.clone() for tensor in tensors]

        def again() -> None:
            for tensor, value in zip(tensors, saved, strict=True):
                tensor.copy_(value)

        # Compiled, warmed up and captured on one stream: compiled code may ask which it runs on.
        self.side = self.side or cuda.Stream()
        self.side.wait_stream(cuda.current_stream())
        with cuda.stream(self.side):
            for _ in range(2):
                self._chosen()
                again()
        cuda.current_stream().wait_stream(self.side)
        graph = cuda.CUDAGraph()
        with cuda.graph(graph, stream=self.side):
            made = self._chosen()
        again()
        return graph, made


def _tensors(held: Any) -> list[Any]:
    """List the tensors among values, those in dicts included: states of convolutions are there."""
    found = []
    for value in held.values():
        if isinstance(value, dict):
            found += _tensors(value)
        elif hasattr(value, "copy_") and hasattr(value, "clone"):
            found.append(value)
    return found
