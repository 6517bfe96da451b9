"""Latency by phase of full-size models at several k: random weights, one GPU.

    python benchmarks/full_size_latency.py --model lfm2_8b_a1b -o lfm2_8b_a1b.parquet

Writes the latency table, and beside it FILE.provenance.json with the memory floors, after every
cell; what is left when the seconds are spent is named. The two are what a study of latency alone
reads (docs/your_data.md). `--toy` goes the same way with a tiny model, on a CPU too.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT), str(ROOT.parent)]

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402
from full_size_models import (  # noqa: E402
    SHAPES,
    TOY_SHAPES,
    active_bytes,
    build,
    config_of,
    prompt,
    shortened,
)

from analysis.collection.clock import Clock  # noqa: E402
from analysis.collection.decoding import Answers, Eager, answer  # noqa: E402
from analysis.collection.experts import PART  # noqa: E402
from analysis.collection.graphs import Graphed  # noqa: E402
from analysis.collection.prefill import GraphedPrefill, Prefills, handed  # noqa: E402
from analysis.collection.provenance import device_label, device_state, versions  # noqa: E402
from analysis.collection.routers import find_routers, set_k  # noqa: E402
from analysis.collection.vision import VisionOnce  # noqa: E402
from analysis.tables import LATENCY, write_table  # noqa: E402

WORDS = 32
# How a token is decoded, from what is taken if all else fails to what should be fastest.
VARIANTS: dict[str, dict[str, Any]] = {
    "graph": {},
    "compiled": {"compiled": True, "sums": False},
    "compiled, sums": {"compiled": True, "sums": True},
    "compiled, grouped experts": {"compiled": True, "sums": True, "experts": False},
}
# The same in words of the table; the sums are what a batch of one is decoded by.
WORDING = {
    "graph": "captured decoding",
    "compiled": "compiled decoding, products",
    "compiled, sums": "compiled decoding",
    "compiled, grouped experts": "compiled decoding, grouped experts",
}
# More floors than this at batch 1, and the last variant is tried too.
ENOUGH = 4.0

# Of the logits in bfloat16, where rounding alone changes which of random experts are chosen. Logits
# that have nothing to do with each other differ by 1 or more.
ROUNDING = 0.5

# With several answers at once most experts are chosen by one or another: read each once.
BATCHED = ("graph", "compiled, grouped experts")


class Run:
    """One model on one device."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.began = args, time.monotonic()
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.gpu = self.device == "cuda"
        self.dtype = getattr(torch, args.dtype or ("bfloat16" if self.gpu else "float32"))
        self.clock = Clock(self.device)
        self.rows: list[dict[str, Any]] = []
        self.floor_rows: list[dict[str, Any]] = []
        self.shapes = (TOY_SHAPES if args.toy else SHAPES)[args.model]
        self.label = device_label(self.device, str(self.dtype).removeprefix("torch."))
        self.about: dict[str, Any] = {
            "model": args.model,
            "weights": "random, as Transformers begins with; they route more evenly than trained",
            "seed": args.seed,
            "began": _now(),
            "versions": versions(),
            "state at start": device_state(self.device),
            "clock": self.clock.name,
            "words": WORDS,
            "new tokens": args.new,
            "values of the cache in a decoded token": f"sums over parts of {PART} places",
            "failed": [],
            "left out": [],
        }

    @property
    def bound(self) -> float:
        """Largest relative error of logits that is put down to rounding."""
        return 1e-3 if self.dtype == torch.float32 else ROUNDING

    @property
    def left(self) -> float:
        """Seconds of the budget that are left."""
        return float(self.args.seconds - (time.monotonic() - self.began))

    def say(self, text: str) -> None:
        """Print with the seconds since the start."""
        print(f"[{time.monotonic() - self.began:6.1f} s] {self.args.model}: {text}", flush=True)

    def failed(self, what: str) -> None:
        """Print and keep why a part failed; the rest goes on."""
        text = traceback.format_exc(limit=-4)
        self.say(f"FAILED {what}:\n{text}")
        self.about["failed"].append({"part": what, "why": text.strip().splitlines()[-1][:400]})
        self.free()

    def free(self) -> None:
        """Give memory back."""
        gc.collect()
        if self.gpu:
            torch.cuda.empty_cache()

    def make(self) -> None:
        """Build the model; measure the copy bandwidth; compute the floors."""
        args = self.args
        self.config = shortened(config_of(args.model, args.toy), args.layers)
        self.bandwidth = bandwidth(self.clock, self.device, 1 << (32 if self.gpu else 24))
        self.say(f"copy bandwidth {self.bandwidth / 1e12:.3f} TB/s, read and written")
        self.model = build(self.config, self.device, self.dtype, args.seed)
        if args.experts:
            self.model.set_experts_implementation(args.experts)
        self.routers = find_routers(self.model)
        self.vision = VisionOnce(self.model)
        text = self.config.get_text_config()
        n = sum(p.numel() for p in self.model.parameters())
        self.say(
            f"{n / 1e9:.3f} B parameters, experts by {text._experts_implementation}, "
            f"attention by {text._attn_implementation}"
        )
        used = {k: active_bytes(self.model, k) for k in args.ks}
        self.floors = {k: used[k] / self.bandwidth * 1e3 for k in args.ks}
        self.about |= {
            "config": json.loads(self.config.to_json_string(use_diff=False)),
            "parameters": n,
            "experts": text._experts_implementation,
            "attention": text._attn_implementation,
            "copy bandwidth, bytes/s": self.bandwidth,
            "variants": {},
            "captured prefill, error of the logits by k": {},
        }
        # Of one answer alone: which experts several choose between them is not known beforehand.
        self.floor_rows = [
            {"k": k, "batch": 1, "active_bytes": used[k], "floor_ms": self.floors[k]}
            for k in args.ks
        ]
        self.longest = max(s.tokens for s in self.shapes) + WORDS + args.new

    def inputs(self, batch: int, number: int) -> dict[str, Any]:
        """Make the prompts of one image size."""
        where = (self.device, self.dtype, self.args.seed + number)
        return prompt(self.args.model, self.config, self.shapes[number], batch, WORDS, *where)

    def ask(self, inputs: Any, k: int, decoder: Any, model: Any = None, new: int = 0) -> Answers:
        """Answer at one k."""
        set_k(self.model, self.routers, k)
        return answer(
            model or self.model,
            inputs,
            k,
            longest=new or self.args.new,
            ends=(),
            decoder=decoder,
            clock=self.clock,
        )

    def encoded(self, inputs: Any) -> tuple[float, Any]:
        """Encode the images, timed."""
        self.clock.wait()
        start = self.clock.mark()
        features = self.vision.encode(inputs)
        stop = self.clock.mark()
        self.clock.wait()
        return self.clock.ms(start, stop), features

    def choose(self, batch: int) -> Graphed | None:
        """Try the variants at k = 4; return the fastest that gives the eager logits."""
        inputs = self.inputs(batch, 0)
        k = 4 if 4 in self.args.ks else self.args.ks[0]
        best: tuple[float, Graphed] | None = None
        found: dict[str, Any] = {}
        with self.vision.replaying(self.encoded(inputs)[1]):
            eager = self.ask(inputs, k, Eager(self.model), new=8)
            wanted = self.taught(inputs, k, eager, None)
            for name in [v for v in self.args.variants if batch == 1 or v in BATCHED]:
                if self._needless(name, batch, k, best):
                    continue
                began = time.monotonic()
                decoder = None
                try:
                    decoder = Graphed(
                        self.model,
                        self.longest,
                        batch=batch,
                        captured=self.gpu,
                        **VARIANTS[name],
                    )
                    error = _distance(self.taught(inputs, k, eager, decoder), wanted)
                    self.ask(inputs, k, decoder)
                    times = [self.ask(inputs, k, decoder).decode_ms for _ in range(3)]
                    ms = float(np.median(times)) / (self.args.new - 1)
                    right = error <= self.bound
                    took = time.monotonic() - began
                    found[name] = {"ms a token": ms, "error": error, "seconds": took}
                    self.say(
                        f"batch {batch}, k = {k}, {name}: {ms:.3f} ms a token "
                        f"({ms / self.floors[k]:.2f} floors), relative error of the logits "
                        f"{error:.4f}{'' if right else ': WRONG'}, {took:.1f} s"
                    )
                    if right and (best is None or ms < best[0]):
                        best = (ms, decoder)
                        self.mode = name
                except Exception:
                    self.failed(f"variant {name} at batch {batch}")
                if best is None or best[1] is not decoder:
                    del decoder
                self.free()
        self.about["variants"][batch] = found | {"taken": self.mode if best else "eager"}
        return best[1] if best else None

    def _needless(self, name: str, batch: int, k: int, best: Any) -> bool:
        """Say whether a variant need not be tried, or cannot for want of time."""
        if batch > 1 and name == "compiled":
            return True  # of the products only those of one row are spelled as sums
        last = batch == 1 and name == "compiled, grouped experts"
        if last and best is not None and best[0] < ENOUGH * self.floors[k]:
            return True
        if self.gpu and self.left < 60 and best is not None:
            self.about["left out"].append(f"variant {name} at batch {batch}")
            return True
        return False

    def taught(self, inputs: Any, k: int, eager: Answers, decoder: Graphed | None) -> Any:
        """Return the logits of every step when the eager answer is what was said before."""
        set_k(self.model, self.routers, k)
        width = inputs["input_ids"].shape[1]
        cache = None if decoder is None else decoder.cache(width + len(eager.tokens[0]))
        more = {} if cache is None else {"past_key_values": cache}
        made = self.model(**inputs, **more, use_cache=True, logits_to_keep=1)
        cache, logits = made.past_key_values, []
        tokens = torch.as_tensor(eager.tokens, device=self.device)
        for number in range(tokens.shape[1] - 1):
            one = tokens[:, number : number + 1]
            if decoder is None:
                made = self.model(input_ids=one, past_key_values=cache, use_cache=True)
                logits.append(made.logits[:, -1].float())
            else:
                decoder.step(k, one, width + number, cache)
                logits.append(decoder.logits.float().clone())
        return torch.stack(logits)

    def cell(self, batch: int, number: int, decoder: Any) -> None:
        """Time one image size at every k, in random order within a repeat."""
        args, inputs = self.args, self.inputs(batch, number)
        tokens = self.shapes[number].tokens
        began = time.monotonic()
        prefills: dict[int, GraphedPrefill] = {}
        with self.vision.replaying(self.encoded(inputs)[1]):
            for k in args.ks:
                self.ask(inputs, k, decoder)
            # A long prefill of many prompts is not a matter of launches.
            if hasattr(decoder, "static") and batch * tokens <= 2560:
                where = f"batch {batch}, {tokens} image tokens"
                try:
                    prefills = self.captured(inputs, decoder, where)
                except Exception:
                    self.failed(f"captured prefill, {where}")
        ready = time.monotonic() - began
        for repeat in range(args.repeats):
            vision_ms, features = self.encoded(inputs)
            rng = np.random.default_rng([args.seed, batch, number, repeat])
            with self.vision.replaying(features):
                for k in rng.permutation(args.ks).tolist():
                    for captured in (False, True)[: 1 + (k in prefills)]:
                        made = self.ask(inputs, k, decoder, prefills[k] if captured else None)
                        self.keep(made, k, batch, number, repeat, vision_ms, captured, inputs)
        del prefills
        self.free()
        self.write()
        self.show(batch, number, ready, time.monotonic() - began)

    def captured(self, inputs: Any, decoder: Any, where: str) -> dict[int, GraphedPrefill]:
        """Capture the prefill at every k, and hold it against the model's own.

        The same operations, not captured, are held against it too: an error of theirs would be one
        of what is captured, and not of capturing.
        """
        static, given = decoder.static, handed(self.model, inputs)
        graphs = Prefills(self.model, static, captured=self.gpu)
        errors: dict[int, dict[str, float]] = {}
        self.about["captured prefill, error of the logits by k"][where] = errors
        made = {}
        for k in self.args.ks:
            set_k(self.model, self.routers, k)
            static.reset()
            whole = self.model(**inputs, past_key_values=static, logits_to_keep=1)
            wanted = whole.logits[:, -1].float().clone()
            static.reset()
            plain = GraphedPrefill(self.model, given, static, captured=False)
            own = _distance(plain(**inputs).logits[:, -1].float(), wanted)
            static.reset()
            made[k] = graphs.at(k, given)
            error = _distance(made[k](**inputs).logits[:, -1].float(), wanted)
            errors[k] = {"captured": error, "not captured": own}
            self.say(f"{where}, k = {k}: logits {error:.2g} off, {own:.2g} where not captured")
            if error > self.bound:
                raise ArithmeticError(f"k = {k}: logits {error:.3f} off")
            self.ask(inputs, k, decoder, made[k])
        return made

    def keep(
        self,
        made: Answers,
        k: int,
        batch: int,
        number: int,
        repeat: int,
        vision_ms: float,
        captured: bool,
        inputs: Any,
    ) -> None:
        """Add a row to the latency table."""
        how = "eager prefill"
        if captured:
            how = f"{'captured' if self.gpu else 'uncaptured'} prefill"
        self.rows.append(
            {
                "dataset": self.args.model,
                "run": f"{self.about['began']}, {how}",
                "model": self.args.model,
                "device": self.label,
                "sample_id": None,
                "k": k,
                "batch": batch,
                "repeat": repeat,
                "request": number,
                "vision_ms": vision_ms,
                "prefill_ms": made.prefill_ms,
                "ttft_ms": vision_ms + made.first_ms,
                "decode_ms": made.decode_ms,
                "total_ms": vision_ms + made.first_ms + made.decode_ms,
                "n_prompt_tokens": int(inputs["input_ids"].shape[1]),
                "n_new_tokens": int(made.tokens.shape[1]),
                "n_image_tokens": self.shapes[number].tokens,
                "dtype": str(self.dtype).removeprefix("torch."),
                "decode_mode": f"{how}, {self.decode_mode}",
                "order": len(self.rows),
            }
        )

    def write(self) -> None:
        """Write what there is."""
        out = Path(self.args.out)
        out.parent.mkdir(parents=True, exist_ok=True)
        if self.rows:
            write_table(pd.DataFrame(self.rows), out, LATENCY)
        self.about |= {"written": _now(), "seconds": time.monotonic() - self.began}
        self.about["state at end"] = device_state(self.device)
        made = {"floors": self.floor_rows, "sessions": [self.about]}
        text = json.dumps(made, indent=1, default=str)
        out.with_name(f"{out.stem}.provenance.json").write_text(text + "\n", encoding="utf-8")

    def show(self, batch: int, number: int, ready: float, seconds: float) -> None:
        """Print the medians of a cell."""
        rows = pd.DataFrame(self.rows)
        rows = rows[(rows["batch"] == batch) & (rows["request"] == number)]
        lines = [f"batch {batch}, {self.shapes[number].tokens} image tokens "]
        lines[0] += f"({ready:.0f} s to get ready, {seconds:.0f} s in all)"
        for how, part in rows.groupby("decode_mode", sort=False):
            lines.append(f"    {how}: vision {part['vision_ms'].median():.2f} ms")
            for name, column in (("prefill", "prefill_ms"), ("a token", "decode_ms")):
                by_k = part.groupby("k")[column].median()
                if column == "decode_ms":
                    by_k = by_k / (part["n_new_tokens"].iloc[0] - 1)
                cells = [f"{k}: {value:.3f}" for k, value in by_k.items()]
                if column == "decode_ms" and batch == 1:
                    ratios = [f"{value / self.floors[k]:.2f}" for k, value in by_k.items()]
                    cells.append("floors " + " ".join(ratios))
                lines.append(f"      {name}, ms by k  " + "  ".join(cells))
        self.say("\n".join(lines))

    def all(self) -> None:
        """Do every batch and image size that the seconds allow."""
        for batch in self.args.batches:
            self.mode, chosen = "eager", None
            try:
                chosen = self.choose(batch)
            except Exception:
                self.failed(f"choosing how to decode at batch {batch}")
            decoder: Any = chosen or Eager(self.model)
            self.decode_mode = WORDING[self.mode] if chosen else "eager decoding"
            if not self.gpu:
                self.decode_mode = self.decode_mode.replace("captured", "uncaptured")
            self.say(f"batch {batch}: decoding by {self.decode_mode}")
            self.write()
            for number, tiles in enumerate(() if self.args.check else self.shapes):
                if self.args.sizes and number not in self.args.sizes:
                    continue
                if self.left < (30 if self.gpu else 0):
                    self.about["left out"].append(f"batch {batch}, {tiles.tokens} image tokens")
                    self.say(f"no time left for batch {batch}, {tiles.tokens} image tokens")
                    continue
                try:
                    self.cell(batch, number, decoder)
                except Exception:
                    self.failed(f"batch {batch}, {tiles.tokens} image tokens")
            del chosen, decoder
            self.free()
        self.write()
        self.say(f"done: {len(self.rows)} rows in {self.args.out}")


def _distance(made: Any, wanted: Any) -> float:
    """Length of the difference of logits over the length of what they vary, worst row."""
    centred = wanted - wanted.mean(-1, keepdim=True)
    return float(((made - wanted).norm(dim=-1) / centred.norm(dim=-1)).max())


def bandwidth(clock: Clock, device: str, size: int) -> float:
    """Bytes read and written a second by copying `size` bytes within the device."""
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(8):
        clock.wait()
        start = clock.mark()
        target.copy_(source)
        stop = clock.mark()
        clock.wait()
        best = min(best, clock.ms(start, stop))
    return 2 * size / best * 1e3


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


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
            run.all()
    except Exception:
        run.failed("the whole run")
        run.write()


if __name__ == "__main__":
    main()
