"""Tables of complexity: complete, resumable to the byte, and safe from single images."""

from __future__ import annotations

import io
import os
import shutil
import signal
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from image_runs import alive, await_that, finish, parts, png, start, workers_of, write_images
from odd_metrics import deadly, fickle, slow, threads, width
from PIL import Image

from complexity import image as image_module
from complexity import one_image, registry, rows, workers
from complexity.batch import measure, read_complexity
from complexity.errors import InputError
from complexity.files import sha256_file
from complexity.image import PreparedImage, prepare
from complexity.registry import Metric
from complexity.sources import ImageItem

FAST = ["edge_density", "entropy_gray"]
FIXED = ["dataset", "image_id", "sha256", "width", "height", "error"]
DIED = "the process that measured it died (out of memory, or a fault in a library)"


Register = Callable[..., None]


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Register:
    """Register a metric for one test."""

    def add(
        function: registry.Function, name: str = "", version: int = 1, **parameters: object
    ) -> None:
        name = name or function.__name__
        made = Metric(name, function, version, "", (0, None), "", "", parameters)
        registry.all_metrics()
        monkeypatch.setitem(registry._METRICS, name, made)

    return add


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes in bytes of the files decoded in this process."""
    sizes: list[int] = []

    def counting(data: bytes) -> PreparedImage:
        sizes.append(len(data))
        return prepare(data)

    monkeypatch.setattr(one_image, "prepare", counting)
    return sizes


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Four good images in two folders, and one that is cut short."""
    folder = write_images(tmp_path / "images", 3)
    (folder / "sub").mkdir()
    (folder / "sub" / "é 1.png").write_bytes(png(40))
    (folder / "broken.png").write_bytes(png(50)[:200])
    return folder


IDS = ["000.png", "001.png", "002.png", "broken.png", "sub/é 1.png"]


# The table


