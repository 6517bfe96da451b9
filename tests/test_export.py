from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.report import latex, markdown, names
from analysis.report.export import ColumnStyle, default_styles, to_csv, write_csv, write_table

NAMES = [
    "edge_density",
    "a&b",
    "50%",
    "k^2",
    "$5 #1 {x}",
    "a\\b~c",
    "p < .05 > |q|",
    "naïve Łódź façade",
    "χ² ≤ σ − Δ…",
    "多様 😀 Ж",
    '"quoted" `code` it\'s',
    "--x,,y''",
    "[bracket]",
    "*star",
]


def study() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    n = len(NAMES)
    accuracy = rng.uniform(0.8, 0.97, n)
    return pd.DataFrame(
        {
            "model": NAMES,
            "n_images": np.arange(n) * 1000,
            "accuracy": accuracy,
            "ci_low": accuracy - 0.02,
            "ci_high": accuracy + 0.02,
            "gain": rng.normal(0, 0.02, n),
            "p_holm": 10.0 ** -np.arange(n),
            "serves_both": [True, False] * (n // 2),
            "ks": [[4, 6, 8, 12][: i % 5] for i in range(n)],
        }
    )


STYLES = [
    ColumnStyle("model", "Model_name"),
    ColumnStyle("n_images", "images", "count"),
    ColumnStyle("accuracy", kind="percent", span="a_b"),
    ColumnStyle("ci_low", "95 % CI", "proportion", upper="ci_high", span="a_b"),
    ColumnStyle("gain", "gain over k^2", "points"),
    ColumnStyle("p_holm", "p", "p"),
    ColumnStyle("serves_both", kind="flag"),
    ColumnStyle("ks", "k", "ks"),
]


def compile_latex(folder: Path, *files: str, preamble: str = "") -> str:
    """Run pdflatex on the files and return what the log says."""
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed: LaTeX tables are not compiled here")
    inputs = "\n".join(rf"\input{{{name}}}" for name in files)
    (folder / "paper.tex").write_text(
        "\\documentclass{article}\n\\usepackage{booktabs,longtable}\n"
        f"{preamble}\\begin{{document}}\n{inputs}\n\\end{{document}}\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    log = (folder / "paper.log").read_text(encoding="latin-1")
    assert done.returncode == 0, log[-3000:]
    return log


def pdf_text(folder: Path) -> str:
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed: what LaTeX printed is not read back here")
    done = subprocess.run(
        ["pdftotext", "-layout", "paper.pdf", "-"], cwd=folder, capture_output=True, check=True
    )
    return done.stdout.decode("utf-8")


def write(folder: Path, frame: pd.DataFrame, **options: object) -> dict[str, str]:
    settings_ = {"caption": "A caption", "label": "tab:x"} | options
    paths = write_table(frame, folder / "table", **settings_)  # type: ignore[arg-type]
    return {path.suffix[1:]: path.read_text(encoding="utf-8") for path in paths}


def test_special_characters_are_spelled_for_latex() -> None:
    expected = {
        "edge_density": r"edge\_density",
        "a&b": r"a\&b",
        "50%": r"50\%",
        "k^2": r"k\textasciicircum{}2",
        "$#{}": r"\$\#\{\}",
        "\\~": r"\textbackslash{}\textasciitilde{}",
        "<|>": "$<$$|$$>$",
        "−1 ≤ σ²": r"$-$1 $\le$ $\sigma$$^2$",
        "Łódź": r"\L{}\'{o}d\'{z}",
        "e\u0301": r"\'{e}",
        "ï": r"\"{\i}",
        "ΔΑλς": r"$\Delta${A}$\lambda$$\varsigma$",
        "log₂ k⁴": "log$_2$ k$^4$",
        "中": r"\optikchar{中}{4E2D}",
        "a--b": "a-{}-b",
        "one\ntwo\tthree\x07": "one two three",
    }
    assert {text: latex.escape(text) for text in expected} == expected


def test_every_character_reaches_the_page(tmp_path: Path) -> None:
    write_table(
        study(), tmp_path / "names", caption="a_b & 50% of k^2 多", label="tab:a_b",
        columns=STYLES[:-2],
        notes=["Note: x_1 < 3 & 5 %.", "多様."],
    )  # fmt: skip
    log = compile_latex(tmp_path, "names.tex")
    assert "Overfull" not in log
    # The default encoding draws an underscore as a rule, which reads back as a blank.
    page = pdf_text(tmp_path)
    for name in ["edge density", "a&b", "50%", "$5 #1 {x}", "[bracket]", "*star", "[U+591A]"]:
        assert name in page, name
    assert "Model name" in page
    assert "x 1 < 3 & 5 %." in page


@pytest.mark.parametrize("n_rows", [0, 1, 45, 46, 160])
def test_tables_of_any_length_compile(tmp_path: Path, n_rows: int) -> None:
    frame = study().iloc[[0] * n_rows]
    texts = write(tmp_path, frame, columns=STYLES, notes=["Long."])
    assert ("longtable" in texts["tex"]) is (n_rows > 45)
    # Twice, for a longtable learns its widths from the run before; calc changes how lengths
    # are read.
    if n_rows > 45:
        compile_latex(tmp_path, "table.tex", preamble="\\usepackage{calc}\n")
    log = compile_latex(tmp_path, "table.tex", preamble="\\usepackage{calc}\n")
    assert "Overfull" not in log
    if n_rows == 160:
        assert "continued" in pdf_text(tmp_path)


def test_a_wide_table_folds_its_headers_and_shrinks_to_fit(tmp_path: Path) -> None:
    wide = pd.DataFrame({f"k{k}": [0.961234] * 3 for k in range(5)})
    wide.insert(0, "model", "a_model_name")
    seen = []
    for decimals, header in [(1, "{}"), (1, "active experts {}"), (8, "{}"), (12, "{}")]:
        styles = [ColumnStyle("model")]
        styles += [ColumnStyle(f"k{k}", header.format(k), "number", decimals) for k in range(5)]
        tex = write(tmp_path, wide, columns=styles)["tex"]
        log = compile_latex(tmp_path, "table.tex")
        shrunk, folded = "tabcolsep" in tex, " & 0 & 1" in tex and "active" in tex
        seen.append((shrunk, folded, "landscape" in tex, "Overfull" in log))
    assert seen == [
        (False, False, False, False),
        (False, True, False, False),
        (True, False, False, False),
        (True, False, True, True),
    ]


def test_a_table_too_wide_is_stacked_before_it_leaves_the_page(tmp_path: Path) -> None:
    ks = ", ".join(map(str, [1, 2, 3, 4, 6, 8, 12, 16]))
    wide = pd.DataFrame({"model": ["a_model", "b"]} | {f"k = {k}": "95.1 ± 0.4" for k in range(9)})
    tex = write(tmp_path, wide.assign(ks=[ks, "4, 6"]), notes=["N."])["tex"]
    assert "a\\_model & 95.1" in tex
    assert "1, 2, 3, 4, \\\\*\n" in tex
    assert " & $\\pm$ 0.4" in tex
    assert "6, 8, 12, 16 \\\\\\addlinespace[2pt]\n" in tex
    assert "landscape" not in tex
    assert "Overfull" not in compile_latex(tmp_path, "table.tex")
    narrow = wide[["model", "k = 0"]]
    assert "95.1 $\\pm$ 0.4" in write(tmp_path, narrow)["tex"]


def test_headings_over_columns_count_for_the_width(tmp_path: Path) -> None:
    frame = pd.DataFrame({f"k{k}": [0.5] * 3 for k in range(5)})
    styles = [ColumnStyle(f"k{k}", span=f"a long heading {k}") for k in range(5)]
    tex = write(tmp_path, frame, columns=styles)["tex"]
    assert "tabcolsep" in tex
    assert "Overfull" not in compile_latex(tmp_path, "table.tex")


WORDS = "This note has a good many words, of which not all can stand on one line. "


def left_and_width(tmp_path: Path, words: str) -> tuple[float, float]:
    """Left edge and width, in points, of the lines that hold only such words."""
    done = subprocess.run(
        ["pdftotext", "-bbox", "paper.pdf", "-"], cwd=tmp_path, capture_output=True, check=True
    )
    found = re.findall(
        r'xMin="([\d.]+)" yMin="[\d.]+" xMax="([\d.]+)" yMax="[\d.]+">([^<]+)<',
        done.stdout.decode(),
    )
    boxes = [(float(a), float(b)) for a, b, word in found if word in words.split()]
    left, right = min(a for a, _ in boxes), max(b for _, b in boxes)
    return left, right - left


@pytest.mark.parametrize("n_rows", [3, 60])
def test_notes_are_as_wide_as_their_table(tmp_path: Path, n_rows: int) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed: what LaTeX printed is not read back here")
    frame = pd.DataFrame({"first": ["x" * 20] * n_rows, "second": ["y" * 20] * n_rows})
    styles = [ColumnStyle("first"), ColumnStyle("second")]
    write(tmp_path, frame, columns=styles, notes=[WORDS * 3])
    for _ in range(3 if n_rows > 45 else 1):
        compile_latex(tmp_path, "table.tex")
    left, width = left_and_width(tmp_path, f"{'x' * 20} {'y' * 20}")
    note_left, note_width = left_and_width(tmp_path, WORDS)
    assert note_left == pytest.approx(left, abs=1.5)
    assert note_width == pytest.approx(width, abs=3)


def test_a_note_is_neither_wider_than_the_line_nor_a_thin_column(tmp_path: Path) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed: what LaTeX printed is not read back here")
    write(tmp_path, pd.DataFrame({"n": [1]}), notes=[WORDS * 3])
    compile_latex(tmp_path, "table.tex")
    assert left_and_width(tmp_path, WORDS)[1] == pytest.approx(0.4 * 345, abs=3)
    wide = pd.DataFrame({f"k{k}": ["0.123456789012345"] for k in range(9)})
    write(tmp_path, wide, notes=[WORDS * 3])
    compile_latex(tmp_path, "table.tex")
    assert left_and_width(tmp_path, WORDS)[1] == pytest.approx(345, abs=3)


def test_captions_keep_their_size_in_long_tables(tmp_path: Path) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed: what LaTeX printed is not read back here")
    wide = pd.DataFrame({f"k{k}": ["1234567890"] * 60 for k in range(7)})
    sizes = []
    for rows in (wide.iloc[:3], wide):
        tex = write(tmp_path, rows, caption="Somewhat captioned table")["tex"]
        assert "scriptsize" in tex
        compile_latex(tmp_path, "table.tex")
        sizes.append(left_and_width(tmp_path, "Table 1: Somewhat captioned table")[1])
    assert sizes[0] == pytest.approx(sizes[1], abs=0.1)


def test_long_tables_blank_repeated_groups_too(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": ["x"] * 40 + ["y"] * 40, "b": [*["low"] * 20, *["high"] * 20] * 2})
    frame["n"] = np.arange(80)
    styles = [ColumnStyle("a", group=True), ColumnStyle("b", group=True), ColumnStyle("n")]
    tex = write(tmp_path, frame, columns=styles)["tex"]
    assert "longtable" in tex
    rows = [line.split(" & ")[:2] for line in tex.splitlines() if re.search(r" & \d+ \\\\$", line)]
    assert len(rows) == 80
    assert {i: row for i, row in enumerate(rows) if row != ["", ""]} == {
        0: ["x", "low"], 20: ["", "high"], 40: ["y", "low"], 60: ["", "high"],
    }  # fmt: skip


def test_names_in_words() -> None:
    expected = {
        "object_count": "object count",
        "entropy_lab": "entropy lab",
        "prefill_ms": "prefill",
        "ttft_ms": "time to first token",
        "n_images": "images",
        "C(k)[2]": "k = 2",
        "C(k)[2]:c": "k = 2 × c",
        "C(k)[16]:question_type[a_b]": "k = 16 × question type: a_b",
        "x:c": "x × c",
        "I(x**2)": "x²",
        "I(x**2):c": "x² × c",
        "I(c ** 13)": "c¹³",
        "question_type[compare]": "question type: compare",
        "C(question_type)[compare]": "question type: compare",
        "question_type[yes:no]": "question type: yes:no",
        "Intercept": "intercept",
        "c": "c",
        "order": "order",
    }
    assert {name: names.readable(name) for name in expected} == expected
    for name in ["fixed4_3k", "org/a_model:7b", "Qwen3-VL-30B", "", ":", "n_words", "a:b", "x²"]:
        assert names.readable(name) == name


def test_names_are_words_in_print_and_raw_in_the_csv(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "model": ["object_count", "m_1"],
            "metric": ["object_count", None],
            "term": ["I(x**2):c", "C(k)[2]"],
            "n_images": [1, 2],
        }
    )
    texts = write(tmp_path, frame)
    assert texts["csv"].startswith(
        "model,metric,term,n_images\nobject_count,object_count,I(x**2):c"
    )
    assert "| object_count | object count | x² × c |" in texts["md"]
    assert "model & metric & term & images" in texts["tex"]
    assert "object\\_count & object count & x$^2$ $\\times$ c & 1" in texts["tex"]
    assert "m\\_1 & -- & k = 2 & 2" in texts["tex"]
    compile_latex(tmp_path, "table.tex", preamble="\\usepackage[utf8]{inputenc}\n")
    styles = default_styles(frame, group=["model"])
    assert [style.group for style in styles] == [True, False, False, False]


def test_intervals_do_not_hide_on_which_side_of_zero_they_end(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "estimate": [0.0021, 0.0123, 0.5],
            "low": [0.0002, -0.0002, -0.00001],
            "high": [0.003, 0.012, 0.0],
        }
    )

    def intervals(*styles: ColumnStyle) -> list[list[str]]:
        lines = write(tmp_path, frame, columns=styles)["md"].splitlines()[4:]
        return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]

    assert intervals(ColumnStyle("low", kind="number", decimals=3, upper="high")) == [
        ["[0.0002, 0.0030]"], ["[−0.0002, 0.0120]"], ["[−0.0000, 0.0000]"],
    ]  # fmt: skip
    assert intervals(ColumnStyle("low", kind="proportion", decimals=4, upper="high")) == [
        ["[.00020, .00300]"], ["[−.00020, .01200]"], ["[−.00001, .00000]"],
    ]  # fmt: skip
    assert intervals(ColumnStyle("low", kind="points", decimals=1, upper="high"))[1:] == [
        ["[−0.02, +1.20]"], ["[−0.00, 0.00]"],
    ]  # fmt: skip
    frame["low"] = [0.001, -0.002, 0.3]
    aligned = intervals(
        ColumnStyle("estimate", kind="number"),
        ColumnStyle("low", kind="number", upper="high", like="estimate"),
    )
    assert aligned[0] == ["0.0021", "[0.0010, 0.0030]"]
    assert intervals(ColumnStyle("low", kind="number", upper="high"))[0] == ["[0.00100, 0.00300]"]


