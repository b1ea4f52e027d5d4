"""Rules of evidence: what few rows say of a user, and what they do not."""

from recsys.evidence.ignored_regions import IgnoredRegion, IgnoredRegions, find_ignored_regions

__all__ = ["IgnoredRegion", "IgnoredRegions", "find_ignored_regions"]
