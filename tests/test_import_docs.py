"""docs/import.md shows what the commands print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from analysis.cli import app

PAGE = Path(__file__).parents[1] / "docs" / "import.md"
BLOCKS = re.findall(
    r"^```text\n\$ optik (.+?)\n(?!  )(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
)


def arguments(command: str) -> list[str]:
    given = shlex.split(command.replace("\\\n", " "))
    expanded: list[str] = []
    for word in given:
        found = sorted(map(str, Path().glob(word))) if "*" in word and "(" not in word else []
        expanded += found or [word]
    return expanded


def test_every_format_is_shown() -> None:
    shown = [arguments(command)[1] for command, _ in BLOCKS]
    assert shown == ["lmms-eval", "lm-eval", "vlmevalkit", "vllm", "guidellm", "table"]


@pytest.mark.parametrize(("command", "output"), BLOCKS)
def test_the_output_shown_is_the_output(
    command: str, output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tests").symlink_to(Path(__file__).parent)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, arguments(command))
    assert result.exit_code == 0, result.output
    assert result.output == output
