"""The likelihood of a ranker: the scores and the order of each request's candidates."""

import warnings
from dataclasses import replace

import numpy as np

from recsys.likelihoods.applying import find_reason_to_keep_base
from recsys.likelihoods.computing import RequestScorer, build_request_scorer
from recsys.likelihoods.records import Likelihood
from recsys.likelihoods.tables import get_feature_tables
from recsys.rankers.requests import Candidates, RequestUser
from recsys.types import Context, RecsysError, RecsysWarning
from recsys.types.arrays import Ints

KEPT_ORDER = "The user has no history: the likelihood is not used."


def refuse_likelihood(likelihood: Likelihood | None, context: Context) -> str:
    """Return why a likelihood is left out, in words, and warn; "" if it can be used, or there is none.

    Raises:
        RecsysError: if it is none, or of other items.
    """
    if likelihood is None:
        return ""
    if not isinstance(likelihood, Likelihood):
        raise RecsysError(f"ranker: likelihood is a {type(likelihood).__name__}, expected a Likelihood")
    likelihood.check_items(context.item_ids)
    reason = find_reason_to_keep_base(likelihood, context)
    if reason:
        warnings.warn(f"ranker: {reason}: the base's order is kept", RecsysWarning, stacklevel=4)
    return reason


def build_ranker_scorer(likelihood: Likelihood | None, context: Context) -> RequestScorer | None:
    """Return the scorer of requests, its tables made; None without a likelihood."""
    if likelihood is None:
        return None
    made = build_request_scorer(likelihood, get_feature_tables(context, likelihood.space, likelihood.has_maps))
    return made if context.repeats is None else replace(made, met_apart=True)


def order_by_likelihood(scorer: RequestScorer, request_user: RequestUser, found: Candidates) -> Candidates:
    """Return the candidates of a request with the likelihood's scores, best first; of equal ones the base's order.

    Raises:
        RecsysError: if scores are too large for 32 bits.
    """
    if not len(found.items) or not len(request_user.history):
        return found
    scores = scorer.score_candidates(found.items, found.scores, np.sort(request_user.history))
    if not (np.abs(scores) < 3e38).all():
        raise RecsysError("ranker: scores of the likelihood are too large, expected scores as it was fitted to")
    order = np.argsort(-scores, kind="stable")
    kind = scorer.likelihood.kind
    return Candidates(found.items[order], scores[order].astype(np.float32), found.unknown, kind)


def describe_kept_order(scorer: RequestScorer | None, request_user: RequestUser) -> tuple[str, ...]:
    """Return a note where the base's order is kept, () elsewhere."""
    return () if scorer is None or len(request_user.history) else (KEPT_ORDER,)


def explain_by_features(
    scorer: RequestScorer | None, request_user: RequestUser, given: Candidates, picks: Ints
) -> tuple[dict[str, float], ...]:
    """Return for each of `picks` (k,), codes, what features add to its score, beyond the mean candidate's.

    `given` are the candidates as they came; the largest amounts, of either sign, stand first.
    """
    if scorer is None or not len(request_user.history) or not len(picks):
        return ()
    added = scorer.explain_candidates(given.items, given.scores, np.sort(request_user.history))
    place, names = {code: n for n, code in enumerate(given.items.tolist())}, scorer.likelihood.features.tolist()
    said = []
    for pick in picks.tolist():
        row = added[place[pick]]
        said.append({names[f]: float(row[f]) for f in np.argsort(-np.abs(row), kind="stable")})
    return tuple(said)
