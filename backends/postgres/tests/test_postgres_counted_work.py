"""Operations on PostgreSQL cost what the book of counts says: nothing grows unnoticed."""

import importlib
from pathlib import Path

import pytest

pytestmark = pytest.mark.once


@pytest.mark.usefixtures("url")
def test_no_operation_needs_more_statements_round_trips_or_blocks_than_the_book_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "benchmarks"))
    book = importlib.import_module("counted.book")

    engine, counts = book.count("postgresql")

    assert book.grown(book.read_book()["postgresql"], engine, counts) == []
