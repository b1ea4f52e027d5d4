"""Closed loops: worlds of people with known tastes, policies that recommend to them, and what becomes of them."""

from recsys.simulation.loop import Trajectory, simulate
from recsys.simulation.measures import MEASURES
from recsys.simulation.policies import POLICIES, MostLiked, NoRecommender, Oracle, RandomItems, Recommender
from recsys.simulation.records import Consumption, Log, Offer, Round
from recsys.simulation.runs import SimulationRun, run_simulation
from recsys.simulation.worlds import WORLDS, Behaviour, FittedTastes, RingBeliefs
from recsys.simulation.worlds.fitting import TasteFit, WorldCheck, fit_tastes

__all__ = [
    "MEASURES",
    "POLICIES",
    "WORLDS",
    "Behaviour",
    "Consumption",
    "FittedTastes",
    "Log",
    "MostLiked",
    "NoRecommender",
    "Offer",
    "Oracle",
    "RandomItems",
    "Recommender",
    "RingBeliefs",
    "Round",
    "SimulationRun",
    "TasteFit",
    "Trajectory",
    "WorldCheck",
    "fit_tastes",
    "run_simulation",
    "simulate",
]
