"""Recommenders that do not lock people into a bubble: models, re-ranking with negative space, benchmarks.

Every name is imported when it is first asked for: a server that only re-ranks loads nothing else.
"""

import logging as _logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys import data, maps, metrics, models, objectives, splits, testing
    from recsys.control.receipt_logs import ReceiptLog
    from recsys.control.receipts import Receipt
    from recsys.data import load_dataset, read_dataset, read_exposures
    from recsys.evidence import detect_guest_runs, detect_one_offs
    from recsys.experiments import Bench, bench, choose_half_life
    from recsys.likelihoods import Likelihood, apply_likelihood, fit_likelihood
    from recsys.rankers import Ranker, Recommendation
    from recsys.reranking import guards
    from recsys.reranking.opportunity_costs import opportunity_costs
    from recsys.reranking.slates import rerank
    from recsys.reranking.user_weights import entropy_weights
    from recsys.retrieval.candidates import Pool, candidates
    from recsys.retrieval.repeat_candidates import add_repeats
    from recsys.scores import Comparison, compare, evaluate
    from recsys.types import (
        Context,
        Counts,
        Coverage,
        Dataset,
        Evaluation,
        Exposures,
        Factors,
        GroundTruth,
        Guard,
        Interactions,
        Items,
        Model,
        Modular,
        PerCatalogue,
        PerMap,
        PerUser,
        RecsysError,
        RecsysWarning,
        Rule,
        Scorer,
        Seats,
        SideInformation,
        Slates,
        Split,
        Spread,
        TasteMap,
        Volume,
    )

    __version__: str
else:  # hidden from type checkers, for which a module with __getattr__ has every name
    _HOMES = {
        "Bench": "recsys.experiments",
        "Comparison": "recsys.scores",
        "Likelihood": "recsys.likelihoods",
        "Pool": "recsys.retrieval.candidates",
        "Ranker": "recsys.rankers",
        "Receipt": "recsys.control.receipts",
        "ReceiptLog": "recsys.control.receipt_logs",
        "Recommendation": "recsys.rankers",
        "add_repeats": "recsys.retrieval.repeat_candidates",
        "apply_likelihood": "recsys.likelihoods",
        "bench": "recsys.experiments",
        "candidates": "recsys.retrieval.candidates",
        "choose_half_life": "recsys.experiments",
        "compare": "recsys.scores",
        "detect_guest_runs": "recsys.evidence",
        "detect_one_offs": "recsys.evidence",
        "entropy_weights": "recsys.reranking.user_weights",
        "fit_likelihood": "recsys.likelihoods",
        "load_dataset": "recsys.data",
        "opportunity_costs": "recsys.reranking.opportunity_costs",
        "read_dataset": "recsys.data",
        "read_exposures": "recsys.data",
        "rerank": "recsys.reranking.slates",
        "evaluate": "recsys.scores",
    }

    _MODULES = {"guards": "recsys.reranking.guards"}  # those of another name than `recsys.<name>`

    def __getattr__(name):
        from importlib import import_module, metadata

        if name == "__version__":
            return metadata.version("recsys-negspace")
        if name not in __all__:
            raise AttributeError(f"module 'recsys' has no attribute '{name}'")
        from recsys.types.extras import needs_extra

        home = _HOMES.get(name) or ("recsys.types" if name[0].isupper() else None)
        with needs_extra(f"recsys.{name}"):
            return getattr(import_module(home), name) if home else import_module(_MODULES.get(name, f"recsys.{name}"))

    def __dir__():
        return sorted({*globals(), *__all__})


_logging.getLogger("recsys").addHandler(_logging.NullHandler())  # who uses the library says where its lines go

__all__ = [
    "Bench",
    "Comparison",
    "Context",
    "Counts",
    "Coverage",
    "Dataset",
    "Evaluation",
    "Exposures",
    "Factors",
    "GroundTruth",
    "Guard",
    "Interactions",
    "Items",
    "Likelihood",
    "Model",
    "Modular",
    "PerCatalogue",
    "PerMap",
    "PerUser",
    "Pool",
    "Ranker",
    "Receipt",
    "ReceiptLog",
    "Recommendation",
    "RecsysError",
    "RecsysWarning",
    "Rule",
    "Scorer",
    "Seats",
    "SideInformation",
    "Slates",
    "Split",
    "Spread",
    "TasteMap",
    "Volume",
    "__version__",
    "add_repeats",
    "apply_likelihood",
    "bench",
    "candidates",
    "choose_half_life",
    "compare",
    "data",
    "detect_guest_runs",
    "detect_one_offs",
    "entropy_weights",
    "evaluate",
    "fit_likelihood",
    "guards",
    "load_dataset",
    "maps",
    "metrics",
    "models",
    "objectives",
    "opportunity_costs",
    "read_dataset",
    "read_exposures",
    "rerank",
    "splits",
    "testing",
]
