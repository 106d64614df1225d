"""The graph moves with the records: by a copy, and by either kind of backup."""

from pathlib import Path

import pytest

import iotstore
from iotstore import Connection, Store


def answers(store: Store):
    graph = store.relationships
    return graph.of(("device", "cam")), graph.neighbours(("owner", "ann"), hops=4), graph.centrality("pagerank")


@pytest.fixture
def busy(house: Store) -> Store:
    """The house with a contact and a relation that was written by hand."""
    house.connections.add(Connection(device="cam", time=house.clock.now(), destination="192.168.1.2"))
    house.relationships.relate(("device", "cam"), "FILMS", ("location", "hall"), weight=0.5, properties={"angle": 30})
    return house


def test_a_copy_answers_like_the_store_it_was_made_of(busy, open_store):
    target = open_store(url="sqlite://:memory:")
    busy.copy_to(target)

    assert answers(target) == answers(busy)
    assert target.relationships.relation(("device", "cam"), "FILMS", ("location", "hall")).properties == {"angle": 30}


@pytest.mark.parametrize("form", ["native", "portable"])
def test_a_restored_backup_answers_like_the_store_it_was_taken_of(busy, tmp_path: Path, form):
    made = busy.backups.create(format=form)
    url = f"sqlite:///{tmp_path}/other.db"
    iotstore.restore(made.path, url)

    with iotstore.open(url) as restored:
        assert answers(restored) == answers(busy)
