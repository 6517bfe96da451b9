"""Time mixed-model fits: Optik and its peers on simulated VQA answers, in one run.

Each cell is a process of its own: CPU seconds of the whole call (least of `--repeats`), for Optik
also of the fit alone, peak memory of the fit, and how far the log-likelihood is from the best
of the row: who is faster because he stopped short is not faster. The engines other than Optik,
statsmodels and R's are those of the extra `bench`; what is not installed is left out, and said.

    python benchmarks/mixed_models.py                     18,000 rows, every engine
    python benchmarks/mixed_models.py --rows 300000 --engines optik,glmm,lme4,lme4-tight
    python benchmarks/mixed_models.py --special           125,066 groups; 3,000 x 1,100 crossed

With `-o FILE` figures are kept: the same command goes on where it was stopped, `--again optik`
measures one engine anew beside the others' figures, `--print` only prints.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from mixed_designs import CASES, SPECIAL, Case, table

HERE = Path(__file__).parent
#: Engine and the module that it needs; None for R's.
ENGINES = {
    "optik": "analysis",
    "glmm": "glmm",
    "mixedlm": "mixedlm",
    "mixedlm-rs": "mixedlm_rs",
    "lme-python": "lme_python",
    "interlace": "interlace",
    "gpboost": "gpboost",
    "statsmodels": "statsmodels",
    "glmmTMB": None,
    "lme4": None,
    "lme4-tight": None,
}
#: Whose log-likelihoods the others' are compared with.
TRUSTED = ("optik", "lme4", "lme4-tight", "glmmTMB")
#: Linear algebra on one thread, for all.
SINGLE = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), "1"
)


def cell(engine: str, number: int, data: Path, repeats: int, limit: float) -> dict[str, Any]:
    """Run one engine on one case in a process of its own."""
    case = (*CASES, *SPECIAL)[number]
    if ENGINES[engine] is None:
        if engine == "lme4-tight" and case.family == "gaussian":
            return {"not_offered": True}
        script, rds = str(HERE / "mixed_models.R"), str(data.with_suffix(".rds"))
        command = ["Rscript", script, engine, case.family, case.formula, rds, str(repeats)]
    else:
        script = str(HERE / "mixed_engines.py")
        command = [sys.executable, script, engine, str(number), str(data)]
        command += ["--repeats", str(repeats)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit, env={**os.environ, **SINGLE}
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"not done in {limit:g} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return {"failed": (done.stderr.strip().splitlines() or ["no output"])[-1][:200]}
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def laid_out(found: dict[str, dict[str, Any]], lme4: float | None) -> list[str]:
    """Cells of a row: CPU seconds, share of lme4's, peak memory, what the likelihood lacks."""
    values = {name: cell.get("loglik") for name, cell in found.items()}
    # R says NA where glmmTMB ends without a usable Hessian.
    known = [v for name, v in values.items() if name in TRUSTED and isinstance(v, float)]
    best = max(known, default=0.0)
    cells = []
    for name, cell in found.items():
        if "cpu" not in cell:
            cells.append("–" if cell.get("not_offered") else cell["failed"])
            continue
        text = f"{cell['cpu']:.3g} s"
        if cell.get("alone") is not None:
            text = f"{cell['alone']:.3g} s (whole call {cell['cpu']:.3g})"
        if lme4:
            text += f", {(cell.get('alone') or cell['cpu']) / lme4:.3f}"
        text += f", {cell['peak_mb']:.0f} MB"
        value = values[name]
        if not isinstance(value, float):
            text += ", no likelihood"
        elif known and abs(value - best) > 1e-3:
            text += f", {value - best:+.3f}"
        cells.append(text)
    return cells


def present(engines: list[str]) -> list[str]:
    """Leave out, and name, what is not installed."""
    kept = []
    for engine in engines:
        module = ENGINES[engine]
        there = shutil.which("Rscript") if module is None else importlib.util.find_spec(module)
        if there:
            kept.append(engine)
        else:
            print(f"{engine} left out: not installed", file=sys.stderr)
    return kept


def for_r(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as R's own file, so that no engine is charged for reading text."""
    frame.to_csv(path.with_suffix(".csv"), index=False)
    script = "a <- commandArgs(TRUE); saveRDS(read.csv(a[1], stringsAsFactors = TRUE), a[2])"
    names = [str(path.with_suffix(suffix)) for suffix in (".csv", ".rds")]
    subprocess.run(["Rscript", "-e", script, *names], check=True)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=18_000)
    parser.add_argument("--special", action="store_true", help="the two cases of fixed size")
    parser.add_argument("--repeats", type=int, default=None, help="default 3 below 100,000 rows")
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--limit", type=float, default=1800, help="seconds for one cell")
    parser.add_argument("--only", default="", help="gaussian, binomial, or part of a case's name")
    parser.add_argument("-o", "--output", type=Path, help="keep the figures as JSON")
    parser.add_argument("--again", default="", help="engines to measure anew")
    parser.add_argument("--print", action="store_true", help="only print what is kept")
    options = parser.parse_args()
    engines = present(options.engines.split(","))
    everything: tuple[Case, ...] = (*CASES, *SPECIAL)
    chosen = [
        number
        for number, case in enumerate(everything)
        if (case in SPECIAL) == options.special and options.only in f"{case.family} {case.name}"
    ]
    repeats = options.repeats or (3 if options.rows < 100_000 and not options.special else 1)
    kept: dict[str, dict[str, Any]] = {}
    if options.output and options.output.is_file():
        kept = json.loads(options.output.read_text(encoding="utf-8"))
    again = options.again.split(",")
    with tempfile.TemporaryDirectory() as folder:
        needed = set() if options.print else {everything[number].data for number in chosen}
        for name in needed:
            frame: pd.DataFrame = table(name, options.rows)
            frame.to_parquet(Path(folder) / f"{name}.parquet")
            if any(ENGINES[engine] is None for engine in engines):
                for_r(frame, Path(folder) / name)
        print("CPU seconds, share of lme4's (default control), peak memory,")
        print("log-likelihood less the best of Optik, lme4 and glmmTMB where apart by .001\n")
        print("| design | family | " + " | ".join(engines) + " |")
        print("|---" * (2 + len(engines)) + "|", flush=True)
        for number in chosen:
            case = everything[number]
            data = Path(folder) / f"{case.data}.parquet"
            place = f"{case.family}, {case.name}, {'fixed' if options.special else options.rows}"
            found = kept.setdefault(place, {})
            for engine in engines:
                if not options.print and (engine not in found or engine in again):
                    found[engine] = cell(engine, number, data, repeats, options.limit)
                    if options.output:
                        text = json.dumps(kept, indent=1) + "\n"
                        options.output.write_text(text, encoding="utf-8")
            found = {engine: found.get(engine, {"failed": "not run"}) for engine in engines}
            lme4 = found.get("lme4", {}).get("cpu")
            row = [case.name, case.family, *laid_out(found, lme4)]
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
