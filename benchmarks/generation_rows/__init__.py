"""Rows of benchmarks/generation.py."""
