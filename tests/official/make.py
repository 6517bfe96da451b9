"""Write the fixtures beside this script: a few hand-made rows in each set's official layout.

python tests/official/make.py

Questions, answers and images are made up; only the layout is the sets'.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
PRESENT = "Is there a disk in the image?"
COCO = "COCO_val2014_{:012d}.jpg"


def picture(seed: int, suffix: str) -> bytes:
    """Draw disks on gray; as many as can be told apart by eye."""
    image = np.full((48, 64, 3), 128, np.uint8)
    for n in range(seed % 3 + 1):
        centre = (12 + 18 * n, 14 + 10 * (seed % 2))
        cv2.circle(image, centre, 6, (40 * n, 200, 30 * (seed % 7)), -1)
    return bytes(cv2.imencode(suffix, image)[1])


def images(folder: str, names: list[str]) -> None:
    for number, name in enumerate(names):
        path = HERE / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number, path.suffix))


def write(name: str, content: Any) -> None:
    path = HERE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


def ten(*counted: tuple[str, int]) -> list[str]:
    return [text for text, count in counted for _ in range(count)]


def people(texts: list[str], **more: Any) -> list[dict[str, Any]]:
    return [
        {"answer": text, "answer_confidence": "yes", "answer_id": n, **more}
        for n, text in enumerate(texts, start=1)
    ]


def vqa(folder: str, name: str, other: str, extra: dict[str, Any], rows: list[Any]) -> None:
    head = {
        "info": {
            "version": "2.0",
            "year": 2017,
            "description": "made up",
            "url": "",
            "contributor": "",
            "date_created": "",
        },
        "license": {"name": "", "url": ""},
        "data_type": "mscoco",
        "data_subtype": "val2014",
    }
    questions = [
        {"image_id": image, "question": text, "question_id": number}
        for number, image, text, *_ in rows
    ]
    annotations = [
        {
            "question_type": kind,
            "multiple_choice_answer": texts[0],
            "answers": people(texts),
            "image_id": image,
            "answer_type": answer_type,
            "question_id": number,
        }
        for number, image, _, kind, answer_type, texts in rows
    ]
    write(f"{folder}/{name}", {**head, "task_type": "Open-Ended", "questions": questions})
    write(f"{folder}/{other}", {**head, **extra, "annotations": annotations})
    ids = sorted({row[1] for row in rows})
    images(f"{folder}/val2014", [COCO.format(n) for n in ids])
    coco(folder, ids)


def coco(folder: str, ids: list[int]) -> None:
    write(
        f"{folder}/annotations/instances_val2014.json",
        {
            "info": {},
            "licenses": [],
            "images": [
                {"id": n, "file_name": COCO.format(n), "width": 64, "height": 48, "license": 1}
                for n in ids
            ],
            "annotations": [
                {
                    "id": 10 * n + i,
                    "image_id": n,
                    "category_id": 1,
                    "iscrowd": 0,
                    "area": 1.0,
                    "bbox": [0, 0, 1, 1],
                    "segmentation": [],
                }
                for place, n in enumerate(ids)
                for i in range(place + 1)
            ],
            "categories": [{"id": 1, "name": "person", "supercategory": "person"}],
        },
    )


def main() -> None:
    """Write them all."""
    vqa(
        *("vqa_v2", "v2_OpenEnded_mscoco_val2014_questions.json"),
        *("v2_mscoco_val2014_annotations.json", {}),
        [
            (42000, 42, "Are there disks?", "are there", "yes/no", ten(("yes", 10))),
            (42001, 42, "How many disks are there?", "how many", "number", ten(("1", 7), ("2", 3))),
            (
                73000,
                73,
                "What colour is it?",
                "what color is",
                "other",
                ten(("gray", 4), ("grey", 6)),
            ),
        ],
    )
    vqa(
        *("ok_vqa", "OpenEnded_mscoco_val2014_questions.json"),
        *(
            "mscoco_val2014_annotations.json",
            {"question_types": {"one": "Vehicles and Transportation", "other": "Other"}},
        ),
        [
            (
                2971475,
                297147,
                "What game has such disks?",
                "other",
                "other",
                ten(("draughts", 4), ("checkers", 4), ("go", 2)),
            ),
            (3394895, 339489, "What rolls on these?", "one", "other", ten(("car", 10))),
        ],
    )

    shared = {
        "flickr_original_url": "",
        "flickr_300k_url": "",
        "image_width": 64,
        "image_height": 48,
        "set_name": "val",
    }
    asked = [
        (34602, "003a8ae2ef43b901", "what is the brand of this camera?", ten(("dakota", 10))),
        (34603, "003a8ae2ef43b901", "what year is it?", ten(("1999", 6), ("unanswerable", 4))),
        (
            34604,
            "0054c91397f2fe05",
            "what does the text spell?",
            ten(("copenhagen", 9), ("c", 1)),
        ),
    ]
    write(
        "textvqa/TextVQA_0.5.1_val.json",
        {
            "dataset_type": "val",
            "dataset_name": "textvqa",
            "dataset_version": "0.5.1",
            "data": [
                {
                    "question": text,
                    "image_id": image,
                    "image_classes": ["Camera"],
                    **shared,
                    "question_tokens": text.rstrip("?").split(),
                    "question_id": number,
                    "answers": answers,
                }
                for number, image, text, answers in asked
            ],
        },
    )
    images("textvqa/train_images", ["003a8ae2ef43b901.jpg", "0054c91397f2fe05.jpg"])

    write(
        "vizwiz/Annotations/val.json",
        [
            {
                "image": f"VizWiz_val_{n:08d}.jpg",
                "question": text,
                "answer_type": kind,
                "answerable": int(kind != "unanswerable"),
                "answers": [{"answer": a, "answer_confidence": "yes"} for a in answers],
            }
            for n, text, kind, answers in [
                (
                    0,
                    "Ok. There is another disk, what is it?",
                    "unanswerable",
                    ten(("unanswerable", 8), ("unsuitable", 2)),
                ),
                (1, "What colour is this?", "other", ten(("green", 9), ("light green", 1))),
            ]
        ],
    )
    images("vizwiz/val", ["VizWiz_val_00000000.jpg", "VizWiz_val_00000001.jpg"])

    def gqa(image: str, text: str, answer: str, kinds: tuple[str, str, str], steps: int) -> Any:
        return {
            "semantic": [{"operation": "select", "dependencies": [], "argument": "disk (1)"}]
            * steps,
            "entailed": [],
            "equivalent": [],
            "question": text,
            "imageId": image,
            "isBalanced": True,
            "groups": {"global": None, "local": ""},
            "answer": answer,
            "semanticStr": "",
            "annotations": {"answer": {}, "question": {}, "fullAnswer": {}},
            "types": dict(zip(("structural", "semantic", "detailed"), kinds, strict=True)),
            "fullAnswer": "",
        }

    write(
        "gqa/val_balanced_questions.json",
        {
            "05515938": gqa("2405722", "What is it?", "disk", ("query", "cat", "categoryThis"), 2),
            "05515939": gqa("2405722", "Is it red?", "no", ("verify", "attr", "verifyAttr"), 3),
            "15736264": gqa(
                "2412620", "Red or green?", "green", ("choose", "attr", "chooseAttr"), 3
            ),
        },
    )
    graph = {"name": "disk", "x": 1, "y": 1, "w": 9, "h": 9, "attributes": [], "relations": []}
    write(
        "gqa/val_sceneGraphs.json",
        {
            "2405722": {"width": 64, "height": 48, "objects": {"1": graph}},
            "2412620": {"width": 64, "height": 48, "objects": {"2": graph, "3": graph}},
        },
    )
    images("gqa/images", ["2405722.jpg", "2412620.jpg"])

    def clevr(n: int, image: int, text: str, answer: str, functions: list[str]) -> Any:
        return {
            "image_index": image,
            "split": "val",
            "image_filename": f"CLEVR_val_{image:06d}.png",
            "program": [{"inputs": [], "function": f, "value_inputs": []} for f in functions],
            "question_index": n,
            "question_family_index": 80 + n,
            "answer": answer,
            "question": text,
        }

    info = {"split": "val", "license": "CC BY 4.0", "version": "1.0", "date": ""}
    write(
        "clevr/questions/CLEVR_val_questions.json",
        {
            "info": info,
            "questions": [
                clevr(0, 0, "How many disks are there?", "1", ["scene", "filter_shape", "count"]),
                clevr(1, 0, "Is there a cube?", "no", ["scene", "filter_shape", "exist"]),
                clevr(
                    2,
                    1,
                    "What colour is the disk on the left?",
                    "green",
                    ["scene", "relate", "unique", "query_color"],
                ),
            ],
        },
    )
    write(
        "clevr/scenes/CLEVR_val_scenes.json",
        {
            "info": info,
            "scenes": [
                {
                    "split": "val",
                    "image_index": n,
                    "image_filename": f"CLEVR_val_{n:06d}.png",
                    "objects": [{"shape": "sphere"}] * (n + 1),
                    "relationships": {},
                    "directions": {},
                }
                for n in range(2)
            ],
        },
    )
    images("clevr/images/val", ["CLEVR_val_000000.png", "CLEVR_val_000001.png"])

    def chart(image: str, text: str, label: str) -> Any:
        return {"imgname": image, "query": text, "label": label}

    write(
        "chartqa/test/test_human.json",
        [
            chart("41699.png", "How many disks are shown?", "1"),
            chart("41699.png", "Is the sum more than 1?", "No"),
        ],
    )
    write(
        "chartqa/test/test_augmented.json",
        [chart("two_col_8127.png", "What was it in 2014?", "6.37")],
    )
    images("chartqa/test/png", ["41699.png", "two_col_8127.png"])

    def page(n: int, image: str, text: str, answers: list[str], kinds: list[str]) -> Any:
        return {
            "questionId": n,
            "question": text,
            "question_types": kinds,
            "image": f"documents/{image}",
            "docId": n,
            "ucsf_document_id": image.split("_")[0],
            "ucsf_document_page_no": "1",
            "answers": answers,
            "data_split": "val",
        }

    write(
        "docvqa/val_v1.0_withQT.json",
        {
            "dataset_name": "SP-DocVQA",
            "dataset_version": "1.0",
            "dataset_split": "val",
            "data": [
                page(
                    49153,
                    "pybv0228_81.png",
                    "What share?",
                    ["0.28", "0.28%"],
                    ["figure/diagram"],
                ),
                page(
                    24580,
                    "xnbl0037_1.png",
                    "What is the date?",
                    ["1/8/93"],
                    ["handwritten", "form"],
                ),
            ],
        },
    )
    images("docvqa/documents", ["pybv0228_81.png", "xnbl0037_1.png"])

    objects = {"random": "spoon", "popular": "car", "adversarial": "fork"}
    for kind, absent in objects.items():
        lines = [
            {
                "question_id": 1,
                "image": COCO.format(310196),
                "text": PRESENT,
                "label": "yes",
            },
            {
                "question_id": 2,
                "image": COCO.format(310196),
                "text": f"Is there a {absent} in the image?",
                "label": "no",
            },
            {
                "question_id": 3,
                "image": COCO.format(210789),
                "text": PRESENT,
                "label": "yes",
            },
        ]
        path = HERE / "pope" / f"coco_pope_{kind}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    images("pope/val2014", [COCO.format(210789), COCO.format(310196)])
    coco("pope", [210789, 310196])

    for shard, rows in enumerate((asked[:2], asked[2:])):
        made = pa.table(
            {
                "image": [
                    {"bytes": picture(int(row[1][2:4], 16), ".jpg"), "path": None} for row in rows
                ],
                "question_id": [row[0] for row in rows],
                "question": [row[2] for row in rows],
                "answers": [row[3] for row in rows],
            }
        )
        target = io.BytesIO()
        pq.write_table(made, target)
        path = HERE / "hf_parquet" / "data" / f"validation-{shard:05d}-of-00002.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(target.getvalue())


if __name__ == "__main__":
    main()
