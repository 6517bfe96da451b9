"""Worst deviation of each golden mixed-model fit from lme4 and lmerTest, as a table.

    python benchmarks/parity.py > docs/parity.md

The reference fits, and the R script that made them, are those of the tests (tests/golden/glmm).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from analysis.mixed import MixedFit, fit

# The tests know how R's names and formulas are spelled here.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from test_mixed_engine import CASES, in_python, ours, table

HEAD = """# Agreement with lme4 and lmerTest

`python benchmarks/parity.py > docs/parity.md`

Every fit of `tests/golden/glmm` (its script fits them in R, tightly, from several starting
points). Estimates: largest difference in standard errors. SE, SD (standard deviations and
correlations of random effects) and df: largest relative difference; SD below .001 are compared
absolutely. Log-likelihood: ours less R's.
"""


def spread_of_components(found: MixedFit, truth: list[dict[str, Any]]) -> float:
    """Largest deviation of standard deviations and correlations of random effects."""
    known = {(c.group, frozenset({c.term, c.term2 or c.term})): c.sd_or_corr for c in found.random}
    worst = 0.0
    for row in truth:
        group = re.sub(r"\.\d$", "", row["grp"]).replace(".", ":")
        second = ours(row["var2"] or row["var1"]) if row.get("var2") else ours(row["var1"])
        value = known[(group, frozenset({ours(row["var1"]), second}))]
        if row["sdcor"] is None or np.isnan(value):
            continue
        scale = abs(row["sdcor"]) if abs(row["sdcor"]) > 1e-3 else 1.0
        worst = max(worst, abs(value - row["sdcor"]) / scale)
    return worst


def main() -> None:
    """Print the table."""
    print(HEAD)
    print("| data | formula | method | estimates | SE | SD | df | log-likelihood | singular |")
    print("|---" * 9 + "|")
    for case in CASES:
        data = table(case["data"])
        found = fit(in_python(case["formula"]), data, family=case["family"], method=case["method"])
        order = [found.names.index(ours(name)) for name in case["names"]]
        se = np.sqrt(np.diag(case["cov"]))
        freedom = "z"
        if found.df is not None:
            freedom = f"{np.abs(np.asarray(found.df)[order] / case['df'] - 1).max():.0e}"
        cells = [
            case["data"],
            f"`{case['formula']}`".replace("|", "\\|"),
            case["method"].upper() if case["family"] == "gaussian" else "Laplace",
            f"{np.abs((found.params[order] - case['params']) / se).max():.0e}",
            f"{np.abs(found.bse[order] / se - 1).max():.0e}",
            f"{spread_of_components(found, case['random']):.0e}",
            freedom,
            f"{(found.loglik or np.nan) - case['loglik']:+.0e}",
            "both" if found.singular and case["singular"] else "neither",
        ]
        if found.singular != case["singular"]:
            cells[-1] = "one of them"
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
