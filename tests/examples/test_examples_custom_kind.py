"""The inspections of the custom kind survive the second release, and its rules hold."""

import importlib.util
from types import ModuleType

import pytest

import iotstore

pytestmark = pytest.mark.once  # the README is followed on every interpreter


@pytest.fixture
def workshop(example):
    """The example after both releases have run."""
    made = example("custom_kind")
    made.run("python inspections.py first && python inspections.py second")
    return made


def program(example) -> ModuleType:
    """The program of the example, as a module."""
    spec = importlib.util.spec_from_file_location("inspections", example.folder / "inspections.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_records_of_the_first_release_have_nothing_in_the_new_fields(workshop) -> None:
    second = program(workshop).SECOND
    with iotstore.open(workshop.url, kinds=[second]) as store:
        old = store.records(second).list(iotstore.field("minutes").is_null())

        assert len(old) == 36
        assert {(one.minutes, one.note) for one in old} == {(None, None)}


def test_an_inspection_of_an_unknown_machine_is_refused_and_they_go_with_their_machine(workshop) -> None:
    module = program(workshop)
    with iotstore.open(workshop.url, kinds=[module.SECOND]) as store:
        inspections = store.records(module.SECOND)
        nowhere = module.Inspection(device="press", time=module.START, inspector="Ida Berg")
        with pytest.raises(iotstore.UnknownReference, match="press"):
            inspections.put(nowhere)
        store.devices.delete("mill")

        assert {one.device for one in inspections.list()} == {"drill", "lathe"}


def test_the_first_release_is_not_let_into_the_store_of_the_second(workshop) -> None:
    with pytest.raises(AssertionError, match="MigrationNeeded"):
        workshop.run("python inspections.py first")


def test_a_repeated_run_adds_nothing(example) -> None:
    once = example("custom_kind")
    command = "python inspections.py first"
    once.run(command)

    assert once.run(command) == "first release: 0 inspections stored, 36 were there"
