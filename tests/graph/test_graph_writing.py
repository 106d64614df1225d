"""Relations that are written by hand."""

import math

import pytest

from iotstore import (
    BatchRejected,
    Change,
    IdempotencyConflict,
    InvalidValue,
    Node,
    NotFound,
    Rejected,
    Relation,
    Relationship,
    UnknownReference,
)

CAM, TV = ("device", "cam"), ("device", "tv")


def test_a_relation_has_a_type_a_weight_and_properties(house):
    written = house.relationships.relate(CAM, "FILMS", TV, weight=0.5, properties={"angle": 30})

    assert house.relationships.of(CAM, types="FILMS") == [Relationship(Node(*CAM), "FILMS", Node(*TV), 0.5)]
    assert house.relationships.relation(CAM, "FILMS", TV) == written
    assert written.properties == {"angle": 30}
    assert house.relationships.relation(TV, "FILMS", CAM) is None


def test_a_relation_written_again_is_replaced(house):
    first = house.relationships.relate(CAM, "FILMS", TV, weight=0.5, properties={"angle": 30})
    second = house.relationships.relate(CAM, "FILMS", TV)

    assert (second.weight, second.properties) == (None, None)
    assert second.version > first.version
    assert len(house.relationships.of(CAM, types="FILMS")) == 1


def test_a_relation_is_taken_back(house):
    house.relationships.relate(CAM, "FILMS", TV)
    house.relationships.unrelate(CAM, "FILMS", TV)

    assert house.relationships.of(CAM, types="FILMS") == []
    with pytest.raises(NotFound, match="no relation with key"):
        house.relationships.unrelate(CAM, "FILMS", TV)


def test_a_record_may_relate_to_itself(house):
    house.relationships.relate(CAM, "FILMS", CAM)

    assert len(house.relationships.of(CAM, types="FILMS")) == 1
    assert house.relationships.neighbours(CAM, types="FILMS") == []
    assert [one.length for one in house.relationships.cycles()] == [1]


@pytest.mark.parametrize(
    ("relate", "error", "match"),
    [
        ((CAM, "films", TV), InvalidValue, "type: 'films' is no type of relations"),
        ((CAM, "FILMS", ("device", "nobody")), UnknownReference, "target: there is no device 'nobody'; add it first"),
        ((("alert", 99), "FILMS", TV), UnknownReference, "source: there is no alert '99'"),
        ((CAM, "FILMS", ("setting", "x")), InvalidValue, "target: 'setting' is no kind of nodes"),
        (
            (("owner", "ann"), "OWNS", TV),
            InvalidValue,
            "type: that a owner OWNS a device comes from records of device; set 'owner' of the device instead",
        ),
        ((CAM, "GENERATED", ("alert", 1)), InvalidValue, "set 'device' of the alert instead"),
        ((TV, "MEMBER_OF", ("device_group", "screens")), InvalidValue, "comes from records of membership"),
    ],
)
def test_what_can_not_be_written_says_what_to_do(house, relate, error, match):
    with pytest.raises(error, match=match):
        house.relationships.relate(*relate)
    assert house.records("relation").count() == 0


@pytest.mark.parametrize("weight", [-0.5, math.inf, math.nan])
def test_a_weight_is_a_finite_number_of_zero_or_more(house, weight):
    with pytest.raises(InvalidValue, match="weight"):
        house.relationships.relate(CAM, "FILMS", TV, weight=weight)


def test_a_derived_type_may_be_written_between_other_kinds(house):
    house.relationships.relate(("owner", "ann"), "OWNS", ("location", "house"))

    assert [one.node.key for one in house.relationships.neighbours(("owner", "ann"), types="OWNS")] == [
        "cam",
        "hub",
        "lamp",
        "house",
    ]


def relation(source, type_, target, **said):
    return Relation(source_kind="device", source=source, type=type_, target_kind="device", target=target, **said)


def test_many_relations_are_written_at_once_with_an_exact_receipt(house):
    batch = [
        relation("cam", "FILMS", "tv", weight=1.0),
        relation("cam", "FILMS", "nobody"),
        relation("cam", "films", "tv"),
        relation("cam", "FILMS", "tv", weight=2.0),
        relation("tv", "FILMS", "cam"),
    ]
    receipt = house.relationships.relate_many(batch, on_invalid="reject")

    assert (receipt.stored, receipt.duplicates, receipt.replaced) == (2, 1, 0)
    assert receipt.rejected == (
        Rejected(1, "target", "there is no device 'nobody'"),
        Rejected(2, "type", "'films' is no type of relations"),
    )
    assert house.relationships.relation(CAM, "FILMS", TV).weight == 2.0
    with pytest.raises(BatchRejected, match="2 of 5 rows are invalid and nothing was stored"):
        house.relationships.relate_many(batch)


def test_a_batch_of_relations_is_repeated_without_effect_under_its_key(house):
    batch = [relation("cam", "FILMS", "tv")]
    assert house.relationships.relate_many(batch, idempotency_key="one").stored == 1
    assert house.relationships.relate_many(batch, idempotency_key="one").replayed
    with pytest.raises(IdempotencyConflict, match="one"):
        house.relationships.relate_many([relation("tv", "FILMS", "cam")], idempotency_key="one")


def test_deleting_a_record_deletes_what_was_written_about_it_in_the_same_transaction(house):
    house.relationships.relate(CAM, "FILMS", TV)
    house.relationships.relate(TV, "FILMS", CAM)
    house.relationships.relate(TV, "FILMS", ("device", "lamp"))
    told: list[Change] = []
    house.on_commit(told.extend)

    house.devices.delete("cam")
    assert [(one.source, one.target) for one in house.records("relation").list()] == [("tv", "lamp")]
    assert [(one.kind, one.action) for one in told] == [
        ("relation", "delete"),
        ("relation", "delete"),
        ("device", "delete"),
    ]


def test_a_relation_that_was_left_behind_is_no_edge(house):
    """Such as one stored through its kind, or restored without its record."""
    house.records("relation").add(relation("cam", "FILMS", "nobody"))
    house.records("relation").add(
        Relation(source_kind="device", source="cam", type="FILMS", target_kind="alert", target="01")
    )
    house.records("relation").add(
        Relation(source_kind="device", source="cam", type="FILMS", target_kind="unknown", target="x")
    )

    assert house.relationships.of(CAM, types="FILMS") == []
    assert house.relationships.centrality(types="FILMS") == []
