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
    task = {"role": "projector", "side": side, "graph": graph}
    cuts = ({**task, "at": chance.randint(3, 16), "when": chance.choice(("before", "after"))} for _ in range(15))
    assert kit.survive(store, bring_up, cuts, steps=6) >= 8


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
    task = {"role": "writer", "side": "primary", "steps": 12}
    cuts = (
        {**task, "seed": number, "at": chance.randint(3, 60), "when": chance.choice(("before", "after"))}
        for number in range(15)
    )
    assert kit.survive(store, bring_up, cuts) >= 8
