"""A real Dask cluster on loopback: the same table, whatever is killed."""

from __future__ import annotations

import json
import os
import pickle
import random
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from image_runs import (
    PATHS,
    alive,
    await_that,
    finish,
    packed,
    parts,
    png,
    start,
    write_images,
)
from odd_metrics import everything, slow, width

from complexity import dask_cluster, registry, run, workers
from complexity.batch import measure
from complexity.dask_cluster import Work, measure_chunk
from complexity.errors import InputError
from complexity.one_image import Task
from complexity.places import Cell, Member, Span
from complexity.registry import Metric
from complexity.sources import ImageItem, open_source
from complexity.sources_joined import open_sources
from complexity.sources_tar import TarImages

DIED = "the process that measured it died (out of memory, or a fault in a library)"
LATE = "took longer than 4 s to measure: its process was ended (raise --timeout to wait)"
METRICS = ["slow", "edge_density"]
# One cluster for all of them.
pytestmark = pytest.mark.xdist_group("dask")

Register = Callable[..., None]


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Register:
    def add(function: registry.Function) -> None:
        made = Metric(function.__name__, function, 1, "", (0, None), "", "", {})
        registry.all_metrics()
        monkeypatch.setitem(registry._METRICS, function.__name__, made)

    return add


class Cluster:
    """A scheduler and Dask workers in processes of their own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "pids").mkdir()
        self.folder = folder
        self._file = folder / "scheduler.json"
        self._all: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._run("scheduler", "--host", "127.0.0.1", "--port", "0")
        await_that(self._known)
        self.address: str = json.loads(self._file.read_text())["address"]

    def _known(self) -> bool:
        try:
            return "address" in json.loads(self._file.read_text())
        except (FileNotFoundError, ValueError):
            return False

    def add_workers(self, n: int) -> None:
        """Add Dask workers of one thread, each under a nanny that starts it again."""
        arguments = ["--nworkers", str(n), "--nthreads", "1", "--host", "127.0.0.1"]
        self._run("worker", *arguments, "--local-directory", str(self.folder / "scratch"))

    def _run(self, what: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", what, "--no-dashboard"]
        with (self.folder / f"{what}.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, *arguments, "--scheduler-file", str(self._file)],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=os.environ
                | {
                    "PYTHONPATH": PATHS,
                    "PIDS": str(self.folder / "pids"),
                    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
                },
                start_new_session=True,
            )
        self._all.append(process)
        return process

    def measuring(self) -> set[int]:
        """The Dask workers that have measured something: parents of those who did."""
        return {
            parent
            for pid in (self.folder / "pids").iterdir()
            if (parent := parent_of(int(pid.name))) is not None
        }

    def close(self) -> None:
        for process in self._all:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def parent_of(pid: int) -> int | None:
    if not alive(pid):
        return None
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except FileNotFoundError:
        return None


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("dask") / "cluster")
    made.add_workers(2)
    try:
        yield made
    finally:
        made.close()


def test_the_same_table_from_every_source(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_images(tmp_path / "i", 30)
    (folder / "bad.png").write_bytes(png(30)[:100])
    sources = [Path("i"), *packed(folder).values()]
    for source in sources:
        here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
        for out in (here, there):
            out.unlink(missing_ok=True)
        measure(source, metrics="entropy_gray,jpeg_bpp", out=here)
        measure(source, metrics="entropy_gray,jpeg_bpp", out=there, dask=cluster.address)
        assert here.read_bytes() == there.read_bytes()
    # What is known is compared where the images are; what is new is measured.
    (folder / "000.png").write_bytes(png(99))
    for out, address in ((here, None), (there, cluster.address)):
        out.unlink()
        measure(folder, metrics="entropy_gray", only=["000.png", "001.png", "bad.png"], out=out)
        frame = measure(folder, metrics="entropy_gray,msg", out=out, dask=address)
        assert frame.attrs["reused"] == 1  # the unreadable one
        again = measure(folder, metrics="msg", out=out, dask=address)
        assert again.attrs["reused"] == 31
    assert here.read_bytes() == there.read_bytes()


def test_places_lead_to_the_images(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "i", 20)
    expected = [p.read_bytes() for p in sorted(folder.iterdir())]
    made = packed(folder)
    kinds = {"i.parquet": Cell, "i.tar": Span, "i.tar.gz": Member}
    for name, path in made.items():
        items = list(open_source(path).described())
        assert all(type(item.place) is kinds[name] and item.data is None for item in items)
        assert [item.read() for item in items] == expected
        assert all(0 < item.weight < 10_000 for item in items)
        assert len(pickle.dumps(items)) < 200 * len(items)
        some = open_source(path).described([items[3].image_id, items[9].image_id])
        assert [item.read() for item in some] == [expected[3], expected[9]]
    # A link in an archive has no bytes of its own.
    with tarfile.open(made["i.tar"], "a") as archive:
        link = tarfile.TarInfo("z.png")
        link.type, link.linkname = tarfile.SYMTYPE, "003.png"
        archive.addfile(link)
    assert [item.read() for item in open_source(made["i.tar"]).described(["i/z"])] == [expected[3]]
    joined = open_sources([made["i.tar"], made["i.tar.gz"], folder])
    with pytest.raises(InputError, match="20 image ids occur in more than one source"):
        joined.ids()
    joined = open_sources([folder, made["i.tar"]])
    assert [item.read() for item in joined.described()] == [*expected, *expected, expected[3]]


def test_images_that_hang_or_crash(tmp_path: Path, cluster: Cluster, register: Register) -> None:
    register(everything)
    folder = write_images(tmp_path / "i", 14, first=10)  # 13, 17 and 19 pixels among them
    outs = [tmp_path / "here.parquet", tmp_path / "there.parquet"]
    metrics = ["everything", "edge_density"]
    measure(folder, metrics=metrics, timeout=4, workers=1, out=outs[0])
    frame = measure(folder, metrics=metrics, timeout=4, out=outs[1], dask=cluster.address)
    wrong = frame.set_index("image_id")["error"].dropna()
    assert wrong.to_dict() == {"003.png": DIED, "007.png": DIED, "009.png": LATE}
    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_packed_images_that_hang_or_crash(
    tmp_path: Path, cluster: Cluster, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(everything)
    made = packed(write_images(tmp_path / "i", 14, first=10))
    # Ids of the two archives must differ.
    sources = [made["i.parquet"], made["i.tar"], made["i.tar.gz"].rename(tmp_path / "z.tar.gz")]
    monkeypatch.setattr(run, "_CHUNK_IMAGES", 14)
    outs = [tmp_path / "here.parquet", tmp_path / "there.parquet"]
    measure(sources, metrics="everything", timeout=4, workers=3, out=outs[0])
    frame = measure(sources, metrics="everything", timeout=4, out=outs[1], dask=cluster.address)
    wrong = frame.set_index("image_id")["error"].dropna()
    assert wrong.to_dict() == {
        f"{folder}{key}{suffix}": reason
        for folder, suffix in (("", ".png"), ("i/", ""), ("z/", ""))
        for key, reason in (("003", DIED), ("007", DIED), ("009", LATE))
    }
    assert frame["sha256"].notna().all()
    assert outs[0].read_bytes() == outs[1].read_bytes()


class Shrinking(TarImages):
    """Archives that lose their second half once they have been described."""

    def described(self, only: Collection[str] | None = None) -> Iterator[ImageItem]:
        yield from super().described(only)
        for file in self.files:
            os.truncate(file, file.stat().st_size // 2)


@pytest.mark.parametrize("name", ["i.tar", "i.tar.gz"])
def test_a_shard_cut_off_under_way(tmp_path: Path, cluster: Cluster, name: str) -> None:
    shard = packed(write_images(tmp_path / "i", 20))[name]
    out = tmp_path / "c.parquet"
    source = Shrinking("i", (shard,))
    with pytest.raises(InputError) as there:
        measure(source, metrics="entropy_gray", timeout=30, out=out, dask=cluster.address)
    with pytest.raises(InputError) as here:
        measure(shard, metrics="entropy_gray", timeout=30, out=out)
    for error in (there, here):
        assert str(error.value).startswith(f"'{shard}' cannot be read as a tar archive (")
        assert str(error.value).endswith("it may be incomplete: fetch or write it again")
    assert not out.exists()


def test_one_that_brings_dask_workers_down(tmp_path: Path, cluster: Cluster) -> None:
    folder = write_images(tmp_path / "i", 8, first=12)  # 15 pixels among them
    out = tmp_path / "c.parquet"
    assert finish(start(folder, out, metric="parricide", dask=cluster.address), 120) == 0
    frame = pq.read_table(out).to_pandas()
    assert frame["error"].fillna("").tolist() == ["", "", "", DIED, "", "", "", ""]
    assert frame["parricide"].dropna().tolist() == [12, 13, 14, 16, 17, 18, 19]


@pytest.fixture
def whole(tmp_path: Path, register: Register, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What an uninterrupted run over 200 images and a bad one gives."""
    register(slow)
    write_images(tmp_path / "i", 200)
    (tmp_path / "i" / "bad.png").write_bytes(png(30)[:100])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("PIDS", str(tmp_path / "elsewhere"))
    path = tmp_path / "whole.parquet"
    measure(tmp_path / "i", metrics=METRICS, workers=2, out=path)
    return path.read_bytes()


