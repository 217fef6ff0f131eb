"""Metrics: pure functions and accumulators; no files, no models of ours."""
