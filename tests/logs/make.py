"""Write the fixtures beside this file with the tools themselves, where they install.

    python tests/logs/make.py lm-eval       (in an environment with lm-eval 0.4.13: its own run)
    python tests/logs/make.py lmms-eval     (with lmms-eval 0.7.3: its own writer, given samples)
    python tests/logs/make.py guidellm      (with guidellm 0.8.1: its run against its mock server)
    python tests/logs/make.py vlmevalkit    (pandas and xlsxwriter, as its `dump` does)
    python tests/logs/make.py vllm          (from vLLM 0.33.0's vllm/benchmarks/serve.py)

What names a machine (environment, absolute paths) and long summaries are taken out afterwards.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
N = 8
DOCS: list[dict[str, Any]] = [
    {
        "question_id": f"q{i}",
        "question": f"How many shapes are there in scene {i}?",
        "answer": str(i % 4 + 1),
        "choices": ["1", "2", "3", "4"],
    }
    for i in range(N)
]
TASK = """\
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {docs}}}}}
test_split: test
doc_to_text: "{{{{question}}}} Answer:"
metadata: {{version: 1.0}}
{rest}
"""
GENERATE = """\
output_type: generate_until
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["\\n"]}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
filter_list:
  - {name: strict-match, filter: [{function: take_first}]}
  - name: flexible-extract
    filter: [{function: regex, regex_pattern: "([0-9]+)"}, {function: take_first}]
"""
CHOOSE = """\
output_type: multiple_choice
doc_to_choice: "{{choices}}"
doc_to_target: "{{choices.index(answer)}}"
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""


def reply(i: int, k: int) -> str:
    """Answer question i as a model with k experts might: more often right at larger k."""
    return DOCS[i]["answer"] if random.Random(i).random() < 0.35 + 0.15 * k else "7"


def lm_eval() -> None:
    out = fresh("lm-eval")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        docs = work / "docs.jsonl"
        docs.write_text("".join(json.dumps(doc) + "\n" for doc in DOCS))
        for task, rest in (("count_shapes", GENERATE), ("choose_count", CHOOSE)):
            (work / f"{task}.yaml").write_text(TASK.format(name=task, docs=docs, rest=rest))
        for k in (1, 4):
            subprocess.run(
                [Path(sys.executable).parent / "lm_eval", "run", "--model", "dummy", "--tasks",
                 "count_shapes,choose_count", "--include_path", work, "--output_path",
                 work / f"k{k}", "--log_samples", "--metadata", json.dumps({"k": k})],
                check=True,
            )  # fmt: skip
            written = next((work / f"k{k}").iterdir())
            (out / f"k{k}").mkdir()
            for file in sorted(written.iterdir()):
                text = file.read_text(encoding="utf-8").replace(f"{work}/", "")
                if file.suffix == ".json":
                    found = json.loads(text)
                    found.pop("pretty_env_info")
                    text = json.dumps(found, indent=1)
                (out / f"k{k}" / file.name).write_text(text, encoding="utf-8")


def lmms_eval() -> None:
    from lmms_eval.loggers.evaluation_tracker import EvaluationTracker

    out = fresh("lmms-eval")
    for k in (1, 4):
        tracker = EvaluationTracker(output_path=str(out / f"k{k}"))
        tracker.general_config_tracker.model_name = "tiny-moe"
        tracker.general_config_tracker.model_name_sanitized = "tiny-moe"
        samples = [
            {
                "doc_id": i,
                "doc": DOCS[i],
                "target": DOCS[i]["answer"],
                "arguments": [f"{DOCS[i]['question']}\nAnswer with one number.", {"until": []}],
                "resps": [[reply(i, k)]],
                "filtered_resps": [reply(i, k)],
                "token_counts": [{"input_tokens": 90, "output_tokens": 2}],
                "doc_hash": f"{i:064x}",
                "exact_match": float(reply(i, k) == DOCS[i]["answer"]),
                "submission": {"question_id": i, "answer": reply(i, k)},
            }
            for i in range(N)
        ]
        results = {
            "results": {"shapes_vqa": {"alias": "shapes_vqa"}},
            "configs": {"shapes_vqa": {"task": "shapes_vqa", "metadata": [{"version": 0.0}]}},
            "versions": {"shapes_vqa": "Yaml"},
            "config": {
                "model": "tiny_moe",
                "model_args": f"pretrained=tiny-moe,num_experts_per_tok={k}",
                "limit": None,
            },
        }
        tracker.save_results_aggregated(results, {"shapes_vqa": samples}, "20261101_120000")
        tracker.save_results_samples("shapes_vqa", samples)


