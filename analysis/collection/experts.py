"""Experts and attention for one token at a time, written so that a compiler can fuse them.

A decoded token needs few experts and one row of attention. Products and sums spelled out element
by element let PyTorch's compiler read just the chosen weights, once, in the kernel that sums;
eagerly they would copy them, so nothing else uses these forms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from analysis.collection.extra import require

NAME = "optik_one_token"
"""The name of both in Transformers' registries."""
PART = 128
"""Places of the cache whose values are added by one group of a GPU's threads; what holds a cache
gives it a multiple of this length (`graphs.Graphed`)."""


def gathered_experts(self: Any, hidden_states: Any, top_k_index: Any, top_k_weights: Any) -> Any:
    """Compute a mixture of experts from the chosen weights alone.

    Parameters
    ----------
    self : torch.nn.Module
        An experts module of Transformers: `gate_up_proj` of shape (experts, 2 × inner, hidden) or
        `up_proj`, `down_proj` of shape (experts, hidden, inner), both transposed where
        `is_transposed`, with optional biases.
    hidden_states : Tensor, shape (tokens, hidden)
        Inputs.
    top_k_index : Tensor of int64, shape (tokens, k)
        The chosen experts.
    top_k_weights : Tensor, shape (tokens, k)
        What each of them counts.

    Returns
    -------
    Tensor, shape (tokens, hidden)
        Sums are in float32; rounded where Transformers' own products round.
    """
    tokens, k = top_k_index.shape
    kind = hidden_states.dtype
    chosen = top_k_index.reshape(-1)
    inputs = hidden_states[:, None, :].expand(tokens, k, hidden_states.shape[-1])
    inputs = inputs.reshape(tokens * k, -1)
    gated, biased = self.has_gate, self.has_bias
    weights = (self.gate_up_proj if gated else self.up_proj)[chosen]
    made = _product(weights, inputs, self.is_transposed)
    if biased:
        made = made + (self.gate_up_proj_bias if gated else self.up_proj_bias)[chosen]
    made = made.to(kind)
    made = self._apply_gate(made) if gated else self.act_fn(made)
    # Laid down once: fused into the next product it would be computed for each of its rows.
    made = made.contiguous().as_strided(made.shape, (made.shape[1], 1))
    made = _product(self.down_proj[chosen], made, self.is_transposed)
    if biased:
        made = made + self.down_proj_bias[chosen]
    made = made.to(kind)
    if getattr(self, "has_post_expert_norm", False):
        made = self.post_expert_norm(made)
    weighed = made.float() * top_k_weights.reshape(-1, 1).float()
    return weighed.view(tokens, k, -1).sum(1).to(kind)


def _product(weights: Any, inputs: Any, transposed: bool) -> Any:
    """Multiply each input with its own matrix; float32, shape (chosen, out)."""
    if transposed:
        return (weights.float() * inputs[:, :, None].float()).sum(1)
    return (weights.float() * inputs[:, None, :].float()).sum(2)


def one_token_attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    dropout: float = 0.0,
    scaling: float | None = None,
    **more: Any,
) -> tuple[Any, None]:
    """Attend with one query per sequence, without repeating the keys of a group of heads.

    Parameters
    ----------
    module : torch.nn.Module
        The attention layer.
    query : Tensor, shape (batch, heads, 1, size)
        One token each.
    key, value : Tensor, shape (batch, key heads, length, size)
        The cache.
    attention_mask : Tensor of bool, shape (batch or 1, 1, 1, length), or None
        Which places count.
    dropout : float
        Not used: answers are not training.
    scaling : float, optional
        Factor of the scores; the root of 1 / size by default.

    Returns
    -------
    output : Tensor, shape (batch, 1, heads, size)
    weights : None

    Raises
    ------
    NotImplementedError
        More than one token, or a kind of attention that is more than this.
    """
    odd = [name for name in ("softcap", "s_aux", "position_bias") if more.get(name) is not None]
    if query.shape[2] != 1 or odd:
        raise NotImplementedError(f"attention of one token only, without {odd or 'more'}")
    batch, heads, _, size = query.shape
    groups, length = key.shape[1:3]
    factor = size**-0.5 if scaling is None else scaling
    rows = query.reshape(batch, groups, heads // groups, 1, size).float()
    scores = (rows * key[:, :, None].float()).sum(-1) * factor
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, float("-inf"))
    shares = scores.softmax(-1)
    if length % PART:
        out = (shares[..., None] * value[:, :, None].float()).sum(-2)
    else:
        # One sum over all places would leave most of a GPU idle: parts first, then these. The
        # shares are laid down once, or each of `size` numbers would compute them again.
        shares = shares.contiguous().as_strided(shares.shape, shares.stride())
        shares = shares.reshape(batch, groups, heads // groups, length // PART, PART, 1)
        parts = value.reshape(batch, groups, 1, length // PART, PART, size).float()
        out = (shares * parts).sum(-2).sum(-2)
    return out.to(query.dtype).reshape(batch, 1, heads, size), None


def register() -> None:
    """Make both known to Transformers under `NAME`; again is harmless."""
    require()
    from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_EXPERTS_FUNCTIONS.register(NAME, gathered_experts)
    ALL_ATTENTION_FUNCTIONS.register(NAME, one_token_attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, sdpa_mask)


@contextmanager
def one_token(configs: Sequence[Any], *, experts: bool = True) -> Iterator[None]:
    """Let the text part of a model use them.

    Parameters
    ----------
    configs : sequence of object
        The configurations that its layers read.
    experts : bool
        Whether the experts too; else the attention alone.
    """
    register()
    before = [(c, c._attn_implementation, c._experts_implementation) for c in configs]
    try:
        for config in configs:
            config._attn_implementation = NAME
            if experts:
                config._experts_implementation = NAME
        yield
    finally:
        for config, attention, products in before:
            config._attn_implementation = attention
            config._experts_implementation = products
