"""The canonical encoding: pinned, for what was written once must have the same digest for ever."""

import math
from array import array
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotstore._catalogue.catalogue import Digester, difference, reference_order
from iotstore._catalogue.lines import Block, RecordLines, whole_lines
from iotstore._catalogue.manifest import FORMAT, KindEntry, Manifest, NativeFile, Summary, digest, seal, unseal
from iotstore._catalogue.points import LINE_POINTS, SeriesEntry, _lines, parse
from iotstore._waist.layout import Column, Holding, Layout, OnDelete, Reference, Type
from iotstore._waist.queries import Columns
from iotstore.errors import BackupError

LAYOUT = Layout(
    "sample",
    (
        Column("key", Type.TEXT),
        Column("name", Type.TEXT, nullable=True),
        Column("name__fold", Type.TEXT, nullable=True, shadow_of="name"),
        Column("ip", Type.TEXT, nullable=True),
        Column("ip__order", Type.TEXT, nullable=True, shadow_of="ip"),
        Column("big", Type.INT),
        Column("level", Type.REAL, nullable=True),
        Column("flag", Type.BOOL, nullable=True),
        Column("raw", Type.BYTES, nullable=True),
        Column("at", Type.TIME, nullable=True),
        Column("tags", Type.TEXTSET, nullable=True),
        Column("version", Type.INT),
    ),
    ("key",),
    version="version",
)
ROW = (
    "k", 'Straße "\n\u2028😀', 'strasse "\n\u2028😀', "::1", "6" + "0" * 31 + "1", 2**63 - 1, 0.1 + 0.2, True,
    b"\x00\xff", -1, ("a", "b"), 7,
)  # fmt: skip
EMPTY = ("", None, None, None, None, -(2**63), None, None, None, None, None, 1)
LINES = (
    '[-1,9223372036854775807,true,"::1","k",0.30000000000000004,"Straße \\"\\n\u2028😀","AP8=",["a","b"],7]\n'
    '[null,-9223372036854775808,null,null,"",null,null,null,null,1]\n'
).encode()
# As SQLite might hold them: no booleans and no sets.
HOLDS = {
    Type.BOOL: Holding(int, bool),
    Type.TEXTSET: Holding("\n".join, lambda text: tuple(text.split("\n"))),
}


