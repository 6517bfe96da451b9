"""The study's own model: its size, its words, and how it is saved for others to load.

The architecture is the LFM2 vision-language family of Transformers: a SigLIP2 tower, a projector
that joins 2 × 2 patches to one image token, and an `lfm2_moe` text model of short convolutions
and attention with a mixture of experts in every layer but the first. The weights start at random.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, models, pre_tokenizers

from analysis.datasets.shapes import WORDS

SIDE = 128
"""Pixels of an image, each way."""
PATCH = 8
JOINED = 2
"""Patches that become one image token, each way."""
GRID = SIDE // PATCH
IMAGE_TOKENS = (GRID // JOINED) ** 2
SPECIAL = (
    *("<pad>", "<bos>", "<eos>", "<unk>", "<image>"),
    *("<|image_start|>", "<|image_end|>", "<|img_thumbnail|>"),
)
VOCABULARY: dict[str, int] = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
IDS = {f"{name}_token_id": VOCABULARY[f"<{name}>"] for name in ("pad", "bos", "eos")}
PIXELS: dict[str, Any] = {
    "image_processor_type": "Lfm2VlImageProcessor",
    "encoder_patch_size": PATCH,
    "downsample_factor": JOINED,
    "do_image_splitting": False,
    "min_image_tokens": IMAGE_TOKENS,
    "max_image_tokens": IMAGE_TOKENS,
}
"""Settings of the image processor: one tile, at its own size."""
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<image>{% else %} {{ part.text }}{% endif %}"
    "{% endfor %}{% endfor %}"
)
"""The processor puts the marks of begin and end around the image itself."""


@dataclass(frozen=True)
class Size:
    """How large the model is; the defaults are the study's, about 7.5 million parameters."""

    vision_hidden: int = 160
    vision_inner: int = 480
    vision_layers: int = 4
    vision_heads: int = 5
    projector: int = 256
    hidden: int = 192
    inner: int = 512
    expert_inner: int = 112
    layers: int = 6
    heads: int = 6
    key_heads: int = 2
    experts: int = 16


TOY = Size(
    **{"vision_hidden": 32, "vision_inner": 64, "vision_layers": 1, "vision_heads": 2},
    **{"projector": 32, "hidden": 32, "inner": 64, "expert_inner": 16, "layers": 3},
    **{"heads": 2, "key_heads": 1},
)
"""For tests and for trying the scripts on a CPU."""


def build(size: Size | None = None, k: int = 4) -> Any:
    """Make a model of random weights.

    Parameters
    ----------
    size : Size, optional
        The study's when left out.
    k : int
        Active experts that its configuration names.

    Returns
    -------
    transformers.Lfm2VlForConditionalGeneration
    """
    s = size or Size()
    vision = hf.Siglip2VisionConfig(
        hidden_size=s.vision_hidden,
        intermediate_size=s.vision_inner,
        num_hidden_layers=s.vision_layers,
        num_attention_heads=s.vision_heads,
        patch_size=PATCH,
        num_patches=GRID**2,
        vision_use_head=False,
    )
    text = hf.Lfm2MoeConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=s.hidden,
        intermediate_size=s.inner,
        moe_intermediate_size=s.expert_inner,
        num_hidden_layers=s.layers,
        num_attention_heads=s.heads,
        num_key_value_heads=s.key_heads,
        num_dense_layers=1,
        num_experts=s.experts,
        num_experts_per_tok=k,
        layer_types=["full_attention" if i % 2 else "conv" for i in range(s.layers - 1)]
        + ["full_attention"],
        max_position_embeddings=256,
        **IDS,
    )
    config = hf.Lfm2VlConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=VOCABULARY["<image>"],
        projector_hidden_size=s.projector,
        downsample_factor=JOINED,
        **IDS,
    )
    return hf.Lfm2VlForConditionalGeneration(config)


def moe_blocks(model: Any) -> list[Any]:
    """List the blocks with experts, from the first layer to the last."""
    layers = model.model.language_model.layers
    return [layer.feed_forward for layer in layers if hasattr(layer.feed_forward, "experts")]


def convert(model: Any, dtype: torch.dtype) -> None:
    """Change the number format of a model's weights; the routing bias stays float32.

    Transformers keeps it so, and rounded it would choose other experts.
    """
    biases = [block.expert_bias.float() for block in moe_blocks(model)]
    model.to(dtype)
    for block, bias in zip(moe_blocks(model), biases, strict=True):
        block.expert_bias = bias


def tokenizer() -> Any:
    """Make the tokenizer: one token a word."""
    words = Tokenizer(models.WordLevel(VOCABULARY, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.add_special_tokens(list(SPECIAL))
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side="left",
        extra_special_tokens={
            "image_token": "<image>",
            "image_start_token": "<|image_start|>",
            "image_end_token": "<|image_end|>",
            "image_thumbnail_token": "<|img_thumbnail|>",
        },
    )


def save(model: Any, folder: Path) -> None:
    """Write the model in bfloat16 with all that a loader needs.

    Files are written elsewhere and then
    put in place one by one, so that a folder that is there is never left with half a file.

    Parameters
    ----------
    model : Lfm2VlForConditionalGeneration
        On any device, in any format; left as it is.
    folder : Path
        Made if missing; existing files are replaced.
    """
    written = copy.deepcopy(model).cpu()
    convert(written, torch.bfloat16)
    # Every answer is one word: whichever word comes first ends it.
    written.generation_config.eos_token_id = [
        IDS["eos_token_id"],
        *range(len(SPECIAL), len(VOCABULARY)),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        written.save_pretrained(name)
        tokenizer().save_pretrained(name)
        made = Path(name)
        (made / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
        (made / "preprocessor_config.json").write_text(
            json.dumps(PIXELS, indent=2) + "\n", encoding="utf-8"
        )
        for file in sorted(made.iterdir()):
            part = folder / f"{file.name}.part"
            shutil.copyfile(file, part)
            os.replace(part, folder / file.name)  # noqa: PTH105
