"""The study's own model: packed and stock forward agree; it trains, is saved, and is swept."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny_study import write_study

from analysis.collection.request import Request
from analysis.collection.sweep import collect
from analysis.datasets import shapes
from analysis.manifest import load_study
from data_manifests.shapes.training import data, evaluate, model, train
from data_manifests.shapes.training.feed import Feed
from data_manifests.shapes.training.packed import Packed
from data_manifests.shapes.training.settings import Settings
from data_manifests.shapes.training.trainer import Trainer

KS = evaluate.KS
SETTINGS = Settings("anyk", images=48, stored=16, batch=8, warm_up=4)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy checkpoint after a few steps."""
    folder = tmp_path_factory.mktemp("trained")
    args = train.arguments(
        "--recipe anyk --toy --seconds 600 --steps 30 --images 48 --stored 16 --batch 8 --log 5 "
        "--processes 1 --validation 2 --validations 1 "
        f"--data {folder / 'data'} --out {folder / 'toy'}".split()
    )
    train.train(args, train.settings_of(args), time.monotonic())
    return folder / "toy"


@pytest.fixture(scope="module")
def asked() -> data.Study:
    return data.study("study", 4, 1)


def shaken(seed: int = 0) -> Any:
    """A toy model whose every part matters."""
    torch.manual_seed(seed)
    made = model.build(model.TOY).eval()
    for name, weights in made.named_parameters():
        if "norm" not in name:
            weights.data.add_(torch.randn_like(weights) * 0.2)
    for block in model.moe_blocks(made):
        block.expert_bias.normal_(0, 0.05)
    return made


def test_packed_and_stock_agree(asked: data.Study) -> None:
    made = shaken()
    with torch.no_grad():
        packed, packed_logprobs = evaluate.packed_answers(made, asked, "cpu", 3)
        stock, stock_logprobs = evaluate.stock_answers(made, asked, "cpu", 5)
    assert np.array_equal(packed, stock)
    assert np.abs(packed_logprobs - stock_logprobs).max() < 1e-4
    # k matters, so the agreement says something.
    assert np.abs(np.diff(packed_logprobs, axis=0)).reshape(len(KS) - 1, -1).max(1).min() > 1e-3


def test_slots_and_neighbours_change_nothing(asked: data.Study) -> None:
    """Neither the size of the slots, nor padding, nor another question, nor another image's k."""
    made = shaken()
    images = torch.from_numpy(asked.images[:2])
    rows = torch.from_numpy(asked.questions[:2]).long()
    rows = rows.gather(1, rows[..., -2].argsort(1, descending=True)[..., None].expand_as(rows))
    words, lengths = rows[..., :-2], rows[..., -2]
    k = torch.tensor([2, 5])
    with torch.no_grad():
        wide = Packed(made, (shapes.LONGEST,) * 4)(images, words, lengths, k)[0]
        tight = Packed(made, lengths.amax(0).tolist())
        found = tight(images, words, lengths, k)[0]
        torch.testing.assert_close(found, wide, atol=1e-5, rtol=0)
        junk = torch.where(torch.arange(shapes.LONGEST) < lengths[..., None], words, 9)
        junk[:, 3] = 11
        other = tight(images, junk, lengths, torch.tensor([2, 7]))[0]
    torch.testing.assert_close(other[0, :3], found[0, :3], atol=1e-5, rtol=0)
    assert (other[0, 3] - found[0, 3]).abs().max() > 1e-3
    assert (other[1, :3] - found[1, :3]).abs().max() > 1e-4


def test_votes_and_unevenness(asked: data.Study) -> None:
    made = shaken()
    packed = Packed(made, (shapes.LONGEST,) * 4)
    rows = torch.from_numpy(asked.questions).long()
    given = torch.from_numpy(asked.images), rows[..., :-2], rows[..., -2]
    with torch.no_grad():
        one = packed(*given, torch.full((4,), 1))
        several = packed(*given, torch.tensor([2, 4, 8, 16]))
    # Every real token has one vote; only the last of each question counts in the last layer.
    tokens = int(lengths_of(asked).sum()) + 4 * (model.IMAGE_TOKENS + 3)
    for _, votes, _ in (one, several):
        assert votes.sum(1).tolist() == pytest.approx([tokens, 16], rel=1e-5)
    assert abs(float(one[2])) < 1e-5
    assert 0 < float(several[2]) < 1


def lengths_of(asked: data.Study) -> Any:
    return asked.questions[..., -2].astype(int)


def test_questions_are_spelled_in_the_models_words(asked: data.Study) -> None:
    tokens = model.tokenizer()
    assert len(model.VOCABULARY) == len(model.SPECIAL) + len(shapes.WORDS) <= 256
    for row, question, answer in zip(
        asked.questions.reshape(16, -1), asked.frame["question"], asked.frame["answer"], strict=True
    ):
        ids = tokens(question, add_special_tokens=False)["input_ids"]
        assert row[: row[-2]].tolist() == ids
        assert tokens.decode([row[-1]]) == answer


