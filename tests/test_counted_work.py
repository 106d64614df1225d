"""Operations cost what the book of counts says: nothing grows unnoticed, on however noisy a machine."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.once


@pytest.fixture
def book(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that counts, imported as the program does: with its own folder on the path."""
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    return importlib.import_module("counted.book")


def test_no_operation_on_sqlite_needs_more_statements_steps_or_memory_than_the_book_says(book: ModuleType) -> None:
    engine, counts = book.count("sqlite")

    assert book.grown(book.read_book()["sqlite"], engine, counts) == []


def test_an_operation_that_needs_one_statement_more_is_noticed_on_any_version(book: ModuleType) -> None:
    entry = book.read_book()["sqlite"]
    counts = json.loads(json.dumps(entry["counts"]))
    counts["latest"]["statements"] += 1

    assert book.grown(entry, "sqlite of another version", counts) == ["latest: 1 statements became 2"]


def test_steps_and_memory_are_compared_with_those_of_the_same_versions_only(book: ModuleType) -> None:
    entry = book.read_book()["sqlite"]
    counts = json.loads(json.dumps(entry["counts"]))
    for found in counts.values():
        found["steps"] *= 2
        found["bytes"] *= 2
    other = entry | {"python": "3.0"}

    assert book.grown(other, "sqlite of another version", counts) == []
    assert len(book.grown(other, entry["engine"], counts)) == len(counts)


def test_an_operation_that_is_not_in_the_book_or_was_not_counted_is_named(book: ModuleType) -> None:
    entry = book.read_book()["sqlite"]
    counts = dict(entry["counts"])
    counts["something-new"] = counts.pop("latest")

    assert book.grown(entry, entry["engine"], counts) == [
        "something-new: not in the book",
        "latest: in the book, and not counted",
    ]