@settings(max_examples=60)
@given(st.text(max_size=40))
def test_latex_leaves_no_special_character_unescaped(text: str) -> None:
    escaped = latex.escape(text)
    rest = re.sub(r"\\optikchar\{.\}\{[0-9A-F]+\}", "", escaped, flags=re.DOTALL)
    assert rest.isascii()
    assert "\n" not in rest
    bare = re.sub(r"\\[a-zA-Z]+|\\.", "", rest)
    math = re.sub(r"\$[^$]*\$", "", bare)
    assert not set('&%#_^$\\<>|"') & set(math)


def test_arbitrary_text_compiles(tmp_path: Path) -> None:
    # Every character that LaTeX might trip over, once: Latin-1, Latin extended, Greek, signs.
    ranges = [(0x20, 0x250), (0x370, 0x400), (0x2010, 0x2050), (0x2070, 0x20A0), (0x2200, 0x2270)]
    cells = [
        "".join(map(chr, range(a, min(a + 24, b)))) for a, b in ranges for a in range(a, b, 24)
    ]
    write(tmp_path, pd.DataFrame({"text": cells[:40]}))
    compile_latex(tmp_path, "table.tex")
    write(tmp_path, pd.DataFrame({"text": cells[40:]}))
    compile_latex(tmp_path, "table.tex")


