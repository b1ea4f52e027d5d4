"""Closed loops: worlds of people with known tastes, policies that recommend to them, and what becomes of them."""

from recsys.simulation.diverted_arms import DivertedExperiment, run_diverted_experiment, simulate_arms
from recsys.simulation.loop import Trajectory, simulate
from recsys.simulation.measures import MEASURES, Measure
from recsys.simulation.policies import POLICIES, MostLiked, NoRecommender, Oracle, RandomItems, Recommender
from recsys.simulation.records import Consumption, Log, Offer, Policy, Population, Round, RunningPolicy, World
from recsys.simulation.runs import SimulationRun, run_simulation
from recsys.simulation.worlds import WORLDS, Arrivals, Behaviour, FittedTastes, RingBeliefs, TasteFlips
from recsys.simulation.worlds.fitting import TasteFit, WorldCheck, fit_tastes

__all__ = [
    "MEASURES",
    "POLICIES",
    "WORLDS",
    "Arrivals",
    "Behaviour",
    "Consumption",
    "DivertedExperiment",
    "FittedTastes",
    "Log",
    "Measure",
    "MostLiked",
    "NoRecommender",
    "Offer",
    "Oracle",
    "Policy",
    "Population",
    "RandomItems",
    "Recommender",
    "RingBeliefs",
    "Round",
    "RunningPolicy",
    "SimulationRun",
    "TasteFit",
    "TasteFlips",
    "Trajectory",
    "World",
    "WorldCheck",
    "fit_tastes",
    "run_diverted_experiment",
    "run_simulation",
    "simulate",
    "simulate_arms",
]
