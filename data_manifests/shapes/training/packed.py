"""The model's forward pass over many questions about one image at once.

The tokens of one image are laid out as prefix (begin, image, end), question 1, question 2, …,
padding. A question sees the prefix and itself only, and its positions go on after the prefix, so
that each answer is what Transformers' own forward gives for that question alone; the test holds the
two together. All experts are computed and those not chosen are weighted with zero: at this size
that is faster on a GPU than gathering, and it lets k differ from image to image.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from data_manifests.shapes.training.model import (
    GRID,
    IMAGE_TOKENS,
    PATCH,
    VOCABULARY,
)

PREFIX = IMAGE_TOKENS + 3
"""Begin of text, begin of image, image, end of image."""


def patches(images: Tensor) -> Tensor:
    """Cut images into patches as Transformers' image processor does.

    Parameters
    ----------
    images : Tensor of uint8, shape (batch, side, side, 3)

    Returns
    -------
    Tensor of float32, shape (batch, patches, patch × patch × 3), in [-1, 1]
    """
    cut = images.view(-1, GRID, PATCH, GRID, PATCH, 3).permute(0, 1, 3, 2, 4, 5)
    return cut.reshape(-1, GRID**2, PATCH * PATCH * 3).float() / 127.5 - 1


class Packed(nn.Module):
    """The packed forward pass of a model.

    Parameters
    ----------
    model : Lfm2VlForConditionalGeneration
        In float32 (`model.convert` may come after). Its weights are used as they are, and trained
        if they are.
    slots : sequence of int
        One for each question about an image: the most tokens it may have.
    """

    def __init__(self, model: Any, slots: Sequence[int]) -> None:
        super().__init__()
        self.model = model
        # Slots of one size side by side are handled together: (questions, tokens of each).
        self.groups = tuple((len(list(same)), size) for size, same in groupby(slots))
        used = PREFIX + sum(slots)
        self.length = (used + 7) // 8 * 8  # fused attention wants masks in eights
        self.tail = self.length - used
        starts = [PREFIX + sum(slots[:number]) for number in range(len(slots))]
        own = torch.full((self.length,), -1)
        place = torch.arange(self.length)
        for number, (start, size) in enumerate(zip(starts, slots, strict=True)):
            own[start : start + size] = number
            place[start : start + size] = PREFIX + torch.arange(size)
        own[used:], place[used:] = len(slots), 0
        order = torch.arange(self.length)
        seen = (order[:, None] >= order) & ((own == -1) | (own[:, None] == own))
        mask = torch.zeros(self.length, self.length).masked_fill(~seen, -1e4)
        text = model.model.language_model
        device = text.embed_tokens.weight.device
        cos, sin = text.pos_emb(torch.zeros(1, device=device), place[None].to(device))
        marks = [VOCABULARY[word] for word in ("<bos>", "<|image_start|>", "<|image_end|>")]
        for name, value in (
            ("mask", mask[None, None]),
            ("cos", cos[:, None].detach().clone()),
            ("sin", sin[:, None].detach().clone()),
            ("marks", torch.tensor(marks)),
            ("starts", torch.tensor(starts)),
        ):
            self.register_buffer(name, value.to(device), persistent=False)

    def forward(
        self, images: Tensor, words: Tensor, lengths: Tensor, k: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Answer.

        Parameters
        ----------
        images : Tensor of uint8, shape (batch, side, side, 3)
        words : Tensor of int, shape (batch, questions, most tokens)
            Token ids, padded on the right with anything.
        lengths : Tensor of int, shape (batch, questions)
            Tokens of each question, from 1 to the size of its slot.
        k : Tensor of int, shape (batch,)
            Active experts for each image.

        Returns
        -------
        logits : Tensor, shape (batch, questions, vocabulary)
            Of the token after each question.
        votes : Tensor of float32, shape (layers with experts, experts)
            Tokens that chose each expert, a token's choices weighing 1 together.
        unevenness : Tensor of float32, shape ()
            Mean over tokens and layers of (k Σw² - 1) / (k - 1) over the weights w of the chosen
            experts: 0 if all weigh the same, 1 if one has all the weight; 0 at k = 1.
        """
        return self.answer(self.see(images), words, lengths, k)

    def see(self, images: Tensor) -> Tensor:
        """Encode images.

        Returns
        -------
        Tensor, shape (batch, image tokens, hidden)
        """
        tower = self.model.model.vision_tower
        embedding = tower.embeddings
        x = patches(images).to(embedding.patch_embedding.weight.dtype)
        h = embedding.patch_embedding(x) + embedding.position_embedding.weight[None]
        batch, n, hidden = h.shape
        for layer in tower.encoder.layers:
            attention, y = layer.self_attn, layer.layer_norm1(h)
            query, key, value = (
                part(y).view(batch, n, attention.num_heads, -1).transpose(1, 2)
                for part in (attention.q_proj, attention.k_proj, attention.v_proj)
            )
            mixed = F.scaled_dot_product_attention(query, key, value, scale=attention.scale)
            h = h + attention.out_proj(mixed.transpose(1, 2).reshape(batch, n, hidden))
            inner = F.gelu(layer.mlp.fc1(layer.layer_norm2(h)), approximate="tanh")
            h = h + layer.mlp.fc2(inner)
        grid = tower.post_layernorm(h).view(batch, GRID, GRID, hidden)
        return self.model.model.multi_modal_projector(grid).reshape(batch, IMAGE_TOKENS, -1)

    def answer(
        self, seen: Tensor, words: Tensor, lengths: Tensor, k: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Answer questions about encoded images; see `forward`, `seen` comes from `see`."""
        text = self.model.model.language_model
        weight = text.embed_tokens.weight
        batch = len(seen)
        marks = F.embedding(self.marks, weight)[None].expand(batch, 3, -1)
        asked, inside, number = [], [], 0
        for count, size in self.groups:
            those = slice(number, number + count)
            asked.append(F.embedding(words[:, those, :size].long(), weight).flatten(1, 2))
            order = torch.arange(size, device=seen.device)
            inside.append((order < lengths[:, those, None]).float().flatten(1))
            number += count
        tail = weight.new_zeros(batch, self.tail, weight.shape[1])
        h = torch.cat([marks[:, :2], seen, marks[:, 2:], *asked, tail], 1)
        ones, zeros = inside[0].new_ones(batch, PREFIX), inside[0].new_zeros(batch, self.tail)
        real = torch.cat([ones, *inside, zeros], 1)
        votes, unevenness = [], []
        for number, layer in enumerate(text.layers):
            y = _norm(layer.operator_norm, h)
            mixed = (
                self._attend(layer.self_attn, y)
                if layer.is_attention_layer
                else self._convolve(layer.conv, y)
            )
            h = h + mixed
            if number == len(text.layers) - 1:
                # Only the last token of each question is read from here on.
                h, real = self._last(h, lengths), torch.ones_like(lengths, dtype=torch.float32)
            y, block = _norm(layer.ffn_norm, h), layer.feed_forward
            if hasattr(block, "experts"):
                out, voted, uneven = _experts(block, y, k, real)
                votes.append(voted)
                unevenness.append(uneven)
                h = h + out
            else:
                h = h + block(y)
        logits = F.linear(_norm(text.embedding_norm, h), weight)
        return logits, torch.stack(votes), torch.stack(unevenness).mean()

    def _last(self, h: Tensor, lengths: Tensor) -> Tensor:
        at = self.starts + lengths.long() - 1
        return h.gather(1, at[..., None].expand(-1, -1, h.shape[2]))

    def _convolve(self, module: Any, y: Tensor) -> Tensor:
        """Run the gated short convolution; each question's first tokens look back at the prefix."""
        before, after, x = module.in_proj(y).chunk(3, -1)
        u, taps = before * x, module.conv.weight[:, 0]
        mixed = u * taps[:, 2] + self._earlier(u, 1) * taps[:, 1] + self._earlier(u, 2) * taps[:, 0]
        return module.out_proj(after * mixed)

    def _earlier(self, u: Tensor, steps: int) -> Tensor:
        """Return what stands some tokens earlier in each question's own sequence."""
        batch, _, hidden = u.shape
        prefix, start = u[:, :PREFIX], PREFIX
        parts = [F.pad(prefix[:, : PREFIX - steps], (0, 0, steps, 0))]
        for count, size in self.groups:
            asked = u[:, start : start + count * size].reshape(batch, count, size, hidden)
            ends = prefix[:, None, PREFIX - steps :].expand(-1, count, -1, -1)
            parts.append(torch.cat([ends, asked[:, :, : size - steps]], 2).flatten(1, 2))
            start += count * size
        return torch.cat([*parts, u.new_zeros(batch, self.tail, hidden)], 1)

    def _attend(self, module: Any, y: Tensor) -> Tensor:
        batch, length, _ = y.shape
        query, key, value = (
            part(y).view(batch, length, -1, module.head_dim)
            for part in (module.q_proj, module.k_proj, module.v_proj)
        )
        query = self._turn(_norm(module.q_layernorm, query).transpose(1, 2))
        key = self._turn(_norm(module.k_layernorm, key).transpose(1, 2))
        groups = module.num_key_value_groups
        mixed = F.scaled_dot_product_attention(
            query,
            key.repeat_interleave(groups, 1),
            value.transpose(1, 2).repeat_interleave(groups, 1),
            attn_mask=self.mask.to(query.dtype),
            scale=module.scaling,
        )
        return module.out_proj(mixed.transpose(1, 2).reshape(batch, length, -1))

    def _turn(self, x: Tensor) -> Tensor:
        """Rotate queries or keys by their positions (rotary embedding)."""
        half = x.shape[-1] // 2
        turned = x * self.cos + torch.cat([-x[..., half:], x[..., :half]], -1) * self.sin
        return turned.to(x.dtype)


def _norm(module: Any, x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), module.weight, module.variance_epsilon)


