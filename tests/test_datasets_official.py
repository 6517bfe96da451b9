"""Readers of official annotation files, on hand-made rows in their layout (`official/make.py`)."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_study import tiny

from analysis.checking import inspect
from analysis.datasets import READERS, read_samples
from analysis.manifest import Study, load_study
from complexity.errors import InputError

FIXTURES = Path(__file__).parent / "official"
SETS = (
    *("vqa_v2", "ok_vqa", "textvqa", "vizwiz", "gqa"),
    *("clevr", "chartqa", "docvqa", "pope", "hf_parquet"),
)
VARIABLES = {name: f"{name.upper()}_DIR" for name in SETS} | {"hf_parquet": "HF_SET_DIR"}
Shipped = Callable[..., Study]


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> Shipped:
    """Load a shipped manifest with its variable set to a folder, the fixture by default."""

    def load(name: str, folder: Path | None = None) -> Study:
        monkeypatch.setenv(VARIABLES[name], str(folder or FIXTURES / name))
        return load_study(name)

    return load


@pytest.fixture
def copy(tmp_path: Path, shipped: Shipped) -> Callable[[str], tuple[Path, Study]]:
    """Copy a fixture to be bent."""

    def make(name: str) -> tuple[Path, Study]:
        folder = tmp_path / name
        shutil.copytree(FIXTURES / name, folder)
        return folder, shipped(name, folder)

    return make


def change(path: Path, act: Callable[[Any], Any]) -> None:
    """Change a JSON file; `act` changes the content, or returns another."""
    content = json.loads(path.read_text(encoding="utf-8"))
    made = act(content)
    path.write_text(json.dumps(content if made is None else made), encoding="utf-8")


@pytest.mark.parametrize("name", SETS)
def test_a_shipped_manifest_fits_the_official_layout(name: str, shipped: Shipped) -> None:
    findings = inspect(shipped(name))
    assert [f for f in findings if f.level == "wrong"] == []
    found = {f.where for f in findings if f.level == "ok"}
    assert {"data_root", "images.source", "samples"} <= found
    assert {f.where for f in findings if f.level == "missing"} == {"results", "latency"}
    counted = any(f.where == "object_count" and f.level == "ok" for f in findings)
    assert counted == (name in ("vqa_v2", "ok_vqa", "gqa", "clevr", "pope"))


@pytest.mark.parametrize("name", SETS)
def test_check_says_what_to_fetch(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLES[name], raising=False)
    first = inspect(load_study(name))[0]
    assert (first.level, first.where) == ("missing", "data_root")
    assert f"the environment variable {VARIABLES[name]} is not set" in first.what
    assert f"set {VARIABLES[name]} to" in re.sub(r"\s+", " ", first.remedy)
    manifest = load_study(name).manifest
    assert manifest.license
    assert manifest.citation
    # Set, but to a folder without the data.
    monkeypatch.setenv(VARIABLES[name], str(tmp_path))
    empty = [f for f in inspect(load_study(name)) if f.level == "missing"]
    assert empty[0].what.startswith("not there: ")
    assert manifest.samples.path.split("*")[0] in empty[0].what
    assert empty[0].remedy == manifest.fetch


def rows(study: Study) -> list[dict[str, Any]]:
    frame = read_samples(study).drop(columns="dataset")
    return [dict(row) for row in frame.to_dict("records")]


def test_vqa_v2(shipped: Shipped) -> None:
    made = rows(shipped("vqa_v2"))
    assert made[1] == {
        "sample_id": "42001",
        "image_id": "COCO_val2014_000000000042.jpg",
        "question": "How many disks are there?",
        "answers": ["1"] * 7 + ["2"] * 3,
        "question_type": "how many",
        "answer_type": "number",
    }


def test_ok_vqa_spells_its_types(shipped: Shipped) -> None:
    kinds = [row["question_type"] for row in rows(shipped("ok_vqa"))]
    assert kinds == ["Other", "Vehicles and Transportation"]


def test_textvqa(shipped: Shipped) -> None:
    made = rows(shipped("textvqa"))
    assert made[1] == {
        "sample_id": "34603",
        "image_id": "003a8ae2ef43b901.jpg",
        "question": "what year is it?",
        "answers": ["1999"] * 6 + ["unanswerable"] * 4,
    }


def test_vizwiz(shipped: Shipped) -> None:
    made = rows(shipped("vizwiz"))
    assert made[0]["sample_id"] == "VizWiz_val_00000000"
    assert made[0]["image_id"] == "VizWiz_val_00000000.jpg"
    assert [row["answer_type"] for row in made] == ["unanswerable", "other"]
    assert [row["answerable"] for row in made] == [0, 1]


def test_gqa(shipped: Shipped) -> None:
    made = rows(shipped("gqa"))
    assert made[1] == {
        "sample_id": "05515939",
        "image_id": "2405722.jpg",
        "question": "Is it red?",
        "answers": ["no"],
        "question_type": "verify",
        "n_objects": 1,
        "semantic_type": "attr",
        "detailed_type": "verifyAttr",
        "program_length": 3,
    }
    assert [row["n_objects"] for row in made] == [1, 1, 2]


def test_clevr(shipped: Shipped) -> None:
    made = rows(shipped("clevr"))
    assert made[2] == {
        "sample_id": "2",
        "image_id": "CLEVR_val_000001.png",
        "question": "What colour is the disk on the left?",
        "answers": ["green"],
        "question_type": "query_color",
        "program_length": 4,
        "question_family": "82",
    }


def test_clevr_as_its_generator_writes_it(copy: Any) -> None:
    """`type` instead of `function`, true and false instead of yes and no."""
    folder, study = copy("clevr")

    def generator(content: Any) -> None:
        for question in content["questions"]:
            for step in question["program"]:
                step["type"] = step.pop("function")
        content["questions"][0]["answer"] = 1
        content["questions"][1]["answer"] = False

    change(folder / "questions" / "CLEVR_val_questions.json", generator)
    made = rows(study)
    assert [row["question_type"] for row in made] == ["count", "exist", "query_color"]
    assert [row["answers"] for row in made] == [["1"], ["no"], ["green"]]


def test_chartqa_and_pope_take_all_their_files(shipped: Shipped) -> None:
    charts = rows(shipped("chartqa"))
    assert [row["sample_id"] for row in charts] == [
        "test_augmented-00000", "test_human-00000", "test_human-00001",
    ]  # fmt: skip
    assert [row["question_type"] for row in charts] == ["augmented", "human", "human"]
    assert charts[0]["answers"] == ["6.37"]
    pope = rows(shipped("pope"))
    assert [row["sample_id"] for row in pope][2:5] == ["adversarial-3", "popular-1", "popular-2"]
    assert pope[4] == {
        "sample_id": "popular-2",
        "image_id": "COCO_val2014_000000310196.jpg",
        "question": "Is there a car in the image?",
        "answers": ["no"],
        "question_type": "popular",
    }


def test_docvqa(shipped: Shipped) -> None:
    made = rows(shipped("docvqa"))
    assert made[1] == {
        "sample_id": "24580",
        "image_id": "xnbl0037_1.png",
        "question": "What is the date?",
        "answers": ["1/8/93"],
        "question_type": "handwritten + form",
        "document": "xnbl0037",
    }


def test_infographicvqa_has_another_key_for_the_image(copy: Any) -> None:
    folder, study = copy("docvqa")

    def rename(content: Any) -> None:
        for row in content["data"]:
            row["image_local_name"] = row.pop("image").removeprefix("documents/")

    change(folder / "val_v1.0_withQT.json", rename)
    assert [row["image_id"] for row in rows(study)] == ["pybv0228_81.png", "xnbl0037_1.png"]


def test_hf_parquet_knows_equal_images(shipped: Shipped) -> None:
    made = rows(shipped("hf_parquet"))
    assert [row["sample_id"] for row in made] == ["34602", "34603", "34604"]
    assert [row["image_id"] for row in made] == ["34602", "34602", "34604"]
    assert len(made[2]["answers"]) == 10


def hub(folder: Path, columns: dict[str, Any], named: dict[str, str] | None = None) -> Study:
    (folder / "study").mkdir()
    pq.write_table(pa.table(columns), folder / "study" / "a.parquet")
    samples = {"format": "hf-parquet", "path": "a.parquet", "columns": named or {}}
    return tiny(folder / "study", samples=samples, results=None, latency=None)


def test_hf_parquet_takes_answers_in_objects_and_options(tmp_path: Path) -> None:
    columns = {
        "sample_id": [1, 2],
        "image_id": [1, 2],
        "question": ["?", "??"],
        "answers": [[{"answer": "a", "answer_id": 1}, {"answer": "b", "answer_id": 2}]] * 2,
        "options": [["a", "b"], ["c"]],
    }
    made = rows(hub(tmp_path, columns))
    assert [row["answers"] for row in made] == [["a", "b"]] * 2
    assert [row["options"] for row in made] == [["a", "b"], ["c"]]


def test_hf_parquet_refuses_what_cannot_be_told(tmp_path: Path) -> None:
    columns = {"id": [1, 2], "img": ["x", "x"], "question": ["?", "?"], "gold": [["a"], ["b"]]}
    named = {"sample_id": "id", "image_id": "img", "answers": "gold"}
    with pytest.raises(InputError, match=r"1 values of the image_id column 'img' occur more"):
        read_samples(hub(tmp_path, columns, named))
    (tmp_path / "two").mkdir()
    columns["gold"] = [["a"], []]
    with pytest.raises(InputError, match=r"no answer in row 2 of 2"):
        read_samples(hub(tmp_path / "two", columns, named | {"image_id": "id"}))


@pytest.mark.parametrize("scorer", ["vqa-soft", "vqa-soft-evalai", "yes-no", "multiple-choice"])
def test_predictions_are_scored_by_the_manifests_rule(scorer: str, tmp_path: Path) -> None:
    from analysis.results import read_results

    answers = {
        "yes-no": '"[""yes""]"',
        "multiple-choice": '"[""A""]"',
    }.get(scorer, '"[""yes"", ""yes"", ""yes"", ""yes""]"')
    samples = (
        f'sample_id,image_id,question,answers,options\n1,a.png,?,{answers},"[""yes"", ""no""]"\n'
    )
    results = "model,sample_id,k,prediction\nm,1,1,Yes.\nm,1,2,perhaps\n"
    study = tiny(
        tmp_path,
        {"samples.csv": samples, "results.csv": results},
        scorer=scorer,
        latency=None,
    )
    frame, notes = read_results(study)
    first = {"vqa-soft": 0}.get(scorer, 1)
    second = 1 if scorer == "yes-no" else 0  # POPE's rule takes whatever is not no for yes
    assert frame["score"].tolist() == [first, second]
    assert frame["scorer"].tolist() == [scorer] * 2
    said = {
        "vqa-soft": "1 of 2 predictions differ only in case or punctuation",
        "yes-no": "1 of 2 predictions have neither the word yes nor No, no or not",
        "multiple-choice": "1 of 2 predictions name no option",
    }
    assert len(notes) == 1 + (scorer in said)
    assert said.get(scorer, "") in notes[-1]


def drop(*path: Any) -> Callable[[Any], None]:
    """Return what removes a key."""

    def act(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return act


def put(value: Any, *path: Any) -> Callable[[Any], None]:
    """Return what sets a key."""

    def act(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return act


def twice(*path: Any) -> Callable[[Any], None]:
    """Return what repeats the first item of a list."""

    def act(content: Any) -> None:
        for key in path:
            content = content[key]
        content.append(content[0])

    return act


Q, A = "v2_OpenEnded_mscoco_val2014_questions.json", "v2_mscoco_val2014_annotations.json"
TEXT, BLIND = "TextVQA_0.5.1_val.json", "Annotations/val.json"
GQA, GRAPHS = "val_balanced_questions.json", "val_sceneGraphs.json"
CLEVR, CHART, DOC = (
    *("questions/CLEVR_val_questions.json", "test/test_human.json", "val_v1.0_withQT.json"),
)


@pytest.mark.parametrize(
    ("name", "file", "act", "said"),
    [
        ("vqa_v2", Q, twice("questions"), "1 values of 'question_id' occur more than once: 42000"),
        ("vqa_v2", A, twice("annotations"), "1 values of 'question_id' occur more than once"),
        ("vqa_v2", Q, drop("questions", 1, "image_id"), "a question lacks 'image_id' (question 2)"),
        (
            "vqa_v2",
            Q,
            put("x", "questions", 0, "image_id"),
            "'image_id' that is not a whole number",
        ),
        (
            "vqa_v2",
            Q,
            put(True, "questions", 0, "image_id"),
            "'image_id' that is not a whole number",
        ),
        ("vqa_v2", Q, drop("questions"), "no list 'questions'"),
        (
            "vqa_v2",
            Q,
            lambda c: c["questions"],
            "no list 'questions': the file of questions is expected, but it is a list",
        ),
        ("vqa_v2", Q, put([], "questions"), "'questions' is empty"),
        (
            "vqa_v2",
            A,
            put("train2014", "data_subtype"),
            "answers of another split: its data_subtype is 'train2014', that of the questions",
        ),
        (
            "vqa_v2",
            A,
            drop("annotations", 0),
            "1 of the 3 questions of " + Q + " have no annotation: 42000",
        ),
        (
            "vqa_v2",
            A,
            put(7, "annotations", 0, "image_id"),
            "another image_id than in " + Q + " for question 42000 (42 and 7)",
        ),
        (
            "vqa_v2",
            A,
            put([], "annotations", 2, "answers"),
            "1 of 3 questions have no answer under 'answers': 73000",
        ),
        (
            "vqa_v2",
            A,
            put(["no"], "annotations", 2, "answers"),
            "'answers' must be a list of objects with a text 'answer'; it is not in question 3",
        ),
        (
            "vqa_v2",
            Q,
            drop("data_subtype"),
            "does not say how image files are called; add samples.image_name",
        ),
        ("textvqa", TEXT, twice("data"), "1 values of 'question_id' occur more than once: 34602"),
        (
            "textvqa",
            TEXT,
            drop("data", 0, "answers"),
            "1 of 3 questions have no answer under 'answers'",
        ),
        ("textvqa", TEXT, lambda c: {"dat": c["data"]}, "no list 'data' (did you mean 'dat'?)"),
        (
            "textvqa",
            TEXT,
            lambda c: [row.pop("answers") for row in c["data"]] and None,
            "no question has an answer under 'answers'; test splits are published without",
        ),
        (
            "vizwiz",
            BLIND,
            twice(),
            "1 values of 'image' occur more than once: VizWiz_val_00000000.jpg",
        ),
        ("vizwiz", BLIND, drop(1, "question"), "a question lacks 'question' (question 2)"),
        (
            "vizwiz",
            BLIND,
            lambda c: {"data": c},
            "not a list of questions; is samples.format right?",
        ),
        ("vizwiz", BLIND, put([{"answer": " "}], 0, "answers"), "1 of 2 questions have no answer"),
        ("gqa", GQA, drop("05515938", "imageId"), "a question lacks 'imageId' (question 1)"),
        (
            "gqa",
            GQA,
            drop("05515938", "answer"),
            "1 of 3 questions have no answer under 'answer': 05515938",
        ),
        ("gqa", GQA, lambda c: list(c.values()), "questions keyed by their ids are expected"),
        (
            "gqa",
            GRAPHS,
            drop("2405722"),
            "no scene graph with 'objects' for 1 images of the questions: "
            "2405722; take the scene graphs of the questions' split",
        ),
        (
            "clevr",
            CLEVR,
            twice("questions"),
            "1 values of 'question_index' occur more than once: 0",
        ),
        (
            "clevr",
            CLEVR,
            drop("questions", 0, "image_filename"),
            "a question lacks 'image_filename'",
        ),
        (
            "clevr",
            CLEVR,
            drop("questions", 0, "answer"),
            "1 of 3 questions have no answer under 'answer'",
        ),
        ("chartqa", CHART, drop(0, "query"), "a question lacks 'query' (question 1)"),
        (
            "chartqa",
            CHART,
            drop(0, "label"),
            "1 of 2 questions have no answer under 'label': test_human-00000",
        ),
        ("chartqa", CHART, lambda c: {"rows": c}, "not a list of questions"),
        ("chartqa", CHART, lambda c: ["x", *c], "a question is not an object (question 1)"),
        ("docvqa", DOC, twice("data"), "1 values of 'questionId' occur more than once: 49153"),
        ("docvqa", DOC, drop("data", 0, "image"), "a question lacks 'image' (question 1)"),
        ("docvqa", DOC, put([], "data", 0, "answers"), "1 of 2 questions have no answer"),
        (
            "docvqa",
            DOC,
            put([3], "data", 0, "answers"),
            "'answers' must be a list of texts; it is not in question 1",
        ),
    ],
)
def test_bad_input_is_named(name: str, file: str, act: Any, said: str, copy: Any) -> None:
    folder, study = copy(name)
    change(folder / file, act)
    with pytest.raises(InputError) as caught:
        read_samples(study)
    assert said in str(caught.value)
    assert file in str(caught.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            '{"question_id": 3, "image": "a", "text": "?", "label": "maybe"}',
            "a label is yes or no, not 'maybe' in question 3",
        ),
        (
            '{"question_id": 2, "image": "a", "text": "?", "label": "no"}',
            "1 values of 'question_id' occur more than once: 2",
        ),
        ('{"question_id": 4, "image": "a", "text": "?"}', "a question lacks 'label' (question 4)"),
        ('{"question_id": 4', "line 4 is not JSON"),
    ],
)
def test_pope_refuses(line: str, said: str, copy: Any) -> None:
    folder, study = copy("pope")
    path = folder / "coco_pope_random.json"
    kept = [
        row for row in path.read_text().splitlines() if "maybe" not in line or '": 3' not in row
    ]
    path.write_text("\n".join([*kept, line]) + "\n")
    with pytest.raises(InputError) as caught:
        read_samples(study)
    assert said in str(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("name", [name for name in SETS if name != "hf_parquet"])
def test_not_json(name: str, copy: Any) -> None:
    folder, study = copy(name)
    path = next(folder.glob(study.manifest.samples.path))
    path.write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match=re.escape(str(path))):
        read_samples(study)


def test_vqa_needs_its_answers(tmp_path: Path) -> None:
    study = tiny(tmp_path, samples={"format": "vqa-v2", "path": "samples.csv"})
    with pytest.raises(InputError, match="needs a second file with the answers; add 'annotations'"):
        read_samples(study)


def test_image_names_may_be_given(copy: Any) -> None:
    folder, _ = copy("vqa_v2")
    samples = {"format": "vqa-v2", "path": Q, "annotations": A}
    other = {"results": None, "latency": None, "data_root": str(folder)}

    def named(pattern: str) -> pd.DataFrame:
        return read_samples(tiny(folder, samples=samples | {"image_name": pattern}, **other))

    made = named("val2017/{image_id:012d}.jpg")
    assert made["image_id"].unique().tolist() == [
        "val2017/000000000042.jpg",
        "val2017/000000000073.jpg",
    ]
    with pytest.raises(InputError, match="is the same for every image"):
        named("a.jpg")
    with pytest.raises(InputError, match=r"does not fit image id 42 .*write \{image_id\}"):
        named("{image_id}_{split}.jpg")


def test_the_docs_show_what_check_says_of_the_fixture(shipped: Shipped) -> None:
    page = (Path(__file__).parents[1] / "docs" / "your_data.md").read_text(encoding="utf-8")
    for finding in inspect(shipped("vqa_v2"))[1:5]:
        assert f"  {finding.level:<8} {finding.where}: {finding.what}\n" in page


def test_every_reader_is_in_the_docs() -> None:
    page = (Path(__file__).parents[1] / "docs" / "your_data.md").read_text(encoding="utf-8")
    from analysis.scoring import SCORERS

    assert [name for name in READERS if f"`{name}`" not in page] == []
    assert [name for name in SCORERS if f"`{name}`" not in page] == []
