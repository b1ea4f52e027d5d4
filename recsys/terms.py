"""Terms of one pool, kept from call to call: what a blend's weights change is never what its objectives compute."""

from recsys.blends import Part
from recsys.types import Pool, Tables, Term

PLAIN = (str, int, float, bool, type(None))


class Terms:
    """The terms that objectives last made for blocks of `pool`, at most `most` of them: memory stays flat.

    Not kept are terms of somebody's own objectives, and of settings that are no plain values.
    """

    def __init__(self, pool: Pool, most: int = 64) -> None:
        """Start without any."""
        self.pool, self.most = pool, most
        self.kept = Tables(most)

    def get(self, part: Part, start: int, stop: int, k: int) -> Term:
        """Return the term of one objective for the users from `start` to `stop`."""
        settings = sorted(part.settings.items())
        if not self.most or ":" in part.name or not all(isinstance(value, PLAIN) for _, value in settings):
            return part.term(self.pool.block(start, stop), k)
        key = repr((part.name, settings, start, stop, k))
        return self.kept.get(key, lambda: part.term(self.pool.block(start, stop), k))
