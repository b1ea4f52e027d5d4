"""Re-ranking: from a pool of candidates to slates, by a blend of objectives under guards."""
