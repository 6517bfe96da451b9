"""Folders, globs and single files as sources, and what is refused."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from source_files import everything, lay, parquet, refusal, tar

from complexity.errors import InputError
from complexity.sources import IMAGE_SUFFIXES, ImageItem, open_source
from complexity.walk import matching_files

NFC, NFD = "caf\u00e9.png", "cafe\u0301.png"


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
@example(files=["b.png"], pattern=["b.png", "**"])
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
    # For a file and ``**`` the standard library gives "b.png/", which is no file's name.
    files_found = (name for name in found if not name.endswith("/"))
    expected = sorted({name for name in files_found if (folder / name).is_file()})
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
