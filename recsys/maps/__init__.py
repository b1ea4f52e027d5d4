"""Taste maps: those of the objectives, the audit family that evaluates them, and maps of content.

`own` and `audit` share no method, no seed and no user: whatever gains on one's own map and not on the audit's
is circular.
"""

from recsys.maps.contents import content_maps
from recsys.maps.families import audit_maps, objective_maps

__all__ = ["audit_maps", "content_maps", "objective_maps"]
