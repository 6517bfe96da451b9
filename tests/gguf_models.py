"""Tiny random vision-language models in GGUF: a mixture of experts and a CLIP tower for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

WIDTH = 64
EXPERTS = 8


class _Weights:
    def __init__(self, path: Path, kind: str) -> None:
        from gguf import GGUFWriter

        self.file: Any = GGUFWriter(path, kind)
        self.file.add_file_type(0)
        self.rng = np.random.default_rng(0)

    def random(self, name: str, *shape: int, scale: float = 0.2) -> None:
        made = self.rng.standard_normal(shape) * scale
        self.file.add_tensor(name, made.astype(np.float32))

    def norm(self, name: str, width: int, *, bias: bool) -> None:
        self.file.add_tensor(f"{name}.weight", np.ones(width, np.float32))
        if bias:
            self.file.add_tensor(f"{name}.bias", np.zeros(width, np.float32))

    def close(self) -> None:
        self.file.write_header_to_file()
        self.file.write_kv_data_to_file()
        self.file.write_tensors_to_file()
        self.file.close()


def write_moe(path: Path, k: int, layers: int = 2, inner: int = 32) -> Path:
    """Write an OLMoE with random weights that runs at k; the same weights for every k."""
    from gguf import TokenType

    made = _Weights(path, "olmoe")
    file = made.file
    file.add_context_length(512)
    file.add_embedding_length(WIDTH)
    file.add_block_count(layers)
    file.add_feed_forward_length(inner)
    file.add_head_count(4)
    file.add_head_count_kv(4)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_rope_freq_base(10000.0)
    file.add_expert_count(EXPERTS)
    file.add_expert_used_count(k)
    # Bytes, digits and letters: enough to spell any prompt.
    kinds = (TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL)
    control = list(zip(("<unk>", "<s>", "</s>"), kinds, strict=True))
    raw = [(f"<0x{byte:02X}>", TokenType.BYTE) for byte in range(256)]
    letters = "\u2581abcdefghijklmnopqrstuvwxyz0123456789"
    tokens = control + raw + [(letter, TokenType.NORMAL) for letter in letters]
    file.add_tokenizer_model("llama")
    file.add_token_list([token for token, _ in tokens])
    file.add_token_scores([-float(place) for place in range(len(tokens))])
    file.add_token_types([kind for _, kind in tokens])
    file.add_bos_token_id(1)
    file.add_eos_token_id(2)
    file.add_unk_token_id(0)
    file.add_chat_template(
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"
    )
    made.random("token_embd.weight", len(tokens), WIDTH, scale=1)
    made.random("output.weight", len(tokens), WIDTH, scale=0.5)
    made.norm("output_norm", WIDTH, bias=False)
    for layer in range(layers):
        block = f"blk.{layer}"
        for norm in ("attn_norm", "attn_q_norm", "attn_k_norm", "ffn_norm"):
            made.norm(f"{block}.{norm}", WIDTH, bias=False)
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            made.random(f"{block}.{part}.weight", WIDTH, WIDTH)
        made.random(f"{block}.ffn_gate_inp.weight", EXPERTS, WIDTH, scale=0.5)
        made.random(f"{block}.ffn_gate_exps.weight", EXPERTS, inner, WIDTH, scale=0.5)
        made.random(f"{block}.ffn_up_exps.weight", EXPERTS, inner, WIDTH, scale=0.5)
        made.random(f"{block}.ffn_down_exps.weight", EXPERTS, WIDTH, inner, scale=0.5)
    made.close()
    return path


def write_projector(path: Path, layers: int = 2, width: int = 32, inner: int = 64) -> Path:
    """Write a CLIP tower for 28 × 28 pixels and a two-layer projector into the model above."""
    size, patch = 28, 14
    made = _Weights(path, "clip")
    file = made.file
    file.add_bool("clip.has_vision_encoder", True)
    file.add_string("clip.projector_type", "mlp")
    file.add_bool("clip.use_gelu", True)
    for name, number in (
        ("image_size", size),
        ("patch_size", patch),
        ("embedding_length", width),
        ("feed_forward_length", inner),
        ("block_count", layers),
        ("projection_dim", WIDTH),
        ("attention.head_count", 2),
    ):
        file.add_uint32(f"clip.vision.{name}", number)
    file.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    file.add_array("clip.vision.image_mean", [0.5] * 3)
    file.add_array("clip.vision.image_std", [0.5] * 3)
    made.random("v.class_embd", width)
    made.random("v.patch_embd.weight", width, 3, patch, patch)
    made.random("v.position_embd.weight", (size // patch) ** 2 + 1, width)
    made.norm("v.pre_ln", width, bias=True)
    made.norm("v.post_ln", width, bias=True)
    for layer in range(layers):
        block = f"v.blk.{layer}"
        made.norm(f"{block}.ln1", width, bias=True)
        made.norm(f"{block}.ln2", width, bias=True)
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            made.random(f"{block}.{part}.weight", width, width)
            made.random(f"{block}.{part}.bias", width)
        made.random(f"{block}.ffn_down.weight", inner, width)
        made.random(f"{block}.ffn_down.bias", inner)
        made.random(f"{block}.ffn_up.weight", width, inner)
        made.random(f"{block}.ffn_up.bias", width)
    for number, fan_in in (("0", width), ("2", WIDTH)):
        made.random(f"mm.{number}.weight", WIDTH, fan_in, scale=1)
        made.random(f"mm.{number}.bias", WIDTH, scale=1)
    made.close()
    return path
