"""Time zones from the tzdata wheel, buckets and parts of local time: pure computation on integer microseconds."""
