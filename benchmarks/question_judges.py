"""Which offline judge tells the truth: slates of a generated log, read by metrics of the log and by true tastes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from question_worlds import Row, Worlds, cut_down
from scipy import sparse
from scipy.special import expit

import recsys
from recsys import maps, splits
from recsys.models import registry
from recsys.reranking.slates import fit_scales, rerank
from recsys.reranking.term_cache import TermCache
from recsys.retrieval.candidates import candidates
from recsys.retrieval.fold_contexts import make_fold_context, make_half_maps, select_table_users
from recsys.scores.cross_fitting import compute_fold_metrics
from recsys.scores.runs import compute_metrics
from recsys.simulation import FittedTastes
from recsys.simulation.worlds.fitting import hold_out_at_random
from recsys.splits.cross_fitting import make_folds
from recsys.support import rng
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import Fold, GroundTruth, Judge, Pool, Split, TasteMap
from recsys.types.arrays import Bools, Csr, Doubles, Ints

BASE = "base"
TRUTHS = (
    "true precision", "true welfare", "true discovery", "true discovery of unliked regions",
    "true discovery of favourites",
)  # fmt: skip
BEYOND_CHANCE = "true discovery beyond chance"  # where it is asked for
ACCURACY = ("ndcg", "stratified_recall", "recall", "precision")
DIVERSITY = ("ild_cooccurrence", "ild_features", "coverage", "self_information", "serendipity")
CROSS_FITTED = ("discovery", "discovery_two_witnesses", "stratified_discovery", "unexplored_share")
Blend = Mapping[str, Any]


def build_blend(family: str, strength: float) -> Blend:
    """Return the blend of a family; "popularity bonus" is novelty with the opposite sign."""
    if family == "popularity bonus":
        return {"relevance": 1.0, "novelty": -strength}
    return {"relevance": 1.0, **dict.fromkeys(family.split(" + "), strength)}


def list_blends(settings: Mapping[str, Any]) -> dict[str, tuple[str, float, Blend]]:
    """Return the family, the strength and the blend of every run, the base first."""
    found: dict[str, tuple[str, float, Blend]] = {BASE: (BASE, 0.0, {"relevance": 1.0})}
    for family in settings["families"]:
        for strength in settings["strengths"]:
            found[f"{family} {strength:g}"] = (family, strength, build_blend(family, strength))
    return found


@dataclass(frozen=True)
class Cell:
    """One world, number of users, length of history and seed."""

    world: str
    users: int  # 0: all
    history: float
    seed: int

    @property
    def keys(self) -> Row:
        """What its rows are found by."""
        return {"world": self.world, "users": self.users, "history": self.history, "seed": self.seed}


def list_cells(settings: Mapping[str, Any]) -> Iterator[Cell]:
    """Yield every cell, the first seed of all conditions first."""
    for seed in range(settings["first_seed"], settings["first_seed"] + settings["seeds"]):
        for world in settings["worlds"]:
            for one in settings["conditions"]:
                yield Cell(world, one["users"], one["history"], seed)


@dataclass(frozen=True, eq=False)
class JudgedLog:
    """A generated log with a part held out, the pool of the platform's model, and the people whose log it is."""

    settings: Mapping[str, Any]
    world: FittedTastes
    split: Split  # of the generated log
    pool: Pool
    seed: int

    @cached_property
    def folds(self) -> tuple[Fold, ...]:
        """Halves of the users."""
        return make_folds(self.split.shape[0], self.settings["halvings"], self.seed)

    @cached_property
    def judges(self) -> tuple[Judge, ...]:
        """A judge for each fold."""
        audits = [self.audit(Csr(self.split.train[fold.judge_users])) for fold in self.folds]
        own = [make_half_maps(Csr(self.split.train[fold.table_users])) for fold in self.folds]
        return tuple(Judge(fold, audits[f], own[f], audits[f ^ 1]) for f, fold in enumerate(self.folds))

    @cached_property
    def fold_terms(self) -> list[tuple[TermCache, TermCache]]:
        """The pool in the context of each fold, and its rows whose users make tables, with terms that blends share."""
        made = []
        for judge in self.judges:
            context = make_fold_context(self.pool.context, judge.fold, maps=judge.objective_maps)
            moved = replace(self.pool, context=context)
            made.append((TermCache(moved), TermCache(select_table_users(moved, judge.fold))))
        return made

    def audit(self, train: Csr) -> tuple[TasteMap, ...]:
        """Return the audit family of these histories."""
        return maps.audit_maps(train, seed=self.seed, half=None)

    def make_slates(self, blend: Blend, terms: TermCache, fitted: TermCache) -> Ints:
        """Return the slates of a blend, in the order of relevance, with scales that are fitted on `fitted`."""
        k = self.settings["k"]
        scale = fit_scales(fitted.pool, blend, k, terms=fitted)
        return rerank(terms.pool, blend, k, scale=scale, order="relevance", terms=terms, seed=self.seed).items


