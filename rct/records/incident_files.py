"""Incident records as one table of text, with the file and row each came from."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from rct.csv_table import csv_rows, refuse_other_format, refuse_other_separator, rows_in_file, table_of
from rct.errors import DataError
from rct.identifiers import listed
from rct.invisible_characters import escaped, invisible_in, without_invisible
from rct.records.problem_list import ProblemList

if TYPE_CHECKING:
    import pandas as pd


def read_incidents(
    incidents: "pd.DataFrame | str | Path | Sequence[str | Path]",
    columns: Mapping[str, str],
    problems: ProblemList,
) -> "pd.DataFrame":
    """Read records of incidents, one row per officer report.

    Parameters
    ----------
    incidents
        A frame, or the path of a CSV or Parquet file, or several paths.
    columns
        What every file must have, and which key of the trial names it.

    Returns
    -------
    pandas.DataFrame
        ``columns``, as text without invisible characters and white space at the ends, None where blank;
        ``rct:file``, ``rct:row`` (the header is row 1) and ``rct:repeats`` (every cell is as in an earlier
        row).

    Raises
    ------
    DataError
        For a file that is not there or cannot be read, and for lacking columns, each with the nearest one.
    """
    import pandas as pd

    if isinstance(incidents, pd.DataFrame):
        files = ["incidents"]
        tables = [_placed(incidents, "incidents", columns, problems)]
    else:
        paths = [incidents] if isinstance(incidents, (str, Path)) else list(incidents)
        if not paths:
            raise DataError("no file of incidents was given.")
        files = [str(path) for path in paths]
        _refuse_twice(paths)
        tables = [
            _placed(read_table(Path(path), problems, what="incidents"), str(path), columns, problems)
            for path in paths
        ]
    for table, file in zip(tables, files, strict=True):
        if table.empty:
            problems.add("no record in the file", done="nothing is counted from it", file=file)
    records = pd.concat(tables, ignore_index=True)
    return records.assign(**{"rct:repeats": records.pop("rct:content").duplicated()})


def _refuse_twice(paths: Sequence[str | Path]) -> None:
    places = [Path(path).resolve() for path in paths]
    twice = [str(path) for path, place in zip(paths, places, strict=True) if places.count(place) > 1]
    if twice:
        raise DataError(f"{twice[0]} is given twice; give every file of incidents once.")


def read_table(path: Path, problems: ProblemList, *, what: str) -> "pd.DataFrame":
    """Read a CSV file, every cell as text, or a Parquet file; ``what`` it holds is for messages."""
    import pandas as pd
    import pyarrow as pa

    if not path.is_file():
        raise DataError(f"{path}: there is no such file of {what}.")
    if path.suffix.lower() == ".parquet":
        try:
            return pd.read_parquet(path)
        except (pa.ArrowInvalid, OSError):
            raise DataError(f"{path} is no Parquet file; export it again.") from None
    if path.suffix.lower() != ".csv":
        raise DataError(
            f"{path}: {what} can be read from .csv and .parquet files; export the table as one of them."
        )
    content = path.read_bytes()
    refuse_other_format(path, content)
    try:
        return _table(path, content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        problems.add("not UTF-8, read as Windows-1252", done="accents may be wrong", file=str(path))
        return _table(path, content.decode("cp1252", errors="replace"))


def _table(path: Path, text: str) -> "pd.DataFrame":
    rows = csv_rows(path, text)
    if not rows:
        raise DataError(f"{path} is empty; a header line with the names of the columns is needed.")
    refuse_other_separator(path, rows[0][1])
    return table_of(path, rows)


def _placed(
    table: "pd.DataFrame", file: str, columns: Mapping[str, str], problems: ProblemList
) -> "pd.DataFrame":
    import pandas as pd

    there = list(table.columns)
    lacking = [_lacking(name, key, there) for name, key in columns.items() if name not in there]
    if lacking:
        raise DataError(
            f"{file} lacks {'; '.join(lacking)}. Name the agency's columns in the trial, or rename them in "
            f"the file; it has {', '.join(map(escaped, there))}."
        )
    repeated = [name for name in columns if list(table.columns).count(name) > 1]
    if repeated:
        raise DataError(f"{file} has the column {listed(repeated)} twice; keep one of them.")
    rows = rows_in_file(table)
    texts = {name: _as_text(table[name], f"{file}, column {name}") for name in columns}
    cells = pd.DataFrame({name: _visible(text, name, file, rows, problems) for name, text in texts.items()})
    cells["rct:file"] = file
    cells["rct:row"] = rows
    cells["rct:content"] = _fingerprints(table)
    # A line without any entry is the end of an export, not a record.
    return cells.loc[cells[list(columns)].notna().any(axis=1)]


def _fingerprints(table: "pd.DataFrame") -> "pd.Series":
    """Give 64 bits of each row's cells and of the header, by which repeated rows are found."""
    import pandas as pd

    text = table.set_axis([str(name) for name in table.columns], axis=1).astype("str")
    header = int(pd.util.hash_array(pd.Index(text.columns).to_numpy(dtype=object)).sum())
    return pd.util.hash_pandas_object(text, index=False) ^ header


def _lacking(name: str, key: str, there: Sequence[object]) -> str:
    folded = {str(column).lower(): str(column) for column in there}
    near = get_close_matches(name.lower(), folded, n=1)
    return f"the column {name}, which {key} names" + (
        f" (nearest: {escaped(folded[near[0]])})" if near else ""
    )


def _as_text(column: "pd.Series", place: str) -> "pd.Series":
    import pandas as pd

    if pd.api.types.is_float_dtype(column.dtype) and column.notna().any():
        raise DataError(
            f"{place} holds decimal numbers, so leading zeros or digits may be lost; "
            "read every column as text."
        )
    text = column.astype("str").str.strip() if column.dtype != "str" else column.str.strip()
    return text.astype(object).where(column.notna() & (text != ""), None)


def _visible(
    column: "pd.Series", name: str, file: str, rows: Sequence[int], problems: ProblemList
) -> "pd.Series":
    """Read cells without their invisible characters, which no id of the roster has, and say so."""
    texts = [text for text in column.unique() if text is not None and not text.isascii()]
    seen = {text: without_invisible(text) for text in texts if invisible_in(text)}
    if not seen:
        return column
    here = column.isin(list(seen)).tolist()
    first = here.index(True)
    which = "; ".join(dict.fromkeys(map(invisible_in, seen)))
    problems.add(
        f"column {name} has invisible characters in {sum(here):,} row{'s' * (sum(here) > 1)} ({which}); the "
        f"first is {escaped(column.iloc[first])}",
        done="read without them, or as plain spaces",
        file=file,
        row=rows[first],
    )
    return column.map(lambda text: seen.get(text, text) or None).astype(object)
