"""The evaluation of trials: only what a trial's settings change is computed again."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from recsys.configs import Config
from recsys.experiments.likelihoods import build_or_load_ranked_pool
from recsys.experiments.pipeline import Preparation, build_or_load_pool
from recsys.reranking.slates import fit_each_scale, rerank
from recsys.reranking.term_cache import TermCache
from recsys.scores import compute_metrics
from recsys.types import GroundTruth, Slates, TableCache


@dataclass(frozen=True, eq=False)
class TrialEvaluator:
    """A split with its maps, and the pools and scales that trials shared."""

    preparation: Preparation
    metrics: list[str]
    truth: GroundTruth
    pools: TableCache = field(default_factory=lambda: TableCache(2))
    scales: TableCache = field(default_factory=lambda: TableCache(512))

    def evaluate_config(self, config: Config) -> dict[str, float]:
        """Return the value of each metric for the one blend of `config`, or for its model alone."""
        return self._compute_values(self.build_slates(config))

    def build_slates(self, config: Config) -> dict[int, Slates]:
        """Return slates of every length that a metric asks for."""
        by_likelihood = config.likelihood is not None and bool(config.blends)  # the base keeps the model's own order
        key = json.dumps([config.model.model_dump(), config.pool.model_dump(), by_likelihood])
        build = build_or_load_ranked_pool if by_likelihood else build_or_load_pool
        made = self.pools.get(key, lambda: TermCache(build(self.preparation, config.model, config.pool)[0]))
        blend = next(iter(config.blends.values()), {"relevance": 1.0})
        policy: dict[str, Any] = {
            **config.get_pick_settings(config.list_runs()[-1]),
            "seed": config.seed,
            "terms": made,
        }
        policy["guards"] = config.build_guards()
        return {
            k: rerank(made.pool, blend, k, scale=self._fit_scales(config, key, made, blend, k), **policy)
            for k in sorted({int(metric.partition("@")[2]) for metric in self.metrics})
        }

    def _fit_scales(
        self, config: Config, key: str, made: TermCache, blend: Mapping[str, Any], k: int
    ) -> dict[str, float] | None:
        if config.slate.scale == "none":
            return None

        def get_or_fit(alone: Mapping[str, Any], fit: Callable[[], float]) -> float:
            return self.scales.get(json.dumps([key, alone, k]), fit)

        return fit_each_scale(made.pool, blend, k, get_or_fit, terms=made)

    def _compute_values(self, slates: Mapping[int, Slates]) -> dict[str, float]:
        found: dict[str, float] = {}
        for k, made in slates.items():
            names = [metric for metric in self.metrics if metric.endswith(f"@{k}")]
            found |= compute_metrics(made, self.truth, names)
        return found


def build_trial_evaluator(preparation: Preparation, metrics: list[str]) -> TrialEvaluator:
    """Return an evaluator of trials on the data of `preparation`."""
    truth = preparation.build_ground_truth()
    return TrialEvaluator(preparation, metrics, truth)
