"""Runs of `measure` in processes of their own, to be killed; images for them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

# This checkout before any that is installed.
PATHS = os.pathsep.join(map(str, [Path(__file__).parent, Path(__file__).parents[1]]))
# No ``__main__`` guard: a worker that ran the script again would start workers of its own.
SCRIPT = """
import sys
print("started", flush=True)
import odd_metrics
from complexity import InputError, measure, registry
source, out, name, timeout, address = sys.argv[1:]
registry.metric(
    name=name, version=1, unit="", range=(0, None), summary="", reference=""
)(getattr(odd_metrics, name))
try:
    frame = measure(
        source, metrics=[name, "edge_density"], out=out, timeout=float(timeout),
        workers=None if address else 2, dask=address or None,
    )
    print(frame.attrs["reused"], flush=True)
except KeyboardInterrupt:
    sys.exit(130)
except InputError as error:
    sys.exit(str(error))
"""


def png(columns: int, rows: int = 12, seed: int = 0) -> bytes:
    """Make noise: an image whose width a metric knows it by."""
    rng = np.random.default_rng([columns, rows, seed])
    pixels = rng.integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    return bytes(cv2.imencode(".png", pixels)[1])


def write_images(folder: Path, n: int, first: int = 30) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        (folder / f"{i:03d}.png").write_bytes(png(first + i))
    return folder


def many_scans(scans: int) -> bytes:
    """Make a progressive JPEG of 9 megapixels that goes over them again and again."""
    buffer = io.BytesIO()
    Image.new("L", (3000, 3000), 128).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


def packed(folder: Path) -> dict[str, Path]:
    """The images of a folder as Parquet and as tar shards, compressed and not."""
    files = sorted(folder.iterdir())
    cells = [{"bytes": p.read_bytes(), "path": p.name} for p in files]
    made = {name: folder.parent / name for name in ("i.parquet", "i.tar", "i.tar.gz")}
    pq.write_table(pa.table({"image": cells}), made["i.parquet"], row_group_size=7)
    for name, mode in (("i.tar", "w"), ("i.tar.gz", "w:gz")):
        with tarfile.open(made[name], mode) as archive:  # type: ignore[call-overload]
            for path in files:
                archive.add(path, path.name)
    return made


def start(
    folder: Path,
    out: Path,
    *,
    metric: str = "slow",
    timeout: float = 60,
    dask: str = "",
    stdin: bool = False,
) -> subprocess.Popen[bytes]:
    """Run the script on its own, in a process group that can be signalled as a terminal does."""
    script = out.with_name("script.py")
    script.write_text(SCRIPT)
    pids = out.with_name("pids")
    pids.mkdir(exist_ok=True)
    arguments = [str(folder), str(out), metric, str(timeout), dask]
    with script.open("rb") as text:
        return subprocess.Popen(
            [sys.executable, "-" if stdin else str(script), *arguments],
            stdin=text if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": PATHS, "PIDS": str(pids)},
            start_new_session=True,
        )


def finish(process: subprocess.Popen[bytes], seconds: float = 60) -> int:
    """See a run to its end; how many images it reused."""
    output, errors = process.communicate(timeout=seconds)
    assert (process.returncode, errors) == (0, b"")
    assert output.count(b"started") == 1
    return int(output.split()[-1])


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # A dead process that nobody has waited for is no worker any more.
        state = Path(f"/proc/{pid}/stat")
        return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")
    except (ProcessLookupError, FileNotFoundError):
        return False


def await_that(condition: Callable[..., bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def workers_of(out: Path) -> list[int]:
    """The processes that have run the metric `slow`."""
    return [int(p.name) for p in out.with_name("pids").iterdir()]


def parts(out: Path) -> list[Path]:
    """The parts that are finished and marked as such."""
    return list(out.with_name(out.name + ".partial").glob("part-*.done"))
