"""What a reader of an evaluation log is asked for, what it gives, and what can be wrong."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis.frames import texts
from complexity.errors import SHOWN, InputError, did_you_mean, listing

LENIENT = "or import leniently, which leaves them out"

PROMPT, TARGET, ANSWER = "_prompt", "_target", "_answer"
"""Columns of a log's frame that only serve to compare logs with each other and with samples."""


@dataclass(frozen=True)
class Problem:
    """Something that a user should know of a log.

    Attributes
    ----------
    file : str
        The log.
    what, remedy : str
        What is wrong and how to mend it; a note has no remedy.
    level : {"problem", "note"}
        Strict mode refuses problems. Notes say what was converted or taken.
    """

    file: str
    what: str
    remedy: str = ""
    level: Literal["problem", "note"] = "problem"

    def __str__(self) -> str:
        return f"{self.file}: {self.what}" + (f"; {self.remedy}" if self.remedy else "")


@dataclass(frozen=True)
class Asked:
    """What to take from a log.

    Attributes
    ----------
    key : str or None
        Field that names the sample; None for the format's own.
    metric : str or None
        Which metric is the score; ``none`` for predictions only; None: the only one there is.
    filter : str or None
        lm-evaluation-harness: which filter's rows.
    percent : bool
        Scores are percent.
    prediction : str or None
        Field with the prediction; None for the format's own.
    fields : tuple of str
        Further fields to carry along under their own names.
    """

    key: str | None = None
    metric: str | None = None
    filter: str | None = None
    percent: bool = False
    prediction: str | None = None
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Log:
    """A log as read.

    Attributes
    ----------
    frame : DataFrame
        `sample_id`, `score` and `prediction` as far as the log has them, the further fields, and
        the columns for comparisons; the index is the row's place in the file.
    metadata : mapping
        What the run says of itself: its results file, or the log's own head.
    version : str
        The task and its version, or empty.
    problems : tuple of Problem
        Rows that were left out, conversions.
    """

    frame: pd.DataFrame
    metadata: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    problems: tuple[Problem, ...] = ()


LogReader = Callable[[Path, Asked], Log]


def fingerprint(text: str) -> int:
    """Return 63 bits of a text's BLAKE2b hash: enough to compare texts without keeping them."""
    return (
        int.from_bytes(blake2b(text.encode(errors="replace"), digest_size=8).digest(), "big") >> 1
    )


def dig(row: Mapping[str, Any], name: str) -> Any:
    """Return a field, dots leading into inner objects; None where there is none."""
    if name in row:
        return row[name]
    value: Any = row
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def whole_text(value: Any) -> Any:
    """Return a text with half characters replaced by U+FFFD; anything else unchanged.

    A model's tokens may end within a character; JSON then holds half of a UTF-16 pair, which no
    table can store.
    """
    if not isinstance(value, str) or value.isascii():
        return value
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def number(value: Any) -> float | None:
    """Return a JSON number or truth value as float, None for anything else."""
    return float(value) if isinstance(value, bool | int | float) else None


