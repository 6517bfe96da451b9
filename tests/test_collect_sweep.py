"""Sweeps that are killed, run out of memory, go on, or are asked for what cannot be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from collect_models import CONFIGS, save
from collect_study import pixel_study, png
from typer.testing import CliRunner

from analysis.cli import app
from analysis.collection import asking
from analysis.collection.decoding import Eager, answer
from analysis.collection.log import Log
from analysis.collection.request import Request
from analysis.collection.sampling import stratified
from analysis.collection.sweep import collect
from analysis.manifest import load_study
from complexity.errors import InputError

KS = (1, 2, 4)
TIMES = ["vision_ms", "prefill_ms", "ttft_ms", "decode_ms", "total_ms"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("model") / "tiny", CONFIGS["lfm2_vl"]())


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return pixel_study(tmp_path / "study", n_images=4)


def request(model: Path, **more: Any) -> Request:
    given = {"source": str(model), "name": "m", "ks": KS, "longest": 3, "batch": 4}
    return Request(**(given | {"timed": 3, "repeats": 2, "warm_up": 1} | more))


def optik(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def command(study: Path, model: Path, out: Path) -> list[str]:
    options = "--k 1,2,4 --max-new-tokens 3 --batch 2 --timed 3 --repeats 2 --name m --device cpu"
    return ["collect", str(study), "--model", str(model), *options.split(), "-o", str(out)]


def same_but_times(one: Path, other: Path) -> None:
    left, right = pd.read_parquet(one), pd.read_parquet(other)
    pd.testing.assert_frame_equal(left.drop(columns=TIMES), right.drop(columns=TIMES))


KILLER = """
import os, random, signal, sys, time, warnings
warnings.simplefilter("ignore")
import torch, transformers  # once, for all children
from analysis.cli import main
from pathlib import Path

log, rng = Path(sys.argv[1]), random.Random(5)
sys.argv = ["optik", *sys.argv[2:]]
killed = 0
while True:
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        main()
    start = log.stat().st_size if log.exists() else 0
    # All over a log of some 10 kB, yet two always before its end.
    goal = start + rng.randrange(1, 3000) if killed < 5 else float("inf")
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if log.exists() and log.stat().st_size >= goal:
            os.kill(child, signal.SIGKILL)
        time.sleep(rng.random() / 300)
    if not os.WIFSIGNALED(status):
        sys.exit(os.waitstatus_to_exitcode(status) or (0 if killed >= 2 else 9))
    killed += 1
