"""The generic path of one request: `recsys.rerank` for one user, with any blend."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from recsys.rankers.policies import Policy
from recsys.rankers.request_constraints import pad_candidates
from recsys.rankers.requests import Candidates, RequestUser, build_user_context
from recsys.reranking.slates import rerank
from recsys.types import Context, Guard
from recsys.types.arrays import Floats, Longs


class Picks(NamedTuple):
    """The picks of one request, with the contributions of each objective."""

    positions: Longs  # (k,) positions among the candidates, best first
    contributions: Floats  # (k, O)
    objectives: tuple[str, ...]
    log_propensity: Floats | None  # (k,)


def pick_by_rerank(
    context: Context, blend: Mapping[str, Any], scales: Mapping[str, float] | None, policy: Policy,
    request_user: RequestUser, candidates: Candidates, k: int, seed: int, guards: Sequence[Guard] = (),
    factors: Mapping[str, float] | None = None,
) -> Picks:  # fmt: skip
    """Return the picks of `recsys.rerank` for one user of `candidates`: at most k of them; `factors` are dials.

    With guards, slots are k, as in a pool with a user of fewer candidates; without, no more than there are candidates.
    """
    around = build_user_context(context, request_user, context.seed + seed - policy.seed)
    pool = pad_candidates(candidates, k if guards else 0, around)
    slates = rerank(
        pool, blend, min(k, pool.items.shape[1]), scale=scales, weights=factors or None, guards=guards,
        order=policy.order,  # type: ignore[arg-type]
        temperature=policy.temperature, epsilon=policy.epsilon, seed=seed, n_threads=1,
    )  # fmt: skip
    place = {code: at for at, code in enumerate(candidates.items.tolist())}
    places = np.array([place[code] for code in slates.items[0].tolist() if code >= 0], dtype=np.int64)
    chances = None if slates.log_propensity is None else slates.log_propensity[0, : len(places)]
    return Picks(places, slates.contributions[0, : len(places)], slates.objectives, chances)
