"""Faults, for real: images that hang or crash, killed processes, a full disk. Nothing is lost."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from image_runs import (
    PATHS,
    alive,
    await_that,
    finish,
    many_scans,
    parts,
    png,
    start,
    workers_of,
    write_images,
)
from odd_metrics import everything, slow

from complexity import registry, run
from complexity.batch import measure, measure_into
from complexity.errors import InputError
from complexity.image import prepare
from complexity.registry import Metric

LATE = "took longer than 4 s to measure: its process was ended (raise --timeout to wait)"
DIED = "the process that measured it died (out of memory, or a fault in a library)"

Register = Callable[..., None]


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Register:
    def add(function: registry.Function) -> None:
        made = Metric(function.__name__, function, 1, "", (0, None), "", "", {})
        registry.all_metrics()
        monkeypatch.setitem(registry._METRICS, function.__name__, made)

    return add


def optik(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "analysis.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": PATHS},
        timeout=120,
    )


# Images that hang, images that crash


def test_one_that_hangs_and_two_that_crash_cost_only_themselves(
    tmp_path: Path, register: Register
) -> None:
    register(everything)
    folder = write_images(tmp_path / "i", 14, first=10)  # 13, 17 and 19 pixels among them
    out = tmp_path / "c.parquet"
    frame = measure(folder, metrics=["everything", "edge_density"], timeout=4, workers=2, out=out)
    assert frame["image_id"].tolist() == [f"{i:03d}.png" for i in range(14)]
    wrong = frame.set_index("image_id")["error"].dropna()
    assert wrong.to_dict() == {"003.png": DIED, "007.png": DIED, "009.png": LATE}
    assert frame["sha256"].notna().all()
    good = frame[frame["error"].isna()]
    assert good["everything"].tolist() == [2.0 * int(i[:3]) + 20 for i in good["image_id"]]
    # Tried again, in a process of their own, few as they are; nothing else is.
    whole = out.read_bytes()
    again = measure(folder, metrics=["everything", "edge_density"], timeout=4, workers=1, out=out)
    assert (again.attrs["reused"], again.attrs["computed"]) == (11, 3)
    assert out.read_bytes() == whole


def test_a_real_image_that_keeps_the_decoder_busy(tmp_path: Path) -> None:
    # It is a picture like any other, ...
    assert prepare(many_scans(1)).width == 3000
    # ... which takes the decoder hours when the last scan comes a hundred thousand times.
    folder = write_images(tmp_path / "i", 3)
    (folder / "endless.jpg").write_bytes(many_scans(100_000))
    out = tmp_path / "c.parquet"
    done = optik("measure", folder, "-o", out, "--metrics", "edge_density", "--timeout", 4)
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 images measured" in done.stdout
    assert f"endless.jpg: {LATE}" in done.stdout
    frame = pd.read_parquet(out)
    assert frame["edge_density"].notna().tolist() == [True, True, True, False]


def test_timeouts_that_are_refused(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "i", 1)
    for timeout in (0, -1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="seconds one image may take"):
            measure(folder, metrics="entropy_gray", timeout=timeout)
    assert optik("measure", folder, "-o", tmp_path / "c.csv", "--timeout", 0).returncode == 2
    both = ("--dask", "tcp://127.0.0.1:8786", "--workers", 2)
    done = optik("measure", folder, "-o", tmp_path / "c.csv", *both)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("optik: --workers counts processes here")


# Killed at random points


@pytest.fixture
def whole(tmp_path: Path, register: Register, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What an uninterrupted run over 60 images and a bad one gives."""
    register(slow)
    write_images(tmp_path / "i", 60)
    (tmp_path / "i" / "bad.png").write_bytes(png(30)[:100])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("PIDS", str(tmp_path / "elsewhere"))
    path = tmp_path / "whole.parquet"
    measure(tmp_path / "i", metrics=["slow", "edge_density"], workers=1, out=path)
    return path.read_bytes()


def test_workers_killed_at_random_do_not_end_the_run(tmp_path: Path, whole: bytes) -> None:
    chance = random.Random(5)
    out = tmp_path / "c.parquet"
    process = start(tmp_path / "i", out)
    killed: set[int] = set()
    while process.poll() is None and len(killed) < 4:
        living = [pid for pid in workers_of(out) if pid not in killed and alive(pid)]
        if living:
            killed.add(chance.choice(living))
            os.kill(max(killed & set(living)), signal.SIGKILL)
        time.sleep(chance.uniform(0.1, 0.5))
    assert finish(process) == 0
    assert killed
    assert out.read_bytes() == whole
    assert not out.with_name("c.parquet.partial").exists()


def test_runs_killed_at_random_end_alike(tmp_path: Path, whole: bytes) -> None:
    chance = random.Random(6)
    out = tmp_path / "c.parquet"
    for _ in range(3):
        process = start(tmp_path / "i", out)
        more = len(parts(out)) + 1
        await_that(lambda n=more, p=process: len(parts(out)) >= n or p.poll() is not None)
        time.sleep(chance.uniform(0, 0.4))
        process.kill()
        process.communicate()
        await_that(lambda: not any(map(alive, workers_of(out))))
    assert finish(start(tmp_path / "i", out)) > 0
    assert out.read_bytes() == whole


# The disk

FULL = """
import sys
from complexity import measure
try:
    measure(sys.argv[1], metrics=["entropy_gray", "edge_density"], out=sys.argv[2], workers=1)
except Exception as error:
    print(type(error).__name__, error)
    sys.exit(3)
"""


def no_room_left(error: str) -> None:
    assert error.startswith("InputError ")
    assert "cannot be written" in error and "run the same command again" in error


