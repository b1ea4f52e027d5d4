"""Worlds: populations with known tastes."""

from collections.abc import Mapping

from recsys.simulation.records import World
from recsys.simulation.worlds.behaviours import Behaviour
from recsys.simulation.worlds.fitted_tastes import FittedTastes
from recsys.simulation.worlds.hidden_types import HiddenTypes
from recsys.simulation.worlds.partly_known import PartlyKnownUtilities
from recsys.simulation.worlds.reinforced_interests import ReinforcedInterests
from recsys.simulation.worlds.ring_beliefs import RingBeliefs
from recsys.simulation.worlds.switches import Arrivals, TasteFlips

WORLDS: Mapping[str, type[World]] = {
    "hidden_types": HiddenTypes,
    "partly_known_utilities": PartlyKnownUtilities,
    "reinforced_interests": ReinforcedInterests,
    "ring_beliefs": RingBeliefs,
}

__all__ = [
    "WORLDS",
    "Arrivals",
    "Behaviour",
    "FittedTastes",
    "HiddenTypes",
    "PartlyKnownUtilities",
    "ReinforcedInterests",
    "RingBeliefs",
    "TasteFlips",
]
