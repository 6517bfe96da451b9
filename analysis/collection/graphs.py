"""Decoding by CUDA graphs: one captured step per k, on a cache of fixed size.

At batch 1 a step's kernels are shorter than their launches, which hides what k costs; a replayed
graph has no launches. Needs a GPU and a model that runs with Transformers' `StaticCache`.
"""

from __future__ import annotations

from typing import Any

from analysis.collection.extra import require


class Graphed:
    """Replays a captured step for every token; batch 1.

    Parameters
    ----------
    model : torch.nn.Module
        On a GPU.
    longest : int
        Most tokens of prompt and answer together.

    Raises
    ------
    Exception
        Whatever capturing raises in a model that does not allow it; see `decoder_for`.
    """

    name = "cuda-graph, static cache"

    def __init__(self, model: Any, longest: int) -> None:
        self.torch, transformers = require()
        self.model = model
        self.static = transformers.StaticCache(
            config=model.config.get_text_config(), max_cache_len=longest
        )
        self.longest = longest
        device = model.device
        self.tokens = self.torch.zeros((1, 1), dtype=self.torch.long, device=device)
        self.place = self.torch.zeros((1, 1), dtype=self.torch.long, device=device)
        self.graphs: dict[int, tuple[Any, Any]] = {}

    def cache(self, length: int) -> Any:
        """Return the fixed cache, emptied."""
        if length > self.longest:
            raise ValueError(f"{length} tokens do not fit a cache of {self.longest}")
        self.static.reset()
        return self.static

    def step(self, k: int, tokens: Any, place: int, cache: Any) -> Any:
        """Replay k's step on new tokens; the first call for a k captures it."""
        self.tokens.copy_(tokens)
        # Models with positions in three dimensions keep how far an image moved them.
        moved = getattr(getattr(self.model, "model", None), "rope_deltas", None)
        self.place.fill_(place)
        if moved is not None:
            self.place.add_(moved)
        if k not in self.graphs:
            self.graphs[k] = self._capture()
        graph, logits = self.graphs[k]
        graph.replay()
        return logits

    def _forward(self) -> Any:
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
        saved = [
            {name: value.clone() for name, value in vars(layer).items() if _is_tensor(value)}
            for layer in self.static.layers
        ]
        side = cuda.Stream()
        side.wait_stream(cuda.current_stream())
        with cuda.stream(side):
            for _ in range(2):
                self._forward()
                self._restore(saved)
        cuda.current_stream().wait_stream(side)
        graph = cuda.CUDAGraph()
        with cuda.graph(graph):
            logits = self._forward()
        self._restore(saved)
        return graph, logits

    def _restore(self, saved: list[dict[str, Any]]) -> None:
        for layer, values in zip(self.static.layers, saved, strict=True):
            for name, value in values.items():
                getattr(layer, name).copy_(value)


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "copy_") and hasattr(value, "clone")
