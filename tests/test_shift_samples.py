"""`optik shift --samples`: a column of the samples as complexity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from analysis import shift
from analysis.cli import app
from analysis.shift import read_table, shift_of_table, with_samples
from complexity.errors import InputError
from complexity.files import to_json


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    rows = [
        ("m", f"i{i:02d}", f"i{i:02d}_{q}", k, float(rng.random() < 0.5 + 0.05 * k), i)
        for i in range(40)
        for q in range(2)
        for k in (1, 2, 4)
    ]
    return pd.DataFrame(rows, columns=["model", "image_id", "sample_id", "k", "score", "size"])


def halves(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table without `size`, and samples that have it, in another order."""
    samples = table.drop_duplicates("sample_id")[["sample_id", "size"]].iloc[::-1]
    return table.drop(columns="size"), samples.assign(kind="a", score=9.0)


def test_the_answer_is_that_of_a_table_with_the_column(table: pd.DataFrame) -> None:
    bare, samples = halves(table)
    joined = with_samples(bare, samples, ["size", "kind", "score"])
    pd.testing.assert_frame_equal(joined.drop(columns="kind"), table)  # its own score stays
    (one,) = shift_of_table(joined, "size", mixed_model=False)
    (other,) = shift_of_table(table, "size", mixed_model=False)
    assert to_json(one.to_dict()) == to_json(other.to_dict())  # NaN is NaN


def test_rows_of_unknown_samples_have_no_value(table: pd.DataFrame) -> None:
    bare, samples = halves(table)
    joined = with_samples(bare, samples[samples["sample_id"] != "i00_0"], ["size"])
    assert set(joined.loc[joined["size"].isna(), "sample_id"]) == {"i00_0"}
    pd.testing.assert_frame_equal(joined.drop(columns="size"), bare)


def test_mistakes_are_named(table: pd.DataFrame) -> None:
    bare, samples = halves(table)
    for rows, asked, names, said in (
        (bare, samples, ["sise"], r"neither .* have a column 'sise' \(did you mean 'size'\?\)"),
        (bare, samples.rename(columns={"sample_id": "id"}), ["size"], "the samples have no col"),
        (bare.rename(columns={"sample_id": "id"}), samples, ["size"], "the table has no column"),
        (bare, pd.concat([samples, samples.head(1)]), ["size"], r"twice \(i39_1\)"),
        (bare, samples.assign(sample_id=samples["sample_id"] + "x"), ["size"], "no sample_id of"),
    ):
        with pytest.raises(InputError, match=said):
            with_samples(rows, asked, names)


def test_the_command(tmp_path: Path, table: pd.DataFrame) -> None:
    bare, samples = halves(table)
    bare.to_parquet(tmp_path / "t.parquet", index=False)
    samples.to_csv(tmp_path / "s.csv", index=False)
    ask = ["shift", str(tmp_path / "t.parquet"), "--complexity", "size", "--no-mixed-model"]
    found = CliRunner().invoke(app, [*ask, "--samples", str(tmp_path / "s.csv")])
    assert found.exit_code == 0, found.output
    table.to_parquet(tmp_path / "whole.parquet", index=False)
    ask[1] = str(tmp_path / "whole.parquet")
    assert CliRunner().invoke(app, ask).output == found.output


def test_a_large_table_is_told_what_it_takes_and_how_it_stays_narrow(
    tmp_path: Path, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.parquet"
    table.to_parquet(path, index=False)
    ask = ["shift", str(path), "--complexity", "size", "--no-mixed-model"]
    small = CliRunner().invoke(app, ask)
    assert small.exit_code == 0 and not small.stderr
    monkeypatch.setattr(shift, "LARGE", len(table))
    large = CliRunner().invoke(app, ask)
    assert large.stdout == small.stdout
    assert large.stderr.startswith("note: 240 rows: this takes about")
    assert "--samples FILE" in large.stderr


def test_a_column_that_the_table_lacks_may_be_in_the_samples(
    tmp_path: Path, table: pd.DataFrame
) -> None:
    path = tmp_path / "t.parquet"
    table.to_parquet(path, index=False)
    with pytest.raises(InputError, match=r"complexity .*: size\. To take it .*: --samples FILE"):
        read_table(path, "texture")


def test_of_a_wide_table_only_what_is_needed_is_read(tmp_path: Path, table: pd.DataFrame) -> None:
    path = tmp_path / "t.csv"
    table.assign(kind="a", code="007", other=1.0).to_csv(path, index=False)
    rows = read_table(path, "size", ["kind"], text=("sample_id",))
    assert list(rows.columns) == [*table.columns, "kind"]
    # Where something else is missing the message is to name all there is.
    assert "code" in read_table(path, "size", ["sort"]).columns
