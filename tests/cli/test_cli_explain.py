"""``iotstore explain``: statements and plans of a question, and plain words for a question that can't be asked."""

import json
from datetime import UTC, datetime, timedelta

import pytest

import iotstore
from iotstore import Device, NotAllowed, Point
from iotstore.cli import main

NOON = datetime(2025, 6, 15, 12, tzinfo=UTC)


@pytest.fixture
def url(tmp_path):
    url = f"sqlite:///{tmp_path}/home.db"
    with iotstore.open(url) as store:
        store.devices.add(Device(key="cam-1", kind="camera"))
        store.telemetry.write(
            [Point("cam-1", "load", NOON + timedelta(hours=n // 40, minutes=n % 40), n / 2) for n in range(200)]
        )
    return url


def explained(capsys, url, *words):
    assert main(["explain", *words, "--url", url, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_last_points_are_found_by_a_seek_in_the_key_of_points(capsys, url):
    told = explained(capsys, url, "telemetry.last", "cam-1", "load", "n=5")
    assert any("iotstore_points" in one["statement"] for one in told)
    assert not [line for one in told for line in one["plan"] if line.startswith("SCAN")]


def test_a_statement_that_runs_many_times_is_shown_once_with_its_count(capsys, url):
    told = explained(
        capsys, url, "telemetry.aggregate", "cam-1", "load", "every=1h", "start=2025-06-15", "functions=mean,max"
    )
    assert [one["times"] for one in told if "sum(value)" in one["statement"]] == [5]


def test_durations_and_lists_and_words_are_taken_as_the_method_takes_them(capsys, url):
    assert explained(capsys, url, "devices.recent", "10m")
    assert explained(capsys, url, "telemetry.count", "device=cam-1")
    assert explained(capsys, url, "telemetry.range", "cam-1", "load", "2025-06-15", "2025-06-16")


def test_a_stream_is_explained_by_asking_for_its_first_record(capsys, url):
    (told,) = explained(capsys, url, "devices.stream")
    assert "device" in told["statement"]


def test_people_get_numbered_statements_with_the_plan_under_them(capsys, url):
    assert main(["explain", "devices.get", "cam-1", "--url", url]) == 0
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith('1. SELECT "device"."key"')
    assert second.startswith("     SEARCH device USING INDEX")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nothing"], "names no question"),
        (["devices._codec"], "has no method '_codec'"),
        (["telemetry.last"], "missing a required argument: 'device'"),
        (["telemetry.last", "cam-1", "load", "n=many"], "'many' can't be the argument n"),
        (["telemetry.last", "cam-1", "load", "5", "6"], "takes no '6'"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_line(capsys, url, words, complaint):
    assert main(["explain", *words, "--url", url]) == 2
    assert complaint in capsys.readouterr().err


def test_a_question_that_writes_is_refused_and_changes_nothing(capsys, url):
    assert main(["explain", "devices.delete", "cam-1", "--url", url]) == 1
    assert capsys.readouterr().err
    with iotstore.open(url) as store:
        assert store.devices.get("cam-1").kind == "camera"
        with pytest.raises(NotAllowed, match="takes no writes"):
            store.explain(lambda reading: reading.devices.delete("cam-1"))
