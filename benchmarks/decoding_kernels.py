"""Which kernels a decoded token takes at full size, with few layers: where the time above the floor goes.

    python benchmarks/decoding_kernels.py --model qwen3_vl_30b_a3b --layers 4 --k 4

Captures a compiled step as `optik collect` does, replays it, and prints every kernel's time per
step by PyTorch's profiler. Needs a GPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT), str(ROOT.parent)]

import torch  # noqa: E402
import torch._inductor.config as inductor  # noqa: E402
from full_size_models import SHAPES, build, config_of, prompt  # noqa: E402

from analysis.collection import experts  # noqa: E402
from analysis.collection.clock import Clock  # noqa: E402
from analysis.collection.decoding import answer  # noqa: E402
from analysis.collection.graphs import Graphed  # noqa: E402
from analysis.collection.routers import find_routers, set_k  # noqa: E402
from analysis.collection.vision import VisionOnce  # noqa: E402

REPLAYS = 50


def main() -> None:
    """Profile."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="qwen3_vl_30b_a3b", choices=sorted(SHAPES))
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--k", type=int, default=4)
    parser.add_argument("--longest", type=int, default=2688)
    parser.add_argument("--try", dest="tries", default="base")
    args = parser.parse_args()
    config = config_of(args.model)
    text = config.get_text_config()
    text.num_hidden_layers = args.layers
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[: args.layers]
    dtype = torch.bfloat16
    with torch.inference_mode():
        model = build(config, "cuda", dtype, 0)
        routers, vision, clock = find_routers(model), VisionOnce(model), Clock("cuda")
        inputs = prompt(args.model, config, SHAPES[args.model][0], 1, 32, "cuda", dtype, 0)
        with vision.replaying(vision.encode(inputs)):
            for name in args.tries.split(","):
                try:
                    go(args, model, routers, inputs, clock, name)
                except Exception as e:
                    print(name, "FAILED", repr(e)[:400], flush=True)
            best = min(FOUND)[1]
            try:
                go(args, model, routers, inputs, clock, best + "topk")
            except Exception as e:
                print("FAILED", repr(e)[:400], flush=True)
            print("BEST", min(FOUND), flush=True)
            Path("/tmp/best").write_text(min(FOUND)[1])


FOUND = []
LOGITS = []


def go(args, model, routers, inputs, clock, name):
    torch._dynamo.reset()
    experts.WAY = name
    ms, logits = one(args, model, routers, inputs, clock, name)
    LOGITS.append(logits)
    off = float((logits - LOGITS[0]).norm() / LOGITS[0].norm())
    print("   off", off, flush=True)
    if off < 0.1:
        FOUND.append((ms, name))


def one(args: Any, model: Any, routers: Any, inputs: Any, clock: Any, name: str) -> None:
    """Compile, replay, print."""
    began = time.monotonic()
    set_k(model, routers, args.k)
    decoder = Graphed(model, args.longest, compiled=True)
    answer(model, inputs, args.k, longest=2, ends=(), decoder=decoder, clock=clock)
    graph = decoder.graphs[args.k][0]
    logits = decoder.logits.float().clone()
    for _ in range(5):
        graph.replay()
    clock.wait()
    start = clock.mark()
    for _ in range(REPLAYS):
        graph.replay()
    stop = clock.mark()
    clock.wait()
    ms = clock.ms(start, stop) / REPLAYS
    print(f"== {name}: {ms:.4f} ms a step, {args.layers} layers, {time.monotonic() - began:.0f} s")
    cuda = torch.profiler.ProfilerActivity.CUDA
    with torch.profiler.profile(activities=[cuda]) as profile:
        for _ in range(REPLAYS):
            graph.replay()
        clock.wait()
    rows = sorted(profile.key_averages(), key=lambda e: -e.self_device_time_total)
    total = sum(e.self_device_time_total for e in rows) / REPLAYS
    print(f"   {total:.1f} us in kernels a step")
    for e in rows[:14]:
        per = e.self_device_time_total / REPLAYS
        print(f"   {per:8.2f} us  x{e.count / REPLAYS:5.1f}  {e.key[:110]}", flush=True)
    return ms, logits


if __name__ == "__main__":
    main()
