"""Samples from a plain table: Parquet, CSV, TSV or JSON Lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.frames import pick, plain_columns, read_frame
from analysis.schemas import SAMPLES
from analysis.tables import json_lists

if TYPE_CHECKING:
    from analysis.manifest import Study


def read(study: Study) -> pd.DataFrame:
    """Read the samples table, its columns renamed as the manifest's `samples.columns` says.

    In CSV, a cell of the answers that is a JSON list (``["red", "dark red"]``) is that list;
    any other cell is the one answer.
    """
    samples = study.manifest.samples
    path = study.file(samples.path, "samples", "path")
    text = {samples.columns.get(c.name, c.name) for c in SAMPLES.columns if c.kind != "number"}
    # Images often lie beside the questions; their bytes are not for this table.
    columns = plain_columns(path)
    frame = read_frame(path, columns=columns, text=text)
    frame = pick(frame, samples.columns, path=path, where=study.at("samples", "columns"))
    frame = json_lists(frame, path, SAMPLES)
    # A covariate's empty cell in CSV is a gap, as it is in a number column, and not a level.
    blank = [n for n in frame.columns if n not in SAMPLES.names and (frame[n] == "").any()]
    return frame.assign(**{name: frame[name].mask(frame[name] == "") for name in blank})
