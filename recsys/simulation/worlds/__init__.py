"""Worlds: populations with known tastes."""

from collections.abc import Mapping

from recsys.simulation.records import World
from recsys.simulation.worlds.behaviours import Behaviour
from recsys.simulation.worlds.fitted_tastes import FittedTastes
from recsys.simulation.worlds.ring_beliefs import RingBeliefs
from recsys.simulation.worlds.switches import Arrivals, TasteFlips

WORLDS: Mapping[str, type[World]] = {"ring_beliefs": RingBeliefs}

__all__ = ["WORLDS", "Arrivals", "Behaviour", "FittedTastes", "RingBeliefs", "TasteFlips"]
