"""What a sweep of eight k costs against eight runs at one k each.

A sweep encodes the images once and passes the text eight times; eight runs encode them eight
times. The aim is at most (one vision pass + eight text passes) and a tenth. CPU time of this
process is counted, on one thread, with a randomly initialised model of the LFM2-VL family whose
vision tower weighs about as much as a text pass. Model loading is not counted on either side.

    python benchmarks/sweep_cost.py [--images 24] [--rounds 3]
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
import torch
import transformers as hf
from collect_models import IDS, SIZE, TEMPLATE, build, tokenizer
from PIL import Image

from analysis.collection.asking import Live
from analysis.collection.batches import Asked, stacked
from analysis.collection.decoding import Answers
from analysis.collection.loading import Loaded, place
from analysis.collection.log import Log
from analysis.collection.naflex import NaflexImages
from analysis.collection.prompts import Prompter
from analysis.collection.routers import k_restored, set_k
from complexity.image import decode

KS = (1, 2, 3, 4, 6, 8, 12, 16)


def model() -> Any:
    """Build a model of the LFM2-VL family, as large as those of the study that ships."""
    vision = hf.Siglip2VisionConfig(
        hidden_size=160,
        intermediate_size=480,
        num_hidden_layers=4,
        num_attention_heads=5,
        patch_size=8,
        num_patches=256,
        vision_use_head=False,
    )
    text = hf.Lfm2MoeConfig(
        vocab_size=SIZE,
        hidden_size=192,
        intermediate_size=512,
        moe_intermediate_size=112,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=2,
        num_dense_layers=1,
        num_experts=16,
        num_experts_per_tok=4,
        layer_types=["conv", "full_attention"] * 3,
        **IDS,
    )
    config = hf.Lfm2VlConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=4,
        projector_hidden_size=256,
        downsample_factor=2,
        **IDS,
    )
    return build(config)


def prompter(config: Any) -> Prompter:
    """Make prompts without a model's folder."""
    from transformers.models.lfm2_vl.processing_lfm2_vl import Lfm2VlProcessor

    def accept(self: Any, name: str, argument: Any) -> None: ...

    kind = type("_Lfm2VlProcessor", (Lfm2VlProcessor,), {"check_argument_for_proper_class": accept})
    settings = {
        "encoder_patch_size": 8,
        "do_image_splitting": False,
        "min_image_tokens": 64,
        "max_image_tokens": 64,
    }
    template = TEMPLATE.replace("IMAGE", "<image>")
    made = kind(NaflexImages(settings), tokenizer(), chat_template=template)
    return Prompter(made, config.image_token_id, parts=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    live_model = model()
    where = place("cpu", "float32")
    make = prompter(live_model.config)
    rng = np.random.default_rng(0)
    files = []
    for _ in range(options.images):
        with io.BytesIO() as file:
            Image.fromarray(rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)).save(file, "PNG")
            files.append(file.getvalue())
    with k_restored(live_model) as routers, tempfile.TemporaryDirectory() as folder:
        live = Live(Loaded(live_model, make, {}), routers, where, longest=1)

        def prompts() -> list[Asked]:
            return [
                Asked(str(i), make.encode("how many red ?", decode(file)))
                for i, file in enumerate(files)
            ]

        def sweep(ks: tuple[int, ...], log: Log) -> float:
            """One run as `optik collect` does it: decode, encode, answer, log."""
            start = time.process_time()

            def done(k: int, answers: Answers, ms: float) -> None:
                log.append({"kind": "answers", "k": k, "rows": live.texts(answers)})

            asked = prompts()
            for first in range(0, len(asked), 8):
                live.sweep(asked[first : first + 8], ks, done)
            return time.process_time() - start

        def parts() -> tuple[float, float]:
            """Time the bare vision passes, and the bare text passes at every k."""
            vision = text = 0.0
            asked = prompts()
            with torch.inference_mode():
                for first in range(0, len(asked), 8):
                    inputs = stacked(asked[first : first + 8], "cpu", "float32")
                    start = time.process_time()
                    features = live.vision.encode(inputs)
                    vision += time.process_time() - start
                    with live.vision.replaying(features):
                        for k in KS:
                            set_k(live_model, routers, k)
                            start = time.process_time()
                            live_model(**inputs, use_cache=True, logits_to_keep=1)
                            text += time.process_time() - start
            return vision, text

        rows = []
        with Log(Path(folder) / "x.jsonl", {}, "") as log:
            sweep(KS, log)  # warm-up
            for _ in range(options.rounds):
                vision, text = parts()
                rows.append((sweep(KS, log), sum(sweep((k,), log) for k in KS), vision, text))
    one, eight, vision, text = (statistics.median(column) for column in zip(*rows, strict=True))
    bare = vision + text
    print(f"one sweep of eight k      {one:7.3f} s")
    print(f"eight runs at one k each  {eight:7.3f} s   sweep / runs {one / eight:.3f}")
    print(f"vision once + eight texts {bare:7.3f} s   sweep / that {one / bare:.3f}")
    print(f"  vision once {vision:.3f} s, eight text passes {text:.3f} s")


if __name__ == "__main__":
    main()
