"""Parquet files and tar shards as sources."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_files import cells, everything, lay, parquet, refusal, tar

from complexity.errors import InputError
from complexity.sources import open_source

# Parquet


def test_parquet_ids_are_the_column_else_the_paths(tmp_path: Path) -> None:
    names = [f"n {n}.png" for n in (3, 1, 2, 0, 4, 6, 5)]
    ids = [f"i{n}" for n in range(7)]
    path = parquet(tmp_path / "i.parquet", cells(*names), image_id=ids)
    by_path = open_source(path)
    assert by_path.ids() == sorted(names)
    assert everything(by_path) == {name: name.encode() for name in names}
    assert [item.image_id for item in by_path.items()] == names
    assert open_source(path, id_column="image.path").ids() == sorted(names)
    by_column = open_source(path, id_column="image_id")
    assert everything(by_column) == {
        key: name.encode() for key, name in zip(ids, names, strict=True)
    }
    for key, name in zip(ids, names, strict=True):
        assert by_column.read(key) == name.encode()
    kept = [(item.image_id, item.data) for item in by_column.items(only=["i5", "i1", "no"])]
    assert kept == [("i1", names[1].encode()), ("i5", names[5].encode())]


def test_more_rows_than_are_decoded_at_a_time(tmp_path: Path) -> None:
    names = [f"{n:03}" for n in range(100)]
    source = open_source(parquet(tmp_path / "i.parquet", cells(*names), rows=70))
    assert everything(source) == {name: name.encode() for name in names}
    assert source.read("069") == b"069"
    assert [item.image_id for item in source.items(["000", "015", "016", "069", "099"])] == [
        "000", "015", "016", "069", "099",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_a_plain_binary_column(tmp_path: Path, kind: pa.DataType) -> None:
    path = parquet(tmp_path / "i.parquet", [b"x", None, b""], kind=kind, name="img", key=[3, 1, 2])
    source = open_source(path, id_column="key")
    assert source.ids() == ["1", "2", "3"]
    assert source.read("3") == b"x"
    assert source.read("2") == b""
    with pytest.raises(OSError, match="neither bytes nor a path"):
        source.read("1")
    message = refusal(path)
    assert "name the column with the ids" in message
    assert "key (int64), img" in message


def test_a_column_path_serves_where_the_images_have_none(tmp_path: Path) -> None:
    path = parquet(tmp_path / "i.parquet", [b"x"], kind=pa.binary(), path=["a.png"])
    assert everything(open_source(path)) == {"a.png": b"x"}


def test_other_string_types_serve_as_ids(tmp_path: Path) -> None:
    for kind in (pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        path = parquet(tmp_path / "i.parquet", cells("a", "b"), key=pa.array(["y", "x"], kind))
        assert open_source(path, id_column="key").ids() == ["x", "y"]


def test_rows_without_bytes_are_read_beside_the_file(tmp_path: Path) -> None:
    lay(tmp_path / "d", {"pics/b.png": b"from disk"})
    images = [
        {"bytes": b"inside", "path": "a.png"},
        {"bytes": None, "path": "pics/b.png"},
        {"bytes": None, "path": "gone.png"},
        {"bytes": None, "path": None},
        None,
    ]
    path = parquet(tmp_path / "d" / "i.parquet", images, rows=2, key=list("abcde"))
    source = open_source(path, id_column="key")
    items = {item.image_id: item for item in source.items()}
    assert items["a"].read() == b"inside"
    assert items["b"].read() == b"from disk"
    assert source.read("b") == b"from disk"
    for key in "cde":
        with pytest.raises(OSError):
            items[key].read()
    assert "rows 4, 5" in refusal(path)


@pytest.mark.parametrize("statistics", [True, False])
def test_a_parquet_fingerprint_covers_the_files_that_rows_point_to(
    tmp_path: Path, statistics: bool
) -> None:
    images = [*cells("a", "b"), {"bytes": None, "path": "c.png"}]
    lay(tmp_path, {"c.png": b"1"})
    path = parquet(tmp_path / "i.parquet", images, rows=1, statistics=statistics)
    first = open_source(path).fingerprint()
    assert open_source(path).fingerprint() == first
    lay(tmp_path, {"c.png": b"2"})
    assert open_source(path).fingerprint() != first
    lay(tmp_path, {"c.png": b"1"})
    assert open_source(path).fingerprint() == first
    moved = lay(tmp_path / "m", {"x.parquet": path.read_bytes(), "c.png": b"1"}) / "x.parquet"
    assert open_source(moved).fingerprint() == first
    parquet(path, [*cells("a", "B"), images[2]], rows=1)
    assert open_source(path).fingerprint() != first


def test_the_id_column_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    path = parquet(tmp_path / "i.parquet", cells("a"), key=["k"])
    assert open_source(path).fingerprint() != open_source(path, id_column="key").fingerprint()


def test_parquet_shards_by_folder_and_glob(tmp_path: Path) -> None:
    for n in (1, 0):
        parquet(tmp_path / "data" / f"train-{n}.parquet", cells(*(f"{n}{m}" for m in "cab")))
    parquet(tmp_path / "data" / ".train-9.tmp.parquet", cells("hidden"))
    lay(tmp_path / "data", ["README.md"])
    for source in (open_source(tmp_path / "data"), open_source(tmp_path / "**" / "*.parquet")):
        assert [item.image_id for item in source.items()] == ["0c", "0a", "0b", "1c", "1a", "1b"]
        assert source.ids() == ["0a", "0b", "0c", "1a", "1b", "1c"]
        assert source.read("1a") == b"1a"


def test_shards_must_agree(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", cells("a"))
    parquet(tmp_path / "b.parquet", [b"x"], kind=pa.binary(), path=["p"])
    message = refusal(tmp_path)
    assert "b.parquet" in message
    assert "same columns" in message


def test_duplicate_parquet_ids_are_refused_with_their_rows(tmp_path: Path) -> None:
    path = parquet(tmp_path / "i.parquet", cells(*"abcdefgabcdefg"), rows=4)
    source = open_source(path)
    message = refusal(path)
    assert "7 image ids occur more than once" in message
    assert "'a' (row 1 and row 8)" in message
    assert "'e' (row 5 and row 12) and 2 more" in message
    with pytest.raises(InputError, match="more than once"):
        next(source.items())
    with pytest.raises(InputError, match="more than once"):
        source.read("a")
    two = tmp_path / "two"
    parquet(two / "a.parquet", cells("x", "y"))
    parquet(two / "b.parquet", cells("y", "z"))
    assert "'y' (a.parquet row 2 and b.parquet row 1)" in refusal(two)


def test_empty_parquet_ids_are_refused_with_their_rows(tmp_path: Path) -> None:
    path = parquet(tmp_path / "i.parquet", cells(*"abcd"), key=["x", None, "", "y"])
    message = refusal(path, id_column="key")
    assert "no id in 2 of 4 rows (rows 2, 3)" in message
    assert "i.parquet" in message


def test_parquet_without_an_image_column_lists_what_it_has(tmp_path: Path) -> None:
    path = parquet(tmp_path / "i.parquet", ["x"], kind=pa.string(), name="question", n=[1])
    message = refusal(path)
    assert "n (int64), question (string)" in message
    assert "name the one with the images 'image'" in message
    path = parquet(tmp_path / "j.parquet", [b"x"], kind=pa.binary(), mask=[b"y"], path=["a"])
    assert open_source(path).read("a") == b"x"
    path = parquet(tmp_path / "k.parquet", [b"x"], kind=pa.binary(), name="left", right=[b"y"])
    assert "several (right, left)" in refusal(path)


def test_id_columns_that_cannot_be(tmp_path: Path) -> None:
    path = parquet(tmp_path / "i.parquet", cells("a"), image_id=["x"], weight=[1.5])
    assert "did you mean 'image_id'" in refusal(path, id_column="imgae_id")
    assert "of type double; ids must be text or whole numbers" in refusal(path, id_column="weight")


def test_corrupt_and_empty_parquet(tmp_path: Path) -> None:
    good = parquet(tmp_path / "i.parquet", cells(*"abcdef")).read_bytes()
    for name, data in {"cut": good[:-20], "text": b"hello there", "zero": b""}.items():
        lay(tmp_path / name, {"bad.parquet": data})
        message = refusal(tmp_path / name)
        assert "bad.parquet' cannot be read as Parquet" in message
        assert "fetch or write it again" in message
    parquet(tmp_path / "none" / "n.parquet", [])
    assert "no rows" in refusal(tmp_path / "none")


def test_parquet_pages_that_are_damaged(tmp_path: Path) -> None:
    path = parquet(tmp_path / "i.parquet", cells(*"abcdef"), key=list("uvwxyz"))
    data = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(1).column(1)
    assert column.path_in_schema == "image.bytes"
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(data)
    source = open_source(path, id_column="key")
    assert source.read("u") == b"a"
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        list(source.items())


# Tar


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz", ".TAR"])
def test_tar_ids_are_shard_and_key(tmp_path: Path, suffix: str) -> None:
    members = {
        "b.JPG": b"1",
        "b.json": b"{}",
        "./a.png": b"2",
        "dir one/c d.webp": b"3",
        "ü.png": b"",
        "._b.jpg": b"no",
        "dir/.hidden/x.png": b"no",
        "readme.txt": b"no",
        "long/" * 40 + "name.png": b"4",
    }
    path = tar(tmp_path / f"train-00{suffix}", members)
    source = open_source(path)
    keys = {"b": b"1", "a": b"2", "dir one/c d": b"3", "ü": b"", "long/" * 40 + "name": b"4"}
    expected = {f"train-00/{key}": data for key, data in keys.items()}
    assert source.ids() == sorted(expected)
    assert everything(source) == expected
    assert [item.image_id for item in source.items()] == list(expected)
    for image_id, data in expected.items():
        assert source.read(image_id) == data
    kept = [item.image_id for item in source.items(only={"train-00/ü", "train-00/b", "b"})]
    assert kept == ["train-00/b", "train-00/ü"]


def test_tar_shards_by_glob(tmp_path: Path) -> None:
    tar(tmp_path / "s-1.tar", {"a.png": b"1a"})
    tar(tmp_path / "s-0.tar", {"b.png": b"0b", "a.png": b"0a"})
    tar(tmp_path / "empty.tar", {"notes.txt": b"-"})
    source = open_source(tmp_path / "*.tar")
    assert source.ids() == ["s-0/a", "s-0/b", "s-1/a"]
    assert everything(source) == {"s-0/b": b"0b", "s-0/a": b"0a", "s-1/a": b"1a"}


def test_shards_of_one_name_are_refused_where_their_ids_meet(tmp_path: Path) -> None:
    tar(tmp_path / "x" / "s.tar", {"a.png": b"1"})
    tar(tmp_path / "y" / "s.tar", {"a.png": b"2", "b.png": b"2"})
    message = refusal(tmp_path / "*" / "*.tar")
    assert "'s/a'" in message
    assert "x/s.tar" in message
    assert "y/s.tar" in message


def test_two_images_of_one_key_are_refused(tmp_path: Path) -> None:
    path = tar(tmp_path / "s.tar", {"a.png": b"1", "a.seg.png": b"2", "b.png": b"3"})
    message = refusal(path)
    assert "'a' (a.png and a.seg.png)" in message
    assert "s.tar" in message
    path = tar(tmp_path / "t.tar", [("a.png", b"1"), ("a.png", b"2")])
    assert "'a' (a.png and a.png)" in refusal(path)


def test_links_in_a_tar(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("d/a.png")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"1"))
        targets = [("hard", tarfile.LNKTYPE, "d/a.png"), ("soft", tarfile.SYMTYPE, "d/a.png")]
        targets += [("gone", tarfile.SYMTYPE, "/etc/passwd"), ("self", tarfile.SYMTYPE, "self.png")]
        for name, kind, target in targets:
            link = tarfile.TarInfo(f"{name}.png")
            link.type, link.linkname = kind, target
            archive.addfile(link)
    source = open_source(path)
    assert source.ids() == ["s/d/a", "s/gone", "s/hard", "s/self", "s/soft"]
    items = {item.image_id: item for item in source.items()}
    assert items["s/hard"].read() == items["s/soft"].read() == b"1"
    for name in ("s/gone", "s/self"):
        with pytest.raises(OSError):
            items[name].read()


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_a_tar_that_is_cut_or_damaged_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tar(tmp_path / f"s{suffix}", {f"{n}.png": os.urandom(700) for n in range(4)})
    whole = path.read_bytes()
    plain = whole if suffix == ".tar" else gzip.decompress(whole)
    # A member takes a header and two blocks of data: 1,536 bytes. The archive may end in the
    # data, between two members or within a header, and a header may be overwritten.
    ends = [1536 * 2 + 700, 1536 * 2, 1536 * 2 + 100]
    damaged = [plain[:end] for end in ends]
    damaged.append(plain[:3072] + b"\xff" * 512 + plain[3584:])
    for n, data in enumerate(damaged):
        packed = data if suffix == ".tar" else gzip.compress(data)
        lay(tmp_path, {f"d{n}{suffix}": packed})
        message = refusal(tmp_path / f"d{n}{suffix}")
        assert f"d{n}{suffix}' cannot be read as a tar archive" in message
        assert "fetch or write it again" in message
    lay(tmp_path, {f"half{suffix}": whole[: len(whole) // 4], f"text{suffix}": b"hello"})
    lay(tmp_path, {f"zero{suffix}": b""})
    for name in ("half", "text", "zero"):
        assert "cannot be read as a tar archive" in refusal(tmp_path / f"{name}{suffix}")


def test_a_tar_without_images(tmp_path: Path) -> None:
    message = refusal(tar(tmp_path / "s.tar", {"a.txt": b"1"}))
    assert "no image in s.tar" in message
    assert "png jpg" in message
    assert "no image in s.tar" in refusal(tar(tmp_path / "s.tar", {}))


def test_a_tar_fingerprint(tmp_path: Path) -> None:
    path = tar(tmp_path / "s.tar", {"a.png": b"1"})
    first = open_source(path).fingerprint()
    moved = lay(tmp_path / "m", {"s.tar": path.read_bytes(), "t.tar": path.read_bytes()})
    assert open_source(moved / "s.tar").fingerprint() == first
    assert open_source(moved / "t.tar").fingerprint() != first
    tar(path, {"a.png": b"2"})
    assert open_source(path).fingerprint() != first


# What ships


def test_the_study_that_ships(shapes: Path) -> None:
    source = open_source("images.parquet", root=shapes, id_column="image_id")
    ids = source.ids()
    assert len(ids) == 3000
    item = next(source.items(only=ids[-1:]))
    assert item.read().startswith(b"RIFF")
    assert item.read() == source.read(ids[-1])
