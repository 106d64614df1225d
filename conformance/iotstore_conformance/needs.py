"""What clauses need: the capabilities that each was seen to fail without, beside those that it names itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from iotstore.backend import IMPLIED, Capability

NEEDS: Final[Mapping[str, str]] = {
    "ADM-002": "range_filters",
    "ADM-003": "integrity_check optimisation",
    "ADM-004": "mass_updates mass_deletes optimisation",
    "ADM-005": "range_filters missing_filters alternatives field_order generated_ids references extremes",
    "ADM-006": "range_filters missing_filters alternatives field_order generated_ids compare_and_set extremes",
    "ADM-007": (
        "range_filters missing_filters alternatives field_order generated_ids references compare_and_set extremes"
    ),
    "AGG-001": "sums extremes",
    "AGG-002": "empty_texts distinct_counts",
    "AGG-003": "wide_integers sums split_sums",
    "AGG-004": "wide_integers sums split_sums",
    "AGG-005": "wide_integers sums",
    "AGG-006": "sums",
    "AGG-007": "streaming sums",
    "AGG-008": "sums",
    "AGG-009": "extremes",
    "AGG-010": "grouping sums",
    "AGG-011": "grouping sums",
    "AGG-012": "extremes time_buckets",
    "AGG-013": "extremes calendar_parts",
    "ALR-001": "generated_ids compare_and_set",
    "ALR-003": "generated_ids compare_and_set",
    "ALR-004": "generated_ids compare_and_set",
    "ALR-005": "field_order descending_order generated_ids compare_and_set",
    "ALR-006": "range_filters field_order descending_order generated_ids references",
    "ALR-007": "generated_ids references",
    "ALR-008": "field_order descending_order generated_ids references",
    "ALR-009": "field_order descending_order generated_ids references compare_and_set",
    "ALR-010": "range_filters missing_filters field_order streaming generated_ids references",
    "ALR-011": "range_filters missing_filters generated_ids grouping time_buckets",
    "ALR-012": "range_filters missing_filters generated_ids grouping",
    "ALR-013": "generated_ids references",
    "ALR-014": "missing_filters generated_ids compare_and_set grouping",
    "BAK-001": (
        "streaming generated_ids references unique_rules keep_existing merge_fill merge_keep wide_integers "
        "empty_texts integer_points boolean_points text_points point_counts native_restore"
    ),
    "BAK-002": (
        "transactions streaming generated_ids references unique_rules keep_existing merge_fill merge_keep "
        "wide_integers empty_texts reference_changes integer_points boolean_points text_points strict_points "
        "point_counts"
    ),
    "BAK-003": "transactions streaming reference_changes point_counts",
    "BAK-004": (
        "transactions streaming generated_ids references unique_rules keep_existing merge_fill merge_keep "
        "wide_integers empty_texts reference_changes integer_points boolean_points text_points strict_points "
        "point_counts"
    ),
    "BAK-005": (
        "transactions streaming generated_ids references unique_rules keep_existing merge_fill merge_keep "
        "wide_integers empty_texts reference_changes integer_points boolean_points text_points strict_points "
        "point_counts"
    ),
    "BAK-006": "transactions streaming reference_changes point_counts",
    "BAK-007": "streaming point_counts native_restore",
    "BAK-008": "transactions streaming reference_changes point_counts",
    "BAK-009": "transactions streaming reference_changes point_counts",
    "BAK-010": "transactions streaming reference_changes point_counts",
    "BAK-011": "transactions streaming reference_changes point_counts",
    "BAK-012": (
        "transactions many_handles streaming generated_ids references unique_rules keep_existing merge_fill "
        "merge_keep wide_integers empty_texts reference_changes integer_points boolean_points text_points "
        "strict_points point_counts"
    ),
    "BAK-014": (
        "transactions streaming generated_ids wide_integers empty_texts reference_changes integer_points "
        "boolean_points text_points strict_points fine_points far_points point_counts"
    ),
    "BRK-004": "many_handles",
    "BRK-005": "grouping",
    "CAL-001": "generated_ids references keep_existing",
    "CAL-002": "generated_ids references keep_existing",
    "CAL-003": "generated_ids references keep_existing",
    "CAL-004": "generated_ids references keep_existing",
    "CAL-005": "generated_ids references keep_existing",
    "CAL-006": "generated_ids references keep_existing far_points",
    "CAL-007": "range_filters generated_ids references sums time_buckets",
    "CNC-001": "compare_and_set",
    "CNC-002": "merge_fill merge_keep merge_extremes",
    "CNC-003": "keep_existing",
    "CNC-004": "generated_ids",
    "CNC-005": "generated_ids references keep_existing late_points reverse_scans",
    "CNC-006": "generated_ids references keep_existing late_points point_counts",
    "CNC-009": "many_handles generated_ids references keep_existing mass_deletes erase_points",
    "CNC-010": "many_handles generated_ids references",
    "CNC-012": "generated_ids keep_existing",
    "CNC-013": "generated_ids references mass_updates mass_deletes",
    "CNC-101": "compare_and_set",
    "CNC-102": "many_handles compare_and_set",
    "CNC-103": "many_handles",
    "CNC-112": "grouping",
    "CON-001": "generated_ids references",
    "CON-002": "generated_ids references wide_integers",
    "CON-003": "field_order generated_ids references",
    "CON-004": "generated_ids references",
    "CON-005": "generated_ids references",
    "CON-006": "range_filters field_order descending_order generated_ids references",
    "CON-007": "range_filters generated_ids references grouping sums",
    "CON-008": "range_filters generated_ids references grouping sums",
    "CON-009": "range_filters generated_ids references sums time_buckets",
    "CON-010": "range_filters generated_ids references grouping sums calendar_parts",
    "CON-011": "range_filters generated_ids references grouping sums",
    "CON-012": "range_filters field_order generated_ids references",
    "DEV-001": "merge_fill merge_keep merge_extremes",
    "DEV-002": "merge_fill merge_keep merge_extremes",
    "DEV-004": "merge_fill merge_keep merge_extremes",
    "DEV-005": "range_filters field_order descending_order",
    "DEV-006": "compare_and_set",
    "DEV-007": "field_order descending_order",
    "DEV-008": "range_filters",
    "DEV-009": "range_filters generated_ids references distinct_counts sums",
    "DEV-010": "references",
    "DEV-011": "references",
    "DEV-012": "references mass_deletes",
    "DEV-013": "range_filters field_order descending_order generated_ids references mass_deletes",
    "DEV-014": "generated_ids references keep_existing mass_deletes erase_points point_counts",
    "DEV-015": "references",
    "DEV-016": "references",
    "DEV-017": "references",
    "DUR-001": "generated_ids references keep_existing",
    "DUR-002": "generated_ids references keep_existing late_points",
    "DUR-003": "grouping",
    "ERR-001": "transactions",
    "ERR-004": "range_filters field_order descending_order",
    "ERR-006": "point_counts",
    "ERR-007": "many_handles sums rename_fields",
    "FIL-001": "range_filters exclusions missing_filters alternatives",
    "FIL-002": "range_filters exclusions missing_filters alternatives",
    "FIL-003": "missing_filters",
    "FIL-004": "exclusions missing_filters alternatives",
    "FIL-005": "exclusions missing_filters alternatives",
    "FIL-006": "range_filters",
    "FIL-010": "range_filters text_search",
    "FIL-011": "text_search",
    "FIL-012": "missing_filters alternatives text_search",
    "FIL-013": "range_filters missing_filters",
    "FIL-014": "missing_filters alternatives tag_filters",
    "FIL-020": "wide_integers",
    "FLT-003": (
        "range_filters field_order descending_order generated_ids references merge_fill merge_keep merge_extremes"
    ),
    "FLT-004": "generated_ids references merge_fill merge_keep merge_extremes",
    "FLT-005": "field_order descending_order merge_fill merge_keep merge_extremes",
    "FLT-006": "references",
    "FLT-008": "generated_ids references keep_existing",
    "FLT-009": "generated_ids references keep_existing late_points",
    "FLT-010": "generated_ids references keep_existing point_transactions",
    "FLT-011": "generated_ids references keep_existing",
    "FLT-012": "text_search",
    "FLT-013": "range_filters missing_filters alternatives field_order descending_order generated_ids",
    "FLT-014": "generated_ids references compare_and_set mass_deletes",
    "FLT-015": "generated_ids references keep_existing point_counts point_transactions",
    "FLT-016": "field_order generated_ids references",
    "FLT-018": "merge_fill merge_keep merge_extremes",
    "FLT-019": "range_filters missing_filters alternatives field_order generated_ids references extremes",
    "HOM-001": (
        "range_filters missing_filters field_order descending_order generated_ids references grouping sums "
        "time_buckets calendar_parts"
    ),
    "HOM-002": "range_filters generated_ids references keep_existing",
    "MIG-001": "many_handles add_fields alter_fields index_changes",
    "MIG-002": "many_handles streaming drop_fields rename_fields point_counts",
    "MIG-003": "many_handles",
    "MIG-004": "many_handles streaming point_counts",
    "MIG-005": "many_handles",
    "MIG-006": "many_handles streaming drop_fields rename_fields point_counts",
    "MIG-008": "many_handles",
    "MIG-009": "many_handles rename_kinds",
    "MOD-001": (
        "range_filters exclusions missing_filters alternatives text_search tag_filters field_order "
        "descending_order streaming keep_existing merge_fill merge_keep merge_extremes compare_and_set "
        "mass_updates mass_deletes wide_integers grouping sums"
    ),
    "MOD-002": (
        "generated_ids references keep_existing merge_fill merge_keep wide_integers empty_texts integer_points "
        "boolean_points text_points replace_points strict_points late_points fine_points far_points erase_points "
        "point_counts point_transactions"
    ),
    "MOD-003": "streaming references mass_deletes",
    "PAG-001": "field_order descending_order",
    "PAG-002": "field_order descending_order",
    "PAG-003": "range_filters missing_filters alternatives field_order descending_order",
    "PAG-004": "range_filters missing_filters alternatives field_order descending_order mass_updates mass_deletes",
    "PAG-005": "range_filters",
    "PAG-007": "field_order",
    "PAG-008": "range_filters missing_filters alternatives",
    "PAG-009": "field_order descending_order streaming",
    "PAG-010": "streaming",
    "PAG-011": "range_filters alternatives",
    "PAG-012": "range_filters field_order descending_order",
    "PRF-003": "generated_ids references mass_deletes",
    "PRF-004": "range_filters alternatives field_order",
    "PRF-007": "keep_existing",
    "PRF-020": "generated_ids references keep_existing",
    "PRF-021": "generated_ids references keep_existing reverse_scans",
    "PRF-022": "generated_ids references keep_existing",
    "PRF-023": "generated_ids references keep_existing erase_points",
    "PRF-024": "generated_ids references keep_existing",
    "PRF-025": "generated_ids references keep_existing",
    "PRF-026": "generated_ids references keep_existing",
    "RCP-001": "keep_existing",
    "RCP-002": "keep_existing",
    "RCP-003": "merge_fill merge_keep merge_extremes",
    "RCP-005": "generated_ids references",
    "RCP-006": "generated_ids references",
    "RCP-007": "merge_fill merge_keep merge_extremes",
    "RCP-010": "generated_ids",
    "RCP-020": "generated_ids keep_existing",
    "RCP-021": "generated_ids keep_existing",
    "RCP-022": "generated_ids keep_existing",
    "RCP-023": "generated_ids keep_existing",
    "RCP-024": "missing_filters generated_ids keep_existing mass_deletes",
    "RCP-025": "generated_ids references keep_existing",
    "REC-004": "merge_fill merge_keep merge_extremes",
    "REC-005": "text_search",
    "REC-007": "range_filters mass_updates mass_deletes",
    "REC-011": "compare_and_set mass_updates mass_deletes",
    "REC-012": "compare_and_set mass_updates mass_deletes",
    "REC-020": "generated_ids",
    "REC-021": "many_handles missing_filters generated_ids mass_deletes",
    "REC-030": "generated_ids references",
    "REC-031": "generated_ids references mass_updates mass_deletes",
    "REC-032": "missing_filters generated_ids references mass_updates mass_deletes",
    "REC-033": "generated_ids unique_rules",
    "REC-034": "tag_filters field_order descending_order",
    "REL-001": "generated_ids references",
    "REL-002": "streaming generated_ids references mass_deletes",
    "REL-003": "references",
    "REL-004": "generated_ids references",
    "REL-005": "references keep_existing",
    "REL-006": "generated_ids references mass_deletes",
    "REL-007": "streaming generated_ids references mass_deletes",
    "REL-008": "transactions references mass_deletes",
    "REL-009": "streaming references mass_updates mass_deletes",
    "REL-010": "references",
    "REL-011": "references",
    "REL-012": "range_filters streaming generated_ids references",
    "REL-020": "references",
    "REL-021": "references",
    "REL-022": "references",
    "REL-023": "references",
    "REL-024": "references",
    "REL-025": "streaming references",
    "REL-026": "streaming references",
    "REL-027": "streaming references",
    "REL-028": "streaming references",
    "REL-029": "streaming references",
    "REL-030": "streaming references",
    "REL-031": "streaming",
    "REL-032": "streaming references mass_deletes",
    "REL-040": (
        "many_handles range_filters alternatives field_order streaming references keep_existing mass_deletes "
        "wide_integers empty_texts"
    ),
    "REL-042": (
        "transactions many_handles range_filters alternatives field_order references keep_existing wide_integers "
        "empty_texts"
    ),
    "TEL-001": (
        "generated_ids references keep_existing merge_fill merge_keep wide_integers integer_points boolean_points "
        "text_points fine_points"
    ),
    "TEL-002": "generated_ids references keep_existing point_counts",
    "TEL-003": "generated_ids references keep_existing point_counts",
    "TEL-004": "generated_ids references keep_existing",
    "TEL-005": "generated_ids references keep_existing",
    "TEL-006": "generated_ids references keep_existing",
    "TEL-007": "generated_ids references keep_existing merge_fill merge_keep",
    "TEL-008": "many_handles generated_ids references keep_existing merge_fill merge_keep",
    "TEL-010": "generated_ids references keep_existing late_points",
    "TEL-011": "generated_ids references keep_existing replace_points late_points",
    "TEL-012": "generated_ids references keep_existing strict_points late_points point_counts",
    "TEL-013": "generated_ids references keep_existing fine_points",
    "TEL-014": "generated_ids references keep_existing point_counts",
    "TEL-020": "generated_ids references keep_existing late_points",
    "TEL-021": "generated_ids references keep_existing replace_points erase_points",
    "TEL-022": "generated_ids references keep_existing",
    "TEL-023": "generated_ids references keep_existing reverse_scans",
    "TEL-024": "generated_ids references keep_existing",
    "TEL-025": "generated_ids references keep_existing",
    "TEL-026": "generated_ids references keep_existing",
    "TEL-027": "generated_ids references keep_existing late_points point_counts",
    "TEL-028": "generated_ids references keep_existing erase_points point_counts",
    "TEL-029": "generated_ids references keep_existing late_points fine_points far_points reverse_scans",
    "TEL-040": "generated_ids references keep_existing late_points",
    "TEL-041": "generated_ids references keep_existing fine_points far_points",
    "TEL-042": "generated_ids references keep_existing",
    "TEL-043": "generated_ids references keep_existing merge_fill merge_keep wide_integers integer_points",
    "TEL-044": "generated_ids references keep_existing",
    "TEL-045": "generated_ids references keep_existing",
    "TEL-046": "generated_ids references keep_existing",
    "TEL-047": "generated_ids references keep_existing points_before",
    "TEL-048": "generated_ids references keep_existing points_before",
    "TEL-049": "generated_ids references keep_existing boolean_points text_points",
    "TEL-050": "generated_ids references keep_existing points_before",
    "TEL-051": "generated_ids references keep_existing points_before",
    "TEL-052": "generated_ids references keep_existing",
    "TEL-053": "generated_ids references keep_existing",
    "TEL-054": "generated_ids references keep_existing",
    "TEL-055": "generated_ids references keep_existing",
    "TXN-001": "generated_ids references",
    "TXN-002": "generated_ids references keep_existing text_points point_transactions",
    "TXN-003": "mass_deletes",
    "TXN-008": "generated_ids references keep_existing boolean_points point_transactions",
    "TXN-022": "generated_ids references keep_existing point_counts point_snapshots",
    "TXN-030": "mass_deletes",
    "VAL-001": "empty_texts",
    "VAL-003": "range_filters field_order descending_order empty_texts",
    "VAL-007": "text_search",
    "VAL-010": "field_order wide_integers",
    "VAL-012": "field_order",
    "VAL-013": "range_filters",
    "VAL-015": "generated_ids references keep_existing text_points",
    "VAL-022": "range_filters field_order",
    "VAL-024": "field_order",
    "VAL-027": "missing_filters empty_texts",
    "VAL-028": "merge_fill merge_keep merge_extremes",
    "VAL-033": "missing_filters",
    "VAL-041": "range_filters field_order",
}


def needs_of(clause: str, named: Iterable[Capability]) -> tuple[Capability, ...]:
    """Everything that a clause needs, in the order of the capabilities."""
    found = {*named, *map(Capability, NEEDS.get(clause, "").split())}
    return tuple(capability for capability in Capability if capability in found)


def missing(needs: Iterable[Capability], has: Callable[[Capability], bool]) -> list[Capability]:
    """What is missing for a clause.

    Where a whole group is missing, and the clause does without it, nothing of the group is.
    """
    lacking = [need for need in needs if not has(need)]
    parents = {need: [parent for parent in IMPLIED.get(need, ()) if not has(parent)] for need in lacking}
    return [need for need in lacking if not parents[need] or any(parent in lacking for parent in parents[need])]
