"""Compiled: how likely each candidate of one user is liked, by what its score is; best scores first.

The slow statement of the same rule is `recsys.objectives._score_transforms.compute_like_probabilities`.
"""

import numpy as np

from recsys.kernels.compiled import compile_kernel

SCORES, SOFTMAX, LOGISTIC = 0, 1, 2  # what scores are: any, log-probabilities up to a number, log-odds
KINDS = {"": SCORES, "softmax": SOFTMAX, "logistic": LOGISTIC}  # by the kind of a likelihood, "" for none


@compile_kernel(fastmath=True)
def scale_score(scores, n):
    """Return where a score lies in the range of all: 1 where they are equal."""
    width = np.float64(scores[0]) - np.float64(scores[-1])
    return (np.float64(scores[n]) - np.float64(scores[-1])) / width if width > 0.0 else 1.0


@compile_kernel(fastmath=True)
def sum_score_mass(scores, kind):
    """Return what log-probabilities are divided by, once raised; 0 for other kinds."""
    mass = 0.0
    if kind == SOFTMAX:
        for n in range(len(scores)):
            mass += np.exp(np.float64(scores[n]) - np.float64(scores[0]))
    return mass


@compile_kernel(fastmath=True)
def get_like_probability(scores, n, kind, mass):
    """Return how likely candidate n is liked; `mass` is that of `sum_score_mass`."""
    if kind == SOFTMAX:
        return np.exp(np.float64(scores[n]) - np.float64(scores[0])) / mass
    if kind == LOGISTIC:
        return 0.5 * (1.0 + np.tanh(0.5 * np.float64(scores[n])))
    return scale_score(scores, n)
