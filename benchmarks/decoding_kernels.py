"""Which kernels a decoded token takes at full width: where the time above the floor goes.

    python benchmarks/decoding_kernels.py --model qwen3_vl_30b_a3b --layers 4 --k 4

Captures a compiled step as `optik collect` does, with few layers, replays it, and prints the time
of every kernel per step by PyTorch's profiler. Needs a GPU.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT), str(ROOT.parent)]

import torch  # noqa: E402
from full_size_models import SHAPES, build, config_of, prompt, shortened  # noqa: E402

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
    parser.add_argument("--longest", type=int, default=2688, help="places of the cache")
    args = parser.parse_args()
    config = shortened(config_of(args.model), args.layers)
    clock = Clock("cuda")
    with torch.inference_mode():
        model = build(config, "cuda", torch.bfloat16, 0)
        tiles = SHAPES[args.model][0]
        inputs = prompt(args.model, config, tiles, 1, 32, "cuda", torch.bfloat16, 0)
        vision = VisionOnce(model)
        set_k(model, find_routers(model), args.k)
        decoder = Graphed(model, args.longest, compiled=True)
        with vision.replaying(vision.encode(inputs)):
            answer(model, inputs, args.k, longest=2, ends=(), decoder=decoder, clock=clock)
        graph = decoder.graphs[args.k][0]
        start = clock.mark()
        for _ in range(REPLAYS):
            graph.replay()
        stop = clock.mark()
        clock.wait()
        print(f"{clock.ms(start, stop) / REPLAYS:.4f} ms a step, {args.layers} layers")
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            for _ in range(REPLAYS):
                graph.replay()
            clock.wait()
    for event in sorted(profile.key_averages(), key=lambda e: -e.self_device_time_total):
        spent = event.self_device_time_total / REPLAYS
        print(f"{spent:8.2f} us  x {event.count / REPLAYS:4.1f}  {event.key[:110]}")


if __name__ == "__main__":
    main()
