"""Images laid out in folders, Parquet files and tar shards, for tests of sources."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from complexity.errors import InputError
from complexity.sources import ImageSource, open_source

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


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
