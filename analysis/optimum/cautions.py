"""What is said wherever a method is called that rejects true nulls too often.

The rates are those of docs/operating_characteristics.md: simulated studies of known truth, level
.05. A method that rejects a true null in more than .071 of the sets of some study is no headline.
"""

from __future__ import annotations

from analysis.numerals import number

#: Largest share of true nulls rejected, by method (docs/operating.json).
INTERACTION_LOGIT = 0.099
INTERACTION_PROBABILITY = 0.242
INTERACTION_BOTH = 0.071
QUADRATIC_TEST = 0.996
QUADRATIC_SHOWN = 0.172


def _share(value: float) -> str:
    return number(value, 3, leading_zero=False)


INTERACTION = (
    "no headline on this scale alone: where no question's own curve changed, simulated studies "
    "rejected in up to {} on the logit scale and {} on the probability scale (level .05; both at "
    "once in up to {})"
).format(*map(_share, (INTERACTION_LOGIT, INTERACTION_PROBABILITY, INTERACTION_BOTH)))
QUADRATIC = (
    "no headline: where the best k did not move, simulated studies rejected in up to "
    f"{_share(QUADRATIC_TEST)} (level .05), and in up to {_share(QUADRATIC_SHOWN)} while a size "
    "was given; the test of a common optimum decides"
)
#: One short note for a reader of the whole answer.
SHORT = (
    "An interaction on one scale alone and the quadratic's no-shift test reject true nulls too "
    "often to be a headline (docs/operating_characteristics.md)."
)
