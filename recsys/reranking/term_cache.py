"""A cache of the terms of one pool, which do not depend on a blend's weights."""

from recsys.reranking.blends import BlendPart
from recsys.types import Pool, TableCache, Term

PLAIN_TYPES = (str, int, float, bool, type(None))


class TermCache:
    """The terms that objectives last made for blocks of `pool`, at most `most` of them: memory stays flat.

    Not kept are terms of somebody's own objectives, and of settings that are no plain values.
    """

    def __init__(self, pool: Pool, max_terms: int = 64) -> None:
        """Start without any."""
        self.pool, self.max_terms = pool, max_terms
        self.kept = TableCache(max_terms)
        self.blocks = TableCache(max_terms)  # the pool's users from start to stop, each with arrays of its own

    def get_term(self, part: BlendPart, start: int, stop: int, k: int) -> Term:
        """Return the term of one objective for the users from `start` to `stop`."""
        settings = sorted(part.settings.items())
        if not self.max_terms or ":" in part.name or not all(isinstance(value, PLAIN_TYPES) for _, value in settings):
            return part.make_term(self.pool.slice_users(start, stop), k)

        def make() -> Term:
            block = self.blocks.get((start, stop), lambda: self.pool.slice_users(start, stop).keep_arrays())
            return part.make_term(block, k)

        key = repr((part.name, settings, start, stop, k))
        return self.kept.get(key, make)
