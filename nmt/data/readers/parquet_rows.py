"""Pairs from Parquet files, a few rows in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from os.path import isfile

from nmt.data.archives import Member
from nmt.data.files import File
from nmt.data.readers.json_rows import row_pair
from nmt.data.readers.pairs import Pair, Reading, listed
from nmt.data.readers.sides import pair_keys
from nmt.errors import UserError, require

ROWS = 1024  # that are in memory at a time


def read_parquet(file: File, reading: Reading) -> Iterator[Pair]:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    if isinstance(file, Member):
        raise UserError(f"{file} is a Parquet file in an archive: unpack it first")
    require(isfile(file), f"there is no file {file}")
    number = 0
    try:
        with parquet.ParquetFile(file) as table:
            columns = pair_columns(table.schema_arrow.names, reading, str(file))
            batches = table.iter_batches(ROWS, columns=columns)
            rows = chain.from_iterable(batch.to_pylist() for batch in batches)
            for number, row in enumerate(rows, start=1):
                yield row_pair(row, reading.languages, f"{file} row {number}", reading.columns)
            declared = table.metadata.num_rows
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise UserError(
            f"{file} is damaged, cut off or not a Parquet file; get or export it again"
        ) from error
    require(
        number == declared, f"{file} is damaged: it has {number} of the {declared} rows it promises"
    )


def pair_columns(names: list[str], reading: Reading, place: str) -> list[str]:
    """The columns that `row_pair` looks at."""
    keys = pair_keys(tuple(names), reading.languages, reading.columns)
    told = reading.columns or reading.languages
    require(
        "translation" in names or keys is not None,
        f"{place} should have the columns {' and '.join(map(repr, told))} "
        f"({'data.columns' if reading.columns else reading.languages}) or 'translation', "
        f"but has {listed(names)}",
    )
    wanted = dict.fromkeys(("translation", *(keys or ())))
    return [name for name in wanted if name in names]
