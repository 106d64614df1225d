"""Children of the suite are processes of their own: told, heard, killed, and nothing of them is left."""

import signal
from pathlib import Path

import pytest

from iotstore_conformance import Stage, children, find_harness
from iotstore_conformance.children import child
from iotstore_conformance.leaks import nothing_left

HARNESS = find_harness("sqlite")


@pytest.fixture(autouse=True, params=["as here", "an interpreter for each"])
def way(request, monkeypatch):
    """How children are started: as on this system, and as where nothing can be forked."""
    if request.param != "as here":
        monkeypatch.setattr(children, "FORKS", False)
    return request.param


def _writer(stage):
    return child("iotstore_conformance.killing", HARNESS.name, stage.url())


def test_a_child_is_another_process_that_does_its_work_until_it_is_killed():
    with Stage(HARNESS) as stage:
        stage.store.close()
        with _writer(stage) as one:
            assert [one.hear() for _ in range(3)] == ["0\n", "1\n", "2\n"]
            one.kill()
            assert one.wait() == -signal.SIGKILL
            assert one.code == -signal.SIGKILL
        assert stage.reopen().records("suite_cell").count() >= 150


def test_a_child_that_is_told_to_ends_well_and_says_all_it_has_to():
    with Stage(HARNESS) as stage:
        stage.store.close()
        with child("iotstore_conformance.troubling", HARNESS.name, stage.url(), "lock") as one:
            assert one.hear() == "locked\n"
            one.tell("done\n")
            assert one.ended() == ("", "")
            assert one.code == 0
            one.kill()
            one.tell("nobody listens\n")


def test_a_child_that_fails_tells_why():
    with child("iotstore_conformance.troubling", HARNESS.name, "nonsense://", "lock") as one:
        said, complaint = one.ended()
    assert (said, one.code) == ("", 1)
    assert "BackendUnavailable" in complaint
    assert "Traceback" in complaint
    assert not Path("nonsense:").exists()


def test_a_block_that_is_left_early_ends_its_child():
    with Stage(HARNESS) as stage:
        stage.store.close()
        with _writer(stage) as one:
            one.hear()
        assert one.code == -signal.SIGKILL


def test_nothing_of_a_child_is_left_behind():
    with Stage(HARNESS) as stage, nothing_left(), _writer(stage) as one:
        one.hear()


def test_children_of_one_harness_know_nothing_of_each_other_and_share_one_helper(way):
    with Stage(HARNESS) as stage, Stage(HARNESS) as other:
        stage.store.close()
        other.store.close()
        with _writer(stage) as one, _writer(other) as two:
            assert (one.hear(), two.hear()) == ("0\n", "0\n")
    helpers = [name for name, _ in children._helpers if name == HARNESS.name]
    assert way != "as here" or not children.FORKS or len(helpers) == len(children.held()) == 1


def test_a_child_has_the_environment_and_the_folder_of_the_moment(tmp_path, monkeypatch):
    """A relative URL is of the folder in which the child was started."""
    monkeypatch.chdir(tmp_path)
    with child("iotstore_conformance.killing", HARNESS.name, "sqlite:///here.db") as one:
        one.hear()
    assert (tmp_path / "here.db").exists()
