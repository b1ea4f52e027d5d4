"""How sure a ranker is of a slate: the likes that it is expected to hold, and how long it is where these are few."""

from recsys.evidence.like_curves import MIN_EXPECTED_LIKES, LikeCurve, choose_slate_length, estimate_like_probabilities
from recsys.likelihoods.computing import RequestScorer
from recsys.rankers.likelihoods import order_by_likelihood
from recsys.rankers.requests import Candidates, RequestUser
from recsys.types import RecsysError
from recsys.types.arrays import Floats


def check_like_curve(curve: object) -> LikeCurve | None:
    """Return a curve, or None.

    Raises:
        RecsysError: for something else.
    """
    if curve is None or isinstance(curve, LikeCurve):
        return curve
    raise RecsysError(
        f"ranker: like_curve is a {type(curve).__name__}, expected a LikeCurve: recsys.evidence.fit_like_curve"
    )


def describe_unsure_slate(curve: LikeCurve | None, likelihood_kind: str, scores: Floats) -> tuple[str, ...]:
    """Return a note where picks are expected to hold less than one like, () elsewhere; `scores` (k,) are theirs."""
    likely = estimate_like_probabilities(curve, likelihood_kind, scores)
    if likely is None or not len(likely) or likely.sum() >= MIN_EXPECTED_LIKES:
        return ()
    return (f"Not sure: of these {len(likely)} items, {likely.sum():.2f} are expected to be liked.",)


def widen_slate(
    curve: LikeCurve | None, scorer: RequestScorer | None, asker: RequestUser, found: Candidates, k: int, widen_to: int
) -> int:
    """Return how many picks the slate of a request has, from k to `widen_to`.

    Raises:
        RecsysError: if nothing says how likely a candidate is liked, or `widen_to` is below k.
    """
    if widen_to < k:
        raise RecsysError(f"ranker: widen_to is {widen_to}, expected at least k = {k}")
    if scorer is not None:
        found = order_by_likelihood(scorer, asker, found)
    likely = estimate_like_probabilities(curve, found.likelihood_kind, found.scores)
    if likely is None:
        raise RecsysError(
            "ranker: nothing says how likely a candidate is liked, expected a like curve of its scores to widen slates "
            "by: Ranker.fit(like_curve=recsys.evidence.fit_like_curve(...))"
        )
    return choose_slate_length(likely, k, widen_to)
