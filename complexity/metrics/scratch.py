"""Large arrays kept from image to image: new memory costs more time than most metrics do."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Elements; what one huge image needed is not held for ever.
KEPT = 1 << 21


class Scratch(threading.local):
    """Arrays of any content by name, for one thread and one use at a time."""

    def __init__(self) -> None:
        self.kept: dict[str, NDArray[Any]] = {}

    def get(self, name: str, length: int, dtype: Any) -> NDArray[Any]:
        """Give an array; the next call with the same name gives the same memory."""
        array = self.kept.get(name)
        if array is None or len(array) < length:
            array = np.empty(length, dtype=dtype)
            if length <= KEPT:
                self.kept[name] = array
        return array[:length]

    def shaped(self, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Give an array of a shape."""
        length = 1
        for side in shape:
            length *= side
        return self.get(name, length, dtype).reshape(shape)
