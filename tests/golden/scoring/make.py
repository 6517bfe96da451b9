"""Make the reference scores beside this script from the published evaluators.

python tests/golden/scoring/make.py FOLDER

FOLDER holds the files named in `SOURCES`, as they are at the commits given there (and the
package `anls` unpacked). Nothing of them is kept here but the scores they gave. vqaEval.py is
Python 2; it is run as Python 3 after its print statements were taken out.
"""

from __future__ import annotations

import ast
import contextlib
import csv
import importlib
import io
import json
import random
import re
import string
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

SOURCES = {
    "vqaEval.py": "GT-Vision-Lab/VQA a013f0043c1e2cdc995922dfe257f7149aa9af06 "
    "PythonEvaluationTools/vqaEvaluation/vqaEval.py",
    "m4c_evaluators.py": "facebookresearch/mmf b0ffc7fba39f210f833c127362146aec01a2f259 "
    "mmf/utils/m4c_evaluators.py",
    "pix2struct_metrics.py": "google-research/pix2struct 945f27e936c9464d9d7c133f1bd1f4f383be9e99 "
    "pix2struct/metrics.py",
    "lmms_metrics.py": "EvolvingLMMs-Lab/lmms-eval 75571cfe0fa36ca5ec2e6aa2bb268f9d38295af3 "
    "lmms_eval/api/metrics.py",
    "anls": "the package anls 0.0.2",
    "evaluate.py": "RUCAIBox/POPE 3df3ba1b110ecce25696989577fad583b67d4239 evaluate.py",
    "matching_util.py": "open-compass/VLMEvalKit e8e78f05f3080fe28154f2130321f17951c3be94 "
    "vlmeval/utils/matching_util.py",
}
HERE = Path(__file__).parent
SAID = """
yes no Yes NO not none zero one two Three ten eleven a an the A The red dark-red Red. blue dog's
dogs cant can't dont don't isnt Im ive lets let's y'all yall'd've somebody'd 'twas twas o'clock
oclock 2:30 10,000 1,000,000 3.5 .5 5. 5% 50 2 02 u.s.a u.s.a. t-shirt t shirt n/a (red) [b] {c}
"quoted" a/b a\\b under_score x=y 1+1 <tag> @home `tick` what? wow! café cafe\u0301 straße
STRASSE İstanbul
４２ ３,４ naïve ﬁsh 日本語 — … 😀 left;right left; right , . , .. ...
"""
WORDS = SAID.split()
BETWEEN = [" ", " ", " ", "  ", "\n", "\t", ", ", ". ", "-", "\u00a0", ""]


