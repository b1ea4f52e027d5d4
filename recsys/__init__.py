"""Recommenders that do not lock people into a bubble."""
