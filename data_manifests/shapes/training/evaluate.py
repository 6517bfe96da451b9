"""Ask trained checkpoints the study's questions, and those of the large study, at every k.

    python -m data_manifests.shapes.training.evaluate runs/fixed4 runs/anyk \
        --study --large --out results

All arithmetic is float32 on the bfloat16 weights, without TF32, so that `optik collect` gives the
same answers on a CPU. The study's answers come from Transformers' own forward, question by
question, and the packed forward is held against them; the large study's come from the packed one.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers as hf
from numpy.typing import NDArray
from torch.nn.attention import SDPBackend, sdpa_kernel

from analysis.collection.naflex import NaflexImages
from analysis.collection.routers import find_routers, set_k
from analysis.collection.vision import VisionOnce
from analysis.collection.width import verify_width
from analysis.datasets import shapes
from data_manifests.shapes.training.data import Bytes, Study, study
from data_manifests.shapes.training.model import IMAGE_TOKENS, PIXELS, VOCABULARY
from data_manifests.shapes.training.packed import Packed

KS = (1, 2, 3, 4, 6, 8, 12, 16)
_WORDS = np.array(list(VOCABULARY))
_PROMPT = [VOCABULARY[mark] for mark in ("<bos>", "<|image_start|>")]
_PROMPT += [VOCABULARY["<image>"]] * IMAGE_TOKENS + [VOCABULARY["<|image_end|>"]]


def load(folder: Path, device: str) -> Any:
    """Load a checkpoint in float32."""
    model = hf.Lfm2VlForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    return model.to(device).eval()


def packed_answers(
    model: Any, asked: Study, device: str, batch: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Answer with the packed forward.

    Parameters
    ----------
    model : Lfm2VlForConditionalGeneration
        In float32, on the device.
    asked : Study
        Scenes and questions.
    device : str
    batch : int
        Images at a time.

    Returns
    -------
    answers : ndarray of uint8, shape (ks, images, questions)
        Token ids.
    logprobs : ndarray of float32, shape (ks, images, questions)
        Of the right answer, nats.
    """
    n_images, per_image = asked.questions.shape[:2]
    packed = Packed(model, (shapes.LONGEST,) * per_image)
    answers = np.zeros((len(KS), n_images, per_image), np.uint8)
    logprobs = np.zeros(answers.shape, np.float32)
    for first in range(0, n_images, batch):
        part = slice(first, first + batch)
        images = torch.from_numpy(asked.images[part]).to(device)
        questions = torch.from_numpy(asked.questions[part]).to(device).long()
        seen = packed.see(images)
        for row, k in enumerate(KS):
            width = torch.full((len(images),), k, device=device)
            logits = packed.answer(seen, questions[..., :-2], questions[..., -2], width)[0]
            answers[row, part], logprobs[row, part] = _read(logits, questions[..., -1])
    return answers, logprobs


