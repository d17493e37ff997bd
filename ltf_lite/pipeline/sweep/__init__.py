"""Sweeps: one search, many tunings, one table."""
