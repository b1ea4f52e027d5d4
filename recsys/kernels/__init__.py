"""The compiled greedy kernel, its input layout, and a slow reference that it is checked against."""
