"""A run can be moved to another URL: each store gets a place of its own there."""

from dataclasses import replace

import pytest

from iotstore_conformance import Harness
from iotstore_conformance.places import HarnessBroken, guarded, placed

PLAIN = Harness("mine", fresh=lambda: "own", url=lambda name: f"mine://{name}", drop=lambda _: None)


def test_a_name_in_braces_is_replaced_by_a_fresh_one_for_every_store():
    moved = placed(PLAIN, "mine://host/{name}?ssl=on")
    first, second = moved.fresh(), moved.fresh()
    assert first != second
    assert moved.url(first) == f"mine://host/{first}?ssl=on"
    assert moved.drop is None


def test_a_server_gets_the_name_at_the_end_of_the_path():
    moved = placed(PLAIN, "mine://host:5432/db?ssl=on")
    assert moved.url("x") == "mine://host:5432/db_x?ssl=on"


def test_a_file_gets_a_folder_of_its_own_that_is_removed_afterwards(tmp_path):
    moved = placed(PLAIN, f"mine:///{tmp_path}/home.db?x=1")
    place = moved.fresh()
    assert (tmp_path / place).is_dir()
    assert moved.url(place) == f"mine:///{tmp_path}/{place}/home.db?x=1"
    moved.drop(place)
    assert list(tmp_path.iterdir()) == []


def test_a_relative_file_gets_its_folder_where_the_run_was_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    moved = placed(PLAIN, "mine:///home.db")
    place = moved.fresh()
    assert moved.url(place) == f"mine:///{place}/home.db"
    assert (tmp_path / place).is_dir()


@pytest.mark.parametrize("name", ["fresh", "url", "drop", "kill", "foreign"])
def test_an_error_of_the_harness_is_told_apart_from_one_of_the_backend(name):
    def fall(*_):
        raise OSError("no room")

    broken = guarded(replace(PLAIN, **{name: fall}))
    with pytest.raises(HarnessBroken, match=rf"{name}\(\) of the harness raised OSError: no room"):
        getattr(broken, name)(*([] if name == "fresh" else ["x"]))


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("x://me:pass@host:5432/db?a=b", ("host", 5432)),
        ("x://[::1]:5432/db", ("::1", 5432)),
        ("x://10.0.0.1:1", ("10.0.0.1", 1)),
        ("x://host/db", None),
        ("x://one:1,two:2/db", None),
        ("x:///var/run/db", None),
    ],
)
def test_a_server_elsewhere_is_where_its_url_says(url, address):
    there = placed(replace(PLAIN, engine="server", address=lambda _: ("own", 1), start=lambda _: None), url)
    assert there.engine == "server"
    assert (there.address and there.address("place")) == address
    assert there.start is None


def test_an_embedded_engine_elsewhere_is_still_embedded():
    assert placed(replace(PLAIN, engine="embedded"), "x:///tmp/{name}").engine == "embedded"