def _experts(block: Any, x: Tensor, k: Tensor, real: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Run every expert and weigh the k chosen ones.

    Parameters
    ----------
    block : Lfm2MoeSparseMoeBlock
    x : Tensor, shape (batch, tokens, hidden)
    k : Tensor of int, shape (batch,)
    real : Tensor of float32, shape (batch, tokens)
        0 for padding, which has no vote.

    Returns
    -------
    out : Tensor, as `x`
    votes : Tensor of float32, shape (experts,)
    unevenness : Tensor of float32, shape ()
    """
    gate, experts = block.gate, block.experts
    n, inner = gate.num_experts, experts.intermediate_dim
    flat = x.reshape(-1, x.shape[-1])
    # In float32: with 8 bits of mantissa many scores would tie.
    scores = F.linear(flat.float(), gate.weight.float()).sigmoid()
    width = k[:, None].expand(real.shape).reshape(-1, 1)
    real = real.reshape(-1, 1)
    with torch.no_grad():
        biased = scores + block.expert_bias
        order = torch.arange(n, device=x.device)
        ahead = (biased[:, None, :] > biased[:, :, None]) | (
            (biased[:, None, :] == biased[:, :, None]) & (order < order[:, None])
        )
        chosen = (ahead.sum(-1) < width).float()
        votes = (chosen * (real / width)).sum(0)
    weights = scores * chosen
    weights = weights / (weights.sum(-1, keepdim=True) + 1e-6)
    uneven = (weights.square().sum(-1, keepdim=True) * width - 1) / (width - 1).clamp(min=1)
    up = F.linear(flat, experts.gate_up_proj.reshape(-1, flat.shape[1])).view(-1, n, 2, inner)
    active = F.silu(up[:, :, 0]) * up[:, :, 1] * weights.to(x.dtype)[:, :, None]
    down = experts.down_proj.transpose(1, 2).reshape(n * inner, -1)
    out = active.reshape(len(flat), -1) @ down
    return out.view(x.shape), votes, (uneven * real).sum() / real.sum()
