"""How a full-size model decodes tokens: the fastest way that gives the model's own logits."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from full_size_run import Run

from analysis.collection.decoding import Answers, Eager
from analysis.collection.graphs import Graphed
from analysis.collection.routers import set_k

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
# With several answers at once most experts are chosen by one or another: read each once.
BATCHED = ("graph", "compiled, grouped experts")


def choose(run: Run, batch: int) -> tuple[str, Graphed] | None:
    """Try the variants at k = 4; return the fastest that gives the eager logits, and its name."""
    inputs = run.inputs(batch, 0)
    k = 4 if 4 in run.args.ks else run.args.ks[0]
    best: tuple[float, str, Graphed] | None = None
    found: dict[str, Any] = {}
    with run.vision.replaying(run.encoded(inputs)[1]):
        eager = run.ask(inputs, k, Eager(run.model), new=8)
        wanted = taught(run, inputs, k, eager, None)
        for name in [v for v in run.args.variants if batch == 1 or v in BATCHED]:
            if _needless(run, name, batch, k, best):
                continue
            began = time.monotonic()
            decoder = None
            try:
                decoder = Graphed(
                    run.model,
                    run.longest,
                    batch=batch,
                    captured=run.gpu,
                    **VARIANTS[name],
                )
                error = distance(taught(run, inputs, k, eager, decoder), wanted)
                run.ask(inputs, k, decoder)
                times = [run.ask(inputs, k, decoder).decode_ms for _ in range(3)]
                ms = float(np.median(times)) / (run.args.new - 1)
                right = error <= run.bound
                took = time.monotonic() - began
                found[name] = {"ms a token": ms, "error": error, "seconds": took}
                run.say(
                    f"batch {batch}, k = {k}, {name}: {ms:.3f} ms a token "
                    f"({ms / run.floors[k]:.2f} floors), relative error of the logits "
                    f"{error:.4f}{'' if right else ': WRONG'}, {took:.1f} s"
                )
                if right and (best is None or ms < best[0]):
                    best = (ms, name, decoder)
            except Exception:
                run.failed(f"variant {name} at batch {batch}")
            if best is None or best[2] is not decoder:
                del decoder
            run.free()
    run.about["variants"][batch] = found | {"taken": best[1] if best else "eager"}
    return best[1:] if best else None


def _needless(run: Run, name: str, batch: int, k: int, best: Any) -> bool:
    """Say whether a variant need not be tried, or cannot for want of time."""
    if batch > 1 and name == "compiled":
        return True  # of the products only those of one row are spelled as sums
    last = batch == 1 and name == "compiled, grouped experts"
    if last and best is not None and best[0] < ENOUGH * run.floors[k]:
        return True
    if run.gpu and run.left < 60 and best is not None:
        run.about["left out"].append(f"variant {name} at batch {batch}")
        return True
    return False


def taught(run: Run, inputs: Any, k: int, eager: Answers, decoder: Graphed | None) -> Any:
    """Return the logits of every step when the eager answer is what was said before."""
    set_k(run.model, run.routers, k)
    width = inputs["input_ids"].shape[1]
    cache = None if decoder is None else decoder.cache(width + len(eager.tokens[0]))
    more = {} if cache is None else {"past_key_values": cache}
    made = run.model(**inputs, **more, use_cache=True, logits_to_keep=1)
    cache, logits = made.past_key_values, []
    tokens = torch.as_tensor(eager.tokens, device=run.device)
    for number in range(tokens.shape[1] - 1):
        one = tokens[:, number : number + 1]
        if decoder is None:
            made = run.model(input_ids=one, past_key_values=cache, use_cache=True)
            logits.append(made.logits[:, -1].float())
        else:
            decoder.step(k, one, width + number, cache)
            logits.append(decoder.logits.float().clone())
    return torch.stack(logits)


def distance(made: Any, wanted: Any) -> float:
    """Length of the difference of logits over the length of what they vary, worst row."""
    centred = wanted - wanted.mean(-1, keepdim=True)
    return float(((made - wanted).norm(dim=-1) / centred.norm(dim=-1)).max())
