"""Models of full size with random weights, made on the device, and prompts with an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import transformers

LFM2_TEXT = {
    "vocab_size": 65536,
    "hidden_size": 2048,
    "intermediate_size": 7168,
    "moe_intermediate_size": 1792,
    "num_hidden_layers": 24,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "num_dense_layers": 2,
    "num_experts": 32,
    "num_experts_per_tok": 4,
    "layer_types": [
        "full_attention" if number in (2, 6, 10, 14, 18, 21) else "conv" for number in range(24)
    ],
}
# SigLIP2 NaFlex so400m, the tower of LFM2-VL-1.6B.
LFM2_VISION = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "patch_size": 16,
    "num_patches": 256,
    "vision_use_head": False,
}
QWEN3_TEXT = {
    "vocab_size": 151936,
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "moe_intermediate_size": 768,
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "max_position_embeddings": 262144,
    "tie_word_embeddings": False,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 5e6,
        "mrope_section": [24, 20, 20],
        "mrope_interleaved": True,
    },
}
QWEN3_VISION = {
    "depth": 27,
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_heads": 16,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "num_position_embeddings": 2304,
    "out_hidden_size": 2048,
    "deepstack_visual_indexes": [8, 16, 24],
}
TOY_TEXT = {
    "vocab_size": 512,
    "hidden_size": 32,
    "intermediate_size": 48,
    "moe_intermediate_size": 16,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_experts": 8,
    "num_experts_per_tok": 4,
}
TOY_LFM2 = {"num_hidden_layers": 4, "num_dense_layers": 1} | {
    "layer_types": ["conv", "conv", "full_attention", "full_attention"]
}
TOY_VISION = {"hidden_size": 16, "intermediate_size": 24, "patch_size": 4}


@dataclass(frozen=True)
class Tiles:
    """How an image of so many tokens is cut.

    Attributes
    ----------
    number : int
        Tiles.
    rows, columns : int
        Patches of a tile; four make a token.
    """

    number: int
    rows: int
    columns: int

    @property
    def tokens(self) -> int:
        """Image tokens of all tiles."""
        return self.number * self.rows * self.columns // 4


# LFM2-VL cuts what is larger than 512 × 512 pixels: 4 tiles, or 3 × 3 and the whole made small.
SHAPES = {
    "lfm2_8b_a1b": [Tiles(1, 16, 16), Tiles(1, 32, 32), Tiles(4, 32, 32), Tiles(10, 32, 32)],
    "qwen3_vl_30b_a3b": [Tiles(1, 16, 16), Tiles(1, 32, 32), Tiles(1, 64, 64), Tiles(1, 80, 128)],
}
TOY_SHAPES = {
    "lfm2_8b_a1b": [Tiles(1, 4, 4), Tiles(3, 4, 4)],
    "qwen3_vl_30b_a3b": [Tiles(1, 4, 4), Tiles(1, 4, 8)],
}


def config_of(name: str, toy: bool = False) -> Any:
    """Return a model's configuration, or one of the same build that is tiny."""
    if name == "lfm2_8b_a1b":
        text = LFM2_TEXT | (TOY_TEXT | TOY_LFM2 if toy else {})
        heads = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_patches": 16}
        vision = LFM2_VISION | (TOY_VISION | heads if toy else {})
        return transformers.Lfm2VlConfig(
            text_config=transformers.Lfm2MoeConfig(**text),
            vision_config=transformers.Siglip2VisionConfig(**vision),
            projector_hidden_size=16 if toy else 2560,
            downsample_factor=2,
        )
    mrope = QWEN3_TEXT["rope_parameters"] | {"mrope_section": [2, 3, 3]}
    small = {"num_hidden_layers": 3, "head_dim": 16, "rope_parameters": mrope}
    text = QWEN3_TEXT | (TOY_TEXT | small if toy else {})
    deep = {"depth": 2, "num_heads": 2, "num_position_embeddings": 16, "out_hidden_size": 32}
    deep |= {"deepstack_visual_indexes": [0]}
    vision = QWEN3_VISION | (TOY_VISION | deep if toy else {})
    ids = {"image_token_id": 500, "video_token_id": 501, "vision_start_token_id": 502}
    return transformers.Qwen3VLMoeConfig(
        text_config=text,
        vision_config=vision,
        **(ids | {"vision_end_token_id": 503} if toy else {}),
    )


def shortened(config: Any, layers: int | None) -> Any:
    """Leave the text model that many layers, the first ones; all if None."""
    text = config.get_text_config()
    if layers:
        text.num_hidden_layers = layers
        if getattr(text, "layer_types", None):
            text.layer_types = text.layer_types[:layers]
    return config


def build(config: Any, device: str, dtype: Any, seed: int) -> Any:
    """Make the model where it runs, with the random weights that Transformers begins with."""
    torch.manual_seed(seed)
    with torch.device(device):
        model = transformers.AutoModelForImageTextToText.from_config(config, dtype=dtype)
    return model.to(device).eval()


def prompt(
    name: str, config: Any, tiles: Tiles, batch: int, words: int, device: str, dtype: Any, seed: int
) -> dict[str, Any]:
    """Make random prompts: an image, then words.

    Returns
    -------
    dict of str to Tensor
        The model's inputs; no padding.
    """
    made = torch.Generator(device="cpu").manual_seed(seed)
    vocabulary, image = config.get_text_config().vocab_size, config.image_token_id
    text = torch.randint(10, min(vocabulary, 390), (batch, words), generator=made)
    marks = torch.full((batch, tiles.tokens), image)
    patches, vision = tiles.rows * tiles.columns, config.vision_config
    pixels = 3 * vision.patch_size**2 * getattr(vision, "temporal_patch_size", 1)
    n = batch * tiles.number
    if name == "lfm2_8b_a1b":
        ids = torch.cat([marks, text], 1)
        grid = torch.tensor([[tiles.rows, tiles.columns]] * n)
        inputs = {
            "pixel_values": torch.randn(n, patches, pixels, generator=made).to(dtype),
            "spatial_shapes": grid,
            "pixel_attention_mask": torch.ones(n, patches, dtype=torch.long),
        }
    else:
        start = torch.full((batch, 1), config.vision_start_token_id)
        end = torch.full((batch, 1), config.vision_end_token_id)
        ids = torch.cat([start, marks, end, text[:, 2:]], 1)
        inputs = {
            "pixel_values": torch.randn(n * patches, pixels, generator=made).to(dtype),
            "image_grid_thw": torch.tensor([[1, tiles.rows, tiles.columns]] * n),
            "mm_token_type_ids": (ids == image).int(),
        }
    inputs |= {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return {key: value.to(device) for key, value in inputs.items()}


def active_bytes(model: Any, k: int) -> int:
    """Bytes of the weights that one decoded token needs: all but the vision part, k experts.

    Of the embeddings one row is read, unless they are the output's weights too.
    """
    text, total = model.model.language_model, 0
    output = model.lm_head.weight
    for key, value in text.named_parameters():
        if ".experts." in key:
            total += value.numel() // value.shape[0] * k * value.element_size()
        elif value is not text.embed_tokens.weight:
            total += value.numel() * value.element_size()
    return total + output.numel() * output.element_size()
