"""One image: what is wanted of it, and its measuring."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from complexity.files import sha256_bytes
from complexity.image import UnreadableImage, prepare
from complexity.registry import Function, UndefinedMetric
from complexity.rows import Row, of_exception, one_line
from complexity.sources import ImageItem


@dataclass(frozen=True)
class Task:
    """One image to measure.

    Attributes
    ----------
    item : ImageItem
        The image. One with a path is read where it is measured.
    missing : tuple of str
        Metrics to compute if the bytes are those of `sha256`; else all are computed.
    sha256 : str or None
        Hexadecimal; the bytes for which the other metrics are known already.
    """

    item: ImageItem
    missing: tuple[str, ...] = ()
    sha256: str | None = None


def measure_image(task: Task, functions: Mapping[str, Function]) -> Row:
    """Read, decode and measure one image.

    Parameters
    ----------
    task : Task
        The image and what is wanted of it.
    functions : mapping of str to callable
        Every metric by name.

    Returns
    -------
    Row
        Errors are in it; nothing but what stops a program is raised. `unchanged` is set, and
        nothing was decoded, where the bytes are those of the task's `sha256` and no metric
        is missing.
    """
    row = Row(task.item.image_id)
    try:
        data = task.item.read()
        row.sha256 = sha256_bytes(data)
        if row.sha256 == task.sha256 and not task.missing:
            row.unchanged = True
            return row
        image = prepare(data)
    except UnreadableImage as error:
        row.error = one_line(str(error))
        return row
    except OSError as error:
        # The text of a system's error holds a path of this machine; its reason alone does not.
        row.error = one_line(f"cannot be read: {error.strerror or error}")
        return row
    except Exception as error:
        row.error = of_exception(error)
        return row
    row.width, row.height = image.width, image.height
    for name in task.missing if row.sha256 == task.sha256 else functions:
        try:
            value = float(image.shared(functions[name]))
        except UndefinedMetric as error:
            row.reasons[name] = one_line(str(error))
        except Exception as error:
            row.reasons[name] = of_exception(error)
        else:
            if math.isfinite(value):
                row.values[name] = value
            else:
                row.reasons[name] = f"the metric gave {value}"
    return row
