"""Terms of one pool, kept from call to call: what a blend's weights change is never what its objectives compute."""

from collections import OrderedDict

from recsys.blends import Part
from recsys.types import Pool, Term

PLAIN = (str, int, float, bool, type(None))


class Terms:
    """The terms that objectives last made for blocks of `pool`, at most `most` of them: memory stays flat.

    Not kept are terms of somebody's own objectives, and of settings that are no plain values.
    """

    def __init__(self, pool: Pool, most: int = 64) -> None:
        """Start without any."""
        self.pool = pool
        self.most = most
        self._made: OrderedDict[tuple[object, ...], Term] = OrderedDict()

    def get(self, part: Part, start: int, stop: int, k: int) -> Term:
        """Return the term of one objective for the users from `start` to `stop`."""
        settings = tuple(sorted(part.settings.items()))
        if ":" in part.name or not all(isinstance(value, PLAIN) for _, value in settings):
            return part.term(self.pool.block(start, stop), k)
        key = (part.name, repr(settings), start, stop, k)
        if key not in self._made:
            self._made[key] = part.term(self.pool.block(start, stop), k)
        term = self._made[key]
        self._made.move_to_end(key)
        while len(self._made) > self.most:
            self._made.popitem(last=False)
        return term
