"""Whatever is cut off, and wherever: the next projector goes on, and the graphs end equal."""

import contextlib
import random
from datetime import timedelta

import pytest

from iotstore import StoreError, Unreachable

pytestmark = pytest.mark.once

CUTS = 13


def sync_somehow(store):
    """Sync until it ends without an error."""
    for _ in range(20):
        try:
            return store.projection.sync()
        except StoreError:
            continue
    raise AssertionError("it never ended")


def calls_of_a_sync(store, kit, cut):
    """How many calls of a session a sync of some work makes on one side."""
    cuts = kit.Cuts()
    inner = cut(store, cuts)
    store.projection.sync()
    uncut(store, inner)
    return cuts.calls


def on_primary(kit):
    def cut(store, cuts):
        inner = store._engine.backend
        kit.cut_primary(store, cuts)
        return ("primary", inner)

    return cut


def on_target(kit):
    def cut(store, cuts):
        inner = store.projection.target.engine.backend
        kit.cut_target(store, cuts)
        return ("target", inner)

    return cut


def uncut(store, said):
    side, inner = said
    engine = store._engine if side == "primary" else store.projection.target.engine
    engine.backend = inner


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("side", ["primary", "target"])
def test_a_batch_that_is_cut_at_any_call_is_finished_by_the_next_one(both, kit, side, when):
    cut = (on_primary if side == "primary" else on_target)(kit)
    both.projection.sync()
    kit.play(both, seed=7, steps=10)
    total = calls_of_a_sync(both, kit, cut)
    chance = random.Random(f"{side} {when}")
    met = 0
    for number in range(CUTS):
        kit.play(both, seed=1000 + number, steps=8)
        cuts = kit.Cuts(at=chance.randint(1, total + 2), when=when)
        inner = cut(both, cuts)
        try:
            both.projection.sync()
        except Unreachable:
            met += 1
        uncut(both, inner)
        sync_somehow(both)
        kit.assert_equal(both)
    assert met >= CUTS // 2


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("side", ["primary", "target"])
def test_a_build_that_is_cut_at_any_call_is_resumed(both, kit, side, when):
    cut = (on_primary if side == "primary" else on_target)(kit)
    kit.play(both, seed=8, steps=40)
    both.projection.sync()
    chance = random.Random(f"build {side} {when}")
    for _ in range(5):
        cuts = kit.Cuts(at=chance.randint(1, 110), when=when)
        inner = cut(both, cuts)
        with contextlib.suppress(Unreachable):
            both.projection.rebuild()
        uncut(both, inner)
        sync_somehow(both)
        if both.projection.status().state == "rebuild":  # it was cut off before it began
            both.projection.rebuild()
        kit.assert_equal(both)
        assert both.projection.status().state == "live"


@pytest.mark.parametrize("seed", range(6))
def test_a_projector_that_is_gone_is_followed_by_another_one(both, composed, kit, clock, seed):
    both.projection.sync()
    kit.play(both, seed=seed, steps=10)
    cuts = kit.Cuts(at=random.Random(seed).randint(4, 18), when="after")
    on_target(kit)(both, cuts)
    with contextlib.suppress(Unreachable):
        both.projection.sync()
    other = composed()
    if both.projection.target.graph:
        kit.with_graph(other)
    clock.advance(timedelta(seconds=11))  # the lease of the first one ends
    other.projection.sync()
    kit.assert_equal(other)
    # The first one comes back to life, and finds out that its time is over.
    kit.play(other, seed=seed + 50, steps=5)
    clock.advance(timedelta(seconds=11))
    sync_somehow(both)
    kit.assert_equal(both)


@pytest.mark.parametrize("seed", range(4))
def test_a_writer_that_is_cut_leaves_no_half_of_a_change(both, kit, seed):
    both.projection.sync()
    chance = random.Random(seed)
    for number in range(6):
        cuts = kit.Cuts(at=chance.randint(1, 60), when=chance.choice(("before", "after")))
        said = on_primary(kit)(both, cuts)
        with contextlib.suppress(Unreachable):
            kit.play(both, seed=10 * seed + number, steps=8)
        uncut(both, said)
        both.projection.sync()
        kit.assert_equal(both)
