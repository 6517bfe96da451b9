"""Images in Parquet files: Hugging Face's ``{bytes, path}`` or a plain binary column."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from complexity.errors import InputError, did_you_mean, listing
from complexity.files import sha256_file
from complexity.places import Cell, nothing
from complexity.sources import ImageItem, checked_ids, content_hash, digest, unknown_id

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# Rows decoded at a time. With them one page of the file is held, compressed and plain; writers
# put up to a row group in a page, so row groups of a hundred images keep the memory small.
_BATCH = 16
# Bytes read at a time, so that a row group of many pages is never held whole.
_BUFFER = 1 << 20


_CHANGED = "it is not the file that was described, here or on another machine; run again"


class _Group(NamedTuple):
    """One row group: its file, its number there, its first row there and among all ids."""

    file: Path
    number: int
    row: int
    start: int
    rows: int

    def holds(self, n: int) -> bool:
        """Tell whether the n-th of all ids is here."""
        return self.start <= n < self.start + self.rows


@dataclass(frozen=True)
class ParquetImages:
    """Images in one or more Parquet files.

    Attributes
    ----------
    label : str
        How messages name the source.
    files : tuple of Path
        The shards, in the order in which they are read.
    image : str
        The column that holds the images.
    has_path : bool
        Whether the images are structs with a ``path``, used where ``bytes`` is null.
    nested : bool
        Whether the images are structs.
    id_column : str
        The column of ids, ``image.path`` for the images' own.
    """

    label: str
    files: tuple[Path, ...]
    image: str
    nested: bool
    has_path: bool
    id_column: str

    @cached_property
    def _index(self) -> tuple[list[str], list[_Group]]:
        """Ids in the order of storage, and the row groups that they lie in."""
        import pyarrow as pa

        ids: list[str] = []
        groups: list[_Group] = []
        for file in self.files:
            with _opened(file) as parquet:
                row = 0
                for number in range(parquet.num_row_groups):
                    count = parquet.metadata.row_group(number).num_rows
                    groups.append(_Group(file, number, row, len(ids) + row, count))
                    row += count
                column = parquet.read(columns=[self.id_column], use_threads=False).column(0)
            if pa.types.is_struct(column.type):
                values = [None if one is None else one["path"] for one in column.to_pylist()]
            else:
                values = column.to_pylist()
            ids.extend(self._checked(values, file))
        if not ids:
            raise InputError(f"{self.label}: the Parquet file has no rows, so there is no image")
        return ids, groups

    def _checked(self, values: Sequence[object], file: Path) -> list[str]:
        empty = [n + 1 for n, value in enumerate(values) if value is None or value == ""]
        if empty:
            raise InputError(
                f"'{file}': column '{self.id_column}' gives no id in {len(empty):,} of "
                f"{len(values):,} rows (rows {listing(empty)}); fill it, or name another id column"
            )
        return [str(value) for value in values]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {image_id: n for n, image_id in enumerate(self._index[0])}

    def _place(self, n: int) -> str:
        group = next(one for one in self._index[1] if one.holds(n))
        row = f"row {n - group.start + group.row + 1}"
        return row if len(self.files) == 1 else f"{group.file.name} {row}"

    @cached_property
    def _sorted(self) -> list[str]:
        return checked_ids(self._index[0], self.label, self._place)

    def _checked_index(self) -> tuple[list[str], list[_Group]]:
        """Refuse duplicates before the first image is handed out."""
        _ = self._sorted
        return self._index

    def ids(self) -> list[str]:
        """List the images, sorted by code point."""
        return list(self._sorted)

    def count(self) -> int:
        """Count the images."""
        return len(self._sorted)

    def items(self, only: Collection[str] | None = None) -> Iterator[ImageItem]:
        """Stream the images in the order of storage."""
        ids, groups = self._checked_index()
        wanted = None if only is None else frozenset(only)
        for group in groups:
            rows = range(group.start, group.start + group.rows)
            keep = [n - group.start for n in rows if wanted is None or ids[n] in wanted]
            for n, item in zip(keep, self._cells(group, keep), strict=True):
                yield replace(item, image_id=ids[group.start + n])

    def described(self, only: Collection[str] | None = None) -> Iterator[ImageItem]:
        """Stream where the images lie: rows of row groups."""
        ids, groups = self._checked_index()
        wanted = None if only is None else frozenset(only)
        for group in groups:
            path = group.file.absolute()
            with _opened(group.file) as parquet:
                held = _plain_size(parquet.metadata.row_group(group.number), self.image)
            for n in range(group.start, group.start + group.rows):
                if wanted is None or ids[n] in wanted:
                    place = Cell(
                        group.number,
                        n - group.start,
                        self.image,
                        self.nested,
                        self.has_path,
                        held // max(1, group.rows),
                    )
                    yield ImageItem(ids[n], path=path, place=place)

    def read(self, image_id: str) -> bytes:
        """Return one image's encoded bytes."""
        ids, groups = self._checked_index()
        if image_id not in self._rows:
            raise unknown_id(image_id, ids, self.label)
        n = self._rows[image_id]
        group = next(one for one in groups if one.holds(n))
        return next(self._cells(group, [n - group.start])).read()

    def fingerprint(self) -> str:
        """Return a SHA-256 over the files, the columns read, and the files that rows point to."""
        rows: list[tuple[str, ...]] = [("columns", self.image, self.id_column)]
        rows += [("file", sha256_file(file)) for file in self.files]
        return digest(chain(rows, self._linked()))

    def _linked(self) -> Iterator[tuple[str, str]]:
        """Hash the files that stand in for null bytes; row groups without nulls are skipped."""
        if not self.has_path:
            return
        for group in self._index[1]:
            with _opened(group.file) as parquet:
                found = _has_null(parquet.metadata.row_group(group.number), f"{self.image}.bytes")
            if found:
                for item in self._cells(group, range(group.rows)):
                    if item.path is not None:
                        yield "linked", content_hash(item.path)

    def _cells(self, group: _Group, keep: Sequence[int]) -> Iterator[ImageItem]:
        """Yield bytes or else path, without ids, of the rows to keep (ascending)."""
        cells = [Cell(group.number, n, self.image, self.nested, self.has_path, 0) for n in keep]
        return read_cells(group.file, cells)


