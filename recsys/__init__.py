"""Recommenders that do not lock people into a bubble: models, re-ranking with negative space, benchmarks.

Every name is imported when it is first asked for: a server that only re-ranks loads nothing else.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys import data, guards, maps, metrics, models, objectives, splits
    from recsys.data import load, read
    from recsys.dials import entropy_weights
    from recsys.experiments import bench
    from recsys.opportunities import opportunity_costs
    from recsys.pools import Pool, candidates
    from recsys.rankers import Ranker
    from recsys.scores import compare, score
    from recsys.slates import rerank
    from recsys.types import (
        Context,
        Counts,
        Coverage,
        Dataset,
        Evaluation,
        Factors,
        Guard,
        Interactions,
        Items,
        Model,
        Modular,
        RecsysError,
        RecsysWarning,
        Scorer,
        Seats,
        Slates,
        Split,
        Spread,
        TasteMap,
        Volume,
        Yardstick,
    )

    __version__: str
else:  # hidden from type checkers, for which a module with __getattr__ has every name
    _HOMES = {
        "Pool": "recsys.pools",
        "Ranker": "recsys.rankers",
        "bench": "recsys.experiments",
        "candidates": "recsys.pools",
        "compare": "recsys.scores",
        "entropy_weights": "recsys.dials",
        "load": "recsys.data",
        "opportunity_costs": "recsys.opportunities",
        "read": "recsys.data",
        "rerank": "recsys.slates",
        "score": "recsys.scores",
    }

    def __getattr__(name):
        from importlib import import_module, metadata

        if name == "__version__":
            return metadata.version("recsys-negspace")
        if name not in __all__:
            raise AttributeError(f"module 'recsys' has no attribute '{name}'")
        from recsys.types.extras import needs_extra

        home = _HOMES.get(name) or ("recsys.types" if name[0].isupper() else None)
        with needs_extra(f"recsys.{name}"):
            return getattr(import_module(home), name) if home else import_module(f"recsys.{name}")

    def __dir__():
        return sorted({*globals(), *__all__})


__all__ = [
    "Context", "Counts", "Coverage", "Dataset", "Evaluation", "Factors", "Guard", "Interactions", "Items", "Model",
    "Modular", "Pool", "Ranker", "RecsysError", "RecsysWarning", "Scorer", "Seats", "Slates", "Split", "Spread",
    "TasteMap", "Volume", "Yardstick", "__version__", "bench", "candidates", "compare", "data", "entropy_weights",
    "guards", "load", "maps", "metrics", "models", "objectives", "opportunity_costs", "read", "rerank", "score",
    "splits",
]  # fmt: skip
