"""Published closed loops, simulated anew: which findings hold, and with what numbers."""
