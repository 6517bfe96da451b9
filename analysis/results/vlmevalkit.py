"""Predictions of VLMEvalKit (``MODEL_DATASET.xlsx``, ``.tsv`` or ``.json``).

Format: commit 75571cfe of open-compass/VLMEvalKit, ``vlmeval/inference.py`` (`infer_data_job`) and
``vlmeval/smp/file.py`` (`dump`; ``PRED_FORMAT`` chooses). The columns of the data set's own table
(`index`, `question`, `answer`, options …) without the image, and `prediction`. There is no score;
files of its judges add one, such as `hit`, which `metric` names. A request that failed leaves
"Failed to obtain answer".
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from analysis.frames import column_names, read_frame
from analysis.json_stream import list_items
from analysis.results.logs import LENIENT, Asked, Collector, Log, dig
from complexity.errors import InputError, did_you_mean, listing

_FAILED = "Failed to obtain answer"


def read(path: Path, asked: Asked) -> Log:
    """Read a sheet; see `analysis.results.logs`."""
    log = Collector(path, asked, "index", "prediction")
    failed: list[int] = []
    empty = 0
    for place, row in _rows(path):
        if not log and not failed:
            _require(path, row, (log.key, log.prediction))
        said = dig(row, log.prediction)
        # A sheet cannot tell an empty text from an empty cell: the model answered nothing.
        text = "" if said is None else str(said)
        empty += not text
        if text.startswith(_FAILED):
            failed.append(place)
            continue
        question, answer = row.get("question"), row.get("answer")
        metrics = (
            {} if asked.metric in (None, "none") else {asked.metric: _number(row, asked.metric)}
        )
        log.add(
            place,
            row | {log.prediction: text},
            metrics,
            prediction=text,
            prompt=None if question is None else str(question),
            target=None if answer is None else str(answer),
        )
    if failed:
        log.problem(
            f"{len(failed):,} predictions say '{_FAILED}': "
            f"{listing(log.row_name(place) for place in failed)}",
            f"run the evaluation again with --reuse, which repeats these, {LENIENT}",
        )
    if empty:
        log.note(f"{empty:,} empty predictions: the model answered nothing")
    return Log(log.finish(), problems=tuple(log.problems))


def _number(row: dict[str, Any], name: str | None) -> Any:
    value = dig(row, str(name))
    return value if isinstance(value, bool | int | float) and value == value else None


def _require(path: Path, row: dict[str, Any], names: tuple[str, ...]) -> None:
    for ours, name in zip(("sample_id", "prediction"), names, strict=True):
        if dig(row, name) is None and name not in row:
            raise InputError(
                f"{path}: no column '{name}'{did_you_mean(name, row)}; its columns are "
                f"{listing(row, shown=12)}; name the right one: columns: {{{ours}: …}} "
                f"(--column {ours}=…)"
            )


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    suffix = path.suffix.lower()
    if suffix == ".xlsx":
        return _sheet(path)
    if suffix == ".json":
        return _listed(path)
    if suffix in (".tsv", ".csv"):
        return _delimited(path)
    raise InputError(
        f"{path}: VLMEvalKit's predictions end in .xlsx, .tsv or .json; this ends in "
        f"'{path.suffix}': open it with pandas and save it as one of these"
    )


def _listed(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for place, row in enumerate(list_items(path)):
        if not isinstance(row, dict):
            raise InputError(f"{path}: element {place + 1:,} is not an object; is format right?")
        yield place, row


def _delimited(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    _refuse_cut_off(path)
    frame = read_frame(path, text=("prediction", "answer", "question"))
    names = [str(name) for name in frame.columns]
    for place, values in enumerate(frame.itertuples(index=False, name=None)):
        yield place, dict(zip(names, values, strict=True))


def _refuse_cut_off(path: Path) -> None:
    """Refuse a file whose last line ends without a line break and lacks columns.

    Its prediction would read as an empty one, which is an answer.
    """
    names = column_names(path) or []
    with open(path, "rb") as handle:
        handle.seek(0, os.SEEK_END)
        handle.seek(max(0, handle.tell() - 100_000))  # csv reads no longer cell
        last = handle.read().decode("utf-8", "replace").rpartition("\n")[2]
    if not last.strip() or last.count('"') % 2:  # the latter: the end of a cell with several lines
        return
    cells = next(csv.reader([last], delimiter="\t" if path.suffix.lower() == ".tsv" else ","))
    if len(cells) < len(names):
        raise InputError(
            f"{path}: the last line is half-written ({last[:40]!r}); let the evaluation finish, or "
            "delete the line"
        )


def _sheet(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    import zipfile

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, InvalidFileException) as error:
        raise InputError(
            f"{path}: cannot be read as a sheet ({error}); is it whole, and .xlsx?"
        ) from None
    try:
        names: list[str] | None = None
        place = 0
        for cells in book.worksheets[0].iter_rows(values_only=True):
            if names is None:
                names = ["" if cell is None else str(cell) for cell in cells]
                continue
            if all(cell is None for cell in cells):
                continue
            yield place, {name: cell for name, cell in zip(names, cells, strict=False) if name}
            place += 1
    finally:
        book.close()
