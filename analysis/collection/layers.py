"""Decoder layers compiled one by one, for decoding a token on a cache of fixed size.

Compiling a whole step would take a minute or more for every k. A model's layers are alike, so one
of each kind is compiled for every k and the others share it. That needs layers which do not read
their own place in the cache: each is handed its own part of it.
"""

from __future__ import annotations

import importlib
import types
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from analysis.collection.experts import one_token
from analysis.collection.extra import require


class OwnCache:
    """What one layer sees of a `StaticCache` while a token is decoded.

    Stands for the whole cache: whatever layer is asked for, it is this one.

    Parameters
    ----------
    keys, values : Tensor, shape (batch, heads, length, size), or None
        Of an attention layer.
    conv : Tensor, shape (batch, channels, width), or None
        Of a short convolution.
    at : Tensor of int64, shape (1,)
        Where the token stands.
    """

    record_past = False

    def __init__(self, keys: Any, values: Any, conv: Any, at: Any) -> None:
        self.keys, self.values, self.conv, self.at = keys, values, conv, at

    def update(self, key_states: Any, value_states: Any, *args: Any, **more: Any) -> Any:
        """Write the token's key and value, and return all."""
        self.keys.index_copy_(2, self.at, key_states)
        self.values.index_copy_(2, self.at, value_states)
        return self.keys, self.values

    @property
    def layers(self) -> OwnCache:
        """Stand for every layer."""
        return self

    def __getitem__(self, number: Any) -> OwnCache:
        return self

    @property
    def conv_states(self) -> tuple[Any]:
        """The one state of the convolution."""
        return (self.conv,)

    def get_conv_state(self, *args: Any, **more: Any) -> Any:
        """Return the state of the convolution; it is changed in place."""
        return self.conv

    def has_previous_state(self, *args: Any, **more: Any) -> bool:
        """Say that a prompt went before."""
        return True

    def is_recording_past(self, *args: Any, **more: Any) -> bool:
        """Say that no state is kept for going back."""
        return False


