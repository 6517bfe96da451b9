"""Rows on disk while a table is made, so that their number does not matter to the memory."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from complexity.errors import InputError
from complexity.rows import (
    FIXED,
    NotATable,
    Row,
    basis,
    ended_its_process,
    lasting,
    parted,
    read_batches,
)

_SCHEMA = """
CREATE TABLE known (image_id TEXT, sha256 TEXT, body TEXT, PRIMARY KEY (image_id, sha256))
    WITHOUT ROWID;
CREATE TABLE finished (image_id TEXT PRIMARY KEY, sha256 TEXT, body TEXT) WITHOUT ROWID;
CREATE TABLE suspect (image_id TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_READ = 1024


class Ledger:
    """What earlier tables say of images, and the rows finished so far, in the order of their ids.

    It lies in a private temporary file of SQLite's, which the system removes when the process
    ends, however it ends: nothing is ever read from it by another run. Small tables never
    leave the memory.

    Parameters
    ----------
    about : mapping
        What the numbers shall rest on, as `complexity.rows.to_table` takes it.
    """

    def __init__(self, about: Mapping[str, Any]) -> None:
        self._about = about
        # The empty name is SQLite's for a file of its own in the system's temporary folder.
        self._base = sqlite3.connect("", isolation_level=None)
        # A lost temporary file is lost whole: nothing to journal, nothing to wait for.
        self._base.executescript(
            f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -2048; "
            f"{_SCHEMA}"
        )

    def close(self) -> None:
        """Give the file back."""
        self._base.close()

    def add_known(self, path: Path) -> None:
        """Take what can be used from a table, which may be absent, foreign or damaged.

        That is: rows with the same image policy, and in them metrics computed from the image
        by the same version with the same parameters (of a detector: the same model).
        """
        with _disk(), self._at_once():
            try:
                for table in read_batches(path, _READ):
                    theirs = basis(table)
                    if theirs["policy"] != self._about["policy"]:
                        return
                    for row in _usable(table, theirs["metrics"], self._about["metrics"]):
                        self._add(row)
            except NotATable:
                # What was read before the damage is sound: its checksums agree.
                return

    def _add(self, row: Row) -> None:
        if ended_its_process(row.error):
            self._base.execute("INSERT OR IGNORE INTO suspect VALUES (?)", (row.image_id,))
        if row.error is not None and not lasting(row.error):
            return
        earlier = self.known([row.image_id]).get(row.image_id, {}).get(row.sha256 or "")
        if earlier is not None:
            row.values = earlier.values | row.values
            row.reasons = earlier.reasons | row.reasons
        self._base.execute("INSERT OR REPLACE INTO known VALUES (?, ?, ?)", _stored(row))

    def known(self, ids: Sequence[str]) -> dict[str, dict[str, Row]]:
        """Look up what is known of some images.

        Returns
        -------
        dict of str to dict of str to Row
            By image id and SHA-256; images of which nothing is known are left out.
        """
        found: dict[str, dict[str, Row]] = {}
        for image_id in ids:
            for stored in self._base.execute("SELECT * FROM known WHERE image_id = ?", (image_id,)):
                row = _restored(stored)
                found.setdefault(image_id, {})[row.sha256 or ""] = row
        return found

    def n_known(self) -> int:
        """Count the images of which something is known."""
        return self._count("SELECT COUNT(DISTINCT image_id) FROM known")

    def has_suspects(self) -> bool:
        """Tell whether an earlier table names images that ended their process."""
        return self._count("SELECT COUNT(*) FROM suspect") > 0

    def completed(self, fresh: Row) -> Row:
        """Return a measured image with what was known of the same bytes."""
        if fresh.error is not None or not fresh.sha256:
            return fresh
        earlier = self.known([fresh.image_id]).get(fresh.image_id, {}).get(fresh.sha256)
        if earlier is None:
            return fresh
        if fresh.unchanged:
            return earlier
        fresh.values = earlier.values | fresh.values
        fresh.reasons = earlier.reasons | fresh.reasons
        return fresh

    def finish(self, rows: Iterable[Row]) -> None:
        """Take rows as they shall stand in the table; a second one of an image replaces it."""
        with _disk(), self._at_once():
            self._base.executemany(
                "INSERT OR REPLACE INTO finished VALUES (?, ?, ?)", map(_stored, rows)
            )

    def n_finished(self) -> int:
        """Count the rows finished."""
        return self._count("SELECT COUNT(*) FROM finished")

    def is_finished(self, image_id: str) -> bool:
        """Tell whether an image has its row."""
        found = self._base.execute("SELECT 1 FROM finished WHERE image_id = ?", (image_id,))
        return found.fetchone() is not None

    def finished(self, rows: int) -> Generator[list[Row]]:
        """Yield the rows finished, ordered by id (code points), so many at a time."""
        with _disk():
            cursor = self._base.execute("SELECT * FROM finished ORDER BY image_id")
            while batch := cursor.fetchmany(rows):
                yield [_restored(stored) for stored in batch]

    @contextmanager
    def _at_once(self) -> Generator[None]:
        self._base.execute("BEGIN")
        yield
        self._base.execute("COMMIT")

    def _count(self, query: str) -> int:
        return int(self._base.execute(query).fetchone()[0])


@contextmanager
def _disk() -> Generator[None]:
    """Word that the temporary folder is full."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise InputError(
            f"rows cannot be kept in the system's temporary folder ({error}): free some space "
            "there or set SQLITE_TMPDIR to another folder; the same command resumes."
        ) from None


def _stored(row: Row) -> tuple[str, str | None, str]:
    body = [row.width, row.height, row.error, row.values, row.reasons]
    # JSON spells a double so that it is read back as the same double.
    return row.image_id, row.sha256, json.dumps(body, ensure_ascii=False)


def _restored(stored: tuple[str, str | None, str]) -> Row:
    image_id, sha256, body = stored
    return Row(image_id, sha256, *json.loads(body))


def _usable(table: Any, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Generator[Row]:
    """Read the rows of a table, with the metrics that can be used."""
    usable = {
        name: table.column(name).to_pylist()
        for name, entry in theirs.items()
        if entry == ours.get(name) and entry["source"] != "annotations"
    }
    fixed = zip(*(table.column(name).to_pylist() for name in FIXED[1:]), strict=True)
    for n, (image_id, sha256, width, height, text) in enumerate(fixed):
        if sha256 is None or image_id is None:
            continue
        error, reasons = parted(text, theirs)
        row = Row(image_id, sha256, width, height, error)
        for name, values in usable.items():
            if values[n] is not None:
                row.values[name] = values[n]
            elif name in reasons and lasting(reasons[name]):
                row.reasons[name] = reasons[name]
        yield row