def draw_log(world: FittedTastes, settings: Mapping[str, Any], seed: int) -> JudgedLog:
    """Return a log of the world, a fifth of each user's likes held out, and the pool of a model of the rest."""
    split = hold_out_at_random(world.generate_log(seed), seed)
    model = registry.build_model(settings["model"], {}, "[judges]").fit(split.train, split.side_information)
    own = maps.objective_maps(split.train, half=None)
    pool = candidates(model, split, n=settings["pool"], maps=own, seed=seed)
    return JudgedLog(settings, world, split, pool, seed)


@dataclass(frozen=True, eq=False)
class TrueWorth:
    """What slates of a log's users are truly worth."""

    world: FittedTastes
    split: Split  # of the log
    favourites: float  # a share of all items

    @cached_property
    def met(self) -> Bools:
        """In which regions of taste each user has met something, (U, Z)."""
        return touch_regions(self.world, self.split.seen)

    @cached_property
    def liked(self) -> Bools:
        """In which regions of taste each user has liked something, (U, Z)."""
        return touch_regions(self.world, self.split.train)

    @cached_property
    def least_favourite(self) -> Doubles:
        """The log-odds from which on an item is among each user's favourites, (U,)."""
        return np.asarray(np.quantile(self.world.like_logits, 1 - self.favourites, axis=1))

    @cached_property
    def by_chance(self) -> Doubles:
        """The mean chance of a like over items of regions of which each user has met nothing, (U,); 0 without any."""
        new = ~self.met[:, self.world.regions]
        likely = np.where(new, expit(self.world.like_logits), 0.0)
        return np.asarray(likely.sum(axis=1, dtype=np.float64) / np.maximum(new.sum(axis=1), 1))

    def read_beyond_chance(self, items: Ints) -> float:
        """Return true discovery less that of as many items of unmet regions drawn at random: mean over users."""
        there, items = items >= 0, np.maximum(items, 0)
        new = there & ~np.take_along_axis(self.met, self.world.regions[items], axis=1)
        likely = expit(self.world.like_logits[np.arange(len(items))[:, None], items].astype(np.float64))
        return float(((likely - self.by_chance[:, None]) * new).sum(axis=1).mean())

    def read(self, items: Ints) -> Row:
        """Return means over users of each truth of slates, (U, k)."""
        users = np.arange(len(items))[:, None]
        there, items = items >= 0, np.maximum(items, 0)
        logits = self.world.like_logits[users, items].astype(np.float64)
        likely = np.where(there, expit(logits), 0.0)
        regions = self.world.regions[items]
        new, unliked = (~np.take_along_axis(of, regions, axis=1) for of in (self.met, self.liked))
        best = there & (logits >= self.least_favourite[:, None])
        values = (
            likely.sum(axis=1) / np.maximum(there.sum(axis=1), 1),
            expect_welfare(self.world, np.where(there, logits, -np.inf), likely),
            (likely * new).sum(axis=1),
            (likely * unliked).sum(axis=1),
            (best & new).sum(axis=1),
        )
        return {name: float(of.mean()) for name, of in zip(TRUTHS, values, strict=True)}


def touch_regions(world: FittedTastes, log: Csr) -> Bools:
    """Return in which regions of taste each user has an item in the log, (U, Z)."""
    touched = np.zeros((log.shape[0], int(world.regions.max()) + 1), dtype=bool)
    user, item = log.nonzero()
    touched[user, world.regions[item]] = True
    return touched


