"""Reproductions: published results beside those of this package, with tolerances."""