def one_text(value: Any) -> str | None:
    """Return a reply that is one text, or the only text of a list; else None."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, str) else None


class Collector:
    """Rows of a log, one at a time, kept as small as they can be.

    Parameters
    ----------
    path : Path
        The log.
    asked : Asked
        What to take.
    key, prediction : str
        The format's own fields for the sample and the reply.
    """

    def __init__(self, path: Path, asked: Asked, key: str, prediction: str) -> None:
        self.path = path
        self.asked = asked
        self.key = asked.key or key
        self.prediction = asked.prediction or prediction
        self.problems: list[Problem] = []
        self._places = array("q")
        self._ids: list[str | None] = []
        self._predictions: list[str | None] = []
        self._prompts = array("q")
        self._targets = array("q")
        self._answers: list[str | None] = []
        self._metrics: dict[str, tuple[array[int], array[float]]] = {}
        self._fields: dict[str, list[Any]] = {name: [] for name in asked.fields}
        self._names: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def add(
        self,
        place: int,
        row: Mapping[str, Any],
        metrics: Mapping[str, Any],
        *,
        prediction: str | None,
        prompt: str | None = None,
        target: str | None = None,
    ) -> None:
        """Take in a row: its place in the file, its fields, the metrics among them."""
        self._names.update(dict.fromkeys(row))
        at = len(self._ids)
        self._places.append(place)
        self._ids.append(whole_text(_identity(dig(row, self.key))))
        asked = self.asked.prediction
        said = prediction if asked is None else one_text(dig(row, asked))
        self._predictions.append(whole_text(said))
        target = whole_text(target)
        self._prompts.append(-1 if prompt is None else fingerprint(prompt))
        self._targets.append(-1 if target is None else fingerprint(target))
        self._answers.append(target if target is not None and len(target) <= 200 else None)
        for name, values in self._fields.items():
            values.append(whole_text(dig(row, name)))
        for name, value in self._scores(metrics).items():
            places, scores = self._metrics.setdefault(name, (array("q"), array("d")))
            places.append(at)
            scores.append(value)

    def _scores(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, value in metrics.items():
            # A metric is a number, or an object that holds its number as `score`.
            inner = isinstance(value, Mapping) and "score" in value
            given = number(value["score"] if inner else value)
            if given is not None:
                found[f"{name}.score" if inner else name] = given
        asked = self.asked.metric
        if asked not in (None, "none") and asked not in found:
            given = number(dig(metrics, str(asked)))
            if given is not None:
                found[str(asked)] = given
        return found

    def finish(self) -> pd.DataFrame:
        """Return the rows as a frame; what is wrong with them is in `problems`.

        Raises
        ------
        InputError
            No rows, no ids, several metrics of which none was chosen, percents not declared.
        """
        if not self._ids:
            wrong = "".join(f"\n{item}" for item in self.problems if item.level == "problem")
            raise InputError(f"{self.path}: no rows in it; give one row per measurement{wrong}")
        if all(name is None for name in self._ids):
            raise InputError(
                f"{self.path}: no field '{self.key}'{did_you_mean(self.key, self._names)}, which "
                f"names the sample; the rows have {listing(self._names, shown=12)}; name the "
                "right one as sample_id among columns"
            )
        frame = pd.DataFrame(
            {"sample_id": texts(self._ids)}, index=pd.Index(np.array(self._places, dtype=np.int64))
        )
        frame["sample_id"] = texts(self._ids, index=frame.index)
        score = self._score(len(frame))
        if score is not None:
            frame["score"] = score
        if any(text is not None for text in self._predictions):
            frame["prediction"] = texts(self._predictions, index=frame.index)
        elif self.asked.prediction is not None or score is None:
            missing = self.prediction
            raise InputError(
                f"{self.path}: no field '{missing}'{did_you_mean(missing, self._names)} with one "
                f"text, which holds the prediction; the rows have "
                f"{listing(self._names, shown=12)}; name the right one as prediction among columns"
            )
        for name, values in self._fields.items():
            frame[name] = pd.Series(values, index=frame.index, dtype=object)
        frame[PROMPT] = np.array(self._prompts, dtype=np.int64)
        frame[TARGET] = np.array(self._targets, dtype=np.int64)
        frame[ANSWER] = pd.Series(self._answers, index=frame.index, dtype=object)
        return self._whole(frame)

    def _score(self, rows: int) -> np.ndarray | None:
        name = self.asked.metric
        if name == "none":
            return None
        known = tuple(self._metrics)
        if name is None:
            if not known:
                return None
            if len(known) > 1:
                raise InputError(
                    f"{self.path}: several metrics ({listing(known, shown=12)}); name the one "
                    f"that is the score: metric: {known[0]} (--metric {known[0]})"
                )
            name = known[0]
        elif name not in known:
            has = f"it has {listing(known, shown=12)}" if known else "it has none with numbers"
            raise InputError(
                f"{self.path}: no metric '{name}'{did_you_mean(name, known)}; {has}; name another, "
                "or none to score the predictions by the manifest's rule"
            )
        places, values = self._metrics[name]
        score = np.full(rows, np.nan)
        score[np.array(places)] = np.array(values)
        top = float(np.fmax.reduce(score, initial=0.0))  # rows without a score: see `_whole`
        if self.asked.percent:
            if top <= 1:
                raise InputError(
                    f"{self.path}: percent is asked for, but no {name} is above 1; leave percent "
                    "out"
                )
            score /= 100
            self.note(f"{name}: percent, divided by 100")
        elif 1 < top <= 100:
            raise InputError(
                f"{self.path}: {name} reaches {top:g}, and scores are in [0, 1]; if it is "
                "percent, say so: percent: true (--percent)"
            )
        self.note(f"score: {name}")
        return score

    def _whole(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Leave out rows without an id, a score or (where there are no scores) a reply."""
        row = self.row_name
        needed = "score" if "score" in frame else "prediction"
        for name, said in (("sample_id", self.key), (needed, needed)):
            gone = np.flatnonzero(frame[name].isna().to_numpy())
            if len(gone):
                self.problem(
                    f"no {said} in {listing(row(int(i)) for i in frame.index[gone])}",
                    f"correct these rows, {LENIENT}",
                )
                frame = frame.drop(index=frame.index[gone])
        again = np.flatnonzero(frame["sample_id"].duplicated(keep=False).to_numpy())
        if len(again):
            ids = frame["sample_id"].iloc[again]
            first = ids.iloc[0]
            rows = listing(row(int(i)) for i in ids.index[(ids == first).to_numpy()])
            self.problem(
                f"{self.key} {listing(map(repr, ids.unique()))} more than once ({first!r} in "
                f"{rows})",
                "a log that was appended to, or a task with several filters, has each sample "
                f"several times: keep one of them, {LENIENT}",
            )
            frame = frame[~frame["sample_id"].duplicated(keep=False)]
        if frame.empty:
            raise InputError(f"{self.problems[-1]}")
        return frame

    def row_name(self, place: int) -> str:
        """Name a row for messages by its place (0-based) in the file."""
        return f"row {place + 1:,}"

    def problem(self, what: str, remedy: str) -> None:
        """Take down what strict mode refuses."""
        self.problems.append(Problem(str(self.path), what, remedy))

    def note(self, what: str) -> None:
        """Take down what was taken or converted."""
        self.problems.append(Problem(str(self.path), what, level="note"))


def _identity(value: Any) -> str | None:
    """Spell an id as text: whole numbers without a decimal point."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else None
    return str(value) if isinstance(value, int) else None


def refuse(problems: Sequence[Problem]) -> None:
    """Refuse what strict mode refuses.

    Raises
    ------
    InputError
        All problems, the first five spelled out.
    """
    wrong = [str(item) for item in problems if item.level == "problem"]
    if wrong:
        more = [f"and {len(wrong) - SHOWN:,} more problems"] if len(wrong) > SHOWN else []
        raise InputError("\n".join([*wrong[:SHOWN], *more]))
