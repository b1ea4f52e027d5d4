"""The evaluation of trials: only what a trial's settings change is computed again."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from recsys.configs import Config
from recsys.experiments.benchmark import hash_folder_name
from recsys.experiments.folds import FoldPools, build_or_load_judges, depends_on_fold
from recsys.experiments.likelihoods import build_or_load_ranked_pool
from recsys.experiments.pipeline import Preparation, build_or_load_pool
from recsys.reranking.slates import fit_each_scale, rerank
from recsys.reranking.term_cache import TermCache
from recsys.scores import Scores, compute_metrics, evaluate
from recsys.scores.cross_fitting import compute_fold_metrics, evaluate_folds
from recsys.types import GroundTruth, Judge, Slates, TableCache


@dataclass(frozen=True, eq=False)
class TrialEvaluator:
    """A split with its maps and judges, and the pools, terms and scales that trials share."""

    preparation: Preparation
    metrics: list[str]
    truth: GroundTruth
    judges: tuple[Judge, ...] = ()  # of each fold; () where trials are read by seen users
    folds: tuple[FoldPools, ...] = ()  # the pools of each fold, in the same order
    pools: TableCache = field(default_factory=lambda: TableCache(2))
    scales: TableCache = field(default_factory=lambda: TableCache(4096))

    @property
    def fingerprint(self) -> str:
        """That of the split, hashed with the columns of items where [likelihood] reads some."""
        prepared = self.preparation
        if not prepared.item_columns:
            return prepared.split.fingerprint
        return hash_folder_name(prepared.split.fingerprint, *prepared.column_digests)

    def evaluate_config(self, config: Config) -> dict[str, float]:
        """Return the value of each metric for the one blend of `config`, or for its model alone.

        Means over folds, where there are judges.
        """
        found: dict[str, float] = {}
        for k in self.lengths:
            names = [metric for metric in self.metrics if metric.endswith(f"@{k}")]
            if self.judges:
                found |= compute_fold_metrics(self.build_fold_slates(config, k), self.truth, self.judges, names)
            else:
                found |= compute_metrics(self.build_slates(config)[k], self.truth, names)
        return found

    @property
    def lengths(self) -> list[int]:
        """The slate lengths that a metric asks for."""
        return sorted({int(metric.partition("@")[2]) for metric in self.metrics})

    def evaluate_blends(self, configs: Mapping[str, Config], metrics: Sequence[str]) -> Scores:
        """Return the scores of the blends of several configs, by name, in metrics such as "ndcg@10"."""
        lengths = dict.fromkeys(int(metric.partition("@")[2]) for metric in metrics)
        parts = [self._evaluate_at(configs, [one for one in metrics if one.endswith(f"@{k}")], k) for k in lengths]
        found = {(cell.run, f"{cell.metric}@{cell.k}"): cell for part in parts for cell in part.cells}
        return replace(parts[0], cells=tuple(found[name, metric] for name in configs for metric in metrics))

    def _evaluate_at(self, configs: Mapping[str, Config], metrics: Sequence[str], k: int) -> Scores:
        of = self.preparation.config
        how: dict[str, Any] = {"seed": of.seed, "n_bootstrap": of.evaluation.n_bootstrap}
        if not self.judges:
            runs = {name: self.build_slates(config)[k].items for name, config in configs.items()}
            return evaluate(runs, self.truth, metrics, [k], **how)
        made = {name: [one.items for one in self.build_fold_slates(config, k)] for name, config in configs.items()}
        folded = [{name: items[f] for name, items in made.items()} for f in range(len(self.judges))]
        return evaluate_folds(folded, self.truth, self.judges, metrics, [k], **how)

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
        for fold in self.folds:
            moved, fitted = fold.get_terms(terms.pool, config.model, config.pool, self._is_by_likelihood(config))
            made.append(self._rerank(config, k, f"{fold.number} {key}", moved, fitted))
        return made

    @staticmethod
    def _is_by_likelihood(config: Config) -> bool:
        return config.likelihood is not None and bool(config.blends)  # the base keeps the model's own order

    def _get_terms(self, config: Config) -> tuple[str, TermCache]:
        by_likelihood = self._is_by_likelihood(config)
        key = json.dumps([config.model.model_dump(), config.pool.model_dump(), by_likelihood])
        build = build_or_load_ranked_pool if by_likelihood else build_or_load_pool
        return key, self.pools.get(key, lambda: TermCache(build(self.preparation, config.model, config.pool)[0]))

    def _rerank(self, config: Config, k: int, key: str, terms: TermCache, fitted: TermCache) -> Slates:
        blend = next(iter(config.blends.values()), {"relevance": 1.0})
        policy: dict[str, Any] = config.get_pick_settings(config.list_runs()[-1])
        scale = self._fit_scales(config, key, fitted, blend, k)
        guards = config.build_guards()
        return rerank(terms.pool, blend, k, scale=scale, seed=config.seed, terms=terms, guards=guards, **policy)

    def _fit_scales(
        self, config: Config, key: str, made: TermCache, blend: Mapping[str, Any], k: int
    ) -> dict[str, float] | None:
        if config.slate.scale == "none":
            return None

        def get_or_fit(alone: Mapping[str, Any], fit: Callable[[], float]) -> float:
            return self.scales.get(json.dumps([key, alone, k]), fit)

        return fit_each_scale(made.pool, blend, k, get_or_fit, terms=made)


def build_trial_evaluator(preparation: Preparation, metrics: list[str]) -> TrialEvaluator:
    """Return an evaluator of trials on the data of `preparation`: cross-fitted, as benchmarks are."""
    truth = preparation.build_ground_truth()
    judges = build_or_load_judges(preparation, metrics)
    folds = tuple(FoldPools(preparation, f, judge) for f, judge in enumerate(judges))
    return TrialEvaluator(preparation, metrics, truth, judges, folds)
