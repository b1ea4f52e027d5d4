"""Folds of a benchmark: judges by halves of the users, and the slates of objectives that have not seen the judge's."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count

from recsys import maps
from recsys.configs import Config, ModelSection, PoolSection, RunSpec
from recsys.experiments.likelihoods import apply_likelihood_quietly, build_or_load_likelihood
from recsys.experiments.pipeline import Preparation, build_or_load_maps, build_or_load_pool, start_map_workers
from recsys.experiments.repeat_pools import build_or_load_repeat_pool, order_new_and_repeats
from recsys.reranking.term_cache import TermCache
from recsys.retrieval.fold_contexts import make_fold_context, make_half_maps, select_table_users
from recsys.scores.cross_fitting import reads_maps
from recsys.scores.metric_names import resolve_metrics
from recsys.splits.cross_fitting import MIN_USERS_TO_HALVE, make_folds
from recsys.types import Fold, Judge, Pool, TableCache, TasteMap
from recsys.types.arrays import Csr

# They read the base model and the user's own history alone: their gains are the same in every fold.
FOLD_FREE_OBJECTIVES = frozenset({"fatigue", "noise", "relevance", "thompson", "ucb"})


def build_or_load_judges(preparation: Preparation, metrics: Sequence[str] | None = None) -> tuple[Judge, ...]:
    """Return the judge of each fold that [evaluation] halvings asks for, maps from the cache where they are there.

    () where none is asked for, none of `metrics` (those of the config) reads maps, or users are too few to be halved.
    """
    config, train = preparation.config, preparation.split.train
    names = config.evaluation.metrics if metrics is None else metrics
    if not any(map(reads_maps, resolve_metrics(names, config.slate.k))):
        return ()
    folds = make_folds(train.shape[0], config.evaluation.halvings, config.seed)
    with start_map_workers(train.shape[1]) as workers:
        audits, own = (
            list(workers.map(partial(build, preparation), folds, count()))
            for build in (_build_audit_maps, _build_own_maps)
        )
    return tuple(Judge(fold, audits[f], own[f], audits[f ^ 1]) for f, fold in enumerate(folds))


def describe_missing_folds(preparation: Preparation) -> tuple[str, ...]:
    """Say in one line that users are too few for the halvings that were asked for."""
    n_users = preparation.split.train.shape[0]
    if not preparation.config.evaluation.halvings or n_users >= MIN_USERS_TO_HALVE:
        return ()
    return (
        f"{n_users} users, fewer than {MIN_USERS_TO_HALVE}, are not halved: the audit maps have seen users whom "
        "objectives know, and flatter them",
    )


def depends_on_fold(spec: RunSpec, config: Config) -> bool:
    """Whether the slates of a run are others where tables of everybody are made from other users."""
    blend = spec.blend or {}
    adapted = any(isinstance(value, Mapping) and "adapt_to" in value for value in blend.values())
    explored = (spec.pool or config.pool).exploration_share > 0
    return explored or adapted or spec.by_likelihood or not FOLD_FREE_OBJECTIVES.issuperset(blend)


@dataclass(frozen=True, eq=False)
class FoldPools:
    """The pools of one fold: the same candidates, in contexts whose tables all blends of the fold share."""

    preparation: Preparation
    number: int  # of the fold
    judge: Judge
    kept: TableCache = field(default_factory=lambda: TableCache(2))

    def get_terms(
        self, pool: Pool, model: ModelSection, wanted: PoolSection, by_likelihood: bool = False, again: bool = False
    ) -> tuple[TermCache, TermCache]:
        """Return `pool`, that of a model, in the context of the fold, and its rows whose users make tables.

        Both with the terms that blends share. What is for exploration in a pool follows the fold's own maps. With
        `by_likelihood` the order is that of [likelihood], whose features are computed from the fold's tables; its
        coefficients are those of all users. `again` says that the pool is one with what was bought before.
        """

        def make() -> tuple[TermCache, TermCache]:
            around, number = self.preparation, None
            if wanted.exploration_share > 0:
                around, number = replace(around, objective_maps=self.judge.objective_maps), self.number
            of = pool
            if by_likelihood or number is not None:
                build = build_or_load_repeat_pool if again else build_or_load_pool
                of = build(around, model, wanted, fold=number)[0]
            moved_pool = self._move(of)
            if by_likelihood:
                learned = build_or_load_likelihood(self.preparation, model, wanted)
                out_of_fold = self.preparation.config.evaluation.split == "validation"
                if again:
                    new = self._move(build_or_load_pool(around, model, wanted, fold=number)[0])
                    moved_pool = order_new_and_repeats(new, moved_pool, learned, out_of_fold)[0]
                else:
                    moved_pool = apply_likelihood_quietly(moved_pool, learned, out_of_fold)[0]
            return TermCache(moved_pool), TermCache(select_table_users(moved_pool, self.judge.fold))

        wanted = wanted.model_copy(update={"exclude_seen": True}) if again else wanted
        return self.kept.get(
            json.dumps([model.model_dump(), wanted.model_dump(), by_likelihood, again], sort_keys=True), make
        )

    def _move(self, pool: Pool) -> Pool:
        around = make_fold_context(pool.context, self.judge.fold, maps=self.judge.objective_maps)
        return replace(pool, context=around)


def change_fold_half_life(fold: FoldPools, aged: Preparation) -> FoldPools:
    """Return the pools of a fold whose training positives age as those of `aged` do."""
    return FoldPools(aged, fold.number, _age_judge(fold.judge, aged, fold.number))


def _age_judge(judge: Judge, aged: Preparation, number: int) -> Judge:
    return replace(judge, objective_maps=_build_own_maps(aged, judge.fold, number))


def _build_audit_maps(preparation: Preparation, fold: Fold, number: int) -> tuple[TasteMap, ...]:
    judged = Csr(preparation.split.train[fold.judge_users])
    make = partial(maps.audit_maps, judged, seed=preparation.config.seed, half=None)
    key = preparation.key[: len(preparation.key) - len(preparation.time_key)]  # what judges has no age
    return build_or_load_maps(preparation.cache, ["audit fold", number, *key], make)


def _build_own_maps(preparation: Preparation, fold: Fold, number: int) -> tuple[TasteMap, ...]:
    known = Csr(preparation.split.weighted_train[fold.table_users])
    make: Callable[[], tuple[TasteMap, ...]] = partial(make_half_maps, known)
    return build_or_load_maps(preparation.cache, ["own fold", number, *preparation.key], make)