def read_cells(
    file: Path, cells: Sequence[Cell], progress: Callable[[], object] = nothing
) -> Iterator[ImageItem]:
    """Read images, their bytes or else their paths and no ids, from one row group.

    Parameters
    ----------
    file : Path
        The Parquet file.
    cells : sequence of Cell
        Of one row group and column, by ascending row.
    progress : callable
        Called after each batch of rows.

    Raises
    ------
    InputError
        The file is damaged, incomplete or not the one described: it has no such row.
    """
    if not cells:
        return
    first = cells[0]
    fields = ["bytes", "path"] if first.has_path else ["bytes"]
    columns = [f"{first.image}.{name}" for name in fields] if first.nested else [first.image]
    following = iter(cells)
    row = next(following).row
    with _opened(file) as parquet:
        if first.group >= parquet.num_row_groups:
            raise InputError(f"'{file}' has no row group {first.group + 1}: {_CHANGED}")
        start = 0
        for batch in parquet.iter_batches(
            batch_size=_BATCH, row_groups=[first.group], columns=columns, use_threads=False
        ):
            column = batch.column(0)
            while row < start + len(column):
                yield _item(column[row - start].as_py(), file)
                after = next(following, None)
                if after is None:
                    return
                row = after.row
            start += len(column)
            progress()
    raise InputError(f"'{file}' has no row {row + 1} in row group {first.group + 1}: {_CHANGED}")


def _item(value: bytes | dict[str, bytes | str | None] | None, file: Path) -> ImageItem:
    if not isinstance(value, dict):
        return ImageItem("", data=value)
    data, path = value.get("bytes"), value.get("path")
    if isinstance(data, bytes):
        return ImageItem("", data=data)
    return ImageItem("", path=file.parent / path if isinstance(path, str) and path else None)


