"""Families of blends that `recsys discover` compares: one or two objectives, on the base's scores or a likelihood's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from recsys.configs import Config, LikelihoodSection
from recsys.metrics import ACCURACY_AXES
from recsys.sweeps.goals import parse_goal
from recsys.sweeps.plans import Method, SweepPlan, SweepSection
from recsys.sweeps.search_space import find_ranges
from recsys.types import RecsysError
from recsys.types.numbers import parse_share

GAIN = "discovery"
DIAL = {"float": [0.02, 2.0], "log": True}  # of every weight, in units of equal spread ([slate] scale = "fitted")
USER_PARTS = 4  # of the users: those of each are judged by points that the others picked
MAX_POINTS = 8  # of each family's curve, that are read on validation and on test

# Families of one dial, beside the base's relevance or in its place: cheapest first, by the processor time of a slate
# (benchmarks/family_costs.py). The order decides between families that are level and equally simple.
SINGLE: dict[str, dict[str, Any]] = {
    "mmr": {"relevance": 1.0, "mmr": DIAL},
    "dpp": {"relevance": 1.0, "dpp": DIAL},
    "serendipity": {"relevance": 1.0, "serendipity": DIAL},
    "discovery_value": {"discovery_value": {"weight": 1.0, "exploration": {"float": [0.1, 10.0], "log": True}}},
    "unexplored": {"relevance": 1.0, "unexplored": DIAL},
}
PAIRED = ("mmr", "dpp", "serendipity", "unexplored")  # each two of them make a family of two dials
CONTROLS = {
    "noise": {"relevance": 1.0, "noise": DIAL},
    "popularity bonus": {"relevance": 1.0, "novelty": {"float": [-2.0, -0.02]}},
    "popularity discount": {"relevance": 1.0, "popularity_discount": DIAL},
}


@dataclass(frozen=True)
class Family:
    """A blend with its ranges, and the scores that it starts from."""

    objectives: tuple[str, ...]  # beside or instead of relevance; the name of a control
    blend: Mapping[str, Any]
    by_likelihood: bool = False
    role: Literal["family", "control"] = "family"

    @property
    def name(self) -> str:
        """The name, such as "mmr + dpp (likelihood)"."""
        return " + ".join(self.objectives) + (" (likelihood)" if self.by_likelihood else "")

    @property
    def dials(self) -> int:
        """The number of weights that are searched."""
        return len(list(find_ranges({"blend": self.blend})))

    @property
    def rank(self) -> tuple[int, bool, tuple[int, ...]]:
        """What decides between families that are level, smallest first: dials, likelihood, cost of a slate.

        The cost is that of the dearest objective first: places in `SINGLE`.
        """
        costs = [*SINGLE].index
        return self.dials, self.by_likelihood, tuple(sorted(map(costs, self.objectives), reverse=True))


def list_families(with_likelihood: bool) -> list[Family]:
    """Return every family, simplest first, and the controls."""
    blends: dict[tuple[str, ...], Mapping[str, Any]] = {(name,): blend for name, blend in SINGLE.items()}
    blends |= {pair: {**SINGLE[pair[0]], **SINGLE[pair[1]]} for pair in combinations(PAIRED, 2)}
    found = [
        Family(names, blend, by_likelihood)
        for by_likelihood in ((False, True) if with_likelihood else (False,))
        for names, blend in blends.items()
    ]
    return [*found, *(Family((name,), blend, role="control") for name, blend in CONTROLS.items())]


def build_discover_config(config: Config) -> Config:
    """Return the config with the section [likelihood], and what all families share.

    Gains are scaled alike. Picks stand in the order of relevance where the config does not say another order, pins
    items or draws picks: what a slate holds then costs as little accuracy as it can.

    Raises:
        RecsysError: if the config holds out nothing for validation.
    """
    if config.split.validation == 0:
        raise RecsysError(f"{config.name}: [split] validation is 0, expected a share of the data to choose on")
    slate = config.slate.model_copy(update={"scale": "fitted"})
    fixed = "order" in config.slate.model_fields_set or slate.temperature or slate.epsilon
    if not fixed and not any(guard.name == "pin" for guard in config.build_guards()):
        slate = slate.model_copy(update={"order": "relevance"})
    likelihood = config.likelihood or LikelihoodSection()
    return config.model_copy(update={"slate": slate, "likelihood": likelihood, "blends": {}})


def build_family_plan(
    config: Config, trials: int, accuracy_budget: str | float, families: Sequence[Family]
) -> SweepPlan:
    """Return the sweep over families, on the config of `build_discover_config`: at the headline's k alone.

    Its base keeps [likelihood] where a family starts from the likelihood's scores.

    Raises:
        RecsysError: if trials or budget are none.
    """
    k = config.headline_k
    accuracies, gain = tuple(parse_goal(name, k, True) for name in ACCURACY_AXES), parse_goal(GAIN, k, True)
    budget = parse_share("accuracy_budget", accuracy_budget)
    settings = SweepSection(
        maximize=[gain.metric],
        accuracy=[one.metric for one in accuracies],
        accuracy_budget=budget,
        trials=trials,
        seed=config.seed,
        sampler="qmc",
        front=MAX_POINTS,
    )
    tables = config.dump_settings()
    base = {key: value for key, value in tables.items() if key not in ("blends", "models")}
    base |= {
        "name": f"discover-{config.name}",
        "baselines": [],
        "slate": {**tables["slate"], "k": [k]},
        "evaluation": {**tables["evaluation"], "metrics": [*(one.metric for one in accuracies), gain.metric]},
    }
    if not any(family.by_likelihood for family in families):
        del base["likelihood"]
    methods = tuple(_build_method(family, base) for family in families)
    return SweepPlan(base["name"], base, methods, (gain,), (), accuracies, budget, settings, USER_PARTS)


def _build_method(family: Family, base: Mapping[str, Any]) -> Method:
    tables = {key: value for key, value in base.items() if family.by_likelihood or key != "likelihood"}
    tables["blends"] = {family.name: dict(family.blend)}
    return Method(family.name, tables, tuple(find_ranges(tables)))


def build_winner(config: Config, family: Family | None, blend: Mapping[str, Any] | None) -> Config:
    """Return the config with the blend of a family and, where it asks for it, [likelihood]; the base without one."""
    kept = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"split": "test"})})
    if family is None or blend is None:
        return kept.model_copy(update={"likelihood": None})
    made = kept.model_copy(update={"blends": {family.name: dict(blend)}})
    return made if family.by_likelihood else made.model_copy(update={"likelihood": None})
