"""`optik collect` on a tiny random model of every family: how timed answers were obtained.

    python benchmarks/collect_families.py --k 1,4

Prints a Markdown table: the mode that prefills and tokens came to after the checks against the
eager answers, why it is no faster one, and medians by k in ms. The models are those of the tests;
on a GPU this is where graphs and compiled layers are tried on all families, with answers of several
tokens.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]


def main() -> None:
    """Collect, family by family."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--k", default="1,4")
    parser.add_argument("--new", type=int, default=8, help="most tokens of an answer")
    parser.add_argument("--decode", default="compiled")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--families", help="parted by commas; default all")
    args = parser.parse_args()

    import pandas as pd
    import transformers
    from collect_models import CONFIGS, save
    from collect_study import pixel_study

    from analysis.collection.request import Request, ks_of
    from analysis.collection.sweep import collect
    from analysis.manifest import load_study

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    ks = ks_of(args.k)
    titles = ["family", "mode", "why no faster", "k verified", "tokens", "prefill", "a token", "s"]
    print("| " + " | ".join(titles) + " |\n" + "|---" * len(titles) + "|", flush=True)
    for family in args.families.split(",") if args.families else CONFIGS:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            source = save(Path(folder) / "model", CONFIGS[family]())
            study = load_study(pixel_study(Path(folder) / "study", n_images=4))
            request = Request(str(source), family, ks, None, args.new, decode=args.decode, timed=6)
            said: list[str] = []
            out = str(Path(folder) / "results.parquet")
            try:
                done = collect(study, request, out, dtype=args.dtype, say=said.append)
            except Exception as error:  # one family must not cost the others
                print(f"| {family} | failed: {error!r:.300} |", flush=True)
                continue
            times = pd.read_parquet(done.outputs.latency)
        steps = (times["n_new_tokens"] - 1).where(times["n_new_tokens"] > 1)
        times["a token"] = times["decode_ms"] / steps
        median = times.groupby("k")[["prefill_ms", "a token"]].median()
        shown = [", ".join(f"{v:.3f}" for v in median[name]) for name in median]
        why = "; ".join(note.partition("': ")[2] for note in done.notes if "': " in note)
        mode = ", ".join(times["decode_mode"].unique())
        verified = any(text.startswith("k verified") for text in said)
        tokens = f"{times['n_new_tokens'].min()} to {times['n_new_tokens'].max()}"
        cells = [family, mode, why, "yes" if verified else "no", tokens, *shown]
        print("| " + " | ".join([*cells, f"{time.monotonic() - began:.0f}"]) + " |", flush=True)


if __name__ == "__main__":
    main()
