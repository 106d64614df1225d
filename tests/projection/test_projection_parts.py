"""The small parts: keys as text, ranges of keys, and what two nonces say about each other."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import iotstore
from iotstore import Corrupt
from iotstore._catalogue.lines import after
from iotstore._kinds.projecting import Attachment, Checkpoint
from iotstore._projection.comparing import up_to
from iotstore._projection.keys import Keys
from iotstore._projection.linking import judge
from iotstore._waist.filters import And, Compare, Op, Or

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
NONCE = st.sampled_from(["", "a", "b", "c"])


@pytest.fixture(scope="module")
def engine():
    with iotstore.open("sqlite://:memory:") as store:
        yield store._engine


@given(device=TEXT, peer=TEXT)
def test_a_key_comes_back_from_its_text_as_it_was(engine, device, peer):
    keys = Keys(engine, engine.kinds["contact"])
    name = keys.name((device, peer))
    assert keys.held(name.key) == (device, peer)
    assert name.kind == "contact"


@given(number=st.integers(-(2**63), 2**63 - 1))
def test_a_number_comes_back_exactly(engine, number):
    keys = Keys(engine, engine.kinds["alert"])
    assert keys.held(keys.name((number,)).key) == (number,)


@pytest.mark.parametrize("text", ["", "[]", '["a","b"]', "[1]", "{", "[null]"])
def test_what_is_no_key_is_damage(engine, text):
    with pytest.raises(Corrupt, match="an outbox row names a device by what is no key of one"):
        Keys(engine, engine.kinds["device"]).held(text)


def passes(where, row):
    match where:
        case And(parts):
            return all(passes(part, row) for part in parts)
        case Or(parts):
            return any(passes(part, row) for part in parts)
        case Compare(column, op, value):
            mine = row[column]
            return {Op.EQ: mine == value, Op.GT: mine > value, Op.LT: mine < value, Op.LE: mine <= value}[op]


KEY = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))


@given(key=KEY, low=KEY, high=KEY)
def test_a_range_of_keys_is_what_python_says_it_is(key, low, high):
    columns = ("a", "b", "c")
    row = dict(zip(columns, key, strict=True))
    assert passes(And((after(columns, low), up_to(columns, high))), row) == (low < key <= high)


@given(noted=NONCE, nonce=NONCE, previous=NONCE, state=st.sampled_from(["live", "building"]))
def test_only_nonces_that_meet_go_on(noted, nonce, previous, state):
    attachment = Attachment(name="graph", identity="i", since=datetime.now(UTC), place="p", nonce=noted)
    checkpoint = Checkpoint(name="graph", identity="i", shape="s", state=state, nonce=nonce, previous=previous)
    said = judge(attachment, checkpoint, "s").state
    if noted not in (nonce, previous):
        assert said == "rebuild"
    elif state == "building":
        assert said == "resume"
    else:
        assert said == ("linked" if noted == nonce else "replay")


def test_nothing_there_is_built_and_what_is_foreign_is_left_alone():
    attachment = Attachment(name="graph", identity="i", since=datetime.now(UTC), place="p", nonce="a")
    assert judge(attachment, None, "s").state == "build"
    assert judge(attachment, Checkpoint(name="graph"), "s").state == "build"
    live = Checkpoint(name="graph", identity="j", shape="s", state="live", nonce="a")
    assert judge(attachment, live, "s").reason == "it holds the graph of another store"
