"""What operations cost in things that can be counted: exact on a noisy machine, so that a test can compare them."""
