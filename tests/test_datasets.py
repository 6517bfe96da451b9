from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_study import SAMPLES, json_lines, tiny

from analysis.datasets import by_image, object_counts, read_samples
from analysis.datasets.shapes import scene_of
from analysis.manifest import Study, load_study
from complexity.errors import InputError

ANNOTATED = {"from": "annotations", "column": "n_objects"}


def test_table_from_csv(tmp_path: Path) -> None:
    samples = read_samples(tiny(tmp_path))
    assert list(samples.columns) == [
        "dataset", "sample_id", "image_id", "question", "answers", "question_type", "n_objects",
    ]  # fmt: skip
    assert samples["dataset"].tolist() == ["tiny"] * 3
    assert samples["sample_id"].tolist() == ["001", "002", "10"]
    assert samples["answers"].tolist() == [["2"], ["red"], ["7"]]


def test_table_from_json_lines_with_other_names(tmp_path: Path) -> None:
    rows = [
        {"id": 7, "img": "a.png", "q": "?", "gold": ["yes", "yeah"], "kind": "x"},
        {"id": 8, "img": "b.png", "q": "?", "gold": "no", "kind": None},
    ]
    columns = {"sample_id": "id", "image_id": "img", "question": "q", "answers": "gold"}
    study = tiny(
        tmp_path,
        {"s.jsonl": json_lines(rows)},
        samples={"path": "s.jsonl", "columns": columns | {"question_type": "kind"}},
    )
    samples = read_samples(study)
    assert samples["sample_id"].tolist() == ["7", "8"]
    assert samples["answers"].tolist() == [["yes", "yeah"], ["no"]]
    assert samples["question_type"].isna().tolist() == [False, True]
    assert "id" not in samples


def test_images_beside_the_questions_are_left_alone(tmp_path: Path) -> None:
    image = [{"bytes": b"x" * 100, "path": "a.png"}]
    columns = {"sample_id": ["1"], "image_id": ["a"], "question": ["?"], "answers": [["y"]]}
    table = pa.table(columns | {"image": image, "raw": [b"x"]})
    pq.write_table(table, tmp_path / "all.parquet")
    samples = read_samples(tiny(tmp_path, samples={"path": "all.parquet"}))
    assert list(samples.columns) == ["dataset", *columns]


def test_one_column_may_serve_twice(tmp_path: Path) -> None:
    study = tiny(
        tmp_path, samples={"path": "samples.csv", "columns": {"image_id": "sample_id",
                                                              "sample_id": "sample_id"}}
    )  # fmt: skip
    samples = read_samples(study)
    assert samples["image_id"].tolist() == samples["sample_id"].tolist()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SAMPLES.replace("answers,", "answer,", 1), "samples.csv: no column 'answers' (the "
         "accepted answers; a single text becomes a list of one) (did you mean 'answer'?)"),
        (SAMPLES.replace("10,b", "001,b"), "the same key twice: row 1 (line 2) and "
         "row 3 (line 4) (sample_id 001)"),
        (SAMPLES.replace("10,b.png", "10,"), "column 'image_id' is empty in row 3"),
        (SAMPLES.replace("count,7", "count,-7"), "column 'n_objects' has -7 in row 3"),
        (SAMPLES.splitlines()[0] + "\n", "samples.csv: no questions in it"),
    ],
)  # fmt: skip
def test_bad_tables_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_samples(tiny(tmp_path, {"samples.csv": text}))
    assert said in str(caught.value)


def test_absent_column_of_the_mapping(tmp_path: Path) -> None:
    study = tiny(tmp_path, samples={"path": "samples.csv", "columns": {"answers": "anwsers"}})
    with pytest.raises(InputError) as caught:
        read_samples(study)
    assert "samples.csv: no column 'anwsers' (did you mean 'answers'?), which " in str(caught.value)
    assert "samples.columns.answers asks for; its columns are sample_id" in str(caught.value)


def test_questions_of_another_data_set(tmp_path: Path) -> None:
    text = SAMPLES.replace("sample_id,", "dataset,sample_id,").replace("\n0", "\nother,0")
    study = tiny(tmp_path, {"samples.csv": text.replace("\n10", "\ntiny,10")})
    with pytest.raises(InputError, match=r"questions of another data set than 'tiny' "
                       r"\('other' in row 1 \(line 2\), 'other' in row 2 \(line 3\)"):  # fmt: skip
        read_samples(study)


def test_object_counts_by_image(tmp_path: Path) -> None:
    study = tiny(tmp_path, object_count=ANNOTATED)
    assert object_counts(study, read_samples(study)) == {"a.png": 2.0, "b.png": 7.0}
    assert object_counts(tiny(tmp_path), read_samples(study)) is None


def test_a_gap_is_filled_by_another_question_or_left_out(tmp_path: Path) -> None:
    text = SAMPLES.replace("color,2", "color,").replace("count,7", "count,")
    study = tiny(tmp_path, {"samples.csv": text}, object_count=ANNOTATED)
    assert object_counts(study, read_samples(study)) == {"a.png": 2.0}