"""


def test_killed_at_any_moment_it_goes_on(study: Path, model: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole" / "r.parquet"
    assert optik(*command(study, model, whole)).exit_code == 0
    out = tmp_path / "killed" / "r.parquet"
    log = out.with_name("r.log.jsonl")
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(log), *command(study, model, out)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == whole.read_bytes()
    same_but_times(out.with_name("r.latency.parquet"), whole.with_name("r.latency.parquet"))
    with open(log, "ab") as handle:
        handle.write(b'{"kind":"answers","k":1,"rows":[["s0_0","torn')
    latency = out.with_name("r.latency.parquet").read_bytes()
    assert "made from the log" in optik(*command(study, model, out)).stderr
    assert out.read_bytes() == whole.read_bytes()
    assert out.with_name("r.latency.parquet").read_bytes() == latency


def test_another_request_does_not_go_on(study: Path, model: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "r.parquet")
    collect(load_study(study), request(model), out, device="cpu")
    with pytest.raises(InputError, match=r"another request \(longest was 3, is 4\)"):
        collect(load_study(study), request(model, longest=4), out, device="cpu")


def test_tables_without_a_log_are_not_replaced(study: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.parquet"
    pd.DataFrame({"mine": [1]}).to_parquet(out)
    before = out.read_bytes()
    with pytest.raises(InputError, match=r"r\.parquet is there and would be replaced"):
        collect(load_study(study), request(model), str(out), device="cpu")
    assert out.read_bytes() == before


def test_a_request_that_came_to_no_answer_does_not_stand_in_the_way(
    study: Path, model: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "r.parquet")
    with pytest.raises(InputError, match="99 is more than"):
        collect(load_study(study), request(model, ks=(1, 99)), out, device="cpu")
    assert (tmp_path / "r.log.jsonl").exists()
    assert collect(load_study(study), request(model), out, device="cpu").n_answers


def test_another_request_is_named_by_what_differs_in_it(tmp_path: Path) -> None:
    path = tmp_path / "x.log.jsonl"
    with Log(path, {"model": {"folder": "a", "files": {"x": 1, "y": 1}}}, "mend") as log:
        log.append({"kind": "answers", "k": 1, "rows": []})
    before = path.read_bytes()
    other = {"model": {"folder": "b", "files": {"x": 1, "y": 2}}}
    words = r"\(model folder was a, is b, model files y was 1, is 2\); mend"
    with pytest.raises(InputError, match=words), Log(path, other, "mend"):
        pass
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ['{"kind":"plan"}\n', "[1]\n", "1\n"])
def test_a_file_that_is_no_log_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.log.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=r"mend|remove it"), Log(path, {"a": 1}, "mend"):
        pass
    assert path.read_text() == text


def test_a_log_in_use_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.log.jsonl"
    with Log(path, {"a": 1}, "mend") as log:
        log.append({"kind": "plan"})
        with pytest.raises(InputError, match="another process"), Log(path, {"a": 1}, "mend"):
            pass
    with Log(path, {"a": 1}, "mend") as log:
        assert log.records == [{"kind": "plan"}]


def test_out_of_memory_halves_the_batch(
    study: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(load_study(study), request(model), str(tmp_path / "whole.parquet"), device="cpu")

    def small(model: Any, inputs: Any, k: int, **more: Any) -> Any:
        if k == 4 and len(inputs["input_ids"]) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate")
        return answer(model, inputs, k, **more)

    monkeypatch.setattr(asking, "answer", small)
    said: list[str] = []
    out = str(tmp_path / "r.parquet")
    done = collect(load_study(study), request(model), out, device="cpu", say=said.append)
    assert "out of memory with 4 questions at once: 2 from now on" in said
    assert any("halved, to 2" in note for note in done.notes)
    left = pd.read_parquet(tmp_path / "whole.parquet").drop(columns=["run", "logprob"])
    right = pd.read_parquet(out).drop(columns=["run", "logprob"])
    pd.testing.assert_frame_equal(left, right)

    def none(*args: Any, **more: Any) -> Any:
        raise MemoryError("no room")

    monkeypatch.setattr(asking, "answer", none)
    with pytest.raises(InputError, match="too little memory for one question"):
        collect(load_study(study), request(model), str(tmp_path / "s.parquet"), device="cpu")


def test_images_are_encoded_once_for_all_k(
    study: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.models.lfm2_vl.modeling_lfm2_vl import Lfm2VlModel

    calls, real = [], Lfm2VlModel.get_image_features

    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return real(self, *args, **kwargs)

    counted.__signature__ = __import__("inspect").signature(real)  # type: ignore[attr-defined]
    monkeypatch.setattr(Lfm2VlModel, "get_image_features", counted)
    collect(load_study(study), request(model, timed=0), str(tmp_path / "r.parquet"), device="cpu")
    seen = pd.read_parquet(tmp_path / "r.parquet")
    prompts = 3 * -(-4 // 4)  # three lengths of questions, four images, batches of four
    assert len(calls) == prompts + len(KS) + 1  # and once for each k verified, once for replaying
    assert len(seen) == 12 * len(KS)


def test_an_eager_step_is_the_model_on_a_longer_prompt(model: Path) -> None:
    import torch
    import transformers as hf

    live = hf.AutoModelForImageTextToText.from_pretrained(model).eval()
    ids = torch.tensor([[1, 12, 13, 20]])
    with torch.inference_mode():
        made = live(input_ids=ids, use_cache=True)
        chosen, logprob = Eager(live).step(4, torch.tensor([[21]]), 4, made.past_key_values)
        whole = live(input_ids=torch.tensor([[1, 12, 13, 20, 21]])).logits[:, -1]
    best = whole.log_softmax(-1).max(-1)
    assert chosen.tolist() == best.indices.tolist()
    torch.testing.assert_close(logprob, best.values, rtol=1e-4, atol=1e-4)


def test_unreadable_images_are_said(model: Path, tmp_path: Path) -> None:
    path = pixel_study(tmp_path / "study", n_images=3)
    (path.parent / "images" / "i1.png").write_bytes(png(1)[:60])
    done = collect(load_study(path), request(model), str(tmp_path / "r.parquet"), device="cpu")
    assert done.n_answers == 6 * len(KS)
    assert any("3 questions were not asked" in note for note in done.notes)
    assert "s1_0" in json.loads(done.outputs.provenance.read_text())["notes"][0]


def test_a_drawn_part_keeps_the_spread() -> None:
    n = 400
    samples = pd.DataFrame(
        {
            "sample_id": [f"s{i}" for i in range(2 * n)],
            "image_id": [f"i{i // 2}" for i in range(2 * n)],
        }
    )
    value = pd.Series(range(n), index=[f"i{i}" for i in range(n)], dtype=float)
    drawn = stratified(samples, value, 100, seed=3)
    assert len(drawn) == 100
    assert drawn["image_id"].is_unique
    tenth = drawn["image_id"].map(value) // 40
    assert (tenth.value_counts() == 10).all()
    assert drawn.equals(stratified(samples, value, 100, seed=3))
    assert not drawn.equals(stratified(samples, value, 100, seed=4))
    assert drawn.index.is_monotonic_increasing
    assert stratified(samples, value, 10**6, seed=3) is samples
    with pytest.raises(InputError, match="1 or more"):
        stratified(samples, value, 0, seed=3)


def test_a_part_of_the_questions_is_asked(study: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.parquet"
    collect(load_study(study), request(model, samples=5), str(out), device="cpu")
    assert pd.read_parquet(out)["sample_id"].nunique() == 5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"--k": "0,2"}, "k is 1 or more"),
        ({"--k": "9"}, "more than the 8 experts"),
        ({"--k": "two"}, "not a whole number"),
        ({"--k": ","}, "give the numbers"),
        ({"--model": "no/such/folder"}, "no folder no/such/folder"),
        ({"--model": "STUDY"}, "no config.json"),
        ({"-o": "x.xlsx"}, ".parquet or .csv"),
        ({"--device": "tpu"}, "give auto, cpu or cuda"),
        ({"--samples": "0"}, "must be 1 or more"),
        ({"--timed": "-1"}, "must be 0 or more"),
    ],
)
def test_bad_requests(
    change: dict[str, str], says: str, study: Path, model: Path, tmp_path: Path
) -> None:
    arguments = command(study, model, tmp_path / "r.parquet")
    for option, value in change.items():
        given = str(study.parent / "images") if value == "STUDY" else value
        if option in arguments:
            arguments[arguments.index(option) + 1] = given
        else:
            arguments += [option, given]
    result = optik(*arguments)
    assert result.exit_code == 1, result.output
    assert says in result.stderr


def test_a_study_without_images(model: Path, tmp_path: Path) -> None:
    path = pixel_study(tmp_path / "study", images={"source": "nowhere"})
    result = optik(*command(path, model, tmp_path / "r.parquet"))
    assert result.exit_code == 1
    assert "nowhere" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_text_model_is_refused(study: Path, tmp_path: Path) -> None:
    from collect_models import olmoe

    olmoe().save_pretrained(tmp_path / "text")
    result = optik(*command(study, tmp_path / "text", tmp_path / "r.parquet"))
    assert result.exit_code == 1
    assert "takes no images" in result.stderr


def test_a_missing_extra_is_named(
    study: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = __import__("importlib.util").util.find_spec

    def find(name: str, *rest: Any) -> Any:
        return None if name == "transformers" else real(name, *rest)

    monkeypatch.setattr("importlib.util.find_spec", find)
    result = optik(*command(study, model, tmp_path / "r.parquet"))
    assert result.exit_code == 1
    assert "pip install 'optik[collect]'" in result.stderr
