"""Evaluation: success, with its interval, its cost, and what a difference of it is worth."""