def test_booktabs_layout(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"model": ["a", "a", "b"], "bucket": ["low", "high", "low"], "x": [0.5, 0.25, None]}
    )
    styles = [
        ColumnStyle("model", group=True),
        ColumnStyle("bucket"),
        ColumnStyle("x", "k = 1", "percent", span="accuracy"),
        ColumnStyle("x", "k = 2", "number", span="accuracy"),
    ]
    tex = write(tmp_path, frame, columns=styles, caption="C", label="tab:c", notes=["N."])["tex"]
    assert tex == (
        "% Needs the LaTeX package booktabs.\n"
        "\\begin{table}[htbp]\n\\centering\n\\caption{C}\\label{tab:c}\\par\\smallskip\n"
        "\\sbox0{%\n\\begin{tabular}{@{}llrr@{}}\n\\toprule\n"
        " &  & \\multicolumn{2}{c@{}}{accuracy} \\\\\n\\cmidrule(lr){3-4}\n"
        "model & bucket & k = 1 (\\%) & k = 2 \\\\\n\\midrule\n"
        "a & low & 50.0 & 0.500 \\\\\n"
        " & high & 25.0 & 0.250 \\\\\n"
        "\\addlinespace\n"
        "b & low & -- & -- \\\\\n"
        "\\bottomrule\n\\end{tabular}}\n"
        "\\dimen0=\\wd0 \\ifdim\\dimen0<.4\\linewidth \\dimen0=.4\\linewidth \\fi\n"
        "\\ifdim\\dimen0>\\linewidth \\dimen0=\\linewidth \\fi\n"
        "\\usebox0\\par\\smallskip\n"
        "\\parbox{\\dimen0}{\\footnotesize N.}\n\\end{table}\n"
    )