class FastLayers:
    """The decoder layers of a model, compiled.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    cache : StaticCache
        Filled by a prompt before the first use.
    at : Tensor of int64, shape (1,)
        Where the token that is decoded stands.
    experts : bool
        Whether experts are read by `gathered_experts`; else as the model is set.
    sums : bool
        Whether products with one row, short convolutions and the choice of experts are spelled as
        sums, which the compiler fuses with what stands around them; else they go to the device's
        library.
    compiled : bool
        False: the same without the compiler.

    Raises
    ------
    ValueError
        A model or cache of another build.
    """

    def __init__(
        self,
        model: Any,
        cache: Any,
        at: Any,
        *,
        experts: bool = True,
        sums: bool = True,
        compiled: bool = True,
    ) -> None:
        self.torch, _ = require()
        self.cache, self.at, self.experts = cache, at, experts
        self.layers = [m for m in model.modules() if type(m).__name__.endswith("DecoderLayer")]
        if len(self.layers) != len(cache.layers):
            raise ValueError(f"{len(self.layers)} decoder layers, {len(cache.layers)} in the cache")
        found = [vars(m).get("config") for layer in self.layers for m in layer.modules()]
        self.configs = list({id(c): c for c in found if c is not None}.values())
        self.numbered = [m for layer in self.layers for m in layer.modules() if _numbered(m)]
        self.views: list[OwnCache] | None = None
        self.run = self._compile(sums) if compiled else _run

    def _compile(self, sums: bool) -> Any:
        backend = _summing if sums else "inductor"
        return self.torch.compile(_run, backend=backend, fullgraph=True, dynamic=False)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Put the layers in, for a step; the model is as before on leaving."""
        if self.views is None:
            self.views = [_own(layer, self.at) for layer in self.cache.layers]
        with ExitStack() as stack:
            stack.enter_context(one_token(self.configs, experts=self.experts))
            stack.enter_context(_many_compiled(self.torch))
            for layer, view in zip(self.layers, self.views, strict=True):
                layer.forward = types.MethodType(_forward_with(self.run, view), layer)
                stack.callback(delattr, layer, "forward")
            # A number of its own, read anywhere, would have each layer compiled by itself; the
            # views stand for whatever layer is asked for.
            for module in self.numbered:
                stack.callback(setattr, module, "layer_idx", module.layer_idx)
                module.layer_idx = 0
            # The mask is made from the first layer that counts; the views count none.
            for layer in self.cache.layers:
                if hasattr(layer, "cumulative_length"):
                    layer.cumulative_length.copy_(self.at[0])
                    break
            yield


def _numbered(module: Any) -> bool:
    return isinstance(vars(module).get("layer_idx"), int)


def _run(layer: Any, hidden_states: Any, view: OwnCache, more: dict[str, Any]) -> Any:
    return type(layer).forward(layer, hidden_states, past_key_values=view, **more)


def _forward_with(run: Any, view: OwnCache) -> Any:
    def forward(self: Any, hidden_states: Any, **more: Any) -> Any:
        more.pop("past_key_values", None)
        # What no layer reads may differ from call to call and would be compiled anew.
        more.pop("position_ids", None)
        return run(self, hidden_states, view, more)

    return forward


def _own(layer: Any, at: Any) -> OwnCache:
    """Show a layer of the cache without the marks that tie compiled code to one address."""
    kind = type(layer).__name__
    if kind == "StaticLayer":
        return OwnCache(_plain(layer.keys), _plain(layer.values), None, at)
    one = kind == "LinearAttentionLayer" and layer.number_of_states == 1
    if one and not layer.is_recurrent_states_initialized[0]:
        return OwnCache(None, None, _plain(layer.conv_states[0]), at)
    raise ValueError(f"a cache with layers of the kind {kind}")


def _plain(tensor: Any) -> Any:
    return tensor.view(tensor.shape)


@contextmanager
def _many_compiled(torch: Any) -> Iterator[None]:
    """Allow as many variants of a layer as a sweep has k and kinds of layers."""
    importlib.import_module("torch._dynamo")
    names = ("recompile_limit", "accumulated_recompile_limit")
    known = {name: 512 for name in names if hasattr(torch._dynamo.config, name)}
    with torch._dynamo.config.patch(**known):
        yield


def _summing(graph: Any, inputs: Any) -> Any:
    """Compile with products of one row, short convolutions and choices of experts as sums."""
    torch, _ = require()
    from torch._inductor.compile_fx import compile_fx
    from torch._inductor.decomposition import select_decomp_table

    aten = torch.ops.aten
    table = dict(select_decomp_table())
    for operator, spelled in (
        (aten.mm.default, _row_product),
        (aten.convolution.default, _short_convolution),
        (aten.topk.default, _ranked),
    ):
        table[operator] = _spelled(spelled, table.get(operator))
    settings = importlib.import_module("torch._functorch.config")
    # This cache looks at what is compiled, not at how products are spelled.
    with settings.patch(enable_autograd_cache=False):
        return compile_fx(graph, inputs, decompositions=table)


def _spelled(spell: Any, before: Any) -> Any:
    """Spell an operator where that suits, else leave it as it was."""

    def operator(*args: Any) -> Any:
        made = spell(*args)
        return before(*args) if made is NotImplemented and before is not None else made

    return operator


def _row_product(left: Any, right: Any) -> Any:
    """Multiply one row with a matrix."""
    if left.shape[0] != 1:
        return NotImplemented
    made = (left.reshape(-1, 1).float() * right.float()).sum(0, keepdim=True)
    return made.to(left.dtype)


def _ranked(values: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """Find the k largest of a few values by counting, for each, how many come before it.

    Two short kernels; a device's library first selects and then sorts.
    """
    n = values.shape[-1]
    if dim not in (-1, values.dim() - 1) or not largest or n > 512:
        return NotImplemented
    torch, _ = require()
    places = torch.arange(n, device=values.device)
    mine, other = values[..., :, None], values[..., None, :]
    before = (other > mine) | ((other == mine) & (places < places[:, None]))
    rank = before.sum(-1)
    taken = rank[..., None, :] == torch.arange(k, device=values.device)[:, None]
    chosen = torch.where(taken, places, 0).sum(-1)
    found = torch.where(taken, values[..., None, :], 0).sum(-1).to(values.dtype)
    return found, chosen


def _short_convolution(inputs: Any, weight: Any, bias: Any, *args: Any) -> Any:
    """Convolve every channel with a few weights of its own."""
    stride, padding, dilation, transposed, _, groups = args
    plain = (list(stride), list(padding), list(dilation)) == ([1], [0], [1]) and not transposed
    own = groups == inputs.shape[1] == weight.shape[0] and weight.shape[-1] <= 8
    if inputs.dim() != 3 or not plain or not own:
        return NotImplemented
    taps = weight.shape[-1]
    length = inputs.shape[-1] - taps + 1
    made: Any = 0
    for tap in range(taps):
        part = inputs.narrow(2, tap, length).float()
        made = made + part * weight.narrow(2, tap, 1).reshape(1, -1, 1).float()
    if bias is not None:
        made = made + bias.reshape(1, -1, 1).float()
    return made.to(inputs.dtype)
