"""Kinds: what a record is, declared once."""
