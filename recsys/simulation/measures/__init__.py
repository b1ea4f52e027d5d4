"""What is measured in each round: by true tastes, and beside them by what the platform believes."""

from collections.abc import Mapping

from recsys.simulation.measures.catalog import CatalogCoverage, ConsumptionGini, DiscoverableCorpus, ShownPopularity
from recsys.simulation.measures.crowds import (
    BetweenUserDiversity,
    Homogeneity,
    MajorityDrift,
    TasteDrift,
    WithinUserDiversity,
)
from recsys.simulation.measures.flips import EscapePotential, RoundsToForget
from recsys.simulation.measures.interests import InterestShift
from recsys.simulation.measures.protocols import Measure, PerGroup
from recsys.simulation.measures.regions import count_effectively, count_regions, find_taste
from recsys.simulation.measures.utilities import MissedUtility, SlateUtility, TrueNDCG, TruePrecision, Welfare
from recsys.simulation.measures.widths import (
    ConsumedMapWidth,
    ConsumedWidth,
    RegionDeficit,
    ShownMapWidth,
    ShownWidth,
    TrueDiscovery,
)

MEASURES: Mapping[str, type[Measure]] = {
    "welfare": Welfare,
    "slate_utility": SlateUtility,
    "true_precision": TruePrecision,
    "true_ndcg": TrueNDCG,
    "shown_width": ShownWidth,
    "shown_map_width": ShownMapWidth,
    "consumed_width": ConsumedWidth,
    "consumed_map_width": ConsumedMapWidth,
    "true_discovery": TrueDiscovery,
    "missed_utility": MissedUtility,
    "region_deficit": RegionDeficit,
    "taste_drift": TasteDrift,
    "majority_drift": MajorityDrift,
    "interest_shift": InterestShift,
    "escape_potential": EscapePotential,
    "rounds_to_forget": RoundsToForget,
    "homogeneity": Homogeneity,
    "within_user_diversity": WithinUserDiversity,
    "between_user_diversity": BetweenUserDiversity,
    "consumption_gini": ConsumptionGini,
    "shown_popularity": ShownPopularity,
    "catalog_coverage": CatalogCoverage,
    "discoverable_corpus": DiscoverableCorpus,
}
OF_MAPS = ("shown_map_width", "consumed_map_width")  # each training of a policy makes maps for them
OF_SOME_WORLDS = ("interest_shift",)  # refused in a world without what they measure
STANDARD = tuple(  # what is measured where nothing is said
    name for name in MEASURES if name not in (*OF_MAPS, *OF_SOME_WORLDS)
)

__all__ = [
    "MEASURES",
    "STANDARD",
    "Measure",
    "PerGroup",
    "count_effectively",
    "count_regions",
    "find_taste",
]