def test_batches_hold_every_k_and_fit_the_slots(tmp_path: Path) -> None:
    images, questions, _ = data.training_set(48, 16, 1, tmp_path)
    again = data.training_set(48, 16, 1, tmp_path)
    assert again[0] is not images and np.array_equal(again[0], images)
    trainer = Trainer(SETTINGS, model.TOY, "cpu")
    feed = Feed(trainer, torch.from_numpy(images), torch.from_numpy(questions))
    for _ in range(6):
        feed()
        assert sorted(trainer.k.tolist()) == list(KS)
        lengths = trainer.questions[..., -2].long()
        assert (lengths <= trainer.sizes).float().mean() > 0.9
    assert len({image.numpy().tobytes() for image in torch.from_numpy(images)}) == 48


def test_the_rate_warms_up_and_ends_at_nothing() -> None:
    rates = [train.rate_at(SETTINGS, step, step / 100, 4) for step in range(101)]
    assert rates[0] == pytest.approx(SETTINGS.rate / 4, rel=0.01)
    assert max(rates) == pytest.approx(SETTINGS.rate, rel=0.01)
    assert rates[-1] < 1e-3 * SETTINGS.rate
    assert rates[4:] == sorted(rates[4:], reverse=True)


def test_training_lowers_the_loss(trained: Path) -> None:
    record = json.loads((trained / "training.json").read_text(encoding="utf-8"))
    losses = [point[1] for point in record["loss"]]
    assert record["steps_done"] == 30 and record["finished"]
    assert losses[0] > 4 and losses[-1] < losses[0] - 0.5
    assert record["validation"][-1]["step"] == 30


def test_optik_collect_gives_the_same_answers(
    trained: Path, asked: data.Study, tmp_path: Path
) -> None:
    """As evaluated; in float32 from the saved bfloat16, by way of the folder's own prompts."""
    args = evaluate.arguments(
        f"{trained} --study --images 4 --processes 1 --out {tmp_path}".split()
    )
    evaluate.evaluate(trained, "study", asked, args)
    ours = pd.read_parquet(tmp_path / "results_study_toy.parquet")
    assert len(ours) == 16 * len(KS)
    files: dict[str, str | bytes] = {}
    for name, image in zip(asked.frame["image_id"].unique(), asked.images, strict=True):
        with io.BytesIO() as file:
            Image.fromarray(image).save(file, "PNG")
            files[f"images/{name}.png"] = file.getvalue()
    samples = asked.frame.assign(image_id=asked.frame["image_id"] + ".png")
    samples = samples.rename(columns={"answer": "answers"})
    wanted = ["sample_id", "image_id", "question", "answers", "n_objects"]
    files["samples.csv"] = samples[wanted].to_csv(index=False)
    study = write_study(
        tmp_path / "study",
        files,
        results=None,
        latency=None,
        object_count={"from": "annotations", "column": "n_objects"},
        analysis={"primary": {"metric": "object_count"}, "metrics": ["object_count"]},
    )
    request = Request(source=str(trained), name="toy", ks=KS, longest=8, batch=8, timed=0)
    collect(load_study(str(study)), request, str(tmp_path / "swept.parquet"), device="cpu")
    swept = pd.read_parquet(tmp_path / "swept.parquet").set_index(["sample_id", "k"])
    both = ours.set_index(["sample_id", "k"]).join(swept.add_suffix("_swept"))
    assert (both["prediction"] == both["prediction_swept"]).all()
    assert (both["correct"] == both["score_swept"]).all()


def test_a_large_table_is_small(asked: data.Study, tmp_path: Path) -> None:
    answers = np.zeros((len(KS), 4, 4), np.uint8)
    answers[:] = asked.questions[..., -1]
    frame = evaluate.table("toy", asked, answers, None)
    assert list(frame.columns) == ["checkpoint", "sample_id", "k", "prediction", "correct"]
    assert frame["correct"].all() and list(frame["k"][:8]) == list(KS)
    assert frame["prediction"].tolist() == asked.frame["answer"].repeat(8).tolist()
    evaluate.write(frame, tmp_path / "large.parquet")
    assert not list(tmp_path.glob("*.part"))


def test_other_samples_are_noticed(asked: data.Study, tmp_path: Path) -> None:
    file = tmp_path / "samples.parquet"
    assert asked.difference(file) is None
    asked.frame.to_parquet(file)
    assert asked.difference(file) is None
    asked.frame.assign(answer=["blue", *asked.frame["answer"][1:]]).to_parquet(file)
    assert "1 questions differ" in str(asked.difference(file))
    asked.frame.iloc[:-1].to_parquet(file)
    assert "1 questions differ" in str(asked.difference(file))
    asked.frame.assign(sample_id="other").to_parquet(file)
    assert asked.difference(file) is None


def test_only_the_sums_that_a_table_has_are_compared(asked: data.Study, tmp_path: Path) -> None:
    """The table of the large study has the sum of every tenth image."""
    file = tmp_path / "samples.parquet"
    first = asked.frame["image_id"] == asked.frame["image_id"][0]
    sums = asked.frame["image_sha256_rgb"].where(first)
    assert first.any() and not first.all()
    asked.frame.assign(image_sha256_rgb=sums).to_parquet(file)
    assert asked.difference(file) is None
    asked.frame.assign(image_sha256_rgb=sums.where(~first, "0" * 64)).to_parquet(file)
    assert f"{first.sum()} questions differ" in str(asked.difference(file))
    asked.frame.assign(image_sha256_rgb=None).to_parquet(file)
    assert asked.difference(file) is None
