"""The slate of one request, by the library's own re-ranking: any blend of any objectives."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from recsys.rankers.policies import Policy
from recsys.rankers.requests import Asker, Candidates, context_for
from recsys.slates import rerank
from recsys.types import Context, Pool
from recsys.types.arrays import Floats, Longs


class Picks(NamedTuple):
    """What was picked."""

    places: Longs  # (k,) positions among the candidates, best first
    contributions: Floats  # (k, O)
    objectives: tuple[str, ...]
    log_propensity: Floats | None  # (k,)


def pick(
    context: Context, blend: Mapping[str, Any], scales: Mapping[str, float] | None, policy: Policy,
    asker: Asker, candidates: Candidates, k: int, seed: int,
) -> Picks:  # fmt: skip
    """Return what `recsys.rerank` picks for one user of `candidates`: k of them at most."""
    around = context_for(context, asker, context.seed + seed - policy.seed)
    pool = Pool(np.zeros(1, np.int32), candidates.items[None], candidates.scores[None], around)
    slates = rerank(
        pool, blend, min(k, len(candidates.items)), scale=scales, order=policy.order,  # type: ignore[arg-type]
        temperature=policy.temperature, epsilon=policy.epsilon, seed=seed, threads=1,
    )  # fmt: skip
    place = {code: at for at, code in enumerate(candidates.items.tolist())}
    places = np.array([place[code] for code in slates.items[0].tolist()], dtype=np.int64)
    chances = None if slates.log_propensity is None else slates.log_propensity[0]
    return Picks(places, slates.contributions[0], slates.objectives, chances)