def test_workers_and_callers_killed_at_random(
    tmp_path: Path, cluster: Cluster, whole: bytes
) -> None:
    chance = random.Random(7)
    out = tmp_path / "c.parquet"
    # The caller, once there is something to keep: the same command goes on from there.
    process = start(tmp_path / "i", out, dask=cluster.address)
    await_that(lambda: bool(parts(out)) or process.poll() is not None)
    process.kill()
    process.communicate()
    assert not out.exists()
    # Dask's workers: the run goes on.
    process = start(tmp_path / "i", out, dask=cluster.address)
    killed: set[int] = set()
    while process.poll() is None and len(killed) < 2:
        if living := sorted(cluster.measuring() - killed):
            time.sleep(chance.uniform(0, 0.5))
            killed.add(chance.choice(living))
            os.kill(max(killed & set(living)), signal.SIGKILL)
        time.sleep(0.05)
    assert finish(process, 120) > 0
    assert killed
    assert out.read_bytes() == whole
    assert not out.with_name("c.parquet.partial").exists()


def test_a_scheduler_killed_at_random(tmp_path: Path, cluster: Cluster, whole: bytes) -> None:
    chance = random.Random(8)
    out = tmp_path / "c.parquet"
    first = Cluster(tmp_path / "first")
    try:
        first.add_workers(2)
        process = start(tmp_path / "i", out, dask=first.address)
        await_that(lambda: bool(parts(out)) or process.poll() is not None)
        time.sleep(chance.uniform(0, 0.3))
        first.scheduler.kill()
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        message = errors.decode()
        assert message.startswith(f"the Dask scheduler at {first.address} is gone")
        assert message.count("\n") == 1 and "run the same command again" in message
        assert parts(out) and not out.exists()
        assert finish(start(tmp_path / "i", out, dask=cluster.address)) > 0
    finally:
        first.close()
    assert out.read_bytes() == whole


