"""What the state machines draw from: small pools in which keys collide, and values over every declared limit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hypothesis import strategies as st

from iotstore import Point
from iotstore_conformance.filters import Both, Condition, Either, Opposite, Test
from iotstore_conformance.kinds import Sample, Tally
from iotstore_conformance.samples import HARD_TEXTS
from iotstore_conformance.stage import NOON

KEYS: Final = ("a", "A", "b", "\u00e9", "e\u0301", "k" * 60)
_EDGES: Final = (-(2**63), -(2**53) - 1, -1, 0, 1, 2, 2**53 + 1, 2**63 - 1)
_REALS: Final = (-1.7e308, -1.5, 0.0, 5e-324, 0.1, 1.0, 2.0**53, 1.7e308)
_TIMES: Final = (
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    NOON,
    NOON + timedelta(microseconds=1),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
)
_TEXTS: Final = (*HARD_TEXTS[:-1], "a", "ab", "AB", "x" * 500)
_TAGS: Final = ("py", "python", "%")

keys = st.sampled_from(KEYS)
numbers = st.none() | st.sampled_from(_EDGES) | st.integers(-5, 5)
reals = st.none() | st.sampled_from(_REALS)
texts = st.none() | st.sampled_from(_TEXTS)
titles = st.none() | st.sampled_from([text for text in _TEXTS if len(text) <= 300])
times = st.none() | st.sampled_from(_TIMES)
tags = st.frozensets(st.sampled_from(_TAGS), max_size=2)
json = st.recursive(
    st.none() | st.booleans() | st.sampled_from(_EDGES) | st.sampled_from(_REALS) | st.sampled_from(_TEXTS[:8]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "B", ""]), inner, max_size=3),
    max_leaves=4,
)

_good: Final[dict[str, st.SearchStrategy[Any]]] = {
    "text": texts,
    "title": titles,
    "number": numbers,
    "real": reals,
    "flag": st.none() | st.booleans(),
    "when": times,
    "tags": tags,
    "json": json,
}
good_samples = st.builds(Sample, key=keys, **_good)
bad_samples = st.builds(Sample, key=keys, number=st.just(2**63)) | st.builds(Sample, key=keys, text=st.just("x\0"))
samples = st.one_of(good_samples, good_samples, good_samples, bad_samples)
tallies = st.builds(
    Tally, key=keys, replaced=numbers, filled=numbers, kept=numbers, least=numbers, most=numbers
)  # fmt: skip


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    """Some fields of a sample with new values, at least one."""
    names = draw(st.lists(st.sampled_from(sorted(_good)), min_size=1, max_size=3, unique=True))
    return {name: draw(_good[name]) for name in names}


_tests: Final = st.one_of(
    st.builds(Test, st.just("number"), st.sampled_from(["==", "<", "<=", ">", ">="]), st.sampled_from(_EDGES)),
    st.builds(Test, st.just("number"), st.just("in"), st.lists(st.sampled_from(_EDGES), max_size=3)),
    st.builds(Test, st.just("real"), st.sampled_from(["==", "<", ">="]), st.sampled_from(_REALS)),
    st.builds(Test, st.just("text"), st.sampled_from(["==", "<", ">", "starts"]), st.sampled_from(_TEXTS[:-1])),
    st.builds(Test, st.just("title"), st.just("contains"), st.sampled_from(["a", "A", "%", "_", "\u00e9", "e", ""])),
    st.builds(Test, st.just("when"), st.sampled_from(["==", "<", ">="]), st.sampled_from(_TIMES)),
    st.builds(Test, st.just("tags"), st.just("tag"), st.sampled_from(_TAGS)),
    st.builds(Test, st.sampled_from(["number", "text", "flag", "tags", "when"]), st.just("null")),
    st.builds(Test, st.just("flag"), st.just("=="), st.booleans()),
    st.builds(Test, st.just("key"), st.sampled_from(["==", ">"]), keys),
)
conditions: st.SearchStrategy[Condition] = st.recursive(
    _tests,
    lambda inner: st.builds(Both, inner, inner) | st.builds(Either, inner, inner) | st.builds(Opposite, inner),
    max_leaves=4,
)
orders = st.lists(
    st.sampled_from(["number", "-number", "real", "-real", "text", "-text", "when", "-when", "flag", "-key"]),
    max_size=3,
    unique_by=lambda name: name.removeprefix("-"),
)

#: Metrics of the telemetry machine: name as defined, type.
METRICS: Final = (("Float", "float"), ("count", "int64"), ("word", "text"), ("on", "bool"))
_names: Final = st.sampled_from(["Float", "float", "count", "COUNT", "word", "on"])
_moments: Final = tuple(
    sorted({NOON + timedelta(seconds=n, microseconds=m) for n in (-3, 0, 1, 2, 60) for m in (0, 1)} | {*_TIMES})
)
moments = st.sampled_from(_moments)
_values: Final = st.one_of(
    st.sampled_from([0.5, -2.25, 1e300, 5e-324, 2.0, -0.0]),
    st.sampled_from([0, 7, 2**53 + 1, 2**63 - 1, -(2**63)]),
    st.sampled_from(["", "on", "\U0001f600", "\uffff", "x\0"]),
    st.booleans(),
    st.sampled_from([float("nan"), float("inf")]),
)
metric_names = _names
devices = st.sampled_from(["a", "b"])
points = st.builds(Point, st.sampled_from(["a", "a", "b", "b", "ghost"]), _names, moments, _values)
_fitting: Final = {
    "float": st.sampled_from([0.5, -2.25, 1e300, 2.0]),
    "int64": st.sampled_from([0, 7, 2**53 + 1, 2**63 - 1]),
    "text": st.sampled_from(["", "on", "\U0001f600", "\uffff"]),
    "bool": st.booleans(),
}
good_points = st.sampled_from(METRICS).flatmap(
    lambda metric: st.builds(Point, devices, st.just(metric[0]), moments, _fitting[metric[1]])
)
