"""Benchmarks: many edits by many methods, scored and ranked."""
