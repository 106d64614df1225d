"""What is measured holds on a busy machine too, and measuring longer never turns what is too dear into a pass."""

import pytest

from iotstore_conformance import measuring
from iotstore_conformance.measuring import TooDear, Work, at_most, held_by_list, held_by_stream


class Clock:
    """Time that passes only when work is done."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    def takes(self, *seconds):
        """Work that takes these times in turn, and the last one from then on."""
        left = list(seconds)

        def run(_):
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(measuring, "time", made)
    return made


def test_what_costs_as_much_passes_and_what_costs_more_is_told_with_both_costs(clock):
    at_most(5, Work("the large one", clock.takes(0.005)), Work("the small one", clock.takes(0.001)))
    with pytest.raises(
        TooDear, match=r"the large one takes 6.000 ms, the small one 1.000 ms: 6.0 times as long, and 5"
    ):
        at_most(5, Work("the large one", clock.takes(0.006)), Work("the small one", clock.takes(0.001)))


def test_a_machine_that_is_busy_for_a_while_changes_nothing(clock):
    busy = [0.02] * 15
    at_most(5, Work("the large one", clock.takes(*busy, 0.001)), Work("the small one", clock.takes(0.001)))
    assert clock.now == pytest.approx(sum(busy) + 0.001 + 16 * 0.001), "it ends with the first run that was left alone"


def test_what_is_too_dear_is_not_saved_by_a_machine_that_slows_the_other_down(clock):
    busy = [0.5] * 6
    with pytest.raises(TooDear, match="the quickest of"):
        at_most(5, Work("the large one", clock.takes(0.050)), Work("the small one", clock.takes(*busy, 0.001)))


def test_measuring_ends_soon_even_if_nothing_gets_quicker(clock):
    with pytest.raises(TooDear, match=r"of 15 runs"):
        at_most(5, Work("the large one", clock.takes(0.1)), Work("the small one", clock.takes(0.0001)))
    assert clock.now < 2


def test_what_is_made_ready_is_not_timed(clock):
    def ready():
        clock.now += 1
        return "made"

    given = []
    at_most(
        1,
        Work("one", lambda made: (given.append(made), clock.takes(0.001)(made)), ready),
        Work("other", clock.takes(0.001)),
    )
    assert set(given) == {"made"}


def test_a_list_holds_its_objects_and_a_stream_only_those_that_are_there_at_once():
    count = 20_000
    listed = held_by_list(lambda: [(n, str(n)) for n in range(count)])
    assert listed > count
    assert held_by_stream(lambda: ((n, str(n)) for n in range(count)), every=10) < count / 100
    assert held_by_stream(lambda: iter([(n, str(n)) for n in range(count)]), every=10) > count
