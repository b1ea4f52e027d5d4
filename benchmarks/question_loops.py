"""What becomes of people under each policy: closed loops, with weights that were fixed on a log that no loop sees."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from question_judges import BASE, build_blend
from question_worlds import Row, Worlds, cut_down

from recsys.models import registry
from recsys.reranking.slates import rerank
from recsys.reranking.term_cache import TermCache
from recsys.retrieval.candidates import candidates
from recsys.scores.runs import compute_metrics
from recsys.simulation import POLICIES, FittedTastes, Policy, Recommender, World, simulate
from recsys.simulation.worlds.fitting import hold_out_at_random
from recsys.support.threads import limit_to_one_blas_thread
from recsys.sweeps import Discovery, discover
from recsys.sweeps.families import Family
from recsys.sweeps.family_choice import choose_family
from recsys.types import Dataset, GroundTruth, Interactions, Split

AXES = ("ndcg", "stratified_recall")
CHOSEN, LARGEST = "chosen", "largest gain"
CHOICES = (CHOSEN, LARGEST)
LIKE, DISLIKE = 5.0, 1.0  # weights of the rows of a generated log


@dataclass(frozen=True)
class Place:
    """A world with so many of its users and so long histories; 0 users are all."""

    world: str
    users: int = 0
    history: float = 1.0

    @property
    def keys(self) -> Row:
        """What its rows are found by."""
        return {"world": self.world, "users": self.users, "history": self.history}


def list_places(settings: Mapping[str, Any]) -> list[Place]:
    """Return the worlds of the loops, as they are cut down."""
    return [Place(**one) for one in settings["worlds"]]


def fix_blends(place: Place, registration: Mapping[str, Any], worlds: Worlds, work: Path) -> list[Row]:
    """Return a row for each policy that is a blend: its name, its blend and the losses on the log of the choice.

    Raises:
        RecsysError: for a world that its checks refuse.
    """
    settings = registration["loops"]
    seed = settings["choice_seed"]
    world = cut_down(worlds.get(place.world), place.users, place.history, seed)
    if not isinstance(world, FittedTastes):
        return [
            {"policy": name, "blend": adapt_to_ring(build_blend(name, settings["ring_weight"]))}
            for name in settings["blends"]
        ]
    logs = [world.generate_log(seed + number) for number in range(settings["choice_logs"])]
    rows = list(find_weights(logs, settings))
    return [*rows, *choose_blends(build_dataset(logs[0], place), settings, work)]


def adapt_to_ring(blend: Mapping[str, Any]) -> dict[str, Any]:
    """Return a blend whose calibration is to regions of a map: items of a ring have no features."""
    return {
        name: {"weight": value, "aspects": "map"} if name == "calibration" else value for name, value in blend.items()
    }


@limit_to_one_blas_thread()
def find_weights(logs: Sequence[Split], settings: Mapping[str, Any]) -> Iterator[Row]:
    """Yield for each blend the largest weight whose mean losses over logs keep the budget, or the smallest of all."""
    read = [build_reader(log, settings) for log in logs]
    base = average_metrics([of({"relevance": 1.0}) for of in read])
    for name in settings["blends"]:
        tried = []
        for weight in settings["weights"]:
            blend = build_blend(name, weight)
            found = average_metrics([of(blend) for of in read])
            tried.append({"policy": name, "blend": blend, **{axis: 1.0 - found[axis] / base[axis] for axis in AXES}})
        kept = [one for one in tried if max(one[axis] for axis in AXES) <= settings["budget"]]
        yield kept[-1] if kept else tried[0]


def build_reader(log: Split, settings: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], dict[str, float]]:
    """Return a function that says how well the slates of a blend find likes of the log that were held out."""
    seed, k = settings["choice_seed"], settings["k"]
    apart = hold_out_at_random(log, seed)
    model = build_model(settings).fit(apart.train, apart.side_information)
    pool = candidates(model, apart, n=settings["pool"], seed=seed)
    truth, terms = GroundTruth(apart), TermCache(pool)
    return lambda blend: compute_metrics(rerank(pool, blend, k, terms=terms), truth, AXES, [k])


def average_metrics(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each metric, by its name without k."""
    return {name.partition("@")[0]: float(np.mean([one[name] for one in found])) for name in found[0]}