def test_two_group_columns_show_the_inner_one_again_when_the_outer_changes(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": ["x", "x", "y"], "b": ["low", "low", "low"], "n": [1, 2, 3]})
    styles = [ColumnStyle("a", group=True), ColumnStyle("b", group=True), ColumnStyle("n")]
    tex = write(tmp_path, frame, columns=styles)["tex"]
    assert " &  & 2 \\\\\n\\addlinespace\ny & low & 3" in tex


def test_column_styles(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "estimate": [0.8123, -12.5, np.nan],
            "low": [0.81, -0.4, np.nan],
            "high": [0.85, 1.0, np.nan],
            "p": [1e-9, 0.0144, np.nan],
            "share": [0.96123, 1.0, np.nan],
            "gain": [0.0142, -0.0003, np.nan],
            "n": pd.array([8000, None, 3], dtype="Int64"),
            "ks": [[4, 6], [], None],
            "flag": pd.array([True, False, None], dtype="boolean"),
        }
    )
    styles = [
        ColumnStyle("estimate", kind="number", decimals=3),
        ColumnStyle("low", "CI", "proportion", upper="high"),
        ColumnStyle("low", "CI", "percent", decimals=0, upper="high"),
        ColumnStyle("low", "CI", "number", decimals=1, upper="high"),
        ColumnStyle("p", kind="p"),
        ColumnStyle("share", kind="percent"),
        ColumnStyle("gain", kind="points"),
        ColumnStyle("n", kind="count"),
        ColumnStyle("ks", kind="ks"),
        ColumnStyle("flag", kind="flag"),
    ]
    text = write(tmp_path, frame, columns=styles)["md"]
    rows = [[cell.strip() for cell in line.split(" | ")] for line in text.splitlines()[2:]]
    rows = [[cell.strip("| ") for cell in row] for row in rows]
    assert rows[2][0] == "0.812"
    assert rows[2][1:] == [
        "[.81, .85]", "[81, 85]", "[0.8, 0.8]", r"\<.001", "96.1", "+1.4", "8,000", "4, 6", "yes",
    ]  # fmt: skip
    assert rows[3][1:4] == ["[−.40, 1.00]", "[−40, 100]", "[−0.4, 1.0]"]
    assert rows[3][4:] == [".014", "100.0", "0.0", "–", "none", "no"]
    assert rows[4] == ["–"] * 7 + ["3", "–", "–"]
    assert "CI (%)" in rows[0]
    assert "gain (points)" in rows[0]


