"""Closed loops: worlds of people with known tastes, policies that recommend to them, and what becomes of them."""

from recsys.simulation.attribute_profiles import AttributeProfiles, ContentRecommender
from recsys.simulation.bandits import AverageTaste, DriftOracle, ThompsonSampling, UpperConfidenceBound
from recsys.simulation.diverted_arms import DivertedExperiment, run_diverted_experiment, simulate_arms
from recsys.simulation.loop import Trajectory, simulate
from recsys.simulation.measures import MEASURES, Measure
from recsys.simulation.named_policies import POLICIES
from recsys.simulation.policies import MostLiked, NoRecommender, Oracle, RandomItems, Recommender
from recsys.simulation.records import Consumption, Log, Offer, Policy, Population, Round, RunningPolicy, World
from recsys.simulation.runs import SimulationRun, run_simulation
from recsys.simulation.worlds import (
    WORLDS,
    Arrivals,
    Behaviour,
    FittedTastes,
    HiddenTypes,
    PartlyKnownUtilities,
    ReinforcedInterests,
    RingBeliefs,
    TasteFlips,
)
from recsys.simulation.worlds.enlarging import enlarge_fit
from recsys.simulation.worlds.fitting import TasteFit, WorldCheck, fit_tastes

__all__ = [
    "MEASURES",
    "POLICIES",
    "WORLDS",
    "Arrivals",
    "AttributeProfiles",
    "AverageTaste",
    "Behaviour",
    "Consumption",
    "ContentRecommender",
    "DivertedExperiment",
    "DriftOracle",
    "FittedTastes",
    "HiddenTypes",
    "Log",
    "Measure",
    "MostLiked",
    "NoRecommender",
    "Offer",
    "Oracle",
    "PartlyKnownUtilities",
    "Policy",
    "Population",
    "RandomItems",
    "Recommender",
    "ReinforcedInterests",
    "RingBeliefs",
    "Round",
    "RunningPolicy",
    "SimulationRun",
    "TasteFit",
    "TasteFlips",
    "ThompsonSampling",
    "Trajectory",
    "UpperConfidenceBound",
    "World",
    "WorldCheck",
    "enlarge_fit",
    "fit_tastes",
    "run_diverted_experiment",
    "run_simulation",
    "simulate",
    "simulate_arms",
]
