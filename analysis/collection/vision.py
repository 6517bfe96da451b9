"""Encode the images of a batch once, and replay that in every pass with another k.

The vision tower does not depend on k. Transformers' models call their own
`get_image_features` in every prefill; for the time of a batch it is replaced on the live model by
what it returned once.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_METHOD = "get_image_features"


class VisionOnce:
    """The image features of one batch at a time.

    Parameters
    ----------
    model : torch.nn.Module
        A Transformers model that takes images.

    Attributes
    ----------
    replayed : int
        How often a pass took the features instead of computing them.
    """

    def __init__(self, model: Any) -> None:
        inner = getattr(model, "model", None)
        self.owner = inner if hasattr(inner, _METHOD) else model
        self.replayed = 0

    @property
    def possible(self) -> bool:
        """Whether the model has a step of its own for images."""
        return hasattr(self.owner, _METHOD)

    def encode(self, inputs: Mapping[str, Any]) -> Any:
        """Run the vision tower.

        Parameters
        ----------
        inputs : mapping
            The model's inputs; those that the vision step knows are handed to it.

        Returns
        -------
        object
            What the step returns.
        """
        method = getattr(self.owner, _METHOD)
        known = inspect.signature(method).parameters
        # mm_token_type_ids and the like are taken by **kwargs in some models: names only.
        return method(**{name: value for name, value in inputs.items() if name in known})

    @contextmanager
    def replaying(self, features: Any) -> Iterator[None]:
        """Let the model take these features instead of encoding the images again."""

        def replay(*args: Any, **kwargs: Any) -> Any:
            self.replayed += 1
            # A shallow copy: some models put processed features back into the output object.
            return copy.copy(features)

        setattr(self.owner, _METHOD, replay)
        try:
            yield
        finally:
            delattr(self.owner, _METHOD)