def stock_answers(
    model: Any, asked: Study, device: str, batch: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Answer with Transformers' own forward, every question alone; see `packed_answers`."""
    n_images, per_image = asked.questions.shape[:2]
    answers = np.zeros((len(KS), n_images * per_image), np.uint8)
    logprobs = np.zeros(answers.shape, np.float32)
    flat = asked.questions.reshape(n_images * per_image, -1)
    routers, vision = find_routers(model), VisionOnce(model)
    names = ("pixel_values", "pixel_attention_mask", "spatial_shapes")
    pixels = NaflexImages(PIXELS)(list(asked.images))
    for number, rows in enumerate(_alike(flat[:, -2], batch)):
        ids = torch.tensor([[*_PROMPT, *row[: row[-2]].tolist()] for row in flat[rows]])
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        inputs |= {name: pixels[name][rows // per_image] for name in names}
        # Grids are read on the host.
        inputs |= {name: inputs[name].to(device) for name in inputs if name != names[-1]}
        right = torch.from_numpy(flat[rows, -1]).to(device).long()
        if number == 0:
            verify_width(model, routers, KS, lambda: model(**inputs))  # noqa: B023
        with vision.replaying(vision.encode(inputs)):
            for row, k in enumerate(KS):
                set_k(model, routers, k)
                logits = model(**inputs, use_cache=False, logits_to_keep=1).logits[:, -1]
                answers[row, rows], logprobs[row, rows] = _read(logits, right)
    shape = (len(KS), n_images, per_image)
    return answers.reshape(shape), logprobs.reshape(shape)


def _alike(lengths: Bytes, batch: int) -> Iterator[NDArray[np.int64]]:
    """Yield rows of questions of one length: they need no padding."""
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        yield from np.array_split(rows, -(-len(rows) // batch))


def _read(logits: Any, right: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return greedy answers, and the log probabilities of the right ones."""
    logprobs = logits.log_softmax(-1).gather(-1, right[..., None])[..., 0]
    return logits.argmax(-1).cpu().numpy(), logprobs.cpu().numpy()


def set_experts(model: Any, implementation: str) -> None:
    """Choose how the experts' products are computed, in every part of the model that has some."""
    for module in model.modules():
        if isinstance(module, hf.PreTrainedModel) and module._can_set_experts_implementation():
            module.set_experts_implementation(implementation)


def table(
    name: str, asked: Study, answers: NDArray[np.uint8], logprobs: NDArray[np.float32] | None
) -> pd.DataFrame:
    """Make the results table, one row per question and k, in that order.

    Returns
    -------
    DataFrame
        `checkpoint`, `sample_id`, `k`, `prediction`, `correct`, and with log probabilities
        `logprob`.
    """
    n = len(asked.frame)
    spelled = answers.reshape(len(KS), n).T.ravel()
    right = np.repeat(asked.questions[..., -1].ravel(), len(KS))
    frame = pd.DataFrame(
        {
            "checkpoint": [name] * (n * len(KS)),
            "sample_id": np.repeat(asked.frame["sample_id"].to_numpy(), len(KS)),
            "k": np.tile(np.array(KS, np.int16), n),
            "prediction": _WORDS[spelled],
            "correct": (spelled == right).astype(np.int8),
        }
    )
    if logprobs is not None:
        frame["logprob"] = logprobs.reshape(len(KS), n).T.ravel()
    return frame


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write a results table, as small as it gets without loss, and put it in place at once."""
    part = path.with_suffix(".part")
    frame.to_parquet(part, index=False, compression="zstd", compression_level=19)
    os.replace(part, path)  # noqa: PTH105
    print(f"{path}: {len(frame)} rows, {path.stat().st_size / 1e6:.2f} MB", flush=True)


def accuracies(asked: Study, answers: NDArray[np.uint8]) -> dict[str, dict[str, float]]:
    """Return the share of right answers by k: of all, by kind of question, by objects."""
    right = answers == asked.questions[None, ..., -1]
    n, frame = len(asked.frame), asked.frame
    flat = right.reshape(len(KS), n)
    groups = {"all": np.ones(n, bool)}
    groups |= {
        str(kind): (frame["question_type"] == kind).to_numpy()
        for kind in sorted(frame["question_type"].unique())
    }
    for low in (1, 9, 17, 25, 33, 41):
        inside = frame["n_objects"].between(low, low + 7).to_numpy()
        if inside.any():
            groups[f"objects {low}-{low + 7}"] = inside
    return {
        name: {str(k): round(float(flat[row, inside].mean()), 4) for row, k in enumerate(KS)}
        for name, inside in groups.items()
    }


def evaluate(folder: Path, which: str, asked: Study, args: argparse.Namespace) -> None:
    """Ask one checkpoint one study, and write `results_<study>_<checkpoint>.parquet`."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    start, name = time.monotonic(), folder.name
    model = load(folder, device)
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH):
        answers, logprobs = packed_answers(model, asked, device, args.batch)
        said: dict[str, Any] = {"packed_s": round(time.monotonic() - start, 1)}
        if which == "study":
            begin = time.monotonic()
            try:
                stock, stock_logprobs = stock_answers(model, asked, device, args.batch)
            except Exception as error:  # a GPU's grouped products may refuse float32
                print("again with eager experts:", repr(error)[:300], flush=True)
                set_experts(model, "eager")
                stock, stock_logprobs = stock_answers(model, asked, device, args.batch)
            said |= {
                "stock_s": round(time.monotonic() - begin, 1),
                "agreement": {
                    str(k): round(float((stock[row] == answers[row]).mean()), 6)
                    for row, k in enumerate(KS)
                },
                "largest_difference_of_logprobs": float(np.abs(logprobs - stock_logprobs).max()),
            }
            answers, logprobs = stock, stock_logprobs
    said |= {
        "mean_logprob": {str(k): round(float(logprobs[row].mean()), 4) for row, k in enumerate(KS)},
        "right": accuracies(asked, answers),
    }
    print(which, name, json.dumps(said), flush=True)
    kept = logprobs if which == "study" else None
    write(table(name, asked, answers, kept), args.out / f"results_{which}_{name}.parquet")
    summary = args.out / "evaluation.json"
    whole = json.loads(summary.read_text(encoding="utf-8")) if summary.exists() else {}
    whole[f"{which} {name}"] = said
    lines = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in whole.items())
    summary.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add = parser.add_argument
    add("checkpoints", type=Path, nargs="+", help="folders; their names name them in the tables")
    add("--study", action="store_true", help="the 3,000 images of the study")
    add("--large", action="store_true", help="the 25,000 images of the large one")
    add("--out", type=Path, required=True, help="folder of the tables")
    add("--images", type=int, help="only the first so many images")
    add("--batch", type=int, default=400, help="images, or questions, at a time")
    add("--processes", type=int, default=os.cpu_count())
    return parser.parse_args(given)


def main() -> None:
    """Render the studies, then ask one checkpoint after the other."""
    args = arguments()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    hf.utils.logging.disable_progress_bar()
    args.out.mkdir(parents=True, exist_ok=True)
    # All scenes first: processes are forked, which must not happen once a GPU is in use.
    wanted = [which for which in ("study", "large") if getattr(args, which)]
    studies = {which: study(which, args.images, args.processes) for which in wanted}
    failed = []
    for which, asked in studies.items():
        folder = "shapes" if which == "study" else "shapes_large"
        differs = asked.difference(Path(__file__).parents[2] / folder / "samples.parquet")
        if differs:
            failed.append(differs)
            print("failed:", differs, flush=True)
    for which, asked in studies.items():
        for folder in args.checkpoints:
            try:
                evaluate(folder, which, asked, args)
            except Exception as error:  # one checkpoint that fails must not cost the others
                failed.append(f"{which} {folder}: {error!r}")
                print("failed:", failed[-1][:500], flush=True)
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
