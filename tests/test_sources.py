"""Folders, globs, single files, Parquet and tar shards, read alike."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from complexity.errors import InputError
from complexity.sources import IMAGE_SUFFIXES, ImageItem, ImageSource, open_source
from complexity.walk import matching_files

NFC, NFD = "caf\u00e9.png", "cafe\u0301.png"


def lay(folder: Path, files: Mapping[str, bytes] | Sequence[str]) -> Path:
    """Write files; a sequence of names gets its names as contents."""
    contents = files if isinstance(files, Mapping) else {name: name.encode() for name in files}
    for name, data in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def everything(source: ImageSource) -> dict[str, bytes]:
    return {item.image_id: item.read() for item in source.items()}


def refusal(source: str | Path, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        open_source(source, **options).ids()  # type: ignore[arg-type]
    return str(caught.value)


# Folders


def test_a_folder_gives_posix_ids_with_suffix_sorted_by_code_point(tmp_path: Path) -> None:
    names = ["b.png", "a/z.PNG", "a.png", "B.Jpg", "a b/c d.webp", "ü.tiff", "a/b/c/d.GIF"]
    source = open_source(lay(tmp_path, names))
    assert source.ids() == sorted(names)
    assert source.ids()[0] == "B.Jpg"
    assert everything(source) == {name: name.encode() for name in names}
    assert source.read("a b/c d.webp") == b"a b/c d.webp"


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_suffixes_count_in_either_case(tmp_path: Path, suffix: str) -> None:
    names = [f"a{suffix}", f"b{suffix.upper()}", f"c{suffix}.txt", suffix[1:]]
    assert open_source(lay(tmp_path, names)).ids() == names[:2]


def test_names_stay_as_they_are_on_disk(tmp_path: Path) -> None:
    lay(tmp_path, [NFC, NFD, "日本/絵.png", "back\\slash.png", "[1] (copy) #2 %20.png"])
    on_disk = {path.name for path in tmp_path.rglob("*.png")}
    ids = open_source(tmp_path).ids()
    assert {image_id.rsplit("/", 1)[-1] for image_id in ids} == on_disk
    assert {NFC, NFD} <= set(ids)


def test_hidden_files_folders_and_atomic_temporaries_are_passed_over(tmp_path: Path) -> None:
    lay(tmp_path, ["a.png", ".b.png", ".git/c.png", "d/.e/f.png", ".a.123.tmp.png"])
    assert open_source(tmp_path).ids() == ["a.png"]
    assert open_source(tmp_path / "**" / "*.png").ids() == ["a.png"]
    assert open_source(tmp_path / ".b.png").ids() == [".b.png"]
    assert open_source(tmp_path / ".git").ids() == ["c.png"]
    assert open_source(tmp_path / ".g*" / "*").ids() == [".git/c.png"]


def test_what_is_no_image_is_passed_over(tmp_path: Path) -> None:
    lay(tmp_path, ["a.png", "notes.txt", "Thumbs.db", "t.parquet", "u.tar", "folder.png/b.png"])
    assert open_source(tmp_path).ids() == ["a.png", "folder.png/b.png"]


def test_only_keeps_the_order_and_passes_over_the_unknown(tmp_path: Path) -> None:
    source = open_source(lay(tmp_path, ["c.png", "a.png", "b.png"]))
    kept = [item.image_id for item in source.items(only=["c.png", "a.png", "x.png"])]
    assert kept == ["a.png", "c.png"]
    assert list(source.items(only=[])) == []


def test_links_are_followed_but_loops_end(tmp_path: Path) -> None:
    lay(tmp_path / "in", ["a.png", "sub/b.png"])
    lay(tmp_path / "out", ["c.png"])
    (tmp_path / "in" / "up").symlink_to(tmp_path / "in", target_is_directory=True)
    (tmp_path / "in" / "sub" / "top").symlink_to("..", target_is_directory=True)
    (tmp_path / "in" / "elsewhere").symlink_to(tmp_path / "out", target_is_directory=True)
    (tmp_path / "in" / "d.png").symlink_to(tmp_path / "out" / "c.png")
    source = open_source(tmp_path / "in")
    assert source.ids() == ["a.png", "d.png", "elsewhere/c.png", "sub/b.png"]
    assert source.read("d.png") == b"c.png"
    assert open_source(tmp_path / "in" / "**" / "b.png").ids() == ["sub/b.png"]


def test_an_image_that_cannot_be_read_is_an_item_whose_reading_fails(tmp_path: Path) -> None:
    lay(tmp_path, ["a.png"])
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "self.png").symlink_to("self.png")
    source = open_source(tmp_path)
    assert source.ids() == ["a.png", "gone.png", "self.png"]
    for item in source.items(only=["gone.png", "self.png"]):
        with pytest.raises(OSError):
            item.read()
    before = source.fingerprint()
    assert before == open_source(tmp_path).fingerprint()
    lay(tmp_path, ["nowhere.png"])
    assert source.fingerprint() != before


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    lay(tmp_path, ["a.png"])
    os.mkfifo(tmp_path / "pipe.png")
    assert open_source(tmp_path).ids() == ["a.png"]
    with pytest.raises(OSError, match="not a regular file"):
        ImageItem("pipe", path=tmp_path / "pipe.png").read()


def test_names_in_another_encoding_are_refused(tmp_path: Path) -> None:
    lay(tmp_path, ["a.png"])
    with open(os.fsencode(tmp_path) + b"/caf\xe9.png", "wb"):
        pass
    message = refusal(tmp_path)
    assert "not UTF-8" in message
    assert "caf\\udce9.png" in message
    assert "rename" in message


def test_the_fingerprint_changes_with_ids_and_contents_only(tmp_path: Path) -> None:
    source = open_source(lay(tmp_path, {"a.png": b"1", "b.png": b"2"}))
    first = source.fingerprint()
    assert len(first) == 64
    lay(tmp_path, {"notes.txt": b"x"})
    os.utime(tmp_path / "a.png", (0, 0))
    assert open_source(tmp_path).fingerprint() == first
    assert open_source(tmp_path / "*.png").fingerprint() == first
    lay(tmp_path, {"a.png": b"2", "b.png": b"1"})
    assert open_source(tmp_path).fingerprint() != first
    lay(tmp_path, {"a.png": b"1", "b.png": b"2"})
    assert open_source(tmp_path).fingerprint() == first
    (tmp_path / "b.png").rename(tmp_path / "c.png")
    assert open_source(tmp_path).fingerprint() != first


def test_sources_cross_process_boundaries(tmp_path: Path) -> None:
    lay(tmp_path / "f", ["a.png"])
    parquet(tmp_path / "p.parquet", [{"bytes": b"1", "path": "a"}])
    tar(tmp_path / "t.tar", {"a.png": b"1"})
    for name in ("f", "p.parquet", "t.tar"):
        source = open_source(tmp_path / name)
        assert pickle.loads(pickle.dumps(source)).ids() == source.ids()


# Globs and single files


GLOBBED = ["a.png", "d1/a.png", "d1/b.jpg", "d1/s/a.png", "d2/a.png", "d2/notes.txt"]


@pytest.mark.parametrize(
    ("pattern", "ids"),
    [
        ("*.png", ["a.png"]),
        ("*/*.png", ["d1/a.png", "d2/a.png"]),
        ("**/*.png", ["a.png", "d1/a.png", "d1/s/a.png", "d2/a.png"]),
        ("**", ["a.png", "d1/a.png", "d1/b.jpg", "d1/s/a.png", "d2/a.png"]),
        ("*/**", ["d1/a.png", "d1/b.jpg", "d1/s/a.png", "d2/a.png"]),
        ("d1/**", ["a.png", "b.jpg", "s/a.png"]),
        ("d1/*", ["a.png", "b.jpg"]),
        ("**/s/**/*", ["d1/s/a.png"]),
        ("**/**/a.png", ["a.png", "d1/a.png", "d1/s/a.png", "d2/a.png"]),
        ("d[2-9]/?.png", ["d2/a.png"]),
        ("d?/[!a].*", ["d1/b.jpg"]),
        ("d*/s/a.png", ["d1/s/a.png"]),
    ],
)
def test_globs(tmp_path: Path, pattern: str, ids: list[str]) -> None:
    lay(tmp_path, GLOBBED)
    source = open_source(tmp_path / pattern)
    assert source.ids() == ids
    assert open_source(pattern, root=tmp_path).ids() == ids
    for image_id, data in everything(source).items():
        assert data.decode().endswith(image_id)


NAMES = st.sampled_from(["a", "b.png", "ab", ".h", "a.png"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    files=st.lists(st.lists(NAMES, min_size=1, max_size=3).map("/".join), max_size=6),
    pattern=st.lists(st.sampled_from(["*", "**", "a*", "?.png", "b.png"]), min_size=1, max_size=4),
)
def test_globs_agree_with_the_standard_library(
    tmp_path_factory: pytest.TempPathFactory, files: list[str], pattern: list[str]
) -> None:
    import glob

    folder = tmp_path_factory.mktemp("glob")
    for name in files:
        path = folder / name
        if not any(one.is_file() for one in path.parents) and not path.is_dir():
            lay(folder, [name])
    found = glob.glob("/".join(pattern), root_dir=folder, recursive=True)  # noqa: PTH207
    expected = sorted({name for name in found if (folder / name).is_file()})
    assert list(matching_files(folder, tuple(pattern))) == expected


def test_a_glob_matches_case_by_case_on_every_platform(tmp_path: Path) -> None:
    lay(tmp_path, ["a.PNG", "b.png"])
    assert open_source(tmp_path / "*.png").ids() == ["b.png"]
    assert open_source(tmp_path / "*").ids() == ["a.PNG", "b.png"]
    assert "upper and lower case" in refusal(tmp_path / "*.Png")


def test_what_exists_as_spelled_is_no_glob(tmp_path: Path) -> None:
    lay(tmp_path, ["[2024]/a.png", "2/b.png", "what?.png", "x[1]/s/c.png"])
    assert open_source(tmp_path / "[2024]").ids() == ["a.png"]
    assert open_source(tmp_path / "[2024]" / "*.png").ids() == ["a.png"]
    assert open_source(tmp_path / "what?.png").ids() == ["what?.png"]
    assert open_source("**/*.png", root=tmp_path / "x[1]").ids() == ["s/c.png"]


def test_one_image_is_named_by_its_file(tmp_path: Path) -> None:
    lay(tmp_path, ["deep/My Photo.JPG"])
    source = open_source("deep/My Photo.JPG", root=tmp_path)
    assert source.ids() == ["My Photo.JPG"]
    assert source.label == "deep/My Photo.JPG"
    assert source.read("My Photo.JPG") == b"deep/My Photo.JPG"


def test_relative_sources_start_at_the_working_directory_or_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, ["pics/a.png", "~/b.png"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_source("pics").ids() == ["a.png"]
    assert open_source("pi*/*.png").ids() == ["pics/a.png"]
    assert open_source(".").ids() == ["pics/a.png", "~/b.png"]
    assert open_source("~/pics").ids() == ["a.png"]
    assert open_source(tmp_path / "pics", root=tmp_path / "elsewhere").ids() == ["a.png"]


# What is refused


def test_a_missing_path_names_the_nearest(tmp_path: Path) -> None:
    lay(tmp_path, ["images/a.png"])
    assert "did you mean 'images'" in refusal(tmp_path / "imagse")
    message = refusal(tmp_path / "imagse" / "deep" / "a.png")
    assert "did you mean 'images'" in message
    assert "'imagse'" in message
    assert "did you mean 'images'" in refusal(tmp_path / "image" / "*.png")
    assert "did you mean 'a.png'" in refusal(tmp_path / "images" / "b.png")
    assert "is a file, not a folder" in refusal(tmp_path / "images" / "a.png" / "*.png")
    assert "empty" in refusal(" ")


def test_an_empty_folder_says_what_would_count(tmp_path: Path) -> None:
    message = refusal(tmp_path)
    assert str(tmp_path) in message
    assert "it is empty" in message
    assert "png jpg jpeg" in message
    lay(tmp_path, ["readme.txt", "photo.heic"])
    message = refusal(tmp_path)
    assert "photo.heic, readme.txt" in message
    assert "png jpg jpeg" in message


def test_a_folder_of_archives_says_so(tmp_path: Path) -> None:
    lay(tmp_path / "tars", ["a.tar", "b.tgz"])
    message = refusal(tmp_path / "tars")
    assert "a.tar, b.tgz" in message
    assert "/*.tar" in message
    lay(tmp_path / "zips", ["images.zip"])
    assert "unpack" in refusal(tmp_path / "zips")
    assert "unpack" in refusal(tmp_path / "zips" / "images.zip")


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    lay(tmp_path, ["notes.txt", "photo"])
    assert "'.txt'" in refusal(tmp_path / "notes.txt")
    assert "png jpg jpeg" in refusal(tmp_path / "photo")
    assert "notes.txt, photo" in refusal(tmp_path / "*o*")


def test_a_glob_without_match_says_what_is_there(tmp_path: Path) -> None:
    lay(tmp_path, ["a/1.jpg", "a/2.jpg"])
    message = refusal(tmp_path / "*.jpg")
    assert "a/1.jpg, a/2.jpg" in message
    assert "**" in message
    assert "folders only" in refusal(tmp_path / "*")
    (tmp_path / "none").mkdir()
    assert "no image at all" in refusal(tmp_path / "none" / "*.jpg")


def test_a_glob_over_different_kinds_is_refused(tmp_path: Path) -> None:
    lay(tmp_path, ["a.png", "b.tar", "c.tar"])
    assert "1 images, 0 Parquet files and 2 tar archives" in refusal(tmp_path / "*")


def test_an_id_column_is_for_parquet(tmp_path: Path) -> None:
    lay(tmp_path, ["a.png"])
    assert "id column 'name'" in refusal(tmp_path, id_column="name")


def test_an_unknown_id_names_the_nearest(tmp_path: Path) -> None:
    lay(tmp_path / "f", ["photo1.png"])
    parquet(tmp_path / "p.parquet", [{"bytes": b"1", "path": "photo1.png"}])
    tar(tmp_path / "t.tar", {"photo1.png": b"1"})
    for name, nearest in [("f", "photo1.png"), ("p.parquet", "photo1.png"), ("t.tar", "t/photo1")]:
        with pytest.raises(InputError, match=f"did you mean '{nearest}'"):
            open_source(tmp_path / name).read("photo_1.png")


# Parquet

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def parquet(
    file: Path,
    images: Sequence[object],
    /,
    *,
    kind: pa.DataType = IMAGE,
    name: str = "image",
    rows: int = 3,
    statistics: bool = True,
    **columns: object,
) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({**columns, name: pa.array(images, kind)})
    pq.write_table(table, file, row_group_size=rows, write_statistics=statistics)
    return file


def cells(*names: str) -> list[dict[str, object]]:
    return [{"bytes": name.encode(), "path": name} for name in names]


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


def tar(
    path: Path, members: Mapping[str, bytes] | Sequence[tuple[str, bytes]], **options: object
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = "w" if path.suffix.lower() == ".tar" else "w:gz"
    pairs = members.items() if isinstance(members, Mapping) else members
    with tarfile.open(path, mode, **options) as archive:  # type: ignore[call-overload]
        for name, data in pairs:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


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
    assert len(ids) == 2000
    item = next(source.items(only=ids[-1:]))
    assert item.read().startswith(b"RIFF")
    assert item.read() == source.read(ids[-1])