def test_columns_without_styles_follow_their_types() -> None:
    frame = study().assign(label=pd.Categorical(NAMES), x=np.float32(0.5))
    kinds = {style.column: style.kind for style in default_styles(frame)}
    assert kinds == {
        "model": "text", "n_images": "count", "accuracy": "number", "ci_low": "number",
        "ci_high": "number", "gain": "number", "p_holm": "p", "serves_both": "flag",
        "ks": "ks", "label": "text", "x": "number",
    }  # fmt: skip


def test_markdown_escapes() -> None:
    expected = {
        "a|b": r"a\|b",
        "edge_density": "edge_density",
        "_x_": r"\_x\_",
        "[.81, .85]": "[.81, .85]",
        "[a](b)": r"[a\](b)",
        "p <.001": r"p \<.001",
        "50% & 3&amp;4": r"50% & 3\&amp;4",
        "a*b`c`\\d": r"a\*b\`c\`\\d",
        "two\nlines": "two lines",
        "# 1": r"\# 1",
        "1. x": r"1\. x",
        "1.5": "1.5",
    }
    assert {text: markdown.escape(text) for text in expected} == expected


def test_markdown_table(tmp_path: Path) -> None:
    frame = pd.DataFrame({"name|": ["a|b", "中"], "n": [1, 20000]})
    text = write(tmp_path, frame, caption="x|y", notes=["One.", "Two."])["md"]
    assert text == (
        "**x\\|y**\n\n"
        "| name\\| |      n |\n"
        "| ------ | -----: |\n"
        "| a\\|b   |      1 |\n"
        "| 中     | 20,000 |\n\n"
        "One. Two.\n"
    )


