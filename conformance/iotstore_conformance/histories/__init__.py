"""Histories of what happened at once: recorded as they ran, and checked for an order that explains them."""
