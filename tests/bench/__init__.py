"""Benchmarks of the trainer: ``make bench``."""
