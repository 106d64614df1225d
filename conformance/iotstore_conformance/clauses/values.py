"""Values: text, numbers, bytes, times and sets come back as they went in, or are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from math import copysign, inf, nan
from zoneinfo import ZoneInfo

import pytest

from iotstore import Device, InvalidValue, Point, field
from iotstore.backend import Capability
from iotstore_conformance.kinds import SAMPLES, WIDEST, Sample
from iotstore_conformance.registry import clause
from iotstore_conformance.samples import HARD_TEXTS
from iotstore_conformance.stage import NOON, Stage


@clause("VAL-001")
def text_is_kept(stage: Stage) -> None:
    """Well-formed text MUST come back exactly as it went in: never normalised, folded, trimmed or cut."""
    samples = stage.store.records(SAMPLES)
    for number, text in enumerate(HARD_TEXTS):
        samples.add(Sample(key=f"k{number}", text=text, title=text[:300]))
    for number, text in enumerate(HARD_TEXTS):
        found = samples.get(f"k{number}")
        assert (found.text, found.title) == (text, text[:300])


@clause("VAL-002")
def keys_are_told_apart_by_code_points(stage: Stage) -> None:
    """Keys that differ in case, normalisation or trailing spaces MUST be different keys."""
    keys = [
        "a",
        "A",
        "a ",
        " a",
        "e\u0301",
        "\u00e9",
        "\u00df",
        "ss",
        "\u1e9e",
        "K",
        "\u212a",
        "i",
        "\u0130",
        "1",
        "01",
    ]
    stage.devices(*keys)
    assert stage.store.devices.count() == len(keys)
    assert [device.key for device in stage.store.devices.list(order=["key"])] == sorted(keys)


@clause("VAL-003")
def text_orders_by_code_point(stage: Stage) -> None:
    """Text MUST be ordered and compared by code point, beyond the basic plane too."""
    samples = stage.store.records(SAMPLES)
    texts = [
        "",
        "A",
        "Z",
        "a",
        "z",
        "\u00e9",
        "\u4e2d",
        "\ud7ff",
        "\ue000",
        "\uffee",
        "\uffff",
        "\U00010000",
        "\U0001f600",
    ]
    samples.add_many([Sample(key=f"k{number}", text=text) for number, text in enumerate(reversed(texts))])
    assert [sample.text for sample in samples.list(order=["text"])] == texts
    assert [sample.text for sample in samples.list(order=["-text"])] == texts[::-1]
    for number, text in enumerate(texts):
        assert samples.count(field("text") > text) == len(texts) - number - 1
        assert samples.count(field("text") <= text) == number + 1


@clause("VAL-004")
def nul_is_refused(stage: Stage) -> None:
    """A NUL character MUST be refused in every text, in keys and inside JSON."""
    samples = stage.store.records(SAMPLES)
    for sample in [
        Sample(key="a", text="x\0y"),
        Sample(key="a\0b"),
        Sample(key="a", title="\0"),
        Sample(key="a", json={"x": ["\0"]}),
        Sample(key="a", json={"\0": 1}),
        Sample(key="a", tags=frozenset({"\0"})),
    ]:
        with pytest.raises(InvalidValue, match="NUL"):
            samples.add(sample)
    assert samples.count() == 0


@clause("VAL-005")
def surrogates_are_refused(stage: Stage) -> None:
    """A lone surrogate MUST be refused in every text, in keys and inside JSON."""
    samples = stage.store.records(SAMPLES)
    for sample in [
        Sample(key="a", text="\ud800"),
        Sample(key="\udfff"),
        Sample(key="a", title="x\udc00"),
        Sample(key="a", json=["\ud800"]),
        Sample(key="a", json={"\udfff": None}),
        Sample(key="a", tags=frozenset({"\ud83d"})),
    ]:
        with pytest.raises(InvalidValue, match="surrogate"):
            samples.add(sample)
    assert samples.count() == 0


@clause("VAL-006")
def lengths_are_limits(stage: Stage) -> None:
    """Text and bytes of exactly the declared length MUST be kept, counted in code points and bytes; one more is
    refused."""
    samples = stage.store.records(SAMPLES)
    face = "\U0001f600"
    samples.add(Sample(key=face * 60, title=face * 300, data=b"\0\xff" * (WIDEST // 2)))
    found = samples.get(face * 60)
    assert (found.title, found.data) == (face * 300, b"\0\xff" * (WIDEST // 2))
    for name, sample in [
        ("key", Sample(key="k" * 61)),
        ("key", Sample(key="")),
        ("title", Sample(key="a", title="t" * 301)),
        ("data", Sample(key="a", data=b"x" * (WIDEST + 1))),
        ("tags", Sample(key="a", tags=frozenset({"t" * 65}))),
    ]:
        with pytest.raises(InvalidValue) as caught:
            samples.add(sample)
        assert caught.value.field == name or name in str(caught.value)
    assert samples.count() == 1


@clause("VAL-007")
def long_text_is_whole(stage: Stage) -> None:
    """Texts of 64 KiB and of 1 MiB MUST be kept whole and be found by what stands at their end."""
    samples = stage.store.records(SAMPLES)
    long, longer = "x" * 65_536 + "end of one", "y" * (WIDEST - 10) + "end of two"
    samples.add_many([Sample(key="long", text=long), Sample(key="longer", text=longer)])
    assert samples.get("long").text == long
    assert samples.get("longer").text == longer
    assert [sample.key for sample in samples.list(field("text").contains("end of two", case=True))] == ["longer"]


@clause("VAL-010")
def integers_are_exact(stage: Stage) -> None:
    """Integers MUST be kept exactly over all 64 bits, and wider ones refused."""
    samples = stage.store.records(SAMPLES)
    edges = [-(2**63), -(2**63) + 1, -(2**53) - 1, -1, 0, 1, 2**53 + 1, 2**63 - 2, 2**63 - 1]
    samples.add_many([Sample(key=f"k{number}", number=edge) for number, edge in enumerate(edges)])
    assert [sample.number for sample in samples.list(order=["number"])] == edges
    for edge in edges:
        assert [sample.number for sample in samples.list(field("number") == edge)] == [edge]
    for beyond in (2**63, -(2**63) - 1):
        with pytest.raises(InvalidValue, match="number"):
            samples.add(Sample(key="beyond", number=beyond))


@clause("VAL-011")
def types_are_not_mixed(stage: Stage) -> None:
    """A value of another type MUST be refused by name: no text for a number, no number for a boolean, no 1.5 for an
    integer."""
    samples = stage.store.records(SAMPLES)
    wrong: list[tuple[str, object]] = [
        ("number", 1.5), ("number", "1"), ("number", True), ("real", "1.0"), ("real", True), ("flag", 1),
        ("flag", "yes"), ("text", 5), ("text", b"x"), ("when", "2026-03-04"), ("when", 0), ("span", 60),
        ("data", "x"), ("tags", "abc"),
    ]  # fmt: skip
    for name, value in wrong:
        with pytest.raises(InvalidValue, match=name):
            samples.add(Sample(key="a", **{name: value}))  # type: ignore[arg-type]  # that is the point
    assert samples.count() == 0


@clause("VAL-012")
def doubles_are_exact(stage: Stage) -> None:
    """Finite doubles MUST come back to the bit, from the smallest subnormal to the largest."""
    samples = stage.store.records(SAMPLES)
    doubles = [-1.7976931348623157e308, -1e-300, -5e-324, 0.0, 5e-324, 0.1, 1 / 3, 1e22, 1.7976931348623157e308]
    samples.add_many([Sample(key=f"k{number}", real=double) for number, double in enumerate(doubles)])
    found = [sample.real for sample in samples.list(order=["real"])]
    assert found == doubles
    assert all(type(value) is float for value in found)


@clause("VAL-013")
def zero_has_no_sign(stage: Stage) -> None:
    """The double -0.0 MUST be stored as 0.0."""
    samples = stage.store.records(SAMPLES)
    stored = samples.add(Sample(key="a", real=-0.0))
    for value in (stored.real, samples.get("a").real):
        assert value is not None
        assert value == 0.0
        assert copysign(1, value) == 1.0
    assert samples.count(field("real") < 0.0) == 0


@clause("VAL-014")
def not_a_number_is_refused(stage: Stage) -> None:
    """NaN and infinities MUST be refused in fields, in JSON and in filters."""
    samples = stage.store.records(SAMPLES)
    for value in (nan, inf, -inf):
        with pytest.raises(InvalidValue, match="real"):
            samples.add(Sample(key="a", real=value))
        with pytest.raises(InvalidValue, match="json"):
            samples.add(Sample(key="a", json={"x": [value]}))
        with pytest.raises(InvalidValue, match="real"):
            samples.list(field("real") > value)
    assert samples.count() == 0


@clause("VAL-015", profile="telemetry", needs=[Capability.SERIES])
def points_are_values_too(stage: Stage) -> None:
    """The rules for numbers and text MUST hold for the values of points too."""
    stage.devices("a")
    for bad in (nan, inf, -inf, "x\0", "\ud800"):
        receipt = stage.store.telemetry.write([Point("a", "m", NOON, bad)], on_invalid="reject")
        assert (receipt.stored, len(receipt.rejected)) == (0, 1)
    stage.store.telemetry.write([Point("a", "zero", NOON, -0.0), Point("a", "word", NOON, "e\u0301 \U0001f600")])
    zero = stage.store.telemetry.latest("a", "zero")
    word = stage.store.telemetry.latest("a", "word")
    assert zero is not None
    assert copysign(1, float(zero.value)) == 1.0
    assert word is not None
    assert word.value == "e\u0301 \U0001f600"


@clause("VAL-016")
def booleans_are_booleans(stage: Stage) -> None:
    """Booleans MUST come back as booleans, told apart from a missing value."""
    samples = stage.store.records(SAMPLES)
    samples.add_many([Sample(key="yes", flag=True), Sample(key="no", flag=False), Sample(key="unknown")])
    assert [samples.get(key).flag for key in ("yes", "no", "unknown")] == [True, False, None]
    assert type(samples.get("yes").flag) is bool
    assert [sample.key for sample in samples.list(field("flag") == False)] == ["no"]  # noqa: E712 - a filter


@clause("VAL-020")
def naive_times_are_refused(stage: Stage) -> None:
    """A time without a zone MUST be refused, in records and in filters."""
    samples = stage.store.records(SAMPLES)
    naive = datetime(2026, 3, 4, 12)  # noqa: DTZ001 - a naive time is the point
    with pytest.raises(InvalidValue, match="time zone"):
        samples.add(Sample(key="a", when=naive))
    with pytest.raises(InvalidValue, match="time zone"):
        samples.list(field("when") > naive)
    assert samples.count() == 0


@clause("VAL-021")
def times_are_instants(stage: Stage) -> None:
    """Times MUST come back in UTC as the instant they went in, and one instant at two offsets is one value."""
    samples = stage.store.records(SAMPLES)
    kyiv = datetime(2026, 7, 1, 15, 30, tzinfo=ZoneInfo("Europe/Kyiv"))
    offset = kyiv.astimezone(timezone(timedelta(hours=-9, minutes=-30)))
    samples.add_many([Sample(key="a", when=kyiv), Sample(key="b", when=offset)])
    found = [sample.when for sample in samples.list(field("when") == kyiv, order=["key"])]
    assert found == [kyiv, kyiv]
    assert all(when is not None and when.utcoffset() == timedelta(0) for when in found)


@clause("VAL-022")
def microseconds_are_kept(stage: Stage) -> None:
    """Times MUST be kept to the microsecond, before 1970 and at both ends of the calendar."""
    samples = stage.store.records(SAMPLES)
    times = [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2026, 3, 4, 12, 0, 0, 123_456, tzinfo=UTC),
        datetime(2026, 3, 4, 12, 0, 0, 123_457, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_998, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ]
    samples.add_many([Sample(key=f"k{number}", when=when) for number, when in enumerate(times)])
    assert [sample.when for sample in samples.list(order=["when"])] == times
    for number, when in enumerate(times):
        assert samples.count(field("when") < when) == number


@clause("VAL-023")
def times_outside_the_calendar_are_refused(stage: Stage) -> None:
    """An instant outside the years 1 to 9999 in UTC MUST be refused."""
    samples = stage.store.records(SAMPLES)
    east, west = timezone(timedelta(hours=2)), timezone(timedelta(hours=-2))
    for outside in (datetime(1, 1, 1, tzinfo=east), datetime(9999, 12, 31, 23, tzinfo=west)):
        with pytest.raises(InvalidValue, match="years 1 to 9999"):
            samples.add(Sample(key="a", when=outside))
    assert samples.count() == 0


@clause("VAL-024")
def durations_are_exact(stage: Stage) -> None:
    """Durations MUST be kept to the microsecond, negative ones too."""
    samples = stage.store.records(SAMPLES)
    spans = [timedelta(days=-400, microseconds=1), timedelta(microseconds=-1), timedelta(0), timedelta(seconds=1.5)]
    spans.append(timedelta(days=100_000, microseconds=999_999))
    samples.add_many([Sample(key=f"k{number}", span=span) for number, span in enumerate(spans)])
    assert [sample.span for sample in samples.list(order=["span"])] == spans


@clause("VAL-025")
def tags_are_a_set(stage: Stage) -> None:
    """A set of tags MUST come back as the same set; the empty set comes back as the empty set."""
    samples = stage.store.records(SAMPLES)
    tags = frozenset({"py", "python", "\U0001f600", "a,b", 'quote"', "%", "_", "Py"})
    samples.add_many([Sample(key="many", tags=tags), Sample(key="none")])
    assert samples.get("many").tags == tags
    assert samples.get("none").tags == frozenset()


@clause("VAL-026")
def bytes_are_bytes(stage: Stage) -> None:
    """Bytes MUST come back exactly, with NUL and every other value; empty bytes are not a missing value."""
    samples = stage.store.records(SAMPLES)
    every = bytes(range(256))
    samples.add_many([Sample(key="every", data=every), Sample(key="empty", data=b""), Sample(key="none")])
    assert [samples.get(key).data for key in ("every", "empty", "none")] == [every, b"", None]
    assert type(samples.get("every").data) is bytes


@clause("VAL-027")
def empty_text_is_not_missing(stage: Stage) -> None:
    """Empty text MUST be told apart from a missing value."""
    samples = stage.store.records(SAMPLES)
    samples.add_many([Sample(key="empty", text="", title=""), Sample(key="none")])
    assert (samples.get("empty").text, samples.get("none").text) == ("", None)
    assert [sample.key for sample in samples.list(field("title").is_null())] == ["none"]


@clause("VAL-028")
def answers_are_what_is_stored(stage: Stage) -> None:
    """What add, put and update return MUST equal what a later read returns."""
    devices = stage.store.devices
    added = devices.add(Device(key="a", ip="2001:0DB8::0001", mac="AA-BB-CC-00-11-22", last_seen=NOON))
    assert added == devices.get("a")
    assert devices.put(Device(key="a", name="x", last_seen=NOON - timedelta(1))) == devices.get("a")
    assert devices.update("a", name="y") == devices.get("a")
