"""Calls that lost against others are done again, as long as nobody else's code is in them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

import iotstore
from iotstore import Busy, Device, Store
from iotstore._engine.changes import Change
from iotstore._engine.repeating import repeating
from iotstore._engine.transaction import Transaction


@pytest.fixture
def store() -> Store:
    return iotstore.open("sqlite://:memory:")


def lost() -> Busy:
    error = Busy("two transactions waited for each other")
    error.victim = True
    return error


class Rivals:
    """Raises an error as often as it is told, and counts how often it was called."""

    def __init__(self, times: int, error: Busy) -> None:
        self.left, self.error, self.calls = times, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "done"


def test_a_victim_is_done_again_at_most_twice(store: Store) -> None:
    with store:
        twice = Rivals(2, lost())
        assert repeating(store._engine, twice) == "done"
        assert twice.calls == 3
        always = Rivals(9, lost())
        with pytest.raises(Busy, match="waited for each other"):
            repeating(store._engine, always)
        assert always.calls == 3


def test_who_waited_in_vain_is_not_made_to_wait_again(store: Store) -> None:
    with store:
        waited = Rivals(1, Busy("a lock was not free in time"))
        with pytest.raises(Busy, match="not free in time"):
            repeating(store._engine, waited)
        assert waited.calls == 1


def test_nothing_is_done_again_inside_an_application_s_transaction(store: Store) -> None:
    inside = Rivals(1, lost())
    with store, pytest.raises(Busy, match="waited for each other"), store.transaction():
        repeating(store._engine, inside)
    assert inside.calls == 1


def test_a_call_in_which_a_hook_has_run_is_not_done_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []

    def hook(_: Transaction, changes: Sequence[Change]) -> None:
        runs.append(len(changes))
        raise lost()

    with store:
        monkeypatch.setattr(store._engine.hooks, "before_commit", hook)
        with pytest.raises(Busy, match="waited for each other") as raised:
            store.devices.put(Device(key="a"))
    assert runs == [1]
    assert not raised.value.victim
