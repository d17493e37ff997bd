"""Executors: where the parts of a search are worked on."""