def test_csv_keeps_every_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(size=200) * 10.0 ** rng.integers(-300, 300, 200), [np.nan]])
    frame = pd.DataFrame({"x": values})
    frame["name"] = ['with "quotes", commas\nand lines'] * len(frame)
    frame["hidden"] = np.arange(len(frame))
    text = write(tmp_path, frame, columns=[ColumnStyle("x", kind="number")])["csv"]
    header, *rows = csv.reader(io.StringIO(text))
    assert header == ["x", "name", "hidden"]
    back = np.array([float(row[0] or "nan") for row in rows])
    assert back.tobytes() == values.tobytes()
    assert [row[1] for row in rows] == list(frame["name"])
    assert [int(row[2]) for row in rows] == list(range(len(frame)))


def test_csv_spells_each_kind_of_value() -> None:
    frame = pd.DataFrame(
        {
            "i": pd.array([3, None], dtype="Int64"),
            "b": [True, False],
            "ks": [[4, 6], np.array([8])],
            "c": pd.Categorical(["low", None]),
            "f": np.array([0.1, 1e-300]),
            "o": [None, "x,y"],
        }
    )
    rows = list(csv.reader(io.StringIO(to_csv(frame))))
    assert rows == [
        ["i", "b", "ks", "c", "f", "o"],
        ["3", "true", "4 6", "low", "0.1", ""],
        ["", "false", "8", "", "1e-300", "x,y"],
    ]


def test_files_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        paths = write_table(
            study(), tmp_path / folder / "v1.2", caption="C", label="t", columns=STYLES
        )
        assert [path.name for path in paths] == ["v1.2.csv", "v1.2.md", "v1.2.tex"]
    for path in paths:
        other = tmp_path / "one" / path.name
        assert path.read_bytes() == other.read_bytes()
        assert b"\r" not in path.read_bytes()
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == [p.name for p in paths]


def test_only_the_formats_asked_for_are_written(tmp_path: Path) -> None:
    assert list(write(tmp_path, study(), formats=["md"])) == ["md"]


def test_the_csv_may_hold_more_and_the_label_is_the_name(tmp_path: Path) -> None:
    whole, shown = study(), study()[["model", "gain"]].head(2)
    paths = write_table(shown, tmp_path / "gains_by_k", caption="C", full=whole)
    (alone,) = write_csv(whole, tmp_path / "whole")
    assert [path.name for path in paths] == ["gains_by_k.csv", "gains_by_k.md", "gains_by_k.tex"]
    assert paths[0].read_bytes() == alone.read_bytes()
    assert "accuracy" not in paths[1].read_text(encoding="utf-8")
    assert "\\label{tab:gains-by-k}" in paths[2].read_text(encoding="utf-8")


def test_wrong_requests_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no column 'acuracy'"):
        write(tmp_path, study(), columns=[ColumnStyle("acuracy")])
    with pytest.raises(ValueError, match="no table format 'html'"):
        write(tmp_path, study(), formats=["html"])
    with pytest.raises(ValueError, match="label"):
        write(tmp_path, study(), label="tab{x}")
    assert list(tmp_path.iterdir()) == []
