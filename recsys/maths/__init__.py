"""Quantities that objectives and metrics share, each defined once."""
