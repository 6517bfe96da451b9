"""Latency by phase of full-size models at several k: random weights, one GPU.

    python benchmarks/full_size_latency.py --model lfm2_8b_a1b -o lfm2_8b_a1b.parquet

Writes the latency table, and beside it FILE.provenance.json with the memory floors, after every
cell; what is left when the seconds are spent is named. The two are what a study of latency alone
reads (docs/your_data.md). `--toy` goes the same way with a tiny model, on a CPU too.

The model and its table are in `full_size_run.py`, the ways of decoding in `full_size_decoding.py`.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT), str(ROOT.parent)]

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402
from full_size_decoding import VARIANTS, WORDING, choose, distance  # noqa: E402
from full_size_models import SHAPES  # noqa: E402
from full_size_run import Run  # noqa: E402

from analysis.collection.decoding import Eager  # noqa: E402
from analysis.collection.prefill import GraphedPrefill, Prefills, handed  # noqa: E402
from analysis.collection.routers import set_k  # noqa: E402


def time_all(run: Run) -> None:
    """Do every batch and image size that the seconds allow."""
    for batch in run.args.batches:
        chosen = None
        try:
            chosen = choose(run, batch)
        except Exception:
            run.failed(f"choosing how to decode at batch {batch}")
        decoder: Any = chosen[1] if chosen else Eager(run.model)
        run.decode_mode = WORDING[chosen[0]] if chosen else "eager decoding"
        if not run.gpu:
            run.decode_mode = run.decode_mode.replace("captured", "uncaptured")
        run.say(f"batch {batch}: decoding by {run.decode_mode}")
        run.write()
        for number, tiles in enumerate(() if run.args.check else run.shapes):
            if run.args.sizes and number not in run.args.sizes:
                continue
            if run.left < (30 if run.gpu else 0):
                run.about["left out"].append(f"batch {batch}, {tiles.tokens} image tokens")
                run.say(f"no time left for batch {batch}, {tiles.tokens} image tokens")
                continue
            try:
                time_cell(run, batch, number, decoder)
            except Exception:
                run.failed(f"batch {batch}, {tiles.tokens} image tokens")
        del chosen, decoder
        run.free()
    run.write()
    run.say(f"done: {len(run.rows)} rows in {run.args.out}")


def time_cell(run: Run, batch: int, number: int, decoder: Any) -> None:
    """Time one image size at every k, in random order within a repeat."""
    args, inputs = run.args, run.inputs(batch, number)
    tokens = run.shapes[number].tokens
    began = time.monotonic()
    prefills: dict[int, GraphedPrefill] = {}
    with run.vision.replaying(run.encoded(inputs)[1]):
        for k in args.ks:
            run.ask(inputs, k, decoder)
        # A long prefill of many prompts is not a matter of launches.
        if hasattr(decoder, "static") and batch * tokens <= 2560:
            where = f"batch {batch}, {tokens} image tokens"
            try:
                prefills = capture_prefills(run, inputs, decoder, where)
            except Exception:
                run.failed(f"captured prefill, {where}")
    ready = time.monotonic() - began
    for repeat in range(args.repeats):
        vision_ms, features = run.encoded(inputs)
        rng = np.random.default_rng([args.seed, batch, number, repeat])
        with run.vision.replaying(features):
            for k in rng.permutation(args.ks).tolist():
                for captured in (False, True)[: 1 + (k in prefills)]:
                    made = run.ask(inputs, k, decoder, prefills[k] if captured else None)
                    run.keep(made, k, batch, number, repeat, vision_ms, captured, inputs)
    del prefills
    run.free()
    run.write()
    show(run, batch, number, ready, time.monotonic() - began)


def capture_prefills(run: Run, inputs: Any, decoder: Any, where: str) -> dict[int, GraphedPrefill]:
    """Capture the prefill at every k, and hold it against the model's own.

    The same operations, not captured, are held against it too: an error of theirs would be one
    of what is captured, and not of capturing.
    """
    static, given = decoder.static, handed(run.model, inputs)
    graphs = Prefills(run.model, static, captured=run.gpu)
    errors: dict[int, dict[str, float]] = {}
    run.about["captured prefill, error of the logits by k"][where] = errors
    made = {}
    for k in run.args.ks:
        set_k(run.model, run.routers, k)
        static.reset()
        whole = run.model(**inputs, past_key_values=static, logits_to_keep=1)
        wanted = whole.logits[:, -1].float().clone()
        static.reset()
        plain = GraphedPrefill(run.model, given, static, captured=False)
        own = distance(plain(**inputs).logits[:, -1].float(), wanted)
        static.reset()
        made[k] = graphs.at(k, given)
        error = distance(made[k](**inputs).logits[:, -1].float(), wanted)
        errors[k] = {"captured": error, "not captured": own}
        run.say(f"{where}, k = {k}: logits {error:.2g} off, {own:.2g} where not captured")
        if error > run.bound:
            raise ArithmeticError(f"k = {k}: logits {error:.3f} off")
        run.ask(inputs, k, decoder, made[k])
    return made


def show(run: Run, batch: int, number: int, ready: float, seconds: float) -> None:
    """Print the medians of a cell."""
    rows = pd.DataFrame(run.rows)
    rows = rows[(rows["batch"] == batch) & (rows["request"] == number)]
    lines = [f"batch {batch}, {run.shapes[number].tokens} image tokens "]
    lines[0] += f"({ready:.0f} s to get ready, {seconds:.0f} s in all)"
    for how, part in rows.groupby("decode_mode", sort=False):
        lines.append(f"    {how}: vision {part['vision_ms'].median():.2f} ms")
        for name, column in (("prefill", "prefill_ms"), ("a token", "decode_ms")):
            by_k = part.groupby("k")[column].median()
            if column == "decode_ms":
                by_k = by_k / (part["n_new_tokens"].iloc[0] - 1)
            cells = [f"{k}: {value:.3f}" for k, value in by_k.items()]
            if column == "decode_ms" and batch == 1:
                ratios = [f"{value / run.floors[k]:.2f}" for k, value in by_k.items()]
                cells.append("floors " + " ".join(ratios))
            lines.append(f"      {name}, ms by k  " + "  ".join(cells))
    run.say("\n".join(lines))


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", choices=sorted(SHAPES), required=True)
    parser.add_argument("-o", "--out", required=True, help="latency table, .parquet")
    parser.add_argument("--ks", type=_numbers, default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--batches", type=_numbers, default=[1, 8])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--new", type=int, default=32, help="tokens of an answer")
    parser.add_argument("--seconds", type=float, default=270, help="budget, the import excluded")
    parser.add_argument("--variants", type=lambda t: t.split(";"), default=list(VARIANTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", help="default bfloat16 on a GPU, else float32")
    parser.add_argument("--experts", help="how prefills compute experts, as Transformers calls it")
    parser.add_argument("--layers", type=int, help="of the text model; default all")
    parser.add_argument("--sizes", type=_numbers, help="numbers of image sizes, default 0,1,2,3")
    parser.add_argument("--check", action="store_true", help="try the ways of decoding, no more")
    parser.add_argument("--toy", action="store_true", help="a tiny model of the same build")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> None:
    """Run one model."""
    run = Run(arguments(given))
    run.say(f"{run.label}, PyTorch {torch.__version__}")
    try:
        with torch.inference_mode():
            run.make()
            time_all(run)
    except Exception:
        run.failed("the whole run")
        run.write()


if __name__ == "__main__":
    main()