def _plain_size(group: pq.RowGroupMetaData, image: str) -> int:
    """Bytes of a row group's images when decoded."""
    columns = (group.column(n) for n in range(group.num_columns))
    return sum(
        int(c.total_uncompressed_size) for c in columns if c.path_in_schema.split(".")[0] == image
    )


def open_parquet(files: Sequence[Path], *, label: str, id_column: str | None) -> ParquetImages:
    """Open Parquet files that hold images.

    Parameters
    ----------
    files : sequence of Path
        One file, or shards with the same image and id columns.
    label : str
        How messages name the source.
    id_column : str, optional
        Column of ids; ``path`` of the images, else a column ``path``, when left out.

    Returns
    -------
    ParquetImages

    Raises
    ------
    InputError
        A file is corrupt, has no image column or several, or has no such id column.
    """
    opened: list[tuple[str, bool, bool, str]] = []
    for file in files:
        with _opened(file) as parquet:
            schema = parquet.schema_arrow
        image = _image_column(schema, file)
        kind = schema.field(image).type
        nested = not _is_binary(kind)
        has_path = nested and any(kind.field(n).name == "path" for n in range(kind.num_fields))
        ids = _id_column(schema, image, has_path, id_column, file)
        opened.append((image, nested, has_path, ids))
        if opened[-1] != opened[0]:
            raise InputError(
                f"'{file}' holds images in column '{image}' with ids in '{ids}', but "
                f"'{files[0].name}' in '{opened[0][0]}' with ids in '{opened[0][3]}' (or in "
                "another form); shards of one source need the same columns"
            )
    return ParquetImages(label, tuple(files), *opened[0])


@contextmanager
def _opened(file: Path) -> Iterator[pq.ParquetFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER) as parquet:
            yield parquet
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"'{file}' cannot be read as Parquet ({' '.join(str(error).split())}); it may be "
            "incomplete: fetch or write it again"
        ) from error


def _is_binary(kind: pa.DataType) -> bool:
    import pyarrow as pa

    types = pa.types
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _is_image(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if not pa.types.is_struct(kind):
        return _is_binary(kind)
    fields = [kind.field(n) for n in range(kind.num_fields)]
    return any(field.name == "bytes" and _is_binary(field.type) for field in fields)


def _columns(schema: pa.Schema) -> str:
    return listing([f"{field.name} ({field.type})" for field in schema])


def _image_column(schema: pa.Schema, file: Path) -> str:
    found = [field.name for field in schema if _is_image(field.type)]
    if "image" in found:
        return "image"
    if len(found) == 1:
        return str(found[0])
    what = f"several ({listing(found)}), none named 'image'" if found else "none"
    raise InputError(
        f"'{file}': an image column (binary, or a struct of bytes and path) is needed and there "
        f"is {what}; its columns are {_columns(schema)}; name the one with the images 'image'"
    )


def _id_column(
    schema: pa.Schema, image: str, has_path: bool, id_column: str | None, file: Path
) -> str:
    import pyarrow as pa

    own = f"{image}.path"
    if id_column is None:
        if has_path:
            return own
        if "path" not in schema.names:
            raise InputError(
                f"'{file}': column '{image}' has no path to serve as image id; name the column "
                f"with the ids (images.id in a manifest); its columns are {_columns(schema)}"
            )
        id_column = "path"
    if has_path and id_column == own:
        return own
    if id_column not in schema.names:
        raise InputError(
            f"'{file}': no id column '{id_column}'{did_you_mean(id_column, schema.names)}; its "
            f"columns are {_columns(schema)}"
        )
    kind = schema.field(id_column).type
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    types = pa.types
    text = (types.is_string, types.is_large_string, types.is_string_view, types.is_integer)
    if not any(holds(plain) for holds in text):
        raise InputError(
            f"'{file}': id column '{id_column}' is of type {kind}; ids must be text or whole "
            "numbers"
        )
    return id_column


def _has_null(group: pq.RowGroupMetaData, leaf: str) -> bool:
    """Tell from a row group's statistics whether a column may hold nulls."""
    for n in range(group.num_columns):
        column = group.column(n)
        if column.path_in_schema == leaf:
            known = column.statistics
            return known is None or not known.has_null_count or known.null_count > 0
    return True
