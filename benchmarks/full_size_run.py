"""One full-size model on one device: built, asked at a k, its latencies kept and written."""

from __future__ import annotations

import argparse
import gc
import json
import time
import traceback
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from full_size_models import SHAPES, TOY_SHAPES, active_bytes, build, config_of, prompt, shortened

from analysis.collection.clock import Clock
from analysis.collection.decoding import Answers, answer
from analysis.collection.experts import PART
from analysis.collection.provenance import device_label, device_state, versions
from analysis.collection.routers import find_routers, set_k
from analysis.collection.vision import VisionOnce
from analysis.tables import LATENCY, write_table

WORDS = 32
# Of the logits in bfloat16, where rounding alone changes which of random experts are chosen. Logits
# that have nothing to do with each other differ by 1 or more.
ROUNDING = 0.5


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
        self.decode_mode = ""
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
