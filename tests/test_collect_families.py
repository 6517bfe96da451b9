"""Every family that must run: answers at each k are those of a model built with that k."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import transformers as hf
from collect_models import CONFIGS, TEXT, glm4v_moe, internvl, llava, olmoe, save
from collect_study import QUESTIONS, pixel_study

from analysis.collection.prompts import load_prompter
from analysis.collection.request import Request
from analysis.collection.routers import FAMILIES, find_routers, k_restored, set_k, text_types
from analysis.collection.sweep import collect
from analysis.collection.width import verify_width
from analysis.manifest import load_study
from analysis.results import read_latency, read_results
from complexity.errors import InputError
from complexity.image import decode

KS = (1, 3, 8)
NEW = 5


def request(folder: Path, **more: Any) -> Request:
    given = {"source": str(folder), "name": "m", "ks": KS, "longest": NEW, "batch": 2}
    return Request(**(given | {"timed": 2, "repeats": 2, "warm_up": 1} | more))


def keyed(config: Any, k: int) -> Any:
    """Set k in a configuration before the model is built from it."""
    for key in ("num_experts_per_tok", "moe_topk", "moe_k", "top_k_experts"):
        if hasattr(config.text_config, key):
            setattr(config.text_config, key, k)
    return config


@pytest.mark.parametrize("family", [*CONFIGS, "llava with qwen2_moe", "internvl with olmoe"])
def test_a_family_sweeps(family: str, tmp_path: Path) -> None:
    make = {
        "llava with qwen2_moe": lambda: llava(internvl().text_config),
        "internvl with olmoe": lambda: internvl(olmoe()),
    } | CONFIGS
    folder = save(tmp_path / "model", make[family]())
    study = load_study(pixel_study(tmp_path / "study", n_images=2))
    done = collect(study, request(folder), str(tmp_path / "study" / "r.parquet"), device="cpu")
    results = pd.read_parquet(done.outputs.results)
    assert len(results) == 6 * len(KS)

    for k in KS:
        config = keyed(hf.AutoConfig.from_pretrained(folder), k)
        model = hf.AutoModelForImageTextToText.from_pretrained(folder, config=config).eval()
        assert {router.k for router in find_routers(model)} == {k}
        prompter = load_prompter(str(folder), model.config)
        for row in results[results["k"] == k].itertuples():
            image, question = row.sample_id[1:].split("_")
            pixels = decode((tmp_path / "study" / "images" / f"i{image}.png").read_bytes())
            prompt = prompter.encode(QUESTIONS[int(question)], pixels)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                made = model.generate(**prompt.inputs, max_new_tokens=NEW, do_sample=False)
            new = made[0, prompt.n_tokens :]
            text = prompter.processor.tokenizer.decode(new, skip_special_tokens=True).strip()
            assert row.prediction == text, (k, row.sample_id)
    assert results.groupby("sample_id")["logprob"].nunique().eq(len(KS)).all()

    latency = pd.read_parquet(done.outputs.latency)
    assert len(latency) == 2 * 2 * len(KS)
    assert (latency[["vision_ms", "prefill_ms", "total_ms"]] > 0).all(axis=None)
    assert latency["n_image_tokens"].gt(0).all()


def test_the_tables_go_into_a_manifest(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", CONFIGS["lfm2_vl"]())
    path = pixel_study(tmp_path / "study")
    study = load_study(path)
    collect(study, request(folder), str(path.with_name("r.parquet")), device="cpu")
    tables = {"results": [{"path": "r.parquet"}], "latency": [{"path": "r.latency.parquet"}]}
    study = load_study(pixel_study(tmp_path / "study", **tables))
    results, _ = read_results(study)
    latency, _ = read_latency(study)
    assert set(results["k"]) == set(latency["k"]) == set(KS)
    assert results["scorer"].eq("exact").all()
    assert results["logprob"].lt(0).all()
    assert sorted(latency["order"]) == list(range(len(latency)))
    said: list[str] = []
    out = str(path.with_name("r.parquet"))
    collect(study, request(folder), out, device="cpu", say=said.append)
    assert said == ["everything is collected; the tables are made from the log"]


def _text(kind: str) -> Any:
    if kind == "phimoe":
        return hf.PhimoeConfig(**TEXT, num_local_experts=8, num_experts_per_tok=2)
    return hf.Llama4TextConfig(
        **(TEXT | {"head_dim": 16, "intermediate_size_mlp": 32}),
        num_local_experts=8,
        num_experts_per_tok=2,
        interleave_moe_layer_step=1,
    )


@pytest.mark.parametrize(("kind", "reason"), [("phimoe", "two experts"), ("llama4_text", "every")])
def test_families_that_ignore_k_are_refused(kind: str, reason: str, tmp_path: Path) -> None:
    config = llava(_text(kind))
    assert FAMILIES[kind].refused
    config.save_pretrained(tmp_path / "model")
    study = load_study(pixel_study(tmp_path / "study"))
    with pytest.raises(InputError, match=reason):
        collect(study, request(tmp_path / "model"), str(tmp_path / "r.parquet"), device="cpu")


@pytest.mark.parametrize("kind", ["phimoe", "llama4_text"])
def test_hooks_find_models_that_ignore_k(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the line in the registry the width dispatched gives them away."""
    import torch

    monkeypatch.delitem(FAMILIES, kind)
    config = _text(kind)
    model = hf.AutoModelForCausalLM.from_config(config).eval()
    ids = torch.tensor([[3, 4, 5]])
    with torch.inference_mode(), k_restored(model) as routers, pytest.raises(InputError) as error:
        verify_width(model, routers, (1, 3), lambda: model(input_ids=ids))
    assert "ignores k" in str(error.value)


def test_group_limits_are_kept(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", glm4v_moe(n_group=4, topk_group=2))
    study = load_study(pixel_study(tmp_path / "study"))
    out = str(tmp_path / "r.parquet")
    with pytest.raises(InputError, match=r"group limit.*from 1 to 4"):
        collect(study, request(folder, ks=(1, 5)), out, device="cpu")
    done = collect(study, request(folder, ks=(1, 4)), str(tmp_path / "s.parquet"), device="cpu")
    assert done.n_answers == 18


@pytest.mark.parametrize("family", CONFIGS)
def test_the_model_is_restored(family: str) -> None:
    from collect_models import build

    model = build(CONFIGS[family]())
    before = [router.k for router in find_routers(model)]
    text = model.config.text_config.to_dict()
    with k_restored(model) as routers:
        set_k(model, routers, 2)
        assert {router.k for router in find_routers(model)} == {2}
    assert [router.k for router in find_routers(model)] == before == [4] * len(before)
    assert model.config.text_config.to_dict() == text


def test_a_dense_model_has_no_routers() -> None:
    model = hf.LlamaForCausalLM(hf.LlamaConfig(**TEXT))
    with pytest.raises(InputError, match="no router"):
        find_routers(model)
    assert text_types(model.config) == ("llama",)