# Refusals


def test_no_scheduler_and_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_images(tmp_path / "i", 2)
    monkeypatch.setattr(dask_cluster, "_CONNECT", 0.5)
    monkeypatch.setattr(dask_cluster, "_PATIENCE", 0.5)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError, match="no Dask scheduler can be reached at"):
            measure(folder, metrics="entropy_gray", dask=address)
    with pytest.raises(InputError, match="no Dask scheduler can be reached at nonsense://x"):
        measure(folder, metrics="entropy_gray", dask="nonsense://x:1")
    lonely = Cluster(tmp_path / "lonely")
    try:
        monkeypatch.setattr(dask_cluster, "_CONNECT", 15)
        with pytest.raises(InputError, match=r"has no worker; start some with `dask worker tcp"):
            measure(folder, metrics="entropy_gray", dask=lonely.address, out=tmp_path / "c.parquet")
    finally:
        lonely.close()
    assert not list(tmp_path.glob("c.parquet*"))


def test_without_distributed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'optik\[dask\]'"):
        measure(write_images(tmp_path / "i", 1), metrics="entropy_gray", dask="tcp://127.0.0.1:1")


def work(**other: object) -> Work:
    about = {"policy": dask_cluster.image.POLICY_VERSION, "metrics": {}} | other
    return Work.of({"width": width}, about, 60)


def test_workers_that_differ(tmp_path: Path) -> None:
    path = write_images(tmp_path / "i", 1) / "000.png"
    task = Task(ImageItem("000.png", path))
    with pytest.raises(InputError, match="another version of the image policy"):
        measure_chunk([task], work(policy="another"))
    metric = registry.get("edge_density")
    entry = {"version": metric.version + 1, "parameters": {}, "source": "image"}
    newer = Work.of(
        {"edge_density": metric.function},
        {"policy": dask_cluster.image.POLICY_VERSION, "metrics": {"edge_density": entry}},
        60,
    )
    with pytest.raises(InputError, match="another version of edge_density"):
        measure_chunk([task], newer)
    with pytest.raises(InputError, match=r"lacks a metric \(ModuleNotFoundError"):
        measure_chunk([task], Work(b"cnowhere\nmetric\n.", work().versions, 60))


def test_images_that_workers_cannot_read(tmp_path: Path) -> None:
    there = tmp_path / "there.png"
    absent = ImageItem("a", tmp_path / "no.tar", place=Span(0, 5))
    with pytest.raises(InputError, match="must lie under the same path on every worker"):
        measure_chunk([Task(absent)], work())
    task = Task(ImageItem("there.png", there))
    conversation = dask_cluster._Conversation(None, "", work())  # type: ignore[arg-type]
    row = workers.error_row(task, "cannot be read: No such file or directory")
    # Nobody has it: an error row. It is here but not there: no table at all.
    conversation._see_that_images_are_there([task], [row])
    there.write_bytes(b"")
    with pytest.raises(InputError, match="which is readable here"):
        conversation._see_that_images_are_there([task], [row])
