"""Canonical values: what is taken, what is refused, and the one form each is stored in."""

import ipaddress
import json
import math
import struct
from enum import StrEnum

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from iotstore import _values as values
from iotstore.errors import InvalidValue

well_formed = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
int64 = st.integers(values.MIN_INT, values.MAX_INT)
finite = st.floats(allow_nan=False, allow_infinity=False)


class Colour(StrEnum):
    RED = "red"


# Text -------------------------------------------------------------------------------------------------------------


@given(well_formed)
@example("e\u0301")
@example("é")
@example("a ")
@example("\U0010ffff\uffff")
def test_text_is_stored_as_it_is_never_normalised_folded_or_cut(text: str) -> None:
    assert values.check_text(text) == text


def test_a_text_subclass_is_stored_as_plain_text() -> None:
    stored = values.check_text(Colour.RED)

    assert stored == "red"
    assert type(stored) is str


@pytest.mark.parametrize("text", ["\0", "a\0b", "end\0", "é\0"])
def test_text_with_nul_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match=r"name: text holds a NUL character; remove it or store bytes"):
        values.check_text(text, "name")


@pytest.mark.parametrize(("text", "position"), [("\ud800", 0), ("ab\udfff", 2), ("\ude00\ud83d", 0)])
def test_a_lone_surrogate_is_refused_with_its_position(text: str, position: int) -> None:
    with pytest.raises(InvalidValue, match=rf"lone surrogate at position {position}"):
        values.check_text(text)


@pytest.mark.parametrize("value", [None, 1, 1.5, True, b"bytes", ["a"]])
def test_what_is_no_text_is_refused_by_its_type_and_without_its_value(value: object) -> None:
    with pytest.raises(InvalidValue, match=rf"^name: expected text, got {type(value).__name__}$"):
        values.check_text(value, "name")


@given(well_formed)
@example("straße STRASSE İ ǅ")
def test_the_fold_is_pythons_casefold(text: str) -> None:
    assert values.fold(text) == text.casefold()


# Numbers ----------------------------------------------------------------------------------------------------------


@given(int64)
@example(values.MIN_INT)
@example(values.MAX_INT)
@example(2**53 + 1)
def test_integers_of_64_bits_are_exact(number: int) -> None:
    assert values.check_int(number) == number


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30])
def test_integers_beyond_64_bits_are_refused(number: int) -> None:
    with pytest.raises(InvalidValue, match="integer beyond 64 bits"):
        values.check_int(number)


@pytest.mark.parametrize("value", [True, False, 1.0, "1", None])
def test_booleans_floats_and_texts_are_no_integers(value: object) -> None:
    with pytest.raises(InvalidValue, match="expected an integer, got"):
        values.check_int(value)


@given(finite)
@example(5e-324)
@example(1.7976931348623157e308)
def test_doubles_keep_every_bit_but_the_sign_of_zero(number: float) -> None:
    stored = values.check_real(number)

    if number == 0:
        assert math.copysign(1.0, stored) == 1.0
        assert stored == 0
    else:
        assert struct.pack("d", stored) == struct.pack("d", number)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_refused(number: float) -> None:
    with pytest.raises(InvalidValue, match="is not a finite number; leave the value out instead"):
        values.check_real(number)


@given(st.integers(-(10**400), 10**400))
@example(2**53)
@example(2**53 + 1)
@example(10**400)
def test_an_integer_is_taken_as_a_double_only_when_that_holds_it_exactly(number: int) -> None:
    try:
        exact = int(float(number)) == number
    except OverflowError:
        exact = False

    if exact:
        stored = values.check_real(number)
        assert stored == number
        assert type(stored) is float
    else:
        with pytest.raises(InvalidValue, match="integer that no double holds exactly"):
            values.check_real(number)


@pytest.mark.parametrize("value", [True, False, "1.5", None, b"1"])
def test_what_is_no_number_is_no_double(value: object) -> None:
    with pytest.raises(InvalidValue, match="expected a number, got"):
        values.check_real(value)


@pytest.mark.parametrize("value", [0, 1, "true", None, 1.0])
def test_only_booleans_are_booleans(value: object) -> None:
    with pytest.raises(InvalidValue, match="expected a boolean, got"):
        values.check_bool(value)


# JSON -------------------------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | int64 | finite | well_formed,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(well_formed, inner, max_size=4),
    max_leaves=20,
)


