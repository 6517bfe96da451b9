"""Decoding on a fixed cache, with layers for one token: the eager answers, at every k and batch."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import collect_models as tiny
import numpy as np
import pytest
import torch
import transformers as hf
from collect_study import pixel_study

from analysis.collection import asking
from analysis.collection.asking import Live
from analysis.collection.batches import Questions
from analysis.collection.clock import Clock
from analysis.collection.decoding import Answers, Eager, answer
from analysis.collection.experts import NAME, PART, gathered_experts, one_token_attention, register
from analysis.collection.graphs import Graphed
from analysis.collection.loading import load_model, place
from analysis.collection.prefill import Prefills, handed
from analysis.collection.request import Request, checked
from analysis.collection.routers import find_routers, k_restored, set_k
from analysis.collection.vision import VisionOnce
from analysis.datasets import read_samples
from analysis.manifest import load_study
from complexity.errors import InputError

LAYERS = ["conv", "conv", "full_attention", "conv", "full_attention", "full_attention"]


def lfm2() -> Any:
    config = tiny.lfm2_vl()
    text = tiny.TEXT | {"num_hidden_layers": 6, "num_attention_heads": 4}
    config.text_config = hf.Lfm2MoeConfig(
        **text,
        moe_intermediate_size=16,
        num_dense_layers=2,
        num_experts=8,
        num_experts_per_tok=4,
        layer_types=LAYERS,
    )
    return config


def qwen3() -> Any:
    config = tiny.qwen3_vl_moe()
    config.text_config.num_hidden_layers = 3
    config.text_config.num_attention_heads = 4
    return config


CONFIGS = {"lfm2_vl": lfm2, "qwen3_vl_moe": qwen3, "internvl": tiny.internvl}


def prompts(config: Any, batch: int, seed: int = 1) -> dict[str, Any]:
    """Prompts without an image, of equal length."""
    ids = torch.randint(12, 30, (batch, 9), generator=torch.Generator().manual_seed(seed))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def pictured(config: Any, batch: int, seed: int = 1) -> dict[str, Any]:
    """The same with an image of four tokens each."""
    inputs = prompts(config, batch, seed)
    ids = inputs["input_ids"]
    made = torch.Generator().manual_seed(seed + 1)
    if config.model_type == "lfm2_vl":
        ids[:, 1:5] = config.image_token_id
        return inputs | {
            "pixel_values": torch.randn(batch, 16, 48, generator=made),
            "spatial_shapes": torch.tensor([[4, 4]] * batch),
            "pixel_attention_mask": torch.ones(batch, 16, dtype=torch.long),
        }
    ids[:, 0], ids[:, 5] = config.vision_start_token_id, config.vision_end_token_id
    ids[:, 1:5] = config.image_token_id
    return inputs | {
        "pixel_values": torch.randn(16 * batch, 96, generator=made),
        "image_grid_thw": torch.tensor([[1, 4, 4]] * batch),
        "mm_token_type_ids": (ids == config.image_token_id).int(),
    }


def ask(model: Any, inputs: Any, k: int, decoder: Any, prefill: Any = None) -> Answers:
    return answer(
        prefill or model, inputs, k, longest=6, ends=(), decoder=decoder, clock=Clock("cpu")
    )


def uncompiled(decoder: Graphed) -> Graphed:
    from analysis.collection import layers

    assert decoder.fast is not None
    decoder.fast.run = layers._run
    return decoder


def same(one: Answers, two: Answers) -> bool:
    close = torch.allclose(torch.tensor(one.logprobs), torch.tensor(two.logprobs), atol=1e-4)
    return bool((one.tokens == two.tokens).all()) and close


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("batch", [1, 3])
def test_fixed_cache_and_layers_for_one_token_answer_as_eagerly(family: str, batch: int) -> None:
    model = tiny.build(CONFIGS[family]())
    routers = find_routers(model)
    inputs = prompts(model.config, batch)
    with torch.inference_mode():
        plain = Graphed(model, 30, batch=batch, captured=False)
        fast = uncompiled(Graphed(model, 30, batch=batch, compiled=True, captured=False))
        grouped = uncompiled(
            Graphed(model, 30, batch=batch, compiled=True, captured=False, experts=False)
        )
        for k in (1, 3, 8, 1):
            set_k(model, routers, k)
            eager = ask(model, inputs, k, Eager(model))
            for decoder in (plain, fast, grouped):
                assert same(eager, ask(model, inputs, k, decoder))
    text = model.config.get_text_config()
    assert NAME not in (text._attn_implementation, text._experts_implementation)
    assert not any("forward" in vars(module) for module in model.modules())
    numbers = [m.layer_idx for m in model.modules() if isinstance(vars(m).get("layer_idx"), int)]
    assert sorted(set(numbers)) == list(range(text.num_hidden_layers))


@pytest.mark.parametrize("family", ["lfm2_vl", "qwen3_vl_moe"])
def test_one_layer_of_a_kind_is_compiled_for_all(family: str) -> None:
    model = tiny.build(CONFIGS[family]())
    routers = find_routers(model)
    inputs = prompts(model.config, 1)
    compiled: list[Any] = []

    def backend(graph: Any, given: Any) -> Any:
        compiled.append(graph)
        return graph.forward

    torch._dynamo.reset()
    with torch.inference_mode():
        fast = Graphed(model, 30, compiled=True, captured=False)
        assert fast.fast is not None
        run = uncompiled(fast).fast.run  # type: ignore[union-attr]
        fast.fast.run = torch.compile(run, backend=backend, fullgraph=True, dynamic=False)
        for k in (2, 4):
            set_k(model, routers, k)
            eager = ask(model, inputs, k, Eager(model))
            assert same(eager, ask(model, inputs, k, fast))
    # LFM2: a dense convolution for all k; a sparse convolution and a sparse attention for each.
    assert len(compiled) == {"lfm2_vl": 5, "qwen3_vl_moe": 2}[family]


@pytest.mark.parametrize("family", ["lfm2_vl", "qwen3_vl_moe"])
@pytest.mark.parametrize("batch", [1, 2])
def test_prefill_prepared_for_a_graph_answers_as_the_model(family: str, batch: int) -> None:
    model = tiny.build(CONFIGS[family]())
    routers = find_routers(model)
    vision = VisionOnce(model)
    with torch.inference_mode():
        decoder = Graphed(model, 30, batch=batch, captured=False)
        prefills: Prefills | None = None
        for seed in (1, 2):  # the second prompt takes the places of the first
            inputs = pictured(model.config, batch, seed)
            with vision.replaying(vision.encode(inputs)):
                given = handed(model, inputs)
                for k in (1, 4):
                    set_k(model, routers, k)
                    eager = ask(model, inputs, k, Eager(model))
                    assert same(eager, ask(model, inputs, k, decoder))
                    prefills = prefills or Prefills(model, decoder.static, captured=False)
                    assert same(eager, ask(model, inputs, k, decoder, prefills.at(k, given)))
        assert prefills is not None and len(prefills.made) == 2


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("gated", [False, True])
def test_gathered_experts_are_the_sum_over_experts(
    transposed: bool, biased: bool, gated: bool
) -> None:
    torch.manual_seed(0)
    n, hidden, inner, tokens, k = 5, 6, 4, 3, 2
    wide = 2 * inner if gated else inner
    up, down = torch.randn(n, wide, hidden), torch.randn(n, hidden, inner)
    up_bias, down_bias = torch.randn(n, wide), torch.randn(n, hidden)
    swap = (lambda w: w.transpose(1, 2).contiguous()) if transposed else (lambda w: w)
    act = torch.nn.functional.silu
    name = "gate_up_proj" if gated else "up_proj"
    experts = SimpleNamespace(
        **{name: swap(up), f"{name}_bias": up_bias},
        down_proj=swap(down),
        down_proj_bias=down_bias,
        has_gate=gated,
        has_bias=biased,
        is_transposed=transposed,
        act_fn=act,
        _apply_gate=lambda made: act(made.chunk(2, -1)[0]) * made.chunk(2, -1)[1],
    )
    inputs, shares = torch.randn(tokens, hidden), torch.rand(tokens, k)
    index = torch.stack([torch.randperm(n)[:k] for _ in range(tokens)])
    wanted = torch.zeros(tokens, hidden)
    for token in range(tokens):
        for rank in range(k):
            e = int(index[token, rank])
            made = up[e] @ inputs[token] + (up_bias[e] if biased else 0)
            made = act(made[:inner]) * made[inner:] if gated else act(made)
            made = down[e] @ made + (down_bias[e] if biased else 0)
            wanted[token] += shares[token, rank] * made
    found = gathered_experts(experts, inputs, index, shares)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [9, PART, 3 * PART])
def test_attention_of_one_token_is_that_of_pytorch(length: int) -> None:
    torch.manual_seed(0)
    query = torch.randn(2, 6, 1, 4)
    key, value = torch.randn(2, 2, length, 4), torch.randn(2, 2, length, 4)
    mask = (torch.arange(length) < length - 2).expand(2, 1, 1, length)
    wanted = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, enable_gqa=True
    )
    found, _ = one_token_attention(None, query, key, value, mask)
    torch.testing.assert_close(found, wanted.transpose(1, 2))
    with pytest.raises(NotImplementedError, match="softcap"):
        one_token_attention(None, query, key, value, mask, softcap=1.0)
    with pytest.raises(NotImplementedError, match="one token"):
        one_token_attention(None, query.expand(2, 6, 3, 4), key, value, mask)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_largest_found_by_counting(k: int) -> None:
    from analysis.collection import layers

    torch.manual_seed(0)
    values = torch.randn(5, 8)
    values[0, 2] = float("-inf")  # a masked expert
    for found, wanted in zip(layers._ranked(values, k), torch.topk(values, k), strict=True):
        assert torch.equal(found, wanted)
    ties = torch.tensor([[1.0, 2.0, 2.0, 0.0]])
    assert layers._ranked(ties, 2)[1].tolist() == [[1, 2]]
    assert layers._ranked(torch.randn(2, 600), k) is NotImplemented
    assert layers._ranked(values, k, 0) is NotImplemented


def test_products_spelled_as_sums() -> None:
    from analysis.collection import layers

    torch.manual_seed(0)
    row, matrix = torch.randn(1, 7), torch.randn(7, 5)
    torch.testing.assert_close(layers._row_product(row, matrix), row @ matrix)
    assert layers._row_product(torch.randn(2, 7), matrix) is NotImplemented
    inputs, weight, bias = torch.randn(2, 6, 4), torch.randn(6, 1, 3), torch.randn(6)
    rest = ([1], [0], [1], False, [0])
    for offset in (bias, None):
        wanted = torch.nn.functional.conv1d(inputs, weight, offset, groups=6)
        found = layers._short_convolution(inputs, weight, offset, *rest, 6)
        torch.testing.assert_close(found, wanted)
    mixed = layers._short_convolution(inputs, torch.randn(6, 6, 3), None, *rest, 1)
    padded = layers._short_convolution(inputs, weight, None, [1], [2], [1], False, [0], 6)
    assert mixed is NotImplemented and padded is NotImplemented


def test_registering_twice_is_harmless() -> None:
    register()
    register()


def test_way_of_decoding_is_checked() -> None:
    with pytest.raises(InputError, match="--decode: 'fast' is not known; give compiled, graph"):
        checked(Request("m", "m", (1,), decode="fast"))


def test_a_way_of_decoding_is_tried_even_if_the_first_answer_is_one_token() -> None:
    calls: list[tuple[tuple[int, ...], str, int]] = []

    def otherwise(ends_at_once: set[int], later: dict[int, tuple[int, float]]) -> str:
        """`later`: the second token by k and its log probability, by the way on trial."""
        calls.clear()

        def sweep(first: Any, ks: Any, done: Any, decoder: Any, *, exactly: int = 0) -> None:
            decoder = decoder or "eager"
            calls.append((tuple(ks), decoder, exactly))
            for k in ks:
                token, logprob = (7, -1.0) if decoder == "eager" else later.get(k, (7, -1.0))
                tokens = [[3]] if k in ends_at_once and not exactly else [[3, token]]
                lengths = np.array([len(tokens[0])])
                done(k, Answers(np.array(tokens), lengths, np.array([logprob]), 1, 1, 1), 0.0)

        live: Any = SimpleNamespace(longest=4, sweep=sweep)
        return Live._otherwise(live, [], (1, 2), "graph")  # type: ignore[arg-type]

    assert otherwise(set(), {}) == ""
    assert [exactly for _, _, exactly in calls] == [0, 0]
    assert "answered the first question otherwise" in otherwise(set(), {2: (8, -1.0)})
    assert otherwise({1, 2}, {}) == ""
    assert calls[2:] == [((1, 2), "eager", 2), ((1, 2), "graph", 2)]
    assert otherwise({2}, {2: (8, -1.01)}) == ""
    assert calls[2:] == [((2,), "eager", 2), ((2,), "graph", 2)]
    assert otherwise({2}, {2: (8, -1.5)}) == "its first step differs from the eager one at k = 2"


def test_two_certain_tokens_are_no_tie() -> None:
    def made(tokens: list[int], logprobs: list[float]) -> Answers:
        found = np.array(tokens)[:, None]
        return Answers(found, np.ones(len(found), int), np.array(logprobs), 1, 1, 0)

    def alike(one: tuple[list[int], list[float]], two: tuple[list[int], list[float]]) -> bool:
        return asking._alike(made(*one), made(*two))

    assert alike(([7], [-0.01]), ([7], [-0.3]))
    assert alike(([7], [-0.70]), ([8], [-0.71]))
    assert not alike(([7], [-0.01]), ([8], [-0.02]))
    assert not alike(([7], [-0.70]), ([8], [-0.90]))
    assert not alike(([7, 7], [-0.70, -0.01]), ([8, 8], [-0.71, -0.01]))


@pytest.mark.parametrize("family", [name for name in tiny.CONFIGS if name != "gemma4"])
def test_prepared_prefills_begin_as_the_model_in_every_family(family: str, tmp_path: Path) -> None:
    """As on a GPU, but run instead of captured; Gemma4's sliding cache is left to the model."""
    folder = tiny.save(tmp_path / "model", tiny.CONFIGS[family]())
    study = load_study(pixel_study(tmp_path / "study", n_images=2))
    where = place("cpu", "auto")
    loaded = load_model(str(folder), where, "")
    samples = read_samples(study)
    questions = Questions(samples, study.image_source(), loaded.prompter)
    prompts = questions.prepare(samples["sample_id"].tolist())
    with k_restored(loaded.model) as routers:
        live = Live(loaded, routers, where, 5)
        longest = max(asked.prompt.n_tokens for asked in prompts) + 5
        decoder = Graphed(loaded.model, longest, captured=False)
        assert live._otherwise(prompts[:1], (1, 3), decoder) == ""
        prefills = Prefills(loaded.model, decoder.static, captured=False)
        assert live._otherwise_begun(prompts, (1, 3), decoder, prefills) == ""
        lengths = {asked.prompt.n_tokens for asked in prompts}
        assert len(prefills.made) == 2 * len(lengths)
        # What is replayed is what the model gives, and a wrong one is noticed.
        prefill = next(iter(prefills.made.values()))
        prefill.model = SimpleNamespace(lm_head=lambda states: -loaded.model.lm_head(states))
        assert "first token" in live._otherwise_begun(prompts, (1, 3), decoder, prefills)
    assert live.prefills_for(prompts, (1,), decoder) == (None, "CUDA graphs need a GPU")
    assert live.prefills_for(prompts, (1,), decoder, "eager") == (None, "")


