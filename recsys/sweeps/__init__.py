"""Sweeps: the trade-off searched from a file, chosen on validation, judged once on test."""

from recsys.sweeps.discoveries import Discovery, discover
from recsys.sweeps.sweeps import Sweep, sweep

__all__ = ["Discovery", "Sweep", "discover", "sweep"]
