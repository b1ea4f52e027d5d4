"""Learned likelihoods: how likely each candidate is liked, from named features, fitted to validation likes."""

from recsys.likelihoods.applying import apply_likelihood, compute_like_probabilities
from recsys.likelihoods.coefficients import coefficient_table
from recsys.likelihoods.fitting import fit_likelihood
from recsys.likelihoods.records import Likelihood
from recsys.likelihoods.stores import load_likelihood, save_likelihood

__all__ = [
    "Likelihood",
    "apply_likelihood",
    "coefficient_table",
    "compute_like_probabilities",
    "fit_likelihood",
    "load_likelihood",
    "save_likelihood",
]