def some_text(chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.1:
        return "".join(chance.choices(string.printable, k=chance.randint(0, 8)))
    if kind < 0.15:
        return "".join(
            chr(chance.choice([chance.randint(32, 0x2FF), chance.randint(0x300, 0xFFF)]))
            for _ in range(chance.randint(1, 6))
        )
    made = chance.choice(WORDS)
    for _ in range(chance.choice([0, 0, 1, 1, 2, 4])):
        made += chance.choice(BETWEEN) + chance.choice(WORDS)
    return made


def near(text: str, chance: random.Random) -> str:
    """Change a text a little, as people's spellings differ."""
    changes: list[Callable[[str], str]] = [
        str.upper,
        str.title,
        lambda t: t + ".",
        lambda t: "the " + t,
        lambda t: f" {t} ",
        lambda t: t.replace("'", ""),
        lambda t: t.replace(" ", "-"),
        lambda t: t.replace("-", " "),
        lambda t: t.replace("a", "", 1),
        lambda t: t + "s",
        lambda t: t[:-1],
        lambda t: t,
        lambda t: t.replace(" ", "  "),
        lambda t: t + "?",
        lambda t: t.replace(".", ""),
        lambda t: t,
    ]
    return chance.choice(changes)(text)


def functions(path: Path, names: Iterable[str], **known: Any) -> SimpleNamespace:
    """Run just these functions and constants of a module whose imports are not to be had."""
    wanted, kept = set(names), []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name in wanted:
            node.decorator_list = []
            kept.append(node)
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in wanted:
            kept.append(node)
    space: dict[str, Any] = {**known, "__name__": path.stem}
    head = "from __future__ import annotations\n"
    module = ast.parse(head)
    module.body += kept
    exec(compile(module, str(path), "exec"), space)
    return SimpleNamespace(**{name: space[name] for name in wanted})


def vqa_official(path: Path, rows: list[tuple[str, list[str]]]) -> list[float]:
    space: dict[str, Any] = {}
    text = re.sub(
        r"^(\s*)print .*$", r"\1pass", path.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    exec(compile(text, str(path), "exec"), space)
    asked = {
        n: {
            "question_type": "",
            "answer_type": "",
            "answers": [{"answer": a, "answer_id": i} for i, a in enumerate(people)],
        }
        for n, (_, people) in enumerate(rows)
    }
    said = {n: {"answer": text} for n, (text, _) in enumerate(rows)}
    truth = SimpleNamespace(qa=asked, getQuesIds=lambda: list(asked))
    evaluator = space["VQAEval"](truth, SimpleNamespace(qa=said), n=17)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.evaluate()
    return [evaluator.evalQA[n] / 100 for n in asked]


def vqa_rows(chance: random.Random) -> list[tuple[str, list[str]]]:
    sys.path.insert(0, str(Path(__file__).parents[3]))
    from analysis.scoring.vqa_soft import CONTRACTIONS

    rows = [
        ("Yes", ["yes"] * 10),
        ("yes", ["yes"] * 10),
        ("yes.", ["yes"] * 10),
        ("Yes.", ["yes"] * 9 + ["no"]),
        ("", ["yes"] * 9 + [""]),
        ("", [""] * 10),
        ("x" * 5000, ["x" * 5000] * 4 + ["y"] * 6),
        ("a. " * 40, ["a"] * 5 + ["a" + "." * 8] * 5),
        (". " * 40 + "b", ["b"] * 5 + ["c"] * 5),
        ("." * 40 + "b", ["b"] * 5 + ["........b"] * 5),
        ("1.5", ["15"] * 5 + ["1.5"] * 5),
        ("10,000", ["10000"] * 5 + ["10 000"] * 5),
        ("10,000 people?", ["10000 people"] * 5 + ["x"] * 5),
        ("none", ["0"] * 3 + ["none"] * 7),
        ("a", ["the"] * 5 + ["an"] * 5),
        ("red\n", ["red"] * 10),
        ("red\tcar", ["red car"] * 10),
        ("３,４", ["３４"] * 5 + ["x"] * 5),
        ("5.４", ["5.４"] * 5 + ["54"] * 5),
    ]
    # Every contraction, said in each of its spellings where people wrote another.
    spellings = [*CONTRACTIONS, *set(CONTRACTIONS.values()), "let's", "lets", "Im", "Id've", "shes"]
    rows += [
        (
            spelling,
            [spelling.replace("'", "")] * 4
            + ["x"] * 3
            + [CONTRACTIONS.get(spelling, spelling)] * 3,
        )
        for spelling in spellings
    ]
    for _ in range(600):
        base = some_text(chance)
        agree = chance.random()
        people = (
            [base] * 10
            if agree < 0.1
            else [
                base
                if chance.random() < agree
                else chance.choice([near(base, chance), some_text(chance)])
                for _ in range(10)
            ]
        )
        rows.append((chance.choice([near(base, chance), chance.choice(people), base]), people))
    return rows


def options_rows(chance: random.Random) -> list[tuple[str, list[str]]]:
    sets = [
        ["cat", "dog", "bird", "fish"],
        ["red", "dark red", "blue", "green"],
        ["yes", "no"],
        ["2", "3", "4", "5"],
        ["A cat", "a dog on a mat", "the bird", "none of the above"],
        ["Paris", "London", "New York", "Rome"],
        ["(1, 2)", "x = 3", "C major", "I do"],
    ]
    forms = [
        "{L}",
        "{l}",
        "({L})",
        "({l})",
        "{L}.",
        "{L})",
        "{L}:",
        "[{L}]",
        "{L}. {t}",
        "({L}) {t}",
        "{L}) {t}",
        "{L}: {t}",
        "{l}. {t}",
        "{t}",
        "{T}",
        "{t}.",
        " {t} ",
        "The answer is {L}.",
        "The answer is ({L}).",
        "Answer: {L}",
        "answer: {t}",
        "The correct answer is {t}.",
        "Option {L}",
        "option {L} is right",
        "I think it is {t}",
        "It is {L}, not {M}.",
        "{L} or {M}",
        "{L} and {M}",
        "{t} or {u}",
        "**{L}**",
        "\\boxed{{{L}}}",
        "${L}$",
        "The correct answer is **{L}**. Here is why.",
        "",
        "I do not know",
        "Z",
        "E.",
        "A photo shows it",
        "{L}\n{t}",
        "{t}\n{L}",
        "{L}{L}",
        "None",
        "{L}!",
        "`{L}`",
        '"{L}"',
        "'{L}'",
        "{L} {t}",
        "I would choose {L} because the {u} is away",
        "A {t}",
        "There is a {t}.",
        "sorry, {L}?",
        "Not {L}, {M}.",
        "{L}. {t}\n{M}. {u}",
        "answer {L}",
        "Choice ({L})",
        "my choice: {L}.",
        "{L},{M}",
        "({L}) or ({M})",
        "{L}−{t}",
        "Answer is: {L} {t}",
        "... {L} ...",
        "{t} {t}",
    ]
    rows = []
    for options in sets:
        for form in forms:
            one, two = chance.sample(range(len(options)), 2)
            said = form.format(
                L="ABCD"[one],
                l="abcd"[one],
                M="ABCD"[two],
                t=options[one],
                T=options[one].upper(),
                u=options[two],
            )
            rows.append((said, options))
    return rows


def pope(path: Path, replies: list[str], labels: list[str]) -> tuple[list[str], dict[str, float]]:
    source, work = path.read_text(encoding="utf-8"), HERE / "replies.tmp"
    with open(work, "w", encoding="utf-8") as handle:
        for reply, label in zip(replies, labels, strict=True):
            handle.write(json.dumps({"answer": reply, "label": label}) + "\n")
    for name in ("ans_file", "label_file"):
        source = source.replace(f"{name} = ''", f"{name} = {str(work)!r}")
    space: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(source, path.name, "exec"), space)
    work.unlink()
    sums = {name: space[name] for name in ("acc", "precision", "recall", "f1", "yes_ratio")}
    return [answer["answer"] for answer in space["answers"]], sums


def write(name: str, columns: list[str], rows: Iterable[Iterable[Any]]) -> None:
    with open(HERE / f"{name}.csv", "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([json.dumps(cell) for cell in row] for row in rows)


def main(folder: Path) -> None:
    chance = random.Random(20261123)
    sys.path.insert(0, str(folder))

    rows = vqa_rows(chance)
    official = vqa_official(folder / "vqaEval.py", rows)
    evalai = importlib.import_module("m4c_evaluators").TextVQAAccuracyEvaluator()
    other = [evalai.eval_pred_list([{"pred_answer": s, "gt_answers": p}]) for s, p in rows]
    write(
        "vqa_soft",
        ["prediction", "answers", "official", "evalai"],
        ((s, p, a, b) for (s, p), a, b in zip(rows, official, other, strict=True)),
    )

    pix = functions(folder / "pix2struct_metrics.py", ["relaxed_correctness"])
    numbers = [
        "5",
        "5.0",
        "5%",
        "0.05",
        "0",
        "0%",
        "-3",
        "1e3",
        "1_000",
        "1,000",
        "nan",
        "inf",
        "-inf",
        "",
        "%",
        "%%",
        "5 %",
        "５",
        "100",
        "105",
        "95",
        "94.999",
        "105.0001",
        "+5",
        "$5",
        "5e-2",
        "Yes",
        "yes",
        "YES",
        "No",
        "Dark Blue",
        "dark blue",
        "İ",
        "i̇",
        "ß",
        "SS",
        "0.1",
        "0.105",
        "0.095",
        "1.05",
        "1",
        "2 0",
        " 5",
        "5 ",
        "\n5",
    ]
    pairs = [(a, b) for a in numbers for b in numbers]
    pairs += [
        (f"{v * chance.uniform(0.93, 1.07):.6g}", f"{v:.6g}")
        for v in (chance.uniform(-100, 100) for _ in range(300))
    ]
    pairs += [(near(t, chance), t) for t in (some_text(chance) for _ in range(200))]
    pairs += [("x" * 3000, "x" * 3000), ("1" * 400, "1" * 399)]
    write(
        "relaxed",
        ["prediction", "answer", "correct"],
        ((a, b, pix.relaxed_correctness(b, a)) for a, b in pairs),
    )

    rrc = functions(folder / "lmms_metrics.py", ["levenshtein_distance", "anls"])
    package = importlib.import_module("anls").anls_score
    words: list[tuple[str, list[str]]] = [
        ("", [""]),
        ("", ["a"]),
        ("a", [""]),
        (" ", [""]),
        ("ab", ["ac"]),
        ("ab", ["cd"]),
        ("a  b", ["a b"]),
        ("a" + " " * 30, ["a"]),
        ("ß", ["ss"]),
        ("İ", ["i"]),
        ("ŉ", ["n"]),
        ("x" * 900, ["x" * 450]),
        ("x" * 900, ["x" * 451]),
        ("x" * 900, ["x" * 449, "y"]),
        ("1/8/93", ["1/8/93", "Jan 8"]),
        ("ab" * 40, ["ba" * 40]),
    ]
    for _ in range(600):
        base = [some_text(chance) for _ in range(chance.randint(1, 3))]
        said = near(near(chance.choice(base), chance), chance)
        words.append((said if chance.random() < 0.9 else some_text(chance), base))
    write(
        "anls",
        ["prediction", "answers", "competition", "package"],
        ((s, a, rrc.anls(a, [s])["anls"], package(s, a)) for s, a in words),
    )

    replies = [
        "Yes",
        "yes",
        "No",
        "no",
        "NO",
        "not",
        "Not",
        "",
        " ",
        "No.",
        "No, it is",
        "yes, no",
        "n",
        "No,",
        ",no",
        "Yes. No",
        "There is no dog.",
        "There is a dog. There is no cat.",
        "no!",
        "Nope",
        "it isn't",
        "I cannot say",
        "no\n",
        "\nno",
        "no\tdog",
        "yes\nno",
        "No\u00a0dog",
        ".no",
        "n.o",
        "nо",
        "knot",
        "no-one",
        "(no)",
        "No;",
        "no, not, No",
        "yes." * 99,
    ]
    replies += [some_text(chance) for _ in range(400)]
    labels = [chance.choice(["yes", "no"]) for _ in replies]
    read, _ = pope(folder / "evaluate.py", replies, labels)
    write("yes_no", ["prediction", "label", "read"], zip(replies, labels, read, strict=True))
    _, sums = pope(folder / "evaluate.py", [reply.strip() for reply in replies], labels)
    (HERE / "yes_no_set.json").write_text(json.dumps(sums, indent=1) + "\n", encoding="utf-8")

    import numpy

    match = functions(
        folder / "lmms_metrics.py", ["exact_match_hf_evaluate"], np=numpy, re=re, string=string
    ).exact_match_hf_evaluate
    same = [(near(t, chance), t) for t in (some_text(chance) for _ in range(500))]
    same += [(near(t, chance), t) for t in WORDS]
    same = [(a, b) for a, b in same if "\0" not in a + b]
    write(
        "exact",
        ["prediction", "answer", "correct"],
        ((a, b, bool(match([a], [b], ignore_case=True)["exact_match"])) for a, b in same),
    )

    import copy
    import os

    kit = functions(
        folder / "matching_util.py",
        ["_VERBOSE_ANSWER_RE", "can_infer_option", "can_infer_text", "can_infer"],
        re=re,
        os=os,
        cp=copy,
        string=string,
    )
    asked = options_rows(chance)
    write(
        "multiple_choice",
        ["prediction", "options", "named"],
        ((s, o, kit.can_infer(s, dict(zip("ABCD", o, strict=False))) or None) for s, o in asked),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
