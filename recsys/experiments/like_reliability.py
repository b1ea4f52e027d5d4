"""How likely the picks of a benchmark's runs are liked, by a curve fitted to validation, and how reliable that is."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.configs import RunSpec
from recsys.evidence.like_curves import LikeCurve, attach_like_probabilities, fit_like_curve, read_reliability
from recsys.experiments.likelihoods import build_fitting_preparation
from recsys.experiments.pipeline import Preparation, build_or_load_pool, fit_or_load_model
from recsys.experiments.rerankings import SlatesByLength
from recsys.reranking.slates import rerank
from recsys.retrieval.candidates import candidates
from recsys.types import Pool, RecsysError, Slates
from recsys.types.arrays import Csr

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class LikeReliability:
    """A like curve, and a table of what it says against what was liked: run, part, bin, probability, liked, picks.

    Part "validation" are the best candidates that the curve was fitted to, "test" the picks of each run that starts
    from the same scores, at the headline k.
    """

    curve: LikeCurve
    table: "pd.DataFrame"

    def describe(self) -> tuple[str, ...]:
        """Return notes: the curve, and the calibration error of its part of validation and of each run."""
        told = []
        for (run, part), rows in self.table.groupby(["run", "part"], sort=False):
            error = (rows["picks"] * (rows["probability"] - rows["liked"]).abs()).sum() / rows["picks"].sum()
            told.append(f"{run} on {part} {error:.4f}")
        curve = f"P(like) = logistic({self.curve.slope:.4g} score {self.curve.offset:+.4g}), fitted to validation likes"
        if self.curve.window != 1.0:
            curve += f", within {self.curve.window:.3g} times as much as validation holds out"
        return (f"{curve}; expected calibration error: {', '.join(told)}",)


def add_like_probabilities(
    preparation: Preparation, specs: Sequence[RunSpec], slates: SlatesByLength, by_fold: Sequence[SlatesByLength]
) -> tuple[SlatesByLength, list[SlatesByLength], LikeReliability | None]:
    """Return slates with the probability that each pick is liked, and how reliable it is; as they are without a curve.

    Runs that start from the base's own scores have one.
    """
    config = preparation.config
    if config.evidence is None or not config.evidence.like_curve:
        return slates, list(by_fold), None
    fitted_to, held_out, n = _build_validation_pool(preparation)
    curve = fit_like_curve(fitted_to, _need_whole(preparation), n=n)
    on_test = replace(curve, window=_mean_likes(preparation.split.test) / _mean_likes(held_out))
    pool = build_or_load_pool(preparation, config.model, config.pool)[0]
    names = {spec.name for spec in specs if spec.blend is not None and spec.pool is None and not spec.by_likelihood}

    def attach_one(run: str, one: Slates) -> Slates:
        return attach_like_probabilities(one, pool, on_test) if run in names else one

    def attach(by_length: SlatesByLength) -> SlatesByLength:
        return {k: {run: attach_one(run, one) for run, one in runs.items()} for k, runs in by_length.items()}

    attached, k = attach(slates), config.headline_k
    best = attach_like_probabilities(rerank(fitted_to, {"relevance": 1.0}, min(k, n)), fitted_to, curve)
    parts = [(config.base_name, "validation", best, held_out)]
    test = preparation.split.test
    parts += [(run, "test", one, test) for run, one in attached[k].items() if one.like_probabilities is not None]
    return attached, [attach(one) for one in by_fold], LikeReliability(on_test, _tabulate(parts))


def _build_validation_pool(preparation: Preparation) -> tuple[Pool, Csr, int]:
    config, whole = preparation.config, _need_whole(preparation)
    before = build_fitting_preparation(preparation, whole)
    fitted = fit_or_load_model(before, config.model)[0]
    own = before.objective_maps
    pool = candidates(fitted, whole.validation_view(), maps=own, seed=config.seed, **config.pool.model_dump())
    return pool, whole.validation, config.evidence.like_curve_candidates if config.evidence is not None else 1


def _mean_likes(held_out: Csr) -> float:
    """Return how many held-out positives a user has who has some."""
    return held_out.nnz / max(int((np.diff(held_out.indptr) > 0).sum()), 1)


def _need_whole(preparation: Preparation) -> Any:
    if preparation.whole is None:
        raise RecsysError("[evidence] like_curve needs validation, expected a split that has it")
    return preparation.whole


def _tabulate(parts: Iterable[tuple[str, str, Slates, Csr]]) -> "pd.DataFrame":
    import pandas as pd

    def iter_rows() -> Iterator[dict[str, Any]]:
        for run, part, slates, held_out in parts:
            found = read_reliability(slates, held_out)
            for b, row in enumerate(zip(*found, strict=True)):
                told = dict(zip(("probability", "liked", "picks"), row, strict=True))
                yield {"run": run, "part": part, "bin": b + 1, **told}

    return pd.DataFrame(list(iter_rows()))