def same(left: object, right: object) -> bool:
    """Tell whether two JSON values are equal in value and type, -0.0 being 0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    return left == right


@given(json_values)
@example({"one": 1, "real": 1.0, "yes": True})
@example([1e22, 1e308, -0.0, 2**63 - 1])
def test_json_comes_back_with_equal_values_and_types(value: object) -> None:
    assert same(values.parse_json(values.json_text(value)), value)


@given(json_values)
@example({"a": -0.0, "b": "-0.0"})
def test_json_text_is_json_and_never_holds_minus_zero(value: object) -> None:
    def no_minus_zero(parsed: object) -> bool:
        match parsed:
            case float():
                return math.copysign(1.0, parsed) == 1.0 or parsed != 0
            case list():
                return all(map(no_minus_zero, parsed))
            case dict():
                return all(map(no_minus_zero, parsed.values()))
        return True

    assert no_minus_zero(json.loads(values.json_text(value)))


@given(st.dictionaries(well_formed, int64), st.randoms(use_true_random=False))
def test_json_text_does_not_depend_on_the_order_of_names(value: dict[str, int], random: object) -> None:
    names = list(value)
    random.shuffle(names)  # type: ignore[attr-defined]

    assert values.json_text({name: value[name] for name in names}) == values.json_text(value)


def nested(depth: int, *, lists: bool) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value] if lists else {"in": value}
    return value


@pytest.mark.parametrize("lists", [True, False], ids=["lists", "objects"])
def test_json_is_nested_up_to_100_deep_and_no_deeper(lists: bool) -> None:
    deepest = nested(100, lists=lists)
    assert values.parse_json(values.json_text(deepest)) == deepest

    for depth in (101, 5_000):
        with pytest.raises(InvalidValue, match="nested deeper than 100"):
            values.json_text(nested(depth, lists=lists))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"a": math.nan}, "not a finite number"),
        ([math.inf], "not a finite number"),
        ([2**63], "integer beyond 64 bits"),
        ({"a": {"b": -(2**63) - 1}}, "integer beyond 64 bits"),
        (["\0"], "NUL"),
        ({"\0": 1}, "NUL"),
        (["\ud800"], "lone surrogate"),
        ({"\udfff": 1}, "lone surrogate"),
        ({1: 2}, "a name of type int"),
        ({None: 2}, "a name of type NoneType"),
        ((1, 2), "can't hold a tuple"),
        ({1, 2}, "can't hold a set"),
        (b"bytes", "can't hold a bytes"),
        ([object()], "can't hold a object"),
    ],
)
def test_what_json_can_not_hold_is_refused(value: object, problem: str) -> None:
    with pytest.raises(InvalidValue, match=rf"^metadata: .*{problem}"):
        values.json_text(value, "metadata")


# Addresses --------------------------------------------------------------------------------------------------------

groups = st.lists(st.sampled_from([0, 0, 0, 1, 0xFFFF, 0x0A0B, 0x1234]), min_size=8, max_size=8)
any_v6 = st.integers(0, 2**128 - 1) | groups.map(lambda parts: int("".join(f"{part:04x}" for part in parts), 16))
any_address = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address) | any_v6.map(ipaddress.IPv6Address)


def independent_v6(number: int) -> str:
    """RFC 5952 once more, by another way: the first longest run of zero groups is found in the written text."""
    written = ":".join(f"{number >> shift & 0xFFFF:x}" for shift in range(112, -1, -16))
    for length in range(8, 1, -1):
        run = ":".join("0" * length)
        for at in range(9 - length):
            parts = written.split(":")
            if ":".join(parts[at : at + length]) == run:
                return ":".join(parts[:at]) + "::" + ":".join(parts[at + length :])
    return written


@given(any_v6)
@example(0)
@example(1)
@example(1 << 112)
@example(0xFFFF_0102_0304)
@example(0x0102_0304)
def test_ipv6_has_the_one_form_of_rfc_5952_in_hexadecimal_only(number: int) -> None:
    assert values.address(ipaddress.IPv6Address(number)) == independent_v6(number)


@given(groups)
def test_ipv6_is_written_as_the_standard_library_writes_it_where_that_is_settled(parts: list[int]) -> None:
    """Newer Pythons print mapped addresses with dots, older ones do not; every other address has one text."""
    number = int("".join(f"{part:04x}" for part in parts), 16)
    address = ipaddress.IPv6Address(number)
    if address.ipv4_mapped is None:
        assert values.address(str(address)) == str(address)


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ("192.168.1.20", "192.168.1.20"),
        ("::ffff:1.2.3.4", "::ffff:102:304"),
        ("::1.2.3.4", "::102:304"),
        ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("0:0:0:0:0:0:0:0", "::"),
        ("1:0:0:0:0:0:0:0", "1::"),
        ("::1", "::1"),
        ("FE80::", "fe80::"),
    ],
)
def test_an_address_is_stored_in_its_canonical_form(said: str, stored: str) -> None:
    assert values.address(said) == stored


@pytest.mark.parametrize(
    "text",
    [
        "010.0.0.1", "10.0.0.1/8", "10.0.0", "10.0.0.256", "10.0.0.1\n", " 10.0.0.1", "10.0.0.1 ", "", "::1\n",
        "١٠.٠.٠.١", "1::2::3", "12345::", "localhost", "10.0.0.1:80", "[::1]",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match=r"^ip: .* is not an IP address$"):
        values.address(text, "ip")


@pytest.mark.parametrize("value", ["fe80::1%eth0", ipaddress.IPv6Address("fe80::1%2")])
def test_a_scope_id_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue, match="has a scope id, which means something on one machine only"):
        values.address(value)


@pytest.mark.parametrize("value", [None, 1, True, b"\x01\x02\x03\x04"])
def test_numbers_and_bytes_are_no_addresses(value: object) -> None:
    with pytest.raises(InvalidValue, match="expected an IP address, got"):
        values.address(value)


def by_version_then_value(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> tuple[int, int]:
    return address.version, int(address)


@given(st.lists(any_address, max_size=10))
def test_addresses_order_by_version_then_value(addresses: list[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> None:
    expected = [values.address(address) for address in sorted(addresses, key=by_version_then_value)]

    assert sorted((values.address(a) for a in addresses), key=values.address_order) == expected


@given(any_address)
def test_the_order_of_an_address_tells_the_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    canonical = values.address(address)

    assert values.address_of_order(values.address_order(canonical)) == canonical
    assert len(values.address_order(canonical)) <= 33


@given(any_address, any_address, st.integers(0, 128))
def test_an_address_is_in_a_network_exactly_when_the_standard_library_says_so(
    inside: ipaddress.IPv4Address | ipaddress.IPv6Address,
    other: ipaddress.IPv4Address | ipaddress.IPv6Address,
    bits: int,
) -> None:
    network = ipaddress.ip_network((inside, min(bits, inside.max_prefixlen)), strict=False)
    first, last = values.network_range(str(network))

    for address in (inside, other):
        order = values.address_order(values.address(address))
        assert (first <= order <= last) is (address.version == network.version and address in network)


@pytest.mark.parametrize(
    "network", ["192.168.1.1/24", "192.168.1.0/33", "house", "", "fe80::%eth0/64", None, "010.0.0.0/8"]
)
def test_what_is_no_network_is_refused(network: object) -> None:
    with pytest.raises(InvalidValue, match=r"^ip: .* is not a network"):
        values.network_range(network, "ip")


@given(st.binary(min_size=6, max_size=6), st.booleans())
def test_every_way_to_write_a_mac_address_is_stored_as_one(packed: bytes, upper: bool) -> None:
    canonical = ":".join(f"{byte:02x}" for byte in packed)
    digits = packed.hex()
    ways = [canonical, canonical.replace(":", "-"), f"{digits[:4]}.{digits[4:8]}.{digits[8:]}"]

    assert {values.mac(way.upper() if upper else way) for way in ways} == {canonical}


@pytest.mark.parametrize(
    "text",
    [
        "00:1a:2b:3c:4d", "00:1a:2b:3c:4d:5e:6f", "00:1a:2b:3c:4d:5g", "001a2b3c4d5e", "a:b:c:0:1:2",
        "00:1a-2b:3c:4d:5e",
        "00:1a:2b:3c:4d:5e\n", " 00:1a:2b:3c:4d:5e", "٠٠:1a:2b:3c:4d:5e", "", "001a:2b3c:4d5e",
    ],
)  # fmt: skip
def test_what_is_no_mac_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match=r"^mac: .* is not a MAC address; write it like 00:1a:2b:3c:4d:5e$"):
        values.mac(text, "mac")


# Sets of texts ----------------------------------------------------------------------------------------------------


@given(st.lists(well_formed.filter(lambda text: 0 < len(text) <= 8)))
def test_tags_are_a_sorted_set_and_the_empty_set_is_nothing(members: list[str]) -> None:
    assert values.tags(members, "tags", 8) == (tuple(sorted(set(members))) or None)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("text", "expected a set of texts, got str"),
        (1, "expected a set of texts, got int"),
        (None, "expected a set of texts, got NoneType"),
        ({1}, "expected text, got int"),
        ({""}, "a tag has 0 characters; allowed are 1 to 8"),
        ({"x" * 9}, "a tag has 9 characters; allowed are 1 to 8"),
        ({"a\0"}, "NUL"),
        ({"\ud800"}, "lone surrogate"),
    ],
)
def test_what_is_no_set_of_tags_is_refused(value: object, problem: str) -> None:
    with pytest.raises(InvalidValue, match=rf"^tags: .*{problem}"):
        values.tags(value, "tags", 8)