@pytest.mark.parametrize(
    ("column", "text", "said"),
    [
        ("n_objects", SAMPLES.replace("color,2", "color,3"), "'n_objects' differs between the "
         "questions of one image: a.png (2.0, 3.0); it must be one value per image"),
        ("n_object", SAMPLES, "the samples have no column 'n_object' (did you mean 'n_objects'?)"),
        ("question", SAMPLES.replace("what colour", "how many"), "'question' is not a count: 'how "
         "many?' for image a.png, 'how many?' for image b.png"),
    ],
)  # fmt: skip
def test_bad_counts(tmp_path: Path, column: str, text: str, said: str) -> None:
    rule = {"from": "annotations", "column": column}
    study = tiny(tmp_path, {"samples.csv": text}, object_count=rule)
    with pytest.raises(InputError) as caught:
        object_counts(study, read_samples(study))
    assert said in str(caught.value)
    assert "manifest.yaml, line" in str(caught.value)
    assert "object_count.column" in str(caught.value)


def test_by_image_keeps_the_order_of_samples() -> None:
    frame = pd.DataFrame({"image_id": ["b", "a", "b", "c"], "x": ["u", "v", "u", None]})
    made = by_image(frame, "x", "here")
    assert made.index.tolist() == ["b", "a", "c"]
    assert made.tolist()[:2] == ["u", "v"]
    assert made.isna().tolist() == [False, False, True]


def test_shapes(shapes: Path) -> None:
    study = load_study(shapes)
    samples = read_samples(study)
    assert len(samples) == 12_000
    counts = object_counts(study, samples)
    assert counts is not None
    # The design: every number of objects from 1 to 48 in 61 to 64 of the 3,000 scenes.
    assert list(counts) == [f"s{i:05d}" for i in range(3000)]
    often = Counter(counts.values())
    assert sorted(often) == list(range(1, 49))
    assert set(often.values()) <= {61, 62, 63, 64}
    some = [f"s{i:05d}" for i in (0, 1, 1500, 2999)]
    assert [counts[name] for name in some] == [scene_of(name).n_objects for name in some]


def test_easy_vqa_matches_the_package() -> None:
    from easy_vqa import get_test_image_paths, get_test_questions

    study = load_study("easy_vqa")
    samples = read_samples(study)
    questions, answers, images = get_test_questions()
    assert samples["question"].tolist() == questions
    assert [item for (item,) in samples["answers"]] == answers
    assert samples["image_id"].tolist() == [f"{number}.png" for number in images]
    assert samples["sample_id"].iloc[[0, 9672]].tolist() == ["test-00000", "test-09672"]
    paths = {Path(path).name for path in get_test_image_paths().values()}
    assert set(samples["image_id"]) == paths == set(study.image_source().ids())
    assert object_counts(study, samples) is None


@pytest.mark.parametrize("text", ["{", "[]", '[["q", "a"]]', '[["q", "a", 1.5]]', '{"q": 1}'])
def test_easy_vqa_of_another_layout(tmp_path: Path, text: str) -> None:
    study = tiny(
        tmp_path, {"questions.json": text}, samples={"format": "easy-vqa", "path": "questions.json"}
    )
    with pytest.raises(InputError, match=r"questions\.json: "):
        read_samples(study)


# Made for this test in the layout of the data set's dev.json.
NLVR = {
    "sentence": "There is a box with two blue items.",
    "label": "false",
    "identifier": "12-3",
    "directory": "5",
    "evals": {"r0": "false"},
    "structured_rep": [
        [{"x_loc": 1, "y_loc": 2, "size": 10, "type": "circle", "color": "Black"}],
        [],
        [{"x_loc": 1, "y_loc": 2, "size": 10, "type": "circle", "color": "Black"}] * 3,
    ],
}


def nlvr(folder: Path, text: str, name: str = "dev.json") -> Study:
    return tiny(
        folder, {name: text}, samples={"format": "nlvr", "path": name}, object_count=ANNOTATED
    )


def test_nlvr(tmp_path: Path) -> None:
    second = NLVR | {"identifier": "12-4", "directory": "6"}
    study = nlvr(tmp_path, json_lines([NLVR, second]))
    samples = read_samples(study)
    assert samples["sample_id"].tolist() == ["12-3", "12-4"]
    assert samples["image_id"].tolist() == ["5/dev-12-3-0.png", "6/dev-12-4-0.png"]
    assert samples["answers"].tolist() == [["false"], ["false"]]
    assert samples["directory"].tolist() == ["5", "6"]
    assert object_counts(study, samples) == {"5/dev-12-3-0.png": 4, "6/dev-12-4-0.png": 4}


def test_nlvr_split_is_the_name_of_the_file(tmp_path: Path) -> None:
    samples = read_samples(nlvr(tmp_path, json_lines([NLVR]), "train.json"))
    assert samples["image_id"].tolist() == ["5/train-12-3-0.png"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json_lines([NLVR, {k: v for k, v in NLVR.items() if k != "label"}]), "row 2 lacks label"),
        (json_lines([NLVR | {"structured_rep": 3}]), "row 1 has structured_rep that is not a"),
        (json_lines([NLVR | {"identifier": 3}]), "row 1 has identifier that is not text"),
        (json.dumps([NLVR]), "line 1 is not a JSON object"),
        ("", "no examples in it"),
    ],
)
def test_nlvr_of_another_layout(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_samples(nlvr(tmp_path, text))
    assert "dev.json" in str(caught.value)
    assert said in str(caught.value)
