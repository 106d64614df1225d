"""Columns in the server's binary forms: with numpy and without, they are the same bytes, and the server reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg
import pytest

from iotstore_postgres._binary import array_in, rows_in, unpacked
from iotstore_postgres._conversions import register

MAX, MIN = 2**63 - 1, -(2**63)
SERIES, TIMES = [1, 1, MAX], [MIN, 0, MAX]
NUMBERS: dict[str, list[Any]] = {"q": [MIN, -1, MAX], "d": [5e-324, -1e308, 0.1 + 0.2]}
TEXTS = ["", "é\U0001f600", "x" * 70_000]
NAMES = {"q": "bigint", "d": "double precision", "t": "text"}


@pytest.fixture
def connection(url: str) -> Any:
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.RawCursor) as opened:
        register(opened)
        yield opened


def arrays(code: str) -> tuple[Any, Any, Any]:
    return np.array(SERIES), np.array(TIMES), np.array(NUMBERS[code])


@pytest.mark.parametrize("code", ["q", "d"])
def test_rows_and_arrays_of_numpy_are_the_bytes_that_lists_are(code: Any) -> None:
    assert rows_in(*arrays(code), code) == rows_in(SERIES, TIMES, NUMBERS[code], code)
    assert array_in(np.array(NUMBERS[code]), code) == array_in(NUMBERS[code], code)
    assert type(array_in(np.array(NUMBERS[code]), code)) is type(array_in(NUMBERS[code], code))


@pytest.mark.parametrize("code", ["q", "d", "t"])
def test_the_server_reads_arrays_as_they_were_packed(connection: Any, code: Any) -> None:
    values = NUMBERS.get(code, TEXTS)
    found = connection.execute(f"SELECT * FROM unnest($1::{NAMES[code]}[])", [array_in(values, code)]).fetchall()
    assert [value for (value,) in found] == values


@pytest.mark.parametrize("code", ["q", "d", "t"])
def test_copy_reads_rows_as_they_were_packed(connection: Any, code: Any) -> None:
    values = NUMBERS.get(code, TEXTS)
    with connection.transaction():
        connection.execute(f"CREATE TEMP TABLE copied (a bigint, b bigint, c {NAMES[code]}) ON COMMIT DROP")
        with connection.cursor() as cursor, cursor.copy("COPY copied FROM STDIN (FORMAT BINARY)") as copy:
            copy.write(rows_in(SERIES, TIMES, values, code))
        found = connection.execute("SELECT * FROM copied").fetchall()
    assert found == list(zip(SERIES, TIMES, values, strict=True))


@pytest.mark.parametrize(("code", "send"), [("q", "int8send"), ("d", "float8send")])
def test_times_and_values_that_the_server_packs_are_unpacked(connection: Any, code: Any, send: str) -> None:
    values = NUMBERS[code]
    rows = f"unnest($1::bigint[], $2::{NAMES[code]}[]) AS p(t, v)"
    text = f"SELECT string_agg(int8send(t) || {send}(v), NULL) FROM {rows}"
    given = [array_in(TIMES, "q"), array_in(values, code)]
    (data,) = connection.cursor(binary=True).execute(text, given).fetchone()
    assert [column.tolist() for column in unpacked(data, code)] == [TIMES, values]


def test_a_value_that_is_no_integer_is_never_packed_as_one() -> None:
    pack: Callable[[], bytes] = lambda: array_in([1.5], "q")  # noqa: E731 - one line says it
    with pytest.raises(Exception, match="integer"):
        pack()
