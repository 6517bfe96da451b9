"""Put what `optik demo` prints and draws into the README; run it after any change of either.

python docs/refresh.py
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import analysis

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- demo:begin -->\n```text\n).*?(```\n<!-- demo:end -->)", re.DOTALL)


def main() -> None:
    """Run the study in a temporary folder, then rewrite block and figure."""
    with tempfile.TemporaryDirectory() as folder:
        result = analysis.run("shapes", Path(folder) / "run", say=print)
        figure = result.folder / "figures" / "accuracy_vs_k.png"
        shutil.copyfile(figure, ROOT / "docs" / figure.name)
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(
        BLOCK.sub(lambda match: match[1] + result.answer + match[2], text), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
