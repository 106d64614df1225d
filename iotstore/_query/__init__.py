"""Questions: filter expressions, their lowering to the waist, keyset paging, aggregates."""