def test_columns_values_and_metadata(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "complexity.parquet"
    frame = measure(images, metrics="entropy_gray,edge_density", dataset="d", out=out)
    assert list(frame.columns) == [*FIXED, "entropy_gray", "edge_density"]
    assert frame["image_id"].tolist() == IDS
    assert frame["dataset"].tolist() == ["d"] * 5
    assert [str(frame[c].dtype) for c in ("width", "height")] == ["Int64", "Int64"]
    assert frame["width"].tolist() == [30, 31, 32, pd.NA, 40]
    assert frame["error"].notna().tolist() == [False, False, False, True, False]
    good = frame["error"].isna()
    for name in FAST:
        expected = [
            registry.get(name).function(prepare((images / i).read_bytes()))
            for i in frame.loc[good, "image_id"]
        ]
        assert frame[name].dtype == np.float64
        assert frame.loc[good, name].tolist() == expected
        assert frame.loc[~good, name].isna().all()
    assert frame["sha256"].str.len().eq(64).all()

    again = read_complexity(out)
    pd.testing.assert_frame_equal(again, frame)
    about = again.attrs["optik"]
    assert about["policy"] == image_module.POLICY_VERSION
    assert list(about["metrics"]) == ["entropy_gray", "edge_density"]
    metric = registry.get("edge_density")
    assert about["metrics"]["edge_density"] == {
        "version": metric.version,
        "parameters": dict(metric.parameters),
        "source": "image",
    }
    assert frame.attrs["optik"] == about
    assert (frame.attrs["reused"], frame.attrs["computed"]) == (0, 5)
    assert sorted(p.name for p in out.parent.iterdir()) == ["complexity.parquet"]


def test_dataset_is_null_when_left_out_and_only_filters(images: Path) -> None:
    frame = measure(images, metrics=FAST, only=["sub/é 1.png", "000.png", "absent.png"])
    assert frame["image_id"].tolist() == ["000.png", "sub/é 1.png"]
    assert frame["dataset"].isna().all()
    nothing = measure(images, metrics=FAST, only=[])
    assert len(nothing) == 0
    assert nothing.dtypes.equals(frame.dtypes)


def test_csv_round_trip(images: Path, tmp_path: Path, register: Register) -> None:
    register(fickle)
    (images / 'a,b"c.png').write_bytes(png(21))
    (images / "NA.png").write_bytes(png(22))
    out = tmp_path / "complexity.csv"
    frame = measure(images, metrics=[*FAST, "fickle"], dataset="007", out=out)
    assert b"\r" not in out.read_bytes()
    again = read_complexity(out)
    assert again.attrs == {"optik": {}}
    again.attrs = frame.attrs
    pd.testing.assert_frame_equal(again, frame)
    first = out.read_bytes()
    assert measure(images, metrics=[*FAST, "fickle"], dataset="007", out=out).attrs["reused"] == 0
    assert out.read_bytes() == first


def test_parquet_says_the_same_to_other_readers(images: Path, tmp_path: Path) -> None:
    measure(images, metrics=FAST, out=tmp_path / "c.parquet")
    schema = pq.read_schema(tmp_path / "c.parquet")
    assert [str(t) for t in schema.types] == ["string"] * 3 + ["int64"] * 2 + ["string"] + [
        "double"
    ] * 2
    assert list(schema.metadata) == [b"optik"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "not a complexity table"),
        (b"PAR1 and then nothing", "not a complexity table"),
    ],
)
def test_read_complexity_refuses(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "c.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_complexity(path)


def test_read_complexity_refuses_foreign_tables(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image_id": ["a"]}), tmp_path / "c.parquet")
    with pytest.raises(InputError, match="does not say what its numbers rest on"):
        read_complexity(tmp_path / "c.parquet")
    (tmp_path / "c.csv").write_text("image_id,sha256\na,b\n")
    with pytest.raises(InputError, match="not a complexity table"):
        read_complexity(tmp_path / "c.csv")


# Single images never end a run


def test_reasons_are_named_and_joined(tmp_path: Path, register: Register) -> None:
    register(fickle)
    register(fickle, "other")
    write_images(tmp_path / "i", 4, first=20)
    (tmp_path / "i" / "empty.png").write_bytes(b"")
    frame = measure(tmp_path / "i", metrics=["fickle", "edge_density", "other"])
    assert frame["error"].iloc[:4].fillna("").tolist() == [
        "",
        "fickle: one colour, nothing to count; other: one colour, nothing to count",
        "fickle: RuntimeError: a bug; other: RuntimeError: a bug",
        "fickle: the metric gave nan; other: the metric gave nan",
    ]
    assert frame["fickle"].notna().tolist() == [True, False, False, False, False]
    assert frame["edge_density"].notna().tolist() == [True] * 4 + [False]
    assert "fickle" not in frame["error"].iloc[4]


def test_a_file_that_cannot_be_read(images: Path) -> None:
    (images / "dangling.png").symlink_to(images / "nowhere.png")
    frame = measure(images, metrics=FAST).set_index("image_id")
    row = frame.loc["dangling.png"]
    assert row["error"] == "cannot be read: No such file or directory"
    assert pd.isna(row["sha256"])
    assert frame["edge_density"].notna().sum() == 4


def test_crashing_images_become_error_rows(tmp_path: Path, register: Register) -> None:
    register(deadly)
    folder = write_images(tmp_path / "i", 12, first=10)  # 13 and 17 pixels wide among them
    out = tmp_path / "c.parquet"
    frame = measure(folder, metrics=["deadly", "edge_density"], workers=2, out=out)
    dead = frame["image_id"].isin(["003.png", "007.png"])
    assert frame.loc[dead, "error"].tolist() == [DIED, DIED]
    assert frame.loc[dead, "sha256"].notna().all()
    assert frame.loc[dead, "deadly"].isna().all()
    assert frame.loc[~dead, "error"].isna().all()
    assert frame.loc[~dead, "deadly"].tolist() == [10, 11, 12, 14, 15, 16, 18, 19, 20, 21]
    # They are tried again, and never in this process, few as they are.
    whole = out.read_bytes()
    again = measure(folder, metrics=["deadly", "edge_density"], workers=1, out=out)
    assert (again.attrs["reused"], again.attrs["computed"]) == (10, 2)
    assert out.read_bytes() == whole


def test_an_interrupt_is_not_an_error_row(images: Path, tmp_path: Path, register: Register) -> None:
    def interrupted(image: PreparedImage) -> float:
        if image.width == 40:
            raise KeyboardInterrupt
        return 1.0

    register(interrupted)
    out = tmp_path / "c.parquet"
    with pytest.raises(KeyboardInterrupt):
        measure(images, metrics="interrupted", out=out)
    assert list((tmp_path / "c.parquet.partial").glob("part-*"))
    assert not out.exists()
    register(width, "interrupted")
    frame = measure(images, metrics="interrupted", out=out)
    assert frame.attrs["reused"] > 0
    assert not (tmp_path / "c.parquet.partial").exists()


# Reuse


def test_only_changed_images_are_computed(images: Path, tmp_path: Path, decoded: list[int]) -> None:
    out = tmp_path / "c.parquet"
    measure(images, metrics=FAST, out=out)
    first = out.read_bytes()
    decoded.clear()
    again = measure(images, metrics=FAST, out=out)
    assert (again.attrs["reused"], again.attrs["computed"]) == (5, 0)
    assert decoded == []  # the unreadable one included
    assert out.read_bytes() == first

    (images / "001.png").write_bytes(png(31, seed=1))
    (images / "new.png").write_bytes(png(60))
    (images / "002.png").unlink()
    changed = measure(images, metrics=FAST, out=out)
    assert (changed.attrs["reused"], changed.attrs["computed"]) == (3, 2)
    assert len(decoded) == 2
    measure(images, metrics=FAST, out=tmp_path / "fresh.parquet")
    assert out.read_bytes() == (tmp_path / "fresh.parquet").read_bytes()


def test_only_changed_metrics_are_computed(
    images: Path, tmp_path: Path, register: Register, decoded: list[int]
) -> None:
    (images / "one colour.png").write_bytes(png(21))
    calls: list[str] = []

    def spy(name: str, function: registry.Function) -> registry.Function:
        def called(image: PreparedImage) -> float:
            calls.append(name)
            return function(image)

        return called

    def same_as_fresh(metrics: list[str]) -> tuple[list[str], pd.DataFrame]:
        calls.clear()
        frame = measure(images, metrics=metrics, out=out)
        done = sorted(calls)
        measure(images, metrics=metrics, out=tmp_path / "fresh.parquet")
        assert out.read_bytes() == (tmp_path / "fresh.parquet").read_bytes()
        (tmp_path / "fresh.parquet").unlink()
        return done, frame

    out = tmp_path / "c.parquet"
    register(spy("a", fickle), "a", sigma=1.4)
    register(spy("b", fickle), "b")
    register(spy("c", width), "c")
    assert same_as_fresh(["a", "b"])[0] == ["a"] * 5 + ["b"] * 5
    assert same_as_fresh(["b", "a"])[0] == []
    done, frame = same_as_fresh(["a", "c", "b"])
    assert done == ["c"] * 5
    assert (frame.attrs["reused"], frame.attrs["computed"]) == (1, 5)
    register(spy("a", width), "a", version=2, sigma=1.4)
    done, frame = same_as_fresh(["a", "c", "b"])
    assert done == ["a"] * 5
    assert frame["a"].dropna().tolist() == [30, 31, 32, 21, 40]
    register(spy("a", width), "a", version=2, sigma=2.0)
    assert same_as_fresh(["a", "c", "b"])[0] == ["a"] * 5
    decoded.clear()
    assert same_as_fresh(["b"])[0] == []


def test_another_image_policy_reuses_nothing(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "c.parquet"
    measure(images, metrics=FAST, out=out)
    monkeypatch.setattr(image_module, "POLICY_VERSION", "next")
    frame = measure(images, metrics=FAST, out=out)
    assert (frame.attrs["reused"], frame.attrs["computed"]) == (0, 5)
    assert frame.attrs["optik"]["policy"] == "next"


def test_unexpected_failures_are_tried_again(
    tmp_path: Path, register: Register, decoded: list[int]
) -> None:
    folder = write_images(tmp_path / "i", 4, first=20)
    register(fickle)
    measure(folder, metrics=["fickle"], out=tmp_path / "c.parquet")
    decoded.clear()
    frame = measure(folder, metrics=["fickle"], out=tmp_path / "c.parquet")
    assert frame.attrs["computed"] == len(decoded) == 1
    assert frame["error"].iloc[2] == "fickle: RuntimeError: a bug"


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(len(content)))
    elif how == "foreign":
        pq.write_table(pa.table({"image_id": [1], "sha256": [2.0]}), path)
    elif how == "lies":
        table = pa.table({"image_id": ["000.png"], "edge_density": ["high"]})
        pq.write_table(
            table.replace_schema_metadata({"optik": '{"policy": 1, "metrics": []}'}), path
        )
    else:
        table = pq.read_table(path)
        pq.write_table(table.replace_schema_metadata({"optik": "[not JSON"}), path)


@pytest.mark.parametrize("how", ["cut", "empty", "noise", "foreign", "lies", "metadata"])
def test_damaged_tables_are_ignored(images: Path, tmp_path: Path, how: str) -> None:
    out = tmp_path / "c.parquet"
    measure(images, metrics=FAST, out=out)
    whole = out.read_bytes()
    partial = tmp_path / "c.parquet.partial"
    partial.mkdir()
    (partial / "part-0.parquet").write_bytes(whole)
    for path in (out, partial / "part-0.parquet"):
        damage(path, how)
    frame = measure(images, metrics=FAST, out=out)
    assert frame.attrs["computed"] == 5
    assert out.read_bytes() == whole
    assert not partial.exists()


def test_asking_for_images_that_are_not_there_is_refused(images: Path) -> None:
    with pytest.raises(InputError, match=r"none of the 1 images asked for.*'000'.*'000.png'"):
        measure(images, metrics=FAST, only=["000"])


def test_parts_are_used_and_removed(images: Path, tmp_path: Path, decoded: list[int]) -> None:
    out = tmp_path / "c.parquet"
    measure(images, metrics=FAST, only=IDS[:3], out=out)
    partial = tmp_path / "c.parquet.partial"
    partial.mkdir()
    part = partial / "part-0.parquet"
    shutil.copy(out, part)
    (partial / "part-0.done").write_text(f"3 {sha256_file(part)}\n")
    # What killed writers leave: a part without a marker, one that is torn, one not yet named.
    shutil.copy(out, partial / "part-1.parquet")
    (partial / "part-2.parquet").write_bytes(part.read_bytes()[:-1])
    (partial / "part-2.done").write_text(f"3 {sha256_file(part)}\n")
    (partial / ".part-3.99.tmp.parquet").write_bytes(b"")
    out.unlink()
    decoded.clear()
    frame = measure(images, metrics=FAST, out=out)
    assert (frame.attrs["reused"], len(decoded)) == (3, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.parquet", "images"]


# Object counts from annotations


def test_object_counts_replace_the_metric(
    images: Path, tmp_path: Path, register: Register, decoded: list[int]
) -> None:
    def never(image: PreparedImage) -> float:
        raise AssertionError("proto-objects are not wanted")

    register(never, "object_count")
    counts = {"000.png": 3, "001.png": 4.0, "broken.png": 2, "sub/é 1.png": float("nan")}
    out = tmp_path / "c.parquet"
    metrics = ["object_count", "edge_density"]
    frame = measure(images, metrics=metrics, object_counts=counts, out=out)
    absent = "object_count: no annotation for this image"
    assert frame["object_count"].fillna(-1).tolist() == [3, 4, -1, 2, -1]
    assert frame["error"].fillna("").tolist()[:3] == ["", "", absent]
    assert frame["error"].iloc[4] == absent
    assert "no annotation" not in frame["error"].iloc[3]
    assert frame["edge_density"].notna().tolist() == [True, True, True, False, True]
    about = frame.attrs["optik"]["metrics"]["object_count"]
    assert about == {"version": None, "parameters": {}, "source": "annotations"}

    decoded.clear()
    del counts["broken.png"]
    counts["000.png"] = 9
    again = measure(images, metrics=metrics, object_counts=counts, out=out)
    assert again["object_count"].fillna(-1).tolist() == [9, 4, -1, -1, -1]
    assert again["error"].iloc[3].endswith("; " + absent)
    assert (again.attrs["computed"], decoded) == (0, [])
    assert measure(images, metrics=metrics, object_counts=counts, out=out).attrs["reused"] == 5

    # Annotations never pass for what the image gives.
    register(width, "object_count")
    computed = measure(images, metrics=metrics, out=out)
    assert computed["object_count"].dropna().tolist() == [30, 31, 32, 40]
    measure(images, metrics=metrics, out=tmp_path / "fresh.parquet")
    assert out.read_bytes() == (tmp_path / "fresh.parquet").read_bytes()


# Sources


def test_sources_of_all_kinds_agree(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "i", 6)
    (folder / "003.png").write_bytes(b"")
    files = sorted(folder.iterdir())
    content = [p.read_bytes() for p in files]
    pq.write_table(
        pa.table(
            {"image": [{"bytes": b, "path": p.name} for p, b in zip(files, content, strict=True)]}
        ),
        tmp_path / "i.parquet",
    )
    with tarfile.open(tmp_path / "i.tar", "w") as tar:
        for path, data in zip(files, content, strict=True):
            entry = tarfile.TarInfo(path.name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    sources = [folder, str(folder / "*.png"), tmp_path / "i.parquet", tmp_path / "i.tar", files]
    frames = [measure(s, metrics=FAST, workers=1 + n % 2) for n, s in enumerate(sources)]
    for frame in frames[1:]:
        assert len(frame) == 6
        pd.testing.assert_frame_equal(
            frame.drop(columns="image_id"), frames[0].drop(columns="image_id")
        )


def test_several_sources_are_one_table(tmp_path: Path) -> None:
    one, two = write_images(tmp_path / "one", 2), write_images(tmp_path / "two", 3)
    (two / "000.png").rename(two / "!.png")
    (two / "001.png").rename(two / "z.png")
    frame = measure([one, two / "!.png", two / "z.png"], metrics=FAST)
    assert frame["image_id"].tolist() == ["!.png", "000.png", "001.png", "z.png"]
    with pytest.raises(InputError, match=r"2 image ids .*'000.png' \(in .*one and .*two\)"):
        (two / "000.png").write_bytes(png(9))
        (two / "001.png").write_bytes(png(9))
        measure([one, two], metrics=FAST)
    with pytest.raises(InputError, match="no source is named"):
        measure([], metrics=FAST)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out": "c.xlsx"}, "ends in .parquet or .csv"),
        ({"out": "folder.parquet"}, "is a folder"),
        ({"out": "images/000.png/c.parquet"}, "cannot be written"),
        ({"out": "i.parquet", "source": "i.parquet"}, "is what shall be measured"),
        ({"out": "i.parquet", "source": ["images", "./i.parquet"]}, "is what shall be measured"),
        ({"workers": 0}, "give 1 or more"),
        ({"metrics": "edge_densty"}, "edge_density"),
        ({"source": "absent"}, "absent"),
    ],
)
def test_requests_that_are_refused(
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, object],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.parquet").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=message):
        measure(**{"source": "images", "metrics": FAST, **options})  # type: ignore[arg-type]
    assert sorted(tmp_path.rglob("*")) == before


# Processes


def test_workers_have_one_thread_and_may_print(
    tmp_path: Path, register: Register, capfd: pytest.CaptureFixture[str]
) -> None:
    register(threads)
    frame = measure(write_images(tmp_path / "i", 4), metrics=["threads"], workers=2)
    assert frame["threads"].tolist() == [11.0] * 4
    assert "a library that prints" not in capfd.readouterr().out


def test_few_images_stay_in_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, register: Register
) -> None:
    def refuse(*args: object) -> Iterator[object]:
        raise RuntimeError("worker processes")

    monkeypatch.setattr("complexity.run.measure_apart", refuse)
    monkeypatch.setattr("complexity.run.cores", lambda: 2)
    register(width)
    folder = write_images(tmp_path / "i", 32)
    assert len(measure(folder, metrics=["width"], only=[f"{i:03d}.png" for i in range(31)])) == 31
    assert len(measure(folder, metrics=["width"], workers=1)) == 32
    with pytest.raises(RuntimeError, match="worker processes"):
        measure(folder, metrics=["width"])


def test_metrics_that_cannot_travel_are_computed_here(images: Path, register: Register) -> None:
    register(lambda image: 1.0, "local")
    with pytest.warns(RuntimeWarning, match="worker processes cannot find it"):
        frame = measure(images, metrics=["local"], workers=2)
    assert frame["local"].sum() == 4


def test_workers_that_cannot_start(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, register: Register
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no python"))
    with pytest.raises(InputError, match=r"could not be started.*workers=1"):
        measure(images, metrics=FAST, workers=2, out=tmp_path / "c.parquet")
    assert not (tmp_path / "c.parquet.partial").exists()


def test_few_chunks_are_held_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "i.png"
    path.write_bytes(png(30))
    drawn = 0

    def chunks() -> Iterator[list[one_image.Task]]:
        nonlocal drawn
        for n in range(40):
            drawn += 1
            yield [one_image.Task(ImageItem(str(n), path))]

    seen: list[str] = []
    for done in workers.measure_apart(chunks(), {"width": width}, 2):
        seen += [row.image_id for row in done]
        assert drawn - len(seen) <= 3
    assert sorted(seen, key=int) == [str(n) for n in range(40)]


def test_an_image_that_changes_under_the_run(tmp_path: Path, register: Register) -> None:
    path = tmp_path / "i.png"
    path.write_bytes(png(30))
    task = one_image.Task(ImageItem("i.png", path), ("b",), "the hash of other bytes")
    row = one_image.measure_image(task, {"a": width, "b": width})
    assert row.values == {"a": 30, "b": 30}


def uninterrupted(folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    (out.parent / "pids").mkdir(exist_ok=True)
    monkeypatch.setenv("PIDS", str(out.parent / "pids"))
    measure(folder, metrics=["slow", "edge_density"], workers=1, out=out.with_name("all.parquet"))
    for pid in (out.parent / "pids").iterdir():
        pid.unlink()
    return out.with_name("all.parquet").read_bytes()


def test_killed_at_several_moments(
    tmp_path: Path, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(slow)
    folder = write_images(tmp_path / "i", 48)
    (folder / "bad.png").write_bytes(png(30)[:100])
    out = tmp_path / "c.parquet"
    whole = uninterrupted(folder, out, monkeypatch)
    kept = 0
    # In the first images, after the first part, and after some more.
    for more in (0, 1, 3):
        process = start(folder, out)
        wanted = kept + more
        await_that(lambda n=wanted: bool(workers_of(out)) and len(parts(out)) >= n)
        process.kill()
        process.communicate()
        await_that(lambda: not any(map(alive, workers_of(out))), 20)
        assert not out.exists()
        kept = len(parts(out))
        for pid in out.with_name("pids").iterdir():
            pid.unlink()
    assert 0 < finish(start(folder, out)) < 49
    assert out.read_bytes() == whole
    assert not out.with_name("c.parquet.partial").exists()


def test_interrupted_then_finished_from_standard_input(
    tmp_path: Path, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(slow)
    folder = write_images(tmp_path / "i", 40)
    out = tmp_path / "c.parquet"
    whole = uninterrupted(folder, out, monkeypatch)
    process = start(folder, out)
    await_that(lambda: bool(parts(out)))
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, b"")
    assert not any(map(alive, workers_of(out)))
    assert parts(out)
    assert finish(start(folder, out, stdin=True)) > 0
    assert out.read_bytes() == whole


def test_a_row_is_what_it_was_after_storage(tmp_path: Path) -> None:
    about = {"policy": "1", "metrics": {"m": {}, "n": {}}, "optik": ""}
    given = rows.Row("a", "0" * 64, 3, 4, None, {"m": 0.1 + 0.2}, {"n": "why"})
    table = rows.to_table([given, rows.Row("b", error="gone")], about)
    assert rows.to_frame(table)["m"].iloc[0] == 0.1 + 0.2
    assert rows.to_frame(table)["error"].tolist() == ["n: why", "gone"]


def test_animations_and_photographs(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 10), c) for c in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    frames[1].save(tmp_path / "b.JPG", format="JPEG")
    frame = measure(tmp_path, metrics=FAST)
    assert frame["width"].tolist() == [20, 20]
    assert frame["error"].isna().all()
