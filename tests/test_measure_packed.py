"""Packed images on a Dask worker: files that are cut off, readers that get stuck or take long."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from image_runs import many_scans, packed, png, write_images
from stuck_readers import width

from complexity import dask_cluster, image
from complexity.dask_cluster import Work, measure_chunk
from complexity.errors import InputError
from complexity.files import sha256_bytes
from complexity.one_image import Task
from complexity.rows import Row, timed_out
from complexity.sources import open_source

NAMES = ["i.parquet", "i.tar", "i.tar.gz"]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """End the processes that a test leaves: the next one has another environment."""
    yield
    while dask_cluster._kept:
        dask_cluster._kept.pop().pool.close()


def work(timeout: float) -> Work:
    about = {"policy": image.POLICY_VERSION, "metrics": {}}
    return Work.of({"width": width}, about, timeout)


def tasks(path: Path) -> list[Task]:
    """Where the images lie, as it travels to a Dask worker."""
    return [Task(item, ("width",)) for item in open_source(path).described()]


def widths(rows: list[Row]) -> list[float | None]:
    return [row.values.get("width") for row in rows]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_cut_off_in_the_middle_is_refused(tmp_path: Path, name: str) -> None:
    path = packed(write_images(tmp_path / "i", 20))[name]
    chunk, whole = tasks(path), path.read_bytes()
    kind = "Parquet" if name == "i.parquet" else "a tar archive"
    for part in (0.9, 0.5, 0.1):
        path.write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(InputError) as refused:
            measure_chunk(chunk, work(30))
        assert str(refused.value).startswith(f"'{path}' cannot be read as {kind} (")
        assert str(refused.value).endswith("it may be incomplete: fetch or write it again")
    # The process that met it measures on.
    path.write_bytes(whole)
    assert widths(measure_chunk(chunk, work(30))) == list(range(30, 50))


def test_parquet_pages_that_are_damaged(tmp_path: Path) -> None:
    path = packed(write_images(tmp_path / "i", 20))["i.parquet"]
    chunk, whole = tasks(path), bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    whole[start : start + 40] = bytes(40)
    path.write_bytes(whole)
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        measure_chunk(chunk, work(30))


def test_another_file_of_the_same_name(tmp_path: Path) -> None:
    made = packed(write_images(tmp_path / "i", 20))
    chunk = tasks(made["i.parquet"])  # row groups of 7, 7 and 6
    cells = [{"bytes": png(30), "path": "000.png"}]
    pq.write_table(pa.table({"image": cells}), made["i.parquet"])
    for some, message in ((chunk[:7], "no row 2 in row group 1"), (chunk[7:], "no row group 2")):
        with pytest.raises(InputError, match=message):
            measure_chunk(some, work(30))
    # An archive that has lost an image: there is nothing to read.
    chunk = tasks(made["i.tar.gz"])
    with tarfile.open(made["i.tar.gz"], "w:gz") as archive:
        for path in sorted((tmp_path / "i").iterdir())[1:]:
            archive.add(path, path.name)
    rows = measure_chunk(chunk, work(30))
    assert widths(rows) == [None, *range(31, 50)]
    assert rows[0].error is not None and "neither bytes nor a path" in rows[0].error


@pytest.mark.parametrize("name", NAMES)
def test_an_image_whose_decoding_never_ends(tmp_path: Path, name: str) -> None:
    folder = write_images(tmp_path / "i", 4)
    (folder / "001.png").write_bytes(many_scans(100_000))
    rows = measure_chunk(tasks(packed(folder)[name]), work(3))
    assert widths(rows) == [30, None, 32, 33]
    assert rows[1].error == timed_out(3)
    # Its bytes had come: the row is the one that a local run writes.
    assert rows[1].sha256 == sha256_bytes((folder / "001.png").read_bytes())


@pytest.mark.parametrize("name", ["i.parquet", "i.tar.gz"])
def test_an_image_whose_bytes_never_come(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUCK", "19")
    path = packed(write_images(tmp_path / "i", 12, first=13))[name]
    rows = measure_chunk(tasks(path), work(3))
    assert widths(rows) == [13, 14, 15, 16, 17, 18, None, *range(20, 25)]
    assert (rows[6].error, rows[6].sha256) == (timed_out(3), None)


@pytest.mark.parametrize("name", ["i.parquet", "i.tar.gz"])
def test_a_file_that_stalls_twice_in_a_row_ends_the_run(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUCK", "19,20")
    path = packed(write_images(tmp_path / "i", 12, first=13))[name]
    with pytest.raises(InputError) as refused:
        measure_chunk(tasks(path), work(3))
    message = str(refused.value)
    assert message.startswith(f"reading '{path}' on a Dask worker stalls: nothing came for 3 s")
    assert "006" in message and "007" in message and "what is finished is kept" in message


def test_a_long_archive_is_no_images_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUCK", "slow")
    path = tmp_path / "i.tar.gz"
    ballast = np.random.default_rng(0).bytes(1 << 22)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, data in (("a.bin", ballast), ("b.png", png(13))):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    # More than twice the timeout goes by before the first image comes.
    assert path.stat().st_size > 16 << 18
    rows = measure_chunk(tasks(path), work(2))
    assert (widths(rows), rows[0].error) == ([13], None)
