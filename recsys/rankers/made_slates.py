"""The slate of a request before it is an answer: a request that was read, and what was picked for it."""

from typing import NamedTuple

from recsys.rankers.generic_path import Picks
from recsys.rankers.request_constraints import RequestGuards
from recsys.rankers.request_dials import RequestDials
from recsys.rankers.requests import Candidates, RequestUser
from recsys.types import Rule
from recsys.types.arrays import Floats, Ints


class PreparedRequest(NamedTuple):
    """A request that was read: who asks, and what it asks for."""

    asker: RequestUser
    dials: RequestDials
    k: int
    guards: RequestGuards
    given: Candidates | None = None  # the caller's; None: they are retrieved


class MadeSlate(NamedTuple):
    """The slate of a request, and what it was made of."""

    request: PreparedRequest
    seed: int  # of the draws
    found: Candidates  # as they came
    ordered: Candidates  # as the likelihood orders them
    shown: Ints  # those of them that may be shown, codes
    picked: Picks  # among those ordered
    codes: Ints  # (k,) items of the picks,
    relevance: Floats  # (k,) and their scores
    rules: tuple[Rule, ...] = ()  # of the guards
    max_retrieved: int | None = None  # candidates that are retrieved; None: they are the caller's
