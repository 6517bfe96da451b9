"""Bring what README and docs quote up to date; run it after any change of output or schema.

python docs/refresh.py

Puts what `optik demo` prints and draws into README.md, what each method says of that study into
docs/methods_side_by_side.md, and writes docs/tables.md and the manifest's JSON Schema from the
code.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path

import analysis
from analysis import schemas
from analysis.manifest import json_schema
from analysis.report import (
    robustness_tables,
    side_by_side,
    side_by_side_tables,
    worth_frames,
    yes_no_table,
)

ROOT = Path(__file__).parents[1]
METHODS = ROOT / "docs" / "methods_side_by_side.md"
TABLE = re.compile(r"(<!-- table:begin -->\n).*?(<!-- table:end -->)", re.DOTALL)
BLOCK = re.compile(r"(<!-- demo:begin -->\n```text\n).*?(```\n<!-- demo:end -->)", re.DOTALL)


def tables_page() -> str:
    """Spell the five table schemas, and the columns of the worth tables, as a page."""
    lines = [
        "# Tables",
        "",
        "The five tables that the stages hand to each other, checked whenever one is read or "
        "written. Written by `docs/refresh.py` from `analysis/schemas.py`.",
    ]
    for table in schemas.SCHEMAS:
        lines += [
            "",
            f"## {table.name}",
            "",
            f"One row per {table.row}. Unique together: {', '.join(f'`{k}`' for k in table.key)}."
            + (" Further columns are kept." if table.extra else " Further columns are dropped."),
            "",
            "| column | kind | needed | may be empty | meaning |",
            "|---|---|---|---|---|",
        ]
        for column in table.columns:
            needed, empty = ("yes" if flag else "" for flag in (column.needed, column.nullable))
            kind = schemas.KINDS[column.kind]
            meaning = column.meaning.replace("|", "\\|")
            lines.append(f"| `{column.name}` | {kind} | {needed} | {empty} | {meaning} |")
    lines += [
        "",
        "# Tables of what k is worth, of other choices, of methods, and of yes/no replies",
        "",
        "CSV files in a run's `tables/`, one row per metric × model × what comes next in their "
        "columns; definitions in [method.md](method.md). Written from "
        "`analysis/report/worth_frames.py`, `robustness_tables.py`, `side_by_side.py` and "
        "`yes_no_table.py`.",
    ]
    meanings = {
        **worth_frames.MEANINGS,
        **robustness_tables.MEANINGS,
        "methods_side_by_side": side_by_side.MEANINGS,
        **yes_no_table.MEANINGS,
    }
    for name, columns in meanings.items():
        lines += ["", f"## {name}", "", "| column | meaning |", "|---|---|"]
        lines += [f"| `{column}` | {meaning} |" for column, meaning in columns.items()]
    return "\n".join(lines) + "\n"


def methods_page(run: Path) -> str:
    """Put what each method says of the shapes study into its page."""
    answers = json.loads((run / "optimum" / "object_count.json").read_text(encoding="utf-8"))
    table = side_by_side_tables.page(answers)
    text = METHODS.read_text(encoding="utf-8")
    return TABLE.sub(lambda match: match[1] + "\n" + table + "\n" + match[2], text)


def main() -> None:
    """Write them all."""
    (ROOT / "docs" / "tables.md").write_text(tables_page(), encoding="utf-8")
    schema = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    (ROOT / "data_manifests" / "manifest.schema.json").write_text(schema, encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        result = analysis.run("shapes", Path(folder) / "run", say=print)
        figure = result.folder / "figures" / "accuracy_vs_k.png"
        shutil.copyfile(figure, ROOT / "docs" / figure.name)
        METHODS.write_text(methods_page(result.folder), encoding="utf-8")
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(
        BLOCK.sub(lambda match: match[1] + result.answer + match[2], text), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
