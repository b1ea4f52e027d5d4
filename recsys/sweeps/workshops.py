"""What a trial costs: only what its settings change. The rest is kept from trial to trial."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from recsys import blends
from recsys.configs import Config
from recsys.experiments.preparations import Preparation, pool
from recsys.scores import values
from recsys.slates import fit_scales, rerank
from recsys.terms import Terms
from recsys.types import Slates, Tables, Yardstick


@dataclass(frozen=True, eq=False)
class Workshop:
    """A split with its maps, and the pools and scales that trials shared."""

    preparation: Preparation
    metrics: list[str]
    yardstick: Yardstick
    pools: Tables = field(default_factory=lambda: Tables(2))
    scales: Tables = field(default_factory=lambda: Tables(512))

    def judge(self, config: Config) -> dict[str, float]:
        """Return the value of each metric for the one blend of `config`, or for its model alone."""
        return self._values(self.slates(config))

    def slates(self, config: Config) -> dict[int, Slates]:
        """Return slates of every length that a metric asks for."""
        key = json.dumps([config.model.model_dump(), config.pool.model_dump()])
        made = self.pools.get(key, lambda: Terms(pool(self.preparation, config.model, config.pool)[0]))
        blend = next(iter(config.blends.values()), {"relevance": 1.0})
        policy: dict[str, Any] = {**config.policy(config.runs()[-1]), "seed": config.seed, "terms": made}
        policy["guards"] = config.rules()
        return {
            k: rerank(made.pool, blend, k, scale=self._scales(config, key, made, blend, k), **policy)
            for k in sorted({int(metric.partition("@")[2]) for metric in self.metrics})
        }

    def _scales(
        self, config: Config, key: str, made: Terms, blend: Mapping[str, Any], k: int
    ) -> dict[str, float] | None:
        if config.slate.scale == "none":
            return None
        found: dict[str, float] = {}
        for part in blends.read(blend):
            alone = {part.name: {"weight": 1.0, **part.settings}}
            found |= self.scales.get(json.dumps([key, alone, k]), partial(fit_scales, made.pool, alone, k, terms=made))
        return found

    def _values(self, slates: Mapping[int, Slates]) -> dict[str, float]:
        found: dict[str, float] = {}
        for k, made in slates.items():
            names = [metric for metric in self.metrics if metric.endswith(f"@{k}")]
            found |= values(made, self.yardstick, names)
        return found


def workshop(preparation: Preparation, metrics: list[str]) -> Workshop:
    """Return a workshop on what `preparation` judges on."""
    yardstick = Yardstick(preparation.split, preparation.own, preparation.audit, preparation.content)
    return Workshop(preparation, metrics, yardstick)
