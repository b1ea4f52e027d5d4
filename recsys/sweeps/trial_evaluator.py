"""The evaluation of trials: only what a trial's settings change is computed again."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from recsys.configs import Config, TimeSection
from recsys.experiments.benchmark import hash_folder_name
from recsys.experiments.folds import FoldPools, build_or_load_judges, change_fold_half_life, depends_on_fold
from recsys.experiments.pipeline import Preparation, change_half_life
from recsys.experiments.repeat_pools import build_or_load_run_pool, reads_repeats
from recsys.reranking.slates import fit_each_scale, rerank
from recsys.reranking.term_cache import TermCache
from recsys.scores import Scores, evaluate
from recsys.scores.alignment import restrict_to_users
from recsys.scores.cross_fitting import Reader, compute_fold_metrics_in_parts, evaluate_readers
from recsys.scores.runs import compute_metrics_in_parts
from recsys.support.rng import make_generator
from recsys.sweeps.trials import TrialValues
from recsys.types import GroundTruth, Judge, Slates, TableCache
from recsys.types.arrays import Ints


@dataclass(frozen=True, eq=False)
class TrialEvaluator:
    """A split with its maps and judges, and the pools, terms and scales that trials share."""

    preparation: Preparation
    metrics: list[str]
    truth: GroundTruth
    judges: tuple[Judge, ...] = ()  # of each fold; () where trials are read by seen users
    folds: tuple[FoldPools, ...] = ()  # the pools of each fold, in the same order
    parts: tuple[Ints, ...] = ()  # numbers of users: trials are read on each part too
    pools: TableCache = field(default_factory=lambda: TableCache(2))
    aged: TableCache = field(default_factory=lambda: TableCache(2))  # preparations and folds under other half-lives
    scales: TableCache = field(default_factory=lambda: TableCache(4096))

    @property
    def fingerprint(self) -> str:
        """That of the split, hashed with the columns of items where [likelihood] reads some."""
        prepared = self.preparation
        if not prepared.item_columns:
            return prepared.split.fingerprint
        return hash_folder_name(prepared.split.fingerprint, *prepared.column_digests)

    def evaluate_config(self, config: Config) -> TrialValues:
        """Return the value of each metric for the one blend of `config`, or for its model alone.

        Means over folds, where there are judges.
        """
        found: list[dict[str, float]] = [{} for _ in range(len(self.parts) + 1)]
        for k in self.lengths:
            names = [metric for metric in self.metrics if metric.endswith(f"@{k}")]
            if self.judges:
                slates = self.build_fold_slates(config, k)
                made = compute_fold_metrics_in_parts(slates, self.truth, self.judges, names, parts=self.parts)
            else:
                made = compute_metrics_in_parts(self.build_slates(config)[k], self.truth, names, parts=self.parts)
            found = [before | new for before, new in zip(found, made, strict=True)]
        return TrialValues(found[0], tuple(found[1:]))

    @property
    def lengths(self) -> list[int]:
        """The slate lengths that a metric asks for."""
        return sorted({int(metric.partition("@")[2]) for metric in self.metrics})

    def evaluate_blends(
        self, configs: Mapping[str, Config], metrics: Sequence[str], users: Ints | None = None
    ) -> Scores:
        """Return the scores of the blends of several configs, by name, in metrics such as "ndcg@10".

        Over all users, or over `users`, numbers of them.
        """
        lengths = dict.fromkeys(int(metric.partition("@")[2]) for metric in metrics)
        at_k = [self._evaluate_at(configs, [m for m in metrics if m.endswith(f"@{k}")], k, users) for k in lengths]
        found = {(cell.run, f"{cell.metric}@{cell.k}"): cell for scores in at_k for cell in scores.cells}
        return replace(at_k[0], cells=tuple(found[name, metric] for name in configs for metric in metrics))

    def _evaluate_at(self, configs: Mapping[str, Config], metrics: Sequence[str], k: int, users: Ints | None) -> Scores:
        of = self.preparation.config
        how: dict[str, Any] = {"seed": of.seed, "n_bootstrap": of.evaluation.n_bootstrap}
        if not self.judges:
            truth = self.truth if users is None else restrict_to_users(self.truth, users)
            runs = {name: self.build_slates(config)[k].items for name, config in configs.items()}
            return evaluate(runs, truth, metrics, [k], **how)
        made = {name: [one.items for one in self.build_fold_slates(config, k)] for name, config in configs.items()}
        folded = [{name: items[f] for name, items in made.items()} for f in range(len(self.judges))]
        marked = None if users is None else np.isin(np.arange(self.truth.split.shape[0]), users)
        reader = {"": Reader("all", metrics, marked)}
        return evaluate_readers(folded, self.truth, self.judges, reader, [k], **how)[""]

    def build_slates(self, config: Config) -> dict[int, Slates]:
        """Return slates of every length that a metric asks for, by tables of all users."""
        key, terms = self._get_terms(config)
        return {k: self._rerank(config, k, key, terms, terms) for k in self.lengths}

    def build_fold_slates(self, config: Config, k: int) -> list[Slates]:
        """Return slates of k picks by the tables of each fold; the same object where they do not depend on folds."""
        key, terms = self._get_terms(config)
        if not depends_on_fold(config.list_runs()[-1], config):
            return [self._rerank(config, k, key, terms, terms)] * len(self.judges)
        made = []
        for fold in self._age(find_own_time(config, self.preparation.config))[1]:
            kinds = self._is_by_likelihood(config), reads_repeats(config.list_runs()[-1], config)
            moved, fitted = fold.get_terms(terms.pool, config.model, config.pool, *kinds)
            made.append(self._rerank(config, k, f"{fold.number} {key}", moved, fitted))
        return made

    @staticmethod
    def _is_by_likelihood(config: Config) -> bool:
        return config.likelihood is not None and bool(config.blends)  # the base keeps the model's own order

    def _get_terms(self, config: Config) -> tuple[str, TermCache]:
        by_likelihood = self._is_by_likelihood(config)
        time = find_own_time(config, self.preparation.config)
        again = reads_repeats(config.list_runs()[-1], config)
        about = [config.model.model_dump(), config.pool.model_dump(), by_likelihood, again]
        key = json.dumps(about if time is None else [*about, time.model_dump()])
        build = partial(build_or_load_run_pool, by_likelihood=by_likelihood, again=again)
        return key, self.pools.get(key, lambda: TermCache(build(self._age(time)[0], config.model, config.pool)[0]))

    def _age(self, time: TimeSection | None) -> tuple[Preparation, tuple[FoldPools, ...]]:
        """Return the preparation and its folds under a half-life; what judges is the same under all of them."""
        if time is None:
            return self.preparation, self.folds

        def make() -> tuple[Preparation, tuple[FoldPools, ...]]:
            moved = change_half_life(self.preparation, time)
            return moved, tuple(change_fold_half_life(fold, moved) for fold in self.folds)

        return self.aged.get(time.model_dump_json(), make)

    def _rerank(self, config: Config, k: int, key: str, terms: TermCache, fitted: TermCache) -> Slates:
        run = config.list_runs()[-1]
        blend = run.blend or {"relevance": 1.0}
        policy: dict[str, Any] = config.get_pick_settings(run)
        scale = self._fit_scales(config, key, fitted, blend, k)
        guards = config.build_guards(run)
        return rerank(terms.pool, blend, k, scale=scale, seed=config.seed, terms=terms, guards=guards, **policy)

    def _fit_scales(
        self, config: Config, key: str, made: TermCache, blend: Mapping[str, Any], k: int
    ) -> dict[str, float] | None:
        if config.slate.scale == "none":
            return None

        def get_or_fit(alone: Mapping[str, Any], fit: Callable[[], float]) -> float:
            return self.scales.get(json.dumps([key, alone, k]), fit)

        return fit_each_scale(made.pool, blend, k, get_or_fit, terms=made)


def find_own_time(config: Config, base: Config) -> TimeSection | None:
    """Return the half-life of a config that is not that of the base, None where it is, or validation chooses it."""
    own = config.time
    return None if own is None or own == base.time or own.half_life == "validation" else own


def build_trial_evaluator(preparation: Preparation, metrics: list[str], user_parts: int = 1) -> TrialEvaluator:
    """Return an evaluator of trials on the data of `preparation`: cross-fitted, as benchmarks are.

    Where there are several `user_parts`, users are drawn into as many parts of equal size.
    """
    truth = preparation.build_ground_truth()
    judges = build_or_load_judges(preparation, metrics)
    folds = tuple(FoldPools(preparation, f, judge) for f, judge in enumerate(judges))
    drawn = make_generator(preparation.config.seed, "parts of users").permutation(truth.split.shape[0])
    parts = tuple(np.sort(one).astype(np.int32) for one in np.array_split(drawn, user_parts)) if user_parts > 1 else ()
    return TrialEvaluator(preparation, metrics, truth, judges, folds, parts)