def build_model(settings: Mapping[str, Any]) -> Any:
    table = dict(settings["model"])
    return registry.build_model(table.pop("kind"), table, "[loops] model")


def build_dataset(log: Split, place: Place) -> Dataset:
    """Return a generated log as the platform has it: a row for each pair, without times."""
    user, item = log.seen.nonzero()
    liked = np.asarray(log.train[user, item]).ravel() > 0
    weight = np.where(liked, LIKE, DISLIKE).astype(np.float32)
    rows = Interactions(user.astype(np.int32), item.astype(np.int32), weight, None, log.user_ids, log.item_ids)
    digest = hashlib.sha256(b"".join(one.tobytes() for one in (rows.user, rows.item, weight)))
    return Dataset("generated", rows, log.items, digest.hexdigest())


def choose_blends(data: Dataset, settings: Mapping[str, Any], work: Path) -> list[Row]:
    """Return what `recsys discover` chooses for a log among the families that start from the base's scores."""
    config = {
        "name": "generated",
        "seed": settings["choice_seed"],
        "filter": {"positive": f"weight >= {LIKE:g}"},
        "split": {"kind": "random", "validation": 0.1, "test": 0.2},
        "model": dict(settings["model"]),
        "pool": {"n": settings["pool"]},
        "slate": {"k": [settings["k"]], "order": "gain"},
        "evaluation": {"halvings": settings["halvings"]},
    }
    found = discover(
        config, data=data, trials=settings["trials"], accuracy_budget=settings["budget"], out=work, quiet=True
    )
    return read_choices(found)


def read_choices(found: Discovery) -> list[Row]:
    """Return the family and the blend that are chosen, and those that gain most on validation, sure or not."""
    results = found.results
    able = [
        one for one in results.families if one.role == "family" and not one.by_likelihood and results.points[one.name]
    ]
    choice = choose_family(able, results.on_validation.gains)
    said = {"said": " / ".join(found.lines[:2])}
    families = {CHOSEN: choice.chosen, LARGEST: choice.best}
    return [{"policy": name, **read_blend(found, family), **said} for name, family in families.items()]


def read_blend(found: Discovery, family: Family | None) -> Row:
    """Return the blend of a family that would be chosen; without one, the base."""
    if family is None:
        return {"blend": {"relevance": 1.0}, "family": BASE}
    results = found.results
    point = results.points[family.name]
    (method,) = (one for one in results.plan.methods if one.name == family.name)
    assert point is not None
    blend = method.trial_config(point.settings, "test").blends[method.name]
    return {"blend": dict(blend), "family": family.name}


def list_policies(
    blends: Mapping[str, Mapping[str, Any]], settings: Mapping[str, Any], ring: bool
) -> dict[str, Policy]:
    """Return every policy by name, the base first."""
    shared = {name: settings[name] for name in ("k", "pool", "retrain_every")}
    shared["random_rounds"] = settings["random_rounds"] if ring else 0
    shared["model"] = build_model(settings)
    made: dict[str, Policy] = {BASE: Recommender(**shared)}
    made |= {name: Recommender(blend=blend, **shared) for name, blend in blends.items()}
    return made | {name: POLICIES[name](k=settings["k"]) for name in settings["plain"]}


@limit_to_one_blas_thread()
def follow_loop(
    place: Place, policy: str, made: Policy, world: World, settings: Mapping[str, Any], seed: int
) -> list[Row]:
    """Return a row for each round that is told; welfare and true discovery are sums over rounds until then."""
    cut = cut_down(world, place.users, place.history, seed)
    path = simulate(cut, made, rounds=settings["rounds"], measures=settings["measures"], seed=seed)
    values = {name: path.get_values(name) for name in settings["measures"]}
    for name in ("true_discovery", "welfare"):
        values[name] = np.cumsum(values[name])
    return [
        {**place.keys, "policy": policy, "seed": seed, "round": number}
        | {name: float(of[number - 1]) for name, of in values.items()}
        for number in settings["told_rounds"]
    ]
