"""What a backend sees: layouts, filters, queries, buckets, capabilities, sessions, schema operations."""
