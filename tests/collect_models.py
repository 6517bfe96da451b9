"""Tiny, randomly initialised models of each family, saved as a folder that a user could have."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = (
    *("how", "many", "what", "colour", "is", "the", "shape", "?", "red", "blue", "green", "one"),
    *("two", "three", "left", "right", "yes", "no"),
)
SPECIAL = (
    *("<pad>", "<bos>", "<eos>", "<unk>", "<image>", "<|image_start|>", "<|image_end|>"),
    *("<|img_thumbnail|>", "<video>", "<|video_start|>", "<|video_end|>", "<audio>"),
)
VOCABULARY = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
SIZE = 64
IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
TEXT: dict[str, Any] = {
    "vocab_size": SIZE,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    **IDS,
}
MROPE = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% for part in message.content %}"
    "{% if part.type == 'image' %}IMAGE{% else %} {{ part.text }}{% endif %}"
    "{% endfor %}{% endfor %}"
)


def lfm2_vl() -> Any:
    text = hf.Lfm2MoeConfig(
        **TEXT,
        moe_intermediate_size=16,
        num_dense_layers=1,
        num_experts=8,
        num_experts_per_tok=4,
        layer_types=["conv", "full_attention"],
    )
    vision = hf.Siglip2VisionConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        patch_size=4,
        num_patches=16,
        vision_use_head=False,
    )
    return hf.Lfm2VlConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=4,
        projector_hidden_size=16,
        downsample_factor=2,
        **IDS,
    )


def _qwen_vision(**more: Any) -> dict[str, Any]:
    return {
        "depth": 1,
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_heads": 2,
        "patch_size": 4,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        **more,
    }


def qwen3_vl_moe() -> Any:
    text = TEXT | {
        "head_dim": 16,
        "moe_intermediate_size": 16,
        "num_experts": 8,
        "num_experts_per_tok": 4,
        "rope_parameters": MROPE,
    }
    vision = _qwen_vision(
        out_hidden_size=32, num_position_embeddings=16, deepstack_visual_indexes=[0]
    )
    return hf.Qwen3VLMoeConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=4,
        video_token_id=8,
        vision_start_token_id=5,
        vision_end_token_id=6,
    )


def glm4v_moe(**groups: int) -> Any:
    text = TEXT | {
        "head_dim": 16,
        "moe_intermediate_size": 16,
        "n_routed_experts": 8,
        "n_shared_experts": 1,
        "num_experts_per_tok": 4,
        "first_k_dense_replace": 1,
        "n_group": 1,
        "topk_group": 1,
        "rope_parameters": MROPE | {"mrope_section": [1, 1, 2]},
        **groups,
    }
    vision = _qwen_vision(out_hidden_size=32, image_size=16)
    return hf.Glm4vMoeConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=4,
        video_token_id=8,
        image_start_token_id=5,
        image_end_token_id=6,
        video_start_token_id=9,
        video_end_token_id=10,
    )


def olmoe() -> Any:
    return hf.OlmoeConfig(**TEXT, num_experts=8, num_experts_per_tok=4)


def qwen_moe() -> Any:
    return hf.Qwen2MoeConfig(
        **TEXT,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=16,
        num_experts=8,
        num_experts_per_tok=4,
    )


def internvl(text: Any = None) -> Any:
    vision = hf.InternVLVisionConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=[16, 16],
        patch_size=[4, 4],
    )
    return hf.InternVLConfig(
        vision_config=vision, text_config=text or qwen_moe(), image_token_id=4, image_seq_length=4
    )


def llava(text: Any = None) -> Any:
    vision = hf.CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=16,
        patch_size=4,
        projection_dim=16,
    )
    return hf.LlavaConfig(
        vision_config=vision,
        text_config=text or olmoe(),
        image_token_index=4,
        image_seq_length=16,
    )


def aria() -> Any:
    text = hf.AriaTextConfig(**TEXT, moe_num_experts=8, moe_topk=4, moe_num_shared_experts=1)
    vision = {
        "model_type": "idefics3_vision",
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 980,
        "patch_size": 140,
    }
    return hf.AriaConfig(
        text_config=text,
        vision_config=vision,
        image_token_index=4,
        projector_patch_to_query_dict={49: 256},
    )


def ernie4_5_vl_moe() -> Any:
    text = TEXT | {
        "moe_intermediate_size": [16, 16],
        "moe_num_experts": 8,
        "moe_num_shared_experts": 1,
        "moe_k": 4,
        "mlp_layer_types": ["dense", "sparse"],
        "rope_parameters": MROPE | {"mrope_section": [3, 3, 2]},
    }
    vision = _qwen_vision()
    return hf.Ernie4_5_VLMoeConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=4,
        video_token_id=8,
        image_start_token_id=5,
        image_end_token_id=6,
        video_start_token_id=9,
        video_end_token_id=10,
    )


def gemma4() -> Any:
    text = hf.Gemma4TextConfig(
        **TEXT,
        head_dim=16,
        global_head_dim=16,
        layer_types=["sliding_attention", "full_attention"],
        sliding_window=64,
        enable_moe_block=True,
        num_experts=8,
        top_k_experts=4,
        moe_intermediate_size=16,
        hidden_size_per_layer_input=0,
        num_kv_shared_layers=0,
        vocab_size_per_layer_input=SIZE,
    )
    vision = hf.Gemma4VisionConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        patch_size=4,
        pooling_kernel_size=2,
        position_embedding_size=64,
    )
    return hf.Gemma4Config(
        text_config=text,
        vision_config=vision,
        audio_config=None,
        image_token_id=4,
        video_token_id=8,
        audio_token_id=11,
        boi_token_id=5,
        eoi_token_id=6,
    )


def tokenizer() -> Any:
    made = Tokenizer(models.WordLevel(VOCABULARY, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(list(SPECIAL))
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=made,
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
            "start_image_token": "<|image_start|>",
            "end_image_token": "<|image_end|>",
            "context_image_token": "<image>",
            "boi_token": "<|image_start|>",
            "eoi_token": "<|image_end|>",
            "video_token": "<video>",
            "video_start_token": "<|video_start|>",
            "video_end_token": "<|video_end|>",
            "audio_token": "<audio>",
            "boa_token": "<audio>",
            "eoa_token": "<audio>",
        },
    )


PIXELS: dict[str, dict[str, Any]] = {
    "lfm2_vl": {
        "encoder_patch_size": 4,
        "downsample_factor": 2,
        "do_image_splitting": False,
        "min_image_tokens": 4,
        "max_image_tokens": 4,
        "image_processor_type": "Lfm2VlImageProcessor",
    },
    "qwen3_vl_moe": {
        "patch_size": 4,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "size": {"shortest_edge": 256, "longest_edge": 256},
        "image_processor_type": "Qwen2VLImageProcessor",
    },
    "glm4v_moe": {
        "patch_size": 4,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "size": {"shortest_edge": 512, "longest_edge": 512},
        "image_processor_type": "Glm4vImageProcessor",
    },
    "internvl": {
        "size": {"height": 16, "width": 16},
        "crop_to_patches": False,
        "image_processor_type": "GotOcr2ImageProcessor",
    },
    "llava": {
        "size": {"shortest_edge": 16},
        "crop_size": {"height": 16, "width": 16},
        "image_processor_type": "LlavaImageProcessor",
    },
    "aria": {
        "split_image": False,
        "image_processor_type": "AriaImageProcessor",
    },
    "ernie4_5_vl_moe": {
        "patch_size": 4,
        "merge_size": 2,
        "size": {"shortest_edge": 256, "longest_edge": 256},
        "image_processor_type": "Ernie4_5_VLMoeImageProcessor",
    },
    "gemma4": {
        "patch_size": 4,
        "pooling_kernel_size": 2,
        "max_soft_tokens": 70,
        "image_processor_type": "Gemma4ImageProcessor",
    },
}
PROCESSORS: dict[str, dict[str, Any]] = {
    "internvl": {"processor_class": "InternVLProcessor", "image_seq_length": 4},
    "llava": {
        "processor_class": "LlavaProcessor",
        "patch_size": 4,
        "num_additional_image_tokens": 1,
        "vision_feature_select_strategy": "default",
    },
}
CONFIGS: dict[str, Callable[[], Any]] = {
    "lfm2_vl": lfm2_vl,
    "qwen3_vl_moe": qwen3_vl_moe,
    "glm4v_moe": glm4v_moe,
    "internvl": internvl,
    "llava": llava,
    "aria": aria,
    "ernie4_5_vl_moe": ernie4_5_vl_moe,
    "gemma4": gemma4,
}


def build(config: Any, seed: int = 0) -> Any:
    """A model of random weights, wide enough for its answers to depend on k."""
    torch.manual_seed(seed)
    model = hf.AutoModelForImageTextToText.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(6.0)
    return model


def save(folder: Path, config: Any, *, pixels: dict[str, Any] | None = None) -> Path:
    """Write model, tokenizer, chat template and image settings."""
    build(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    family = config.model_type
    before, after = ("<|image_start|>", "<|image_end|>")
    if family in ("lfm2_vl", "internvl", "gemma4", "llava", "aria"):
        before = after = ""  # their processors add what goes around the image, or nothing does
    template = TEMPLATE.replace("IMAGE", f"{before}<image>{after}")
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    settings = PIXELS[family] | (pixels or {})
    (folder / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    if family in PROCESSORS:
        text = json.dumps(PROCESSORS[family])
        (folder / "processor_config.json").write_text(text, encoding="utf-8")
    return folder