def guidellm() -> None:
    out = fresh("guidellm")
    command = Path(sys.executable).parent / "guidellm"
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        prompts = work / "prompts.jsonl"
        prompts.write_text("".join(json.dumps({"prompt": d["question"]}) + "\n" for d in DOCS))
        server = subprocess.Popen(
            [command, "mock-server", "--host", "127.0.0.1", "--port", "8765", "--model", "mock-moe",
             "--ttft-ms", "8", "--itl-ms", "2", "--output-tokens", "6"]
        )  # fmt: skip
        try:
            time.sleep(15)
            subprocess.run(
                [command, "run", "-l", "k=4", "-l", "device=mock", "--backend",
                 "kind=openai_http,target=http://127.0.0.1:8765,model=mock-moe", "--profile",
                 "kind=concurrent,streams=2", "--constraint", "kind=max_requests,count=6",
                 "--data", f"kind=json_file,path={prompts}", "--output",
                 f"kind=json,path={work / 'report.json'}", "--disable-console"],
                check=True,
            )  # fmt: skip
        finally:
            server.terminate()
        shorten_guidellm(work / "report.json", out / "report.json", str(work))


def shorten_guidellm(source: Path, target: Path, work: str) -> None:
    report = json.loads(source.read_text(encoding="utf-8").replace(f"{work}/", ""))
    report["metadata"].pop("platform", None)
    for benchmark in report["benchmarks"]:
        for name in ("metrics", "scheduler_state", "scheduler_metrics"):
            benchmark.pop(name, None)
        for request in benchmark["requests"]["successful"]:
            request.pop("request_args", None)
    target.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def vlmevalkit() -> None:
    import pandas as pd

    out = fresh("vlmevalkit")
    for k in (1, 4):
        data = pd.DataFrame(
            {
                "index": range(N),
                "question": [doc["question"] for doc in DOCS],
                "answer": [doc["answer"] for doc in DOCS],
                "category": "counting",
                "prediction": [reply(i, k) for i in range(N)],
            }
        )
        folder = out / f"k{k}"
        folder.mkdir()
        with pd.ExcelWriter(
            folder / "TinyMoE_Shapes.xlsx",
            engine="xlsxwriter",
            engine_kwargs={"options": {"strings_to_formulas": False}},
        ) as writer:
            data.to_excel(writer, index=False)
        if k == 4:
            data.to_csv(folder / "TinyMoE_Shapes.tsv", sep="\t", index=False, quoting=1)
            with open(folder / "TinyMoE_Shapes.json", "w") as handle:
                json.dump(data.to_dict("records"), handle, indent=4, ensure_ascii=False)


def vllm() -> None:
    out = fresh("vllm")
    rng = random.Random(1)
    for k in (1, 4):
        lens = [rng.randint(3, 7) for _ in range(6)]
        itls = [[round(0.004 + 0.001 * k + rng.random() / 1e4, 7) for _ in range(n - 1)]
                for n in lens]  # fmt: skip
        ttfts = [round(0.03 + 0.005 * k + rng.random() / 1e3, 7) for _ in lens]
        result = {
            "date": "20261101-120000", "endpoint_type": "openai-chat", "backend": "openai-chat",
            "label": None, "model_id": "tiny-moe", "tokenizer_id": "tiny-moe",
            "num_prompts": len(lens), "k": str(k), "request_rate": "inf", "burstiness": 1.0,
            "max_concurrency": 1, "duration": 1.0, "completed": len(lens), "failed": 0,
            "total_input_tokens": 120 * len(lens), "total_output_tokens": sum(lens),
            "input_lens": [120] * len(lens), "output_lens": lens, "ttfts": ttfts, "itls": itls,
            "latencies": [round(t + sum(i), 7) for t, i in zip(ttfts, itls, strict=True)],
            "start_times": [float(i) for i in range(len(lens))], "queue_times": [0.0] * len(lens),
            "generated_texts": ["4"] * len(lens), "errors": [""] * len(lens),
            "mean_ttft_ms": 1000 * sum(ttfts) / len(ttfts),
            "mean_tpot_ms": 1000 * sum(sum(i) / len(i) for i in itls) / len(itls),
        }  # fmt: skip
        (out / f"k{k}.json").write_text(json.dumps(result), encoding="utf-8")


def fresh(name: str) -> Path:
    shutil.rmtree(HERE / name, ignore_errors=True)
    (HERE / name).mkdir()
    return HERE / name


if __name__ == "__main__":
    globals()[sys.argv[1].replace("-", "_")]()
