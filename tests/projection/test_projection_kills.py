"""kill -9 of a projector and of a writer, at any call: the next projector goes on, and the graphs end equal."""

import random

import pytest

pytestmark = pytest.mark.once

KILLED = -9


@pytest.mark.parametrize("side", ["primary", "target"])
@pytest.mark.parametrize("graph", [False, True])
def test_a_projector_that_is_killed_at_any_call_loses_nothing(store, kit, bring_up, side, graph):
    if graph:
        kit.with_graph(store)
    store.projection.sync()
    chance = random.Random(f"{side} {graph}")
    killed = 0
    for number in range(15):
        kit.play(store, seed=number, steps=6)
        at, when = chance.randint(3, 16), chance.choice(("before", "after"))
        killed += bring_up(role="projector", side=side, at=at, when=when, graph=graph) == KILLED
        store.projection.sync()
        kit.assert_equal(store)
    assert killed >= 8


@pytest.mark.parametrize("side", ["primary", "target"])
def test_a_build_that_is_killed_at_any_call_is_resumed(store, kit, bring_up, side):
    kit.play(store, seed=3, steps=30)
    chance = random.Random(side)
    killed = 0
    for _ in range(4):
        task = {"role": "projector", "side": side, "when": chance.choice(("before", "after"))}
        killed += bring_up(at=chance.randint(5, 16 if side == "primary" else 45), **task) == KILLED
        kit.play(store, seed=chance.randrange(99), steps=4)
    store.projection.sync()
    kit.assert_equal(store)
    assert killed >= 2


def test_a_writer_that_is_killed_at_any_call_leaves_no_half_of_a_change(store, kit, bring_up):
    store.projection.sync()
    chance = random.Random(5)
    killed = 0
    for number in range(15):
        task = {"role": "writer", "side": "primary", "seed": number, "steps": 12}
        killed += bring_up(at=chance.randint(3, 60), when=chance.choice(("before", "after")), **task) == KILLED
        store.projection.sync()
        kit.assert_equal(store)
    assert killed >= 8
