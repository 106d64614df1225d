"""How texts are held: equality, order, prefixes and parts of held texts are those of the texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotstore.backend import Type
from iotstore_neo4j._texts import HOLDS, held_text, plain_text

# Mostly what is at an edge of the escapes: marks, digits, and the first and last character that has one.
EDGES = "a\x7f\ud7ff\ue000\uf4fd\uf4fe\uf4ff\uf500\uf8fe\uf8ff\uf900\ufffe\uffff\U00010000\U0001f600\U0010ffff"
TEXTS = st.text(st.sampled_from(EDGES), max_size=4) | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)


@given(TEXTS)
def test_a_held_text_comes_back(text: str) -> None:
    assert plain_text(held_text(text)) == text


@given(TEXTS)
def test_no_held_text_has_a_character_that_utf_8_and_utf_16_order_differently(text: str) -> None:
    assert all(ord(character) <= 0xFFFF for character in held_text(text))


@given(TEXTS, TEXTS)
def test_held_texts_are_ordered_by_code_point_and_are_parts_of_each_other_where_the_texts_are(a: str, b: str) -> None:
    assert (held_text(a) < held_text(b)) is (a < b)
    assert (held_text(a) in held_text(b)) is (a in b)
    assert held_text(b).startswith(held_text(a)) is b.startswith(a)


@pytest.mark.parametrize("text", ["", "plain", "é", "漢字", "\ue000"])
def test_what_needs_no_escape_is_held_as_it_is(text: str) -> None:
    assert held_text(text) == text


@given(st.binary(max_size=8), st.binary(max_size=8))
def test_held_bytes_come_back_and_are_ordered_as_the_bytes_are(a: bytes, b: bytes) -> None:
    encode, decode = HOLDS[Type.BYTES]
    assert encode is not None
    assert decode is not None
    assert decode(encode(a)) == a
    assert (encode(a) < encode(b)) is (a < b)


def test_the_members_of_a_set_are_held_as_texts_are() -> None:
    encode, decode = HOLDS[Type.TEXTSET]
    assert encode is not None
    assert decode is not None
    assert decode(encode(("a", "\U0001f600"))) == ("a", "\U0001f600")
