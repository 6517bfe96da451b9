"""`optik fit`: files as people have them, what is printed, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from analysis.cli import app
from analysis.fit_table import read_fit_table
from analysis.mixed import fit

FORMULA = "ms ~ C(k) + flag + kind + (1 | image_id)"
FIXED_KEYS = ["term", "estimate", "se", "statistic", "df", "p", "ci_low", "ci_high"]
RANDOM_KEYS = ["group", "term", "term2", "vcov", "sd_or_corr"]
KEYS = {
    *("fixed", "random", "loglik", "deviance", "aic", "bic", "n_obs", "n_groups"),
    *("residual_sd", "method", "converged", "singular", "seconds"),
}


def optik_fit(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["fit", *(str(argument) for argument in arguments)])


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    n = 180
    image = np.repeat(np.arange(30), 6)
    b = rng.normal(size=30)[image]
    right = rng.binomial(5, 1 / (1 + np.exp(-b)))
    return pd.DataFrame(
        {
            "image_id": [f"{i:03d}" for i in image],
            "k": np.tile([1, 2, 4], 60),
            "kind": np.tile(["count", "color"], 90),
            "flag": rng.random(n) < 0.5,
            "ms": 20 + b + rng.normal(size=n),
            "y": (rng.random(n) < 1 / (1 + np.exp(-b))).astype(int),
            "right": right,
            "wrong": 5 - right,
            "asked": 5,
            "share": right / 5,
            "soft": rng.choice([0, 0.3, 0.6, 0.9, 1], n),
            "nothing": np.nan,
        }
    )


def holed(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(
        ms=table.ms.where(table.index != 3),
        kind=table.kind.where(table.index != 40, None),
        flag=table.flag.astype(object).where(table.index != 90, None),
        k=table.k.astype("Int64").where(table.index != 3),
    )


def saved(table: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    elif path.suffix == ".jsonl":
        table.to_json(path, orient="records", lines=True, double_precision=15)
    else:
        encoding = "utf-8-sig" if path.stem == "bom" else "utf-8"
        named = path.stem if path.stem in ("NA", "NaN", "null") else ""
        table.to_csv(
            path,
            index=False,
            na_rep=named,
            encoding=encoding,
            sep="," if "csv" in path.name else "\t",
        )
    return path


@pytest.mark.parametrize(
    "name",
    [
        "t.csv",
        "bom.csv",
        "NA.csv",
        "NaN.csv",
        "null.csv",
        "t.tsv",
        "t.csv.gz",
        "t.jsonl",
        "t.parquet",
    ],
)
def test_every_file_gives_the_same_fit(name: str, table: pd.DataFrame, tmp_path: Path) -> None:
    expected = fit(FORMULA, holed(table).astype({"flag": "boolean"}))
    assert (expected.n_dropped, expected.n_obs) == (3, 177)
    assert "flag" in expected.names
    result = optik_fit(saved(holed(table), tmp_path / name), "--formula", FORMULA, "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert [row["term"] for row in content["fixed"]] == list(expected.names)
    np.testing.assert_allclose(
        [row["estimate"] for row in content["fixed"]], expected.params, rtol=1e-9
    )
    assert (content["n_obs"], content["n_groups"]) == (177, {"image_id": 30})


@pytest.mark.parametrize(
    "options",
    [
        ["--formula", "ms ~ k + (1 + k | image_id)"],
        ["--formula", "ms ~ k + (1 | image_id)", "--method", "ml"],
        ["--formula", "ms ~ ns(k, 2)", "--cluster", "image_id"],
        ["--formula", "y ~ k + (1 | image_id)", "--family", "binomial"],
        ["--formula", "share ~ k + (1 | image_id)", "--family", "binomial", "--weights", "asked"],
        ["--formula", "cbind(right, wrong) ~ k", "--family", "binomial"],
        ["--formula", "soft ~ k", "--family", "binomial", "--cluster", "image_id"],
    ],
    ids=lambda options: " ".join(options[1:]),
)
def test_json_is_all_that_is_printed(
    options: list[str], table: pd.DataFrame, tmp_path: Path
) -> None:
    result = optik_fit(saved(table, tmp_path / "t.csv"), *options, "--json")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    content = json.loads(result.stdout)
    assert set(content) >= KEYS
    assert all(list(row) == FIXED_KEYS for row in content["fixed"])
    assert all(list(row) == RANDOM_KEYS for row in content["random"])
    assert all(row["group"] != "residual" for row in content["random"])
    binomial = "binomial" in options
    assert content["method"] == ("ml" if binomial or "ml" in options else "reml")
    assert (content["residual_sd"] is None) == binomial
    assert (content["loglik"] is None) == ("soft" in options[1])
    assert (content["aic"] is None) == ("soft" in options[1])
    assert 0 < content["seconds"] < 60
    text = optik_fit(saved(table, tmp_path / "t.csv"), *options)
    assert text.exit_code == 0
    for word in (options[1], "Fixed effects", "Intercept", "180 rows"):
        assert word in text.stdout


def test_weights_and_counts_are_one_model(table: pd.DataFrame, tmp_path: Path) -> None:
    path = saved(table, tmp_path / "t.csv")
    rest = ["--family", "binomial", "--json"]
    right = " ~ k + (1 | image_id)"
    one = optik_fit(path, "--formula", "share" + right, "--weights", "asked", *rest)
    other = optik_fit(path, "--formula", "cbind(right, asked - right)" + right, *rest)
    assert json.loads(one.stdout)["fixed"] == json.loads(other.stdout)["fixed"]


@pytest.mark.parametrize(
    ("formula", "options", "says"),
    [
        ("ms ~ kk", [], "no column 'kk' (did you mean 'k'?); the table has image_id, k"),
        ("ms ~ C(k) + (1 | image_id", [], "a ( is not closed"),
        ("ms = k", [], "needs exactly one ~"),
        ("", [], "needs exactly one ~"),
        ("nothing ~ k", [], "every row has a missing value (nothing holds nothing else)"),
        ("ms ~ nothing", [], "every row has a missing value"),
        ("kind ~ k", [], "'kind' is not numeric (for instance 'count')"),
        ("ms ~ k", ["--cluster", "image"], "no column 'image' (did you mean 'image_id'?)"),
        ("ms ~ k", ["--weights", "asked"], "gaussian rows cannot be weighted"),
        ("y ~ k", ["--family", "binomial", "--method", "reml"], "REML is for gaussian"),
    ],
)
def test_what_cannot_be_fitted_is_said(
    formula: str, options: list[str], says: str, table: pd.DataFrame, tmp_path: Path
) -> None:
    result = optik_fit(saved(table, tmp_path / "t.csv"), "--formula", formula, *options, "--json")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert says in result.stderr
    assert result.stderr.startswith("optik: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.csv", b"", "empty.csv: the file is empty"),
        ("lines.csv", b"\n\n", "cannot be read"),
        ("header.csv", b"ms,k\n", "the table has no rows"),
        ("one.csv", b"ms,k\n1,2\n", "1 complete row is too few for 2 coefficients"),
        ("semicolon.csv", b"ms;k\n1,5;2\n", "separated by ';'"),
        ("latin.csv", "ms,größe\n1,2\n".encode("latin-1"), "it is not UTF-8"),
        ("comma.csv", b'ms,k\n"1,5",2\n"2,5",3\n', "with a point for the decimal comma"),
        ("ragged.csv", b"ms,k\n1,2\n3,4,5\n", "more cells in line 3 than the header has"),
        ("twice.csv", b"ms,ms,k\n1,2,3\n", "column 'ms' is there more than once"),
        ("infinite.csv", b"ms,k\n1,2\nInf,3\n-inf,4\n2,5\n", "not finite in 2 rows"),
        ("text.parquet", b"hello", "cannot be read"),
        ("book.xlsx", b"PK", "this one ends in '.xlsx'"),
    ],
)
def test_files_that_are_no_tables(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    result = optik_fit(tmp_path / name, "--formula", "ms ~ k")
    assert result.exit_code == 1
    assert says in result.stderr
    assert "Traceback" not in result.output


def test_a_missing_file_and_a_folder(table: pd.DataFrame, tmp_path: Path) -> None:
    saved(table, tmp_path / "answers.csv")
    missing = optik_fit(tmp_path / "anwsers.csv", "--formula", "ms ~ k")
    assert missing.exit_code == 1
    assert "no such file (did you mean 'answers.csv'?)" in missing.stderr
    folder = optik_fit(tmp_path, "--formula", "ms ~ k")
    assert folder.exit_code == 1
    assert "is a folder; name a table in it" in folder.stderr


def test_a_wrong_request_is_a_usage_error(table: pd.DataFrame, tmp_path: Path) -> None:
    path = saved(table, tmp_path / "t.csv")
    for wrong in (
        [path],
        [path, "--formula", "ms ~ k", "--family", "binomal"],
        [path, "--formula", "ms ~ k", "--method", "mle"],
        [path, "--formula", "ms ~ k", "--wieghts", "asked"],
    ):
        assert optik_fit(*wrong).exit_code == 2


def test_cells_of_a_text_file_get_their_types(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "image_id,code,number,truth,word,gap\n007,007,1.5,TRUE,a,\nNA,010,,FALSE,NA,\n"
        "3,1,Inf,NA,b,NaN\n",
        encoding="utf-8",
    )
    frame = read_fit_table(path, text=["image_id"])
    assert frame.image_id.fillna("?").tolist() == ["007", "?", "3"]
    assert frame.code.tolist() == ["007", "010", "1"]
    assert frame.number.fillna(-1).tolist() == [1.5, -1, np.inf]
    assert frame.truth.dtype == "boolean"
    assert frame.truth.isna().tolist() == [False, False, True]
    assert frame.word.fillna("?").tolist() == ["a", "?", "b"]
    assert frame.gap.isna().all()


def test_images_in_a_parquet_file_are_left_unread(table: pd.DataFrame, tmp_path: Path) -> None:
    path = saved(table.assign(image=[b"png"] * len(table)), tmp_path / "t.parquet")
    assert "image" not in read_fit_table(path)
    assert optik_fit(path, "--formula", "ms ~ k").exit_code == 0