def test_prefilling_falls_back_and_says_so() -> None:
    live: Any = SimpleNamespace(
        clock=SimpleNamespace(events=True), model=0, vision=SimpleNamespace(possible=False)
    )
    chosen = Live.prefills_for(live, [], (1,), SimpleNamespace(static=None))  # type: ignore[arg-type]
    assert chosen == (None, "no captured prefill without a static cache")
    chosen = Live.prefills_for(live, [], (1,), SimpleNamespace(static=0))  # type: ignore[arg-type]
    assert chosen[0] is None and "no vision step of its own" in chosen[1]
    live.vision.possible = True
    live._otherwise_begun = lambda *given: 1 / 0
    chosen = Live.prefills_for(live, [], (1,), SimpleNamespace(static=0))  # type: ignore[arg-type]
    assert chosen[0] is None and chosen[1].startswith("no captured prefill: ")
    with pytest.raises(InputError, match="--prefill: 'fast' is not known; give captured, eager"):
        checked(Request("m", "m", (1,), prefill="fast"))


def test_decoding_falls_back_and_says_so() -> None:
    live = SimpleNamespace(clock=SimpleNamespace(events=True), longest=4, eager="eager", model=0)
    live._otherwise = lambda first, ks, decoder: "never"
    asked: Any = SimpleNamespace(prompt=SimpleNamespace(n_tokens=3))
    decoder, why = Live.decoder_for(live, [asked], (1, 2))  # type: ignore[arg-type]
    assert decoder == "eager"
    assert why.startswith("no compiled layers: AttributeError") and "no CUDA graph: " in why
    assert Live.decoder_for(live, [asked], (1,), "eager") == ("eager", "")  # type: ignore[arg-type]
