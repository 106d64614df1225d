"""Composed stores: what the primary's outbox says is applied to a second store, and nothing gets lost on the way."""
