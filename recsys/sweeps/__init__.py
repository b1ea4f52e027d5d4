"""Sweeps: the trade-off searched from a file, chosen on validation, judged once on test."""

from recsys.sweeps.discoveries import Discovery, discover
from recsys.sweeps.simulation_sweeps import SimulationSweep, sweep_simulation
from recsys.sweeps.sweeps import Sweep, sweep

__all__ = ["Discovery", "SimulationSweep", "Sweep", "discover", "sweep", "sweep_simulation"]