def expect_welfare(world: FittedTastes, logits: Doubles, likely: Doubles) -> Doubles:
    """Return the chance that what each user takes from the slate, if anything, is liked, (U,): multinomial logit."""
    of = world.behaviour
    weight = np.exp(of.sharpness * logits) * of.get_attention(logits.shape[1])
    return np.asarray((weight * likely).sum(axis=1) / (weight.sum(axis=1) + np.exp(of.no_choice)))


def map_likes(log: str, registration: Mapping[str, Any], split: Split) -> Csr:
    """Return the likes of another log over the items of `split` by title and year, (users of that log, I)."""
    wanted = dict(registration["data"][log])
    other = splits.no_holdout(recsys.load_dataset(wanted.pop("name")), **wanted)
    ours, theirs = (
        np.char.add(np.char.add(of.titles.astype(str), " "), of.years.astype(str)).tolist()
        for of in (split.items, other.items)
    )
    place = {title: code for code, title in enumerate(ours)}
    code = np.array([place.get(title, -1) for title in theirs])
    user, item = other.train.nonzero()
    known = code[item] >= 0
    pairs = np.ones(int(known.sum()), np.float32), (user[known], code[item[known]])
    matrix = sparse.csr_matrix(pairs, shape=(other.shape[0], len(ours)))
    matrix.data[:] = 1.0
    return Csr(matrix)


def list_judges(drawn: JudgedLog, other: Csr | None) -> Iterator[tuple[str, tuple[TasteMap, ...]]]:
    """Yield the families of maps by which served slates are judged."""
    train = drawn.split.train
    yield "all users", drawn.audit(train)
    yield "half", drawn.judges[0].audit_maps
    order = np.argsort(rng.draw_uniforms(drawn.seed, "few users", np.arange(train.shape[0])), kind="stable")
    yield "few users", drawn.audit(Csr(train[np.sort(order[: drawn.settings["few_users"]])]))
    if other is not None:
        yield "other log", drawn.audit(other)
    yield "own maps", tuple(drawn.pool.context.maps)
    yield "content", maps.content_maps(drawn.split.items)


@limit_to_one_blas_thread()
def judge_cell(cell: Cell, registration: Mapping[str, Any], worlds: Worlds) -> list[Row]:
    """Return a row for each blend: what every metric and the truth say of its slates.

    Raises:
        RecsysError: for a world that its checks refuse.
    """
    settings = registration["judges"]
    world = cut_down(worlds.get(cell.world), cell.users, cell.history, cell.seed)
    assert isinstance(world, FittedTastes)
    drawn = draw_log(world, settings, cell.seed)
    log = settings["others"].get(registration["worlds"][cell.world]["data"])
    other = None if log is None else map_likes(log, registration, drawn.split)
    plain = GroundTruth(drawn.split)
    truths = {name: replace(plain, audit_maps=family) for name, family in list_judges(drawn, other) if family}
    terms, worth = TermCache(drawn.pool), TrueWorth(world, drawn.split, settings["favourites"])
    rows = []
    for name, (family, strength, blend) in list_blends(settings).items():
        served = drawn.make_slates(blend, terms, terms)
        row = {**cell.keys, "n_users": len(served), "blend": name, "family": family, "strength": strength}
        row |= worth.read(served)
        row |= read_metrics(compute_metrics(served, plain, [*ACCURACY, *DIVERSITY], [settings["k"]]))
        for judge, truth in truths.items():
            metrics = ["discovery", "stratified_discovery"] if judge == "all users" else ["discovery"]
            row |= read_metrics(compute_metrics(served, truth, metrics, [settings["k"]]), f" ({judge})")
        folded = [drawn.make_slates(blend, *both) for both in drawn.fold_terms]
        unseen = compute_fold_metrics(folded, plain, drawn.judges, CROSS_FITTED, [settings["k"]])
        rows.append(row | read_metrics(unseen, " (unseen)"))
    return rows


def read_metrics(found: Mapping[str, float], mark: str = "") -> Row:
    """Return values by the name of the metric, without its k, and with a mark."""
    return {name.partition("@")[0] + mark: value for name, value in found.items()}


def list_metrics(rows: Sequence[Row]) -> list[str]:
    """Return the names of the metrics in rows, those of the truth left out."""
    told = {"world", "users", "history", "seed", "n_users", "blend", "family", "strength", *TRUTHS}
    return [name for name in rows[0] if name not in told]
