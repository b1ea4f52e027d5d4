"""Maps of the catalogue: the objectives' own, the audit family that judges them, and what items are.

`own` and `audit` share no method, no seed and no user: whatever gains on one's own map and not on the audit's
is circular.
"""

from recsys.maps.contents import content
from recsys.maps.families import audit, own

__all__ = ["audit", "content", "own"]