def test_a_full_file_system(tmp_path: Path) -> None:
    """A file system of 32 kB in a name space of its own; then of 8 MB.

    Where such a thing may not be made, a limit on the size of files stands in for it.
    """
    folder = write_images(tmp_path / "i", 50)
    measure(folder, metrics=["entropy_gray", "edge_density"], out=tmp_path / "whole.parquet")
    (tmp_path / "run.py").write_text(FULL)
    (tmp_path / "disk").mkdir()
    command = f"'{sys.executable}' run.py i disk/c.parquet"
    script = f"""
    mount -t tmpfs -o size=32k none disk || exit 99
    {command} > error; test $? = 3 || exit 98
    find disk -type f | sort > left
    mount -o remount,size=8m none disk
    {command} || exit 97
    ls -A disk > right; cp disk/c.parquet done.parquet
    """
    done = subprocess.run(
        # The shell's 127 also where there is no such command.
        ["sh", "-c", 'unshare -rm sh -c "$0"', script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": PATHS},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode in (1, 99, 127):
        assert limited(tmp_path, folder, 4500)
        return
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    no_room_left((tmp_path / "error").read_text())
    assert "No space left on device" in (tmp_path / "error").read_text()
    left = (tmp_path / "left").read_text().split()
    assert left and all(name.endswith((".parquet", ".done")) for name in left)
    assert not any(".tmp" in name or "whole" in name for name in left)
    assert (tmp_path / "right").read_text().split() == ["c.parquet"]
    assert (tmp_path / "done.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def limited(tmp_path: Path, folder: Path, size: int) -> bool:
    """Fail on a limit on file sizes, then finish without it; were there parts in between?"""
    (tmp_path / "run.py").write_text(FULL)
    out = tmp_path / "limited.parquet"
    command = [sys.executable, str(tmp_path / "run.py"), str(folder), str(out)]
    environment = os.environ | {"PYTHONPATH": PATHS}
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )
    assert (done.returncode, done.stderr) == (3, "")
    no_room_left(done.stdout)
    assert not out.exists()
    left = list(tmp_path.glob("limited.parquet.partial/*"))
    assert not any(".tmp" in path.name or "whole" in path.name for path in left)
    subprocess.run(command, env=environment, check=True)
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert not out.with_name("limited.parquet.partial").exists()
    return bool(left)


@pytest.mark.parametrize("size", [100, 4500])
def test_a_file_that_may_not_grow(tmp_path: Path, size: int) -> None:
    """Not even one part can be written; the parts can, but not the table."""
    folder = write_images(tmp_path / "i", 50)
    measure(folder, metrics=["entropy_gray", "edge_density"], out=tmp_path / "whole.parquet")
    assert (tmp_path / "whole.parquet").stat().st_size > size
    assert limited(tmp_path, folder, size) == (size > 100)


# Memory


PEAKS = """
import sys, tracemalloc
from pathlib import Path
from complexity import measure_into, run
from image_runs import png

run.GROUP = 128
folder, data = Path("i"), png(30)


def peak(n):
    for i in range(n):
        (folder / f"{i // 100}").mkdir(parents=True, exist_ok=True)
        (folder / f"{i // 100}" / f"{i:05d}.png").write_bytes(data)
    tracemalloc.reset_peak()
    done = measure_into(folder, f"{n}.parquet", metrics="colorfulness", workers=1)
    assert (done.images, done.failed, done.computed) == (n, 0, n)
    return tracemalloc.get_traced_memory()[1]


peak(400)
tracemalloc.start()
print(peak(600), peak(1800))
"""


def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PEAKS],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": PATHS},
        capture_output=True,
        text=True,
        check=True,
    )
    few, many = map(int, done.stdout.split())
    # The id of an image takes over 50 bytes, a row over a thousand: neither is held.
    assert many - few < 1200 * 50


def test_into_a_file_is_the_same_file(tmp_path: Path, register: Register) -> None:
    folder = write_images(tmp_path / "i", 7)
    (folder / "bad.png").write_bytes(b"")
    frame = measure(folder, metrics="entropy_gray", dataset="d", out=tmp_path / "a.parquet")
    done = measure_into(folder, tmp_path / "b.parquet", metrics="entropy_gray", dataset="d")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert (done.path, done.images, done.failed) == (tmp_path / "b.parquet", 8, 1)
    assert done.examples == (("bad.png", frame["error"].iloc[-1]),)
    assert (done.reused, done.computed) == (0, 8)
    again = measure_into(folder, tmp_path / "b.parquet", metrics="entropy_gray", dataset="d")
    assert (again.reused, again.computed) == (8, 0)


def test_many_row_groups_are_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_images(tmp_path / "i", 10)
    for suffix in ("parquet", "csv"):
        measure(folder, metrics="entropy_gray", out=tmp_path / f"a.{suffix}")
        monkeypatch.setattr(run, "GROUP", 3)
        frame = measure(folder, metrics="entropy_gray", out=tmp_path / f"b.{suffix}")
        monkeypatch.undo()
        assert frame["image_id"].tolist() == [f"{i:03d}.png" for i in range(10)]
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert pq.read_metadata(tmp_path / "b.parquet").num_row_groups == 4
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "a.parquet"), pd.read_parquet(tmp_path / "b.parquet")
    )
    # What is known is found again in all of them.
    assert measure(folder, metrics="entropy_gray", out=tmp_path / "b.parquet").attrs["reused"] == 10


def test_importing_complexity_loads_no_tables_and_no_plots() -> None:
    script = (
        "import sys, complexity, complexity.batch, complexity.metrics\n"
        "print([n for n in ('pandas', 'statsmodels', 'seaborn') if n in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": PATHS},
    )
    assert done.stdout.strip() == "[]"
