"""Answers model by model, with the models that have none and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from analysis.optimum.answer import ShiftAnswer


def unanswered_of(answers: object) -> dict[str, str]:
    """Models without an answer and why; none where the answers came as a plain sequence."""
    return answers.unanswered if isinstance(answers, Answers) else {}


class Answers(tuple[ShiftAnswer, ...]):
    """One answer per model; a model that cannot be answered does not silence the others.

    Parameters
    ----------
    found : iterable of ShiftAnswer
    unanswered : mapping of str to str
        Models without an answer, with the reason.

    Attributes
    ----------
    unanswered : dict of str to str
    """

    unanswered: dict[str, str]

    def __new__(
        cls, found: Iterable[ShiftAnswer] = (), unanswered: Mapping[str, str] | None = None
    ) -> Answers:
        """Make the tuple and keep the reasons beside it."""
        answers = super().__new__(cls, found)
        answers.unanswered = dict(unanswered or {})
        return answers

    def unanswered_to_dicts(self, metric: str) -> list[dict[str, str]]:
        """Spell what is missing, as ``optik shift --json`` appends it."""
        return [
            {"model": model, "metric": metric, "no_answer": why}
            for model, why in self.unanswered.items()
        ]
