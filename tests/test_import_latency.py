"""Latencies of serving benchmarks (tests/logs), imported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from log_files import LOGS
from tiny_study import tiny

import analysis
from analysis.results.importing import import_logs
from complexity.errors import InputError

VLLM = LOGS / "vllm"
REPORT = LOGS / "guidellm" / "report.json"
SAID = {"k": "metadata:k", "model": "metadata:model_id", "device": "H200"}
LISTS = ("ttfts", "itls", "latencies", "input_lens", "output_lens", "errors")
LABELS = "metadata:config.metadata.labels"


def vllm(path: Path, **changes: Any) -> Path:
    found = json.loads((VLLM / "k4.json").read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps({k: v for k, v in found.items() if v is not None}))
    return path


def test_vllm_seconds_become_milliseconds_and_tpot_is_vllms() -> None:
    frame, problems = import_logs("vllm", [VLLM / "k1.json", VLLM / "k4.json"], **SAID)
    assert frame["k"].unique().tolist() == [1, 4]
    assert frame["model"].unique().tolist() == ["tiny-moe"]
    four = frame[frame["k"] == 4]
    log = json.loads((VLLM / "k4.json").read_text(encoding="utf-8"))
    assert four["ttft_ms"].to_numpy() == pytest.approx(1000 * np.array(log["ttfts"]))
    assert four["total_ms"].to_numpy() == pytest.approx(1000 * np.array(log["latencies"]))
    tpot = four["decode_ms"] / (four["n_new_tokens"] - 1)
    assert tpot.mean() == pytest.approx(log["mean_tpot_ms"])
    assert any("seconds became milliseconds" in str(item) for item in problems)


def test_older_vllm_has_no_latencies(tmp_path: Path) -> None:
    old = vllm(tmp_path / "old.json", latencies=None)
    now, _ = import_logs("vllm", [VLLM / "k4.json"], **SAID)
    frame, problems = import_logs("vllm", [old], **SAID)
    assert frame["total_ms"].to_numpy() == pytest.approx(now["total_ms"].to_numpy())
    assert "total = ttft + sum of itls" in str(problems[-1])


def test_appended_results_are_repeats(tmp_path: Path) -> None:
    one = (VLLM / "k4.json").read_text(encoding="utf-8")
    path = tmp_path / "both.json"
    path.write_text(one + "\n" + one)
    frame, _ = import_logs("vllm", [path], **SAID)
    assert frame["repeat"].tolist() == [0] * 6 + [1] * 6


def test_vllm_that_went_wrong(tmp_path: Path) -> None:
    def refused(path: Path, **options: Any) -> str:
        with pytest.raises(InputError) as caught:
            import_logs("vllm", [path], **{**SAID, **options})
        return str(caught.value)

    short = vllm(tmp_path / "short.json", ttfts=None, itls=None, output_lens=None)
    assert "run vllm bench serve with --save-result --save-detailed" in refused(short)
    failed = vllm(tmp_path / "failed.json", errors=["", "", "boom", "", "", ""])
    assert "1 of 6 requests failed or gave no token: request 2" in refused(failed)
    frame, _ = import_logs("vllm", [failed], lenient=True, **SAID)
    assert frame["request"].tolist() == [0, 1, 3, 4, 5]
    assert "it says" in refused(VLLM / "k4.json", k="metadata:experts")
    assert "lists of different lengths" in refused(vllm(tmp_path / "l.json", ttfts=[0.1]))
    cut = tmp_path / "cut.json"
    cut.write_text((VLLM / "k4.json").read_text(encoding="utf-8")[:700])
    assert "damaged or cut off" in refused(cut)
    assert "no column 'device'" in refused(VLLM / "k4.json", device=None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ttfts": ["a"] * 6}, "ttfts has 'a' at place 0 where a number is expected"),
        ({"itls": [0.1] * 6}, "itls has 0.1 where a list of seconds is expected"),
        ({"max_concurrency": "four"}, "max_concurrency is 'four', where a whole number"),
        (
            {name: [] for name in LISTS},
            "no requests in it",
        ),
    ],
)
def test_vllm_results_with_other_things_in_them(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        import_logs("vllm", [vllm(tmp_path / "k4.json", **changes)], **SAID)


def test_guidellm_reports_with_other_things_in_them(tmp_path: Path) -> None:
    found = json.loads(REPORT.read_text(encoding="utf-8"))
    request = found["benchmarks"][0]["requests"]["successful"][0]
    request["input_metrics"] = 3
    path = tmp_path / "report.json"
    path.write_text(json.dumps(found))
    said = {"k": f"{LABELS}.k", "model": "m", "device": "d"}
    frame, _ = import_logs("guidellm", [path], **said)
    assert len(frame) == 6
    request["request_latency"] = "slow"
    path.write_text(json.dumps(found))
    with pytest.raises(InputError, match="request 0 of benchmark 0 has request_latency 'slow'"):
        import_logs("guidellm", [path], **said)


def test_guidellm_as_it_writes() -> None:
    frame, problems = import_logs(
        "guidellm", [REPORT], k=f"{LABELS}.k", device=f"{LABELS}.device", model="mock-moe"
    )
    requests = json.loads(REPORT.read_text(encoding="utf-8"))["benchmarks"][0]["requests"]
    theirs = requests["successful"]
    assert frame["total_ms"].tolist() == pytest.approx(
        [1000 * request["request_latency"] for request in theirs]
    )
    assert frame["ttft_ms"].tolist() == [request["time_to_first_token_ms"] for request in theirs]
    assert frame["k"].unique().tolist() == [4]
    assert frame["device"].unique().tolist() == ["mock"]
    assert frame["batch"].unique().tolist() == [2]  # streams=2
    # Its time per output token counts the first token in: with 6 tokens the difference is large.
    tpot = frame["decode_ms"] / (frame["n_new_tokens"] - 1)
    with_first = np.array([request["time_per_output_token_ms"] for request in theirs])
    without = np.array([request["inter_token_latency_ms"] for request in theirs])
    assert np.abs(tpot.to_numpy() - without).max() < 1.0
    assert (with_first > 2 * tpot.to_numpy()).any()
    assert any("includes the first token and is not used" in str(item) for item in problems)


def test_guidellm_without_requests(tmp_path: Path) -> None:
    report = json.loads(REPORT.read_text(encoding="utf-8"))
    report["benchmarks"][0]["requests"] = {"successful": [], "errored": [{}], "incomplete": []}
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    with pytest.raises(InputError, match=r"no successful request with its times in it .1 errored."):
        import_logs("guidellm", [path], k="4", device="d", model="m")
    (tmp_path / "report.yaml").write_text("benchmarks: []")
    with pytest.raises(InputError, match="only JSON reports are read"):
        import_logs("guidellm", [tmp_path / "report.yaml"], k="4", device="d", model="m")


def test_a_manifest_may_name_the_logs(tmp_path: Path) -> None:
    entry = {
        "path": "k*.json",
        "format": "vllm",
        "k": {"metadata": "k"},
        "model": {"metadata": "model_id"},
        "device": {"value": "H200"},
    }
    files = {f"k{k}.json": (VLLM / f"k{k}.json").read_text(encoding="utf-8") for k in (1, 4)}
    study = tiny(tmp_path, files, latency=[entry])
    frame, notes = analysis.read_latency(study)
    assert frame.groupby("k").size().to_dict() == {1: 6, 4: 6}
    assert frame["dataset"].unique().tolist() == ["tiny"]
    assert any("seconds became milliseconds" in note for note in notes)
