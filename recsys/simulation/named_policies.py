"""The policies by name."""

from collections.abc import Mapping

from recsys.simulation.attribute_profiles import ContentRecommender
from recsys.simulation.bandits import AverageTaste, DriftOracle, ThompsonSampling, UpperConfidenceBound
from recsys.simulation.policies import MostLiked, NoRecommender, Oracle, RandomItems, Recommender
from recsys.simulation.records import Policy

POLICIES: Mapping[str, type[Policy]] = {
    "none": NoRecommender,
    "random": RandomItems,
    "most_liked": MostLiked,
    "oracle": Oracle,
    "recommender": Recommender,
    "content": ContentRecommender,
    "thompson": ThompsonSampling,
    "ucb": UpperConfidenceBound,
    "average_taste": AverageTaste,
    "drift_oracle": DriftOracle,
}
