"""`optik collect` on a checkpoint of the shapes study, against the committed predictions.

    python benchmarks/collect_repeats.py --checkpoint fixed4 --samples 200 -o OUT

Prints how many predictions are the committed ones, how timed answers were decoded, the mean time by
k, and the time that all took.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

import pandas as pd  # noqa: E402


def main() -> None:
    """Collect, and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkpoint", default="fixed4")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--timed", type=int, default=50)
    parser.add_argument("--k", default="1,2,4,8")
    parser.add_argument("--decode", default="compiled")
    parser.add_argument("--prefill", default="captured")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder")
    args = parser.parse_args()

    from analysis.collection.request import Request, ks_of
    from analysis.collection.sweep import collect
    from analysis.manifest import load_study

    study, began = load_study("shapes"), time.monotonic()
    request = Request(
        source=str(study.root / "models" / args.checkpoint),
        name=args.checkpoint,
        ks=ks_of(args.k),
        samples=args.samples,
        timed=args.timed,
        decode=args.decode,
        prefill=args.prefill,
        repeats=args.repeats,
    )
    args.out.mkdir(parents=True, exist_ok=True)

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {text}", flush=True)

    path = args.out / f"{args.checkpoint}.parquet"
    done = collect(study, request, str(path), dtype=args.dtype, say=say)
    say(f"{done.n_answers} answers, {done.n_times} times")
    for note in done.notes:
        say(f"note: {note}")
    made = pd.read_parquet(path)
    known = pd.read_parquet(study.root / "results.parquet")
    known = known[known["checkpoint"] == args.checkpoint]
    both = made.merge(known, on=["sample_id", "k"], suffixes=("", "_committed"))
    equal = both["prediction"] == both["prediction_committed"]
    say(f"{int(equal.sum())} of {len(both)} predictions are the committed ones")
    say(f"by k {equal.groupby(both['k']).mean().round(4).to_dict()}")
    if done.n_times:
        times = pd.read_parquet(done.outputs.latency)
        columns = ["vision_ms", "prefill_ms", "ttft_ms", "decode_ms", "total_ms"]
        say("\n" + times.groupby(["decode_mode", "k"])[columns].mean().round(3).to_string())
    say(f"{time.process_time():.0f} s of CPU time, start included")


if __name__ == "__main__":
    main()
