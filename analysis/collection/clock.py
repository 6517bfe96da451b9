"""Time between points of a model's work: device events on a GPU, a monotonic clock elsewhere."""

from __future__ import annotations

import time
from typing import Any

from analysis.collection.extra import require


class Clock:
    """Marks points in time and gives milliseconds between them.

    Parameters
    ----------
    device : str
        ``cuda`` or ``cpu``. On a GPU a mark is an event in the device's queue: marking does not
        wait, and the time between two marks is the device's own. Elsewhere it is
        `time.perf_counter`.
    """

    def __init__(self, device: str) -> None:
        self.torch, _ = require()
        self.events = device.startswith("cuda")

    @property
    def name(self) -> str:
        """Which clock it is, for the provenance."""
        return "device events" if self.events else "time.perf_counter"

    def mark(self) -> Any:
        """Mark this point."""
        if self.events:
            event = self.torch.cuda.Event(enable_timing=True)
            event.record()
            return event
        return time.perf_counter()

    def wait(self) -> None:
        """Wait until the device has done what it was given."""
        if self.events:
            self.torch.cuda.synchronize()

    def ms(self, start: Any, stop: Any) -> float:
        """Milliseconds from one mark to another; call `wait` first."""
        if self.events:
            return float(start.elapsed_time(stop))
        return float(stop - start) * 1e3
