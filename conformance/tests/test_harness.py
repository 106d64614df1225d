"""The one object that a backend author writes: what it declares must fit together, and be short."""

import re
from pathlib import Path

import pytest

from iotstore_conformance import Harness
from iotstore_conformance.harness import at_address

README = Path(__file__).parents[1] / "README.md"


def harness(**options):
    return Harness("mine", fresh=lambda: "x", url=lambda name: f"mine://{name}", **options)


@pytest.mark.parametrize(
    ("options", "engine"),
    [
        ({}, None),
        ({"engine": "embedded"}, "embedded"),
        ({"engine": "server"}, "server"),
        ({"file": Path}, "embedded"),
        ({"full": Path}, "embedded"),
        ({"address": lambda _: ("host", 1)}, "server"),
        ({"start": lambda _: None}, "server"),
        ({"kill": lambda _: None}, None),
    ],
)
def test_the_kind_of_engine_is_what_is_declared_or_what_its_tools_say(options, engine):
    assert harness(**options).engine == engine


@pytest.mark.parametrize(
    "options",
    [
        {"engine": "embedded", "address": lambda _: ("host", 1)},
        {"engine": "server", "file": Path},
        {"engine": "server", "full": Path},
        {"file": Path, "address": lambda _: ("host", 1)},
        {"engine": "cloud"},
    ],
)
def test_an_engine_cannot_be_both_or_neither_of_the_two(options):
    with pytest.raises(ValueError, match=r"can't be both|write embedded or server"):
        harness(**options)


@pytest.mark.parametrize(
    ("url", "moved"),
    [
        ("x://host:5432/db", "x://127.0.0.1:9/db"),
        ("x://me:p%40ss@host/db?sslmode=off", "x://me:p%40ss@127.0.0.1:9/db?sslmode=off"),
        ("x://[::1]:5432/db", "x://127.0.0.1:9/db"),
        ("x:///db?host=/tmp", "x://127.0.0.1:9/db?host=/tmp"),
        ("x://one:1,two:2/db#part", "x://127.0.0.1:9/db#part"),
        ("x://host", "x://127.0.0.1:9"),
    ],
)
def test_a_url_is_moved_to_another_address_and_keeps_the_rest(url, moved):
    assert at_address(url, "127.0.0.1", 9) == moved


def test_what_has_no_address_is_not_moved_and_not_shown():
    with pytest.raises(ValueError, match="has no address") as caught:
        at_address("hunter2", "127.0.0.1", 9)
    assert "hunter2" not in str(caught.value)


def test_the_harness_in_the_readme_has_at_most_twelve_lines():
    for block in re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL):
        if "Harness(" in block:
            made = block[block.index("harness = ") :].strip().splitlines()
            assert len(made) <= 12, block