def held(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row as HOLDS holds it."""
    tags = None if row[10] is None else "\n".join(row[10])
    return (*row[:7], None if row[7] is None else int(row[7]), *row[8:10], tags, *row[11:])


def test_the_canonical_lines_of_records_are_these() -> None:
    lines = RecordLines(LAYOUT, {})

    assert lines.dump([ROW, EMPTY]) == LINES
    assert digest(LINES) == "959ebb8a1cedb2aa700a1ec2504917edc0ce31bdefa0153ce446cd2eef8aab92"


def test_lines_do_not_depend_on_how_a_backend_holds_values() -> None:
    lines = RecordLines(LAYOUT, HOLDS)

    assert lines.dump([held(ROW), held(EMPTY)]) == LINES
    assert lines.parse(LINES) == [held(ROW), held(EMPTY)]


def test_shadows_are_computed_again_from_lines() -> None:
    assert RecordLines(LAYOUT, {}).parse(LINES) == [ROW, EMPTY]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.0, "1.0"), (0.0, "0.0"), (1e16, "1e16"), (1e22, "1e22"), (123456789012345680.0, "1.2345678901234568e17"),
        (1e-7, "1e-7"), (5e-324, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e308"), (-0.001, "-0.001"),
    ],
)  # fmt: skip
def test_a_double_is_written_in_this_shortest_form(number: float, text: str) -> None:
    layout = Layout("one", (Column("value", Type.REAL),), ("value",))

    assert RecordLines(layout, {}).dump([(number,)]) == f"[{text}]\n".encode()


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(
    st.lists(
        st.tuples(
            _TEXT, st.none() | _TEXT, st.integers(-(2**63), 2**63 - 1),
            st.none() | st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0),
            st.none() | st.booleans(),
            st.none() | st.binary(max_size=20), st.none() | st.integers(-(2**55), 2**55),
            st.none() | st.frozensets(_TEXT.filter(bool), min_size=1).map(lambda s: tuple(sorted(s))),
        ),
        min_size=1,
    )
)  # fmt: skip
def test_every_value_comes_back_from_its_line_with_its_type(rows: list[tuple[Any, ...]]) -> None:
    given_rows = [
        (key, name, None if name is None else name.casefold(), None, None, big, level, flag, raw, at, tags, 1)
        for key, name, big, level, flag, raw, at, tags in rows
    ]
    lines = RecordLines(LAYOUT, {})

    found = lines.parse(lines.dump(given_rows))

    assert [[(type(v), v) for v in row] for row in found] == [[(type(v), v) for v in row] for row in given_rows]


@pytest.mark.parametrize(
    "line",
    [
        b"[]\n",
        b"not json\n",
        LINES.replace(b"true", b"1"),
        LINES.replace(b"-1,9", b"-1.5,9"),
        LINES.replace(b'"k"', b"null"),
        LINES.replace(b"AP8=", b"AP8"),
        LINES.replace(b",7]", b",7,8]"),
        LINES.replace(b"0.30000000000000004", b"1e999"),
        LINES.replace(b'"k"', b'"\\ud800"'),
        LINES.replace(b'"k"', b'"\xff"'),
    ],
)
def test_a_line_that_does_not_fit_its_layout_is_an_error(line: bytes) -> None:
    with pytest.raises(BackupError, match="a line of sample does not fit"):
        RecordLines(LAYOUT, {}).parse(line)


def test_an_unknown_computed_column_is_an_error_and_never_left_empty() -> None:
    layout = Layout("one", (Column("a", Type.TEXT), Column("a__soundex", Type.TEXT, shadow_of="a")), ("a",))

    with pytest.raises(BackupError, match=r"a__soundex.*newer version"):
        RecordLines(layout, {})


@given(st.lists(st.binary(max_size=5).map(lambda b: b.replace(b"\n", b"") + b"\n")), st.integers(1, 7))
def test_lines_are_whole_however_the_bytes_arrive(lines: list[bytes], size: int) -> None:
    data = b"".join(lines)
    pieces = list(whole_lines((data[at : at + size] for at in range(0, len(data), size)), "a part"))

    assert b"".join(pieces) == data
    assert all(piece.endswith(b"\n") for piece in pieces)


def test_a_part_that_ends_inside_a_line_is_an_error() -> None:
    with pytest.raises(BackupError, match="a part ends inside a line"):
        list(whole_lines(iter([b"[1]\n[2"]), "a part"))


def test_the_canonical_lines_of_points_are_these() -> None:
    series = SeriesEntry("cam-1", "temperature", "float", 5)

    blocks = list(_lines(series, iter([Columns([1, 2], [1.0, -0.5]), Columns(array("q", [3]), array("d", [1e-7]))])))

    assert blocks == [
        Block(b'{"device":"cam-1","metric":"temperature","type":"float","times":[1,2,3],"values":[1.0,-0.5,1e-7]}\n', 3)
    ]


@pytest.mark.parametrize("sizes", [[4096], [4095, 1, 1], [10_000, 1], [1] * 5000, [8192, 8192], []])
def test_every_line_of_a_series_but_the_last_has_4096_points_however_they_are_scanned(sizes: list[int]) -> None:
    series = SeriesEntry("d", "m", "int64", 1)
    starts = [sum(sizes[:n]) for n in range(len(sizes))]
    chunks = [
        Columns(range(start, start + size), range(start, start + size))
        for start, size in zip(starts, sizes, strict=True)
    ]

    lines = parse(b"".join(block.data for block in _lines(series, iter(chunks))))

    assert [len(line.times) for line in lines[:-1]] == [LINE_POINTS] * (len(lines) - 1)
    assert [time for line in lines for time in line.times] == list(range(sum(sizes)))


@pytest.mark.parametrize(
    ("type_", "values"),
    [("float", "[1]"), ("int64", "[1.0]"), ("int64", "[true]"), ("bool", "[1]"), ("text", "[null]"), ("float", "[]")],
)
def test_a_point_line_with_values_of_another_type_is_an_error(type_: str, values: str) -> None:
    line = f'{{"device":"d","metric":"m","type":"{type_}","times":[1],"values":{values}}}\n'.encode()

    with pytest.raises(BackupError, match="a line of points of 'd'"):
        parse(line)


def test_a_point_line_with_an_unknown_member_is_an_error() -> None:
    with pytest.raises(BackupError, match="not as the format wants it"):
        parse(b'{"device":"d","metric":"m","type":"float","times":[1],"values":[1.0],"unit":"C"}\n')


def manifest(**changes: Any) -> Manifest:
    """A small manifest."""
    fields: dict[str, Any] = {
        "library": "0.1.0", "created": "2026-03-01T12:00:00.000000+00:00", "label": None, "backend": "sqlite",
        "kinds": (KindEntry("sample", 1, {"a": [1, 2.5, None]}),), "counters": {"sample": 65},
        "collections": (Summary("sample", 1, "00" * 32),), "native": None, **changes,
    }  # fmt: skip
    return Manifest(**fields)


@pytest.mark.parametrize("native", [None, NativeFile(4096, "11" * 32)])
def test_a_manifest_comes_back_as_it_was_sealed(native: NativeFile | None) -> None:
    assert unseal(seal(manifest(native=native)), "x") == manifest(native=native)


@given(st.data())
def test_any_changed_byte_of_a_manifest_is_noticed(data: st.DataObject) -> None:
    sealed = bytearray(seal(manifest()))
    position = data.draw(st.integers(0, len(sealed) - 1))
    sealed[position] ^= data.draw(st.integers(1, 255))

    with pytest.raises(BackupError, match="manifest of x"):
        unseal(bytes(sealed), "x")


def test_a_manifest_of_a_newer_format_says_so_whatever_else_is_in_it() -> None:
    body = b'{\n  "format": %d,\n  "shape": "new"' % (FORMAT + 1)
    sealed = body + f',\n  "seal": "{digest(body)}"\n}}\n'.encode()

    with pytest.raises(BackupError, match=r"x has format 2; this version reads up to 1; use a newer version"):
        unseal(sealed, "x")


def test_a_manifest_that_is_sealed_but_of_another_shape_is_an_error() -> None:
    body = b'{\n  "format": 1,\n  "shape": "odd"'

    with pytest.raises(BackupError, match="not as the format wants it"):
        unseal(body + f',\n  "seal": "{digest(body)}"\n}}\n'.encode(), "x")


def layout(name: str, *targets: str) -> Layout:
    """A layout that points to others."""
    columns = tuple(Column(f"to_{target}", Type.TEXT, nullable=True) for target in targets)
    references = tuple(Reference(f"to_{target}", target, OnDelete.RESTRICT) for target in targets)
    return Layout(name, (Column("key", Type.TEXT), *columns), ("key",), (), references)


def test_reference_order_puts_what_is_pointed_to_first() -> None:
    order = reference_order([layout("a", "b"), layout("c"), layout("b", "c", "b")])

    assert [one.name for one in order] == ["c", "b", "a"]


def test_reference_order_of_a_ring_is_by_name_and_complete() -> None:
    assert [one.name for one in reference_order([layout("b", "a"), layout("a", "b"), layout("c", "a")])] == [
        "a",
        "b",
        "c",
    ]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([Summary("a", 1, "x")], None),
        ([Summary("a", 2, "x")], "a has 2 rows, not 1"),
        ([Summary("a", 1, "y")], "the 1 rows of a are not the same"),
        ([], "a has 1 rows on one side and does not exist on the other"),
        ([Summary("a", 1, "x"), Summary("b", 3, "z")], "b has 3 rows on one side"),
        ([Summary("a", 1, "x"), Summary("b", 0, "z")], None),
    ],
)
def test_a_difference_names_the_collection(found: list[Summary], words: str | None) -> None:
    said = difference([Summary("a", 1, "x")], found)

    assert said is None if words is None else words in str(said)


def test_a_digest_does_not_depend_on_how_lines_are_cut_into_blocks() -> None:
    whole, cut = Digester("a"), Digester("a")
    whole.add(Block(LINES, 2))
    for at in range(0, len(LINES), 7):
        cut.add(Block(LINES[at : at + 7], 2 if at == 0 else 0))

    assert whole.summary() == cut.summary() == Summary("a", 2, digest(LINES))


def test_numbers_of_arrays_are_written_as_plain_numbers() -> None:
    class Times(SimpleNamespace):
        tolist: Callable[[], list[int]]

    series = SeriesEntry("d", "m", "float", 1)
    chunk = Columns(Times(tolist=lambda: [1, 2]), Times(tolist=lambda: [0.5, math.pi]))  # type: ignore[arg-type]

    (block,) = _lines(series, iter([chunk]))

    assert block.data.endswith(b'"times":[1,2],"values":[0.5,3.141592653589793]}\n')
