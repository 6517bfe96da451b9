"""`optik collect` on a checkpoint of the shapes study, against the committed predictions.

    python benchmarks/collect_pilot.py PILOT --checkpoint fixed4 --samples 200 -o OUT

PILOT has model_NAME.safetensors and config_tokenizer/. Prints the share of predictions that are the
committed ones, how timed answers were decoded, and the mean time by k.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

import pandas as pd  # noqa: E402

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<image>{% else %} {{ part.text }}{% endif %}"
    "{% endfor %}{% endfor %}"
)
PIXELS = {
    "image_processor_type": "Lfm2VlImageProcessor",
    "encoder_patch_size": 8,
    "downsample_factor": 2,
    "do_image_splitting": False,
    "min_image_tokens": 36,
    "max_image_tokens": 36,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


def folder_of(pilot: Path, name: str, out: Path) -> Path:
    """Lay out a checkpoint as Transformers loads it."""
    made = out / f"checkpoint_{name}"
    made.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(pilot / f"model_{name}.safetensors", made / "model.safetensors")
    for file in (pilot / "config_tokenizer").iterdir():
        shutil.copyfile(file, made / file.name)
    (made / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    (made / "preprocessor_config.json").write_text(json.dumps(PIXELS), encoding="utf-8")
    return made


def main() -> None:
    """Collect, and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pilot", type=Path)
    parser.add_argument("--checkpoint", default="fixed4")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--timed", type=int, default=20)
    parser.add_argument("--k", default="1,2,3,4,6,8,12,16")
    parser.add_argument("--decode", default="compiled")
    parser.add_argument("--scratch", type=Path, default=Path("/tmp"))
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder")
    args = parser.parse_args()

    from analysis.collection.request import Request, ks_of
    from analysis.collection.sweep import collect
    from analysis.manifest import load_study

    study, began = load_study("shapes"), time.monotonic()
    request = Request(
        source=str(folder_of(args.pilot, args.checkpoint, args.scratch)),
        name=args.checkpoint,
        ks=ks_of(args.k),
        samples=args.samples,
        longest=4,
        batch=50,
        timed=args.timed,
        decode=args.decode,
    )
    args.out.mkdir(parents=True, exist_ok=True)

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {text}", flush=True)

    path = args.out / f"pilot_{args.checkpoint}.parquet"
    done = collect(study, request, str(path), say=say)
    say(f"{done.n_answers} answers, {done.n_times} times")
    for note in done.notes:
        say(f"note: {note}")
    made = pd.read_parquet(path)
    known = pd.read_parquet(study.root / "results.parquet")
    known = known[known["checkpoint"] == args.checkpoint]
    both = made.merge(known, on=["sample_id", "k"], suffixes=("", "_committed"))
    # The checkpoints learned an answer of one word and no end: what follows it is not theirs.
    equal = both["prediction"].str.split().str[0] == both["prediction_committed"]
    say(f"{int(equal.sum())} of {len(both)} predictions are the committed ones")
    say(f"by k {equal.groupby(both['k']).mean().round(4).to_dict()}")
    if done.n_times:
        times = pd.read_parquet(done.outputs.latency)
        columns = ["vision_ms", "prefill_ms", "ttft_ms", "decode_ms", "total_ms"]
        say("\n" + times.groupby(["decode_mode", "k"])[columns].mean().round(3).to_string())


if __name__ == "__main__":
    main()
