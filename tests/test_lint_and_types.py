from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
    ],
    ids=" ".join,
)
def test_the_code_is_clean(root: Path, command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_complexity_never_imports_analysis(root: Path) -> None:
    for path in (root / "complexity").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "import analysis" not in text, path
        assert "from analysis" not in text, path


def test_importing_is_light() -> None:
    heavy = {"statsmodels", "seaborn", "matplotlib", "skimage", "formulae", "numba", "torch"}
    script = (
        "import sys, analysis, complexity, analysis.cli, analysis.manifest\n"
        f"print(sorted({heavy!r} & {{name.partition('.')[0] for name in sys.modules}}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_packages_offer_what_they_list() -> None:
    import analysis
    import complexity

    for package in (analysis, complexity):
        for name in package.__all__:
            assert getattr(package, name) is not None
        assert set(package.__all__) <= set(dir(package))
        with pytest.raises(AttributeError):
            package.nothing_of_this_name  # noqa: B018
