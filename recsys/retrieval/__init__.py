"""Retrieval: the candidates of each user, from the scores of a model."""
