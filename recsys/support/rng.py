"""Random numbers that depend on a seed and on names, not on the order of calls."""

import hashlib

import numpy as np
import scipy
from numpy.typing import ArrayLike

from recsys.types.arrays import Anys, Doubles


def derive_seed(seed: int, *names: str | int) -> int:
    """Return a 64-bit seed for `names` under `seed`.

    >>> derive_seed(0, "split", "ml-100k") == derive_seed(0, "split", "ml-100k") != derive_seed(1, "split", "ml-100k")
    True
    """
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def make_generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return NumPy's default generator for `names` under `seed`."""
    return np.random.default_rng(derive_seed(seed, *names))


def draw_uniforms(seed: int, name: str, *keys: ArrayLike) -> Doubles:
    """Return one number in (0, 1) for every combination of the broadcast integer `keys`.

    Each number depends on the seed, the name and its own keys alone, whatever block or thread asks for it.
    Keys are mixed by the finaliser of SplitMix64 (Steele, Lea and Flood 2014).

    >>> whole = draw_uniforms(7, "noise", np.arange(4)[:, None], np.arange(3))
    >>> bool((whole[2:] == draw_uniforms(7, "noise", np.arange(2, 4)[:, None], np.arange(3))).all())
    True
    """
    return ((derive_states(seed, name, *keys) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def derive_states(seed: int, name: str, *keys: ArrayLike) -> Anys:
    """Return the 64 bits that `draw_uniforms` makes a number of, for every combination of the broadcast `keys`.

    Those of one more key are `mix_bits(states ^ mix_bits(key))`.
    """
    state = np.asarray(derive_seed(seed, name), dtype=np.uint64)
    for key in keys:
        state = mix_bits(state ^ mix_bits(np.asarray(key).astype(np.uint64)))
    return state


def draw_normals(seed: int, name: str, *keys: ArrayLike) -> Doubles:
    """Return one standard normal number for every combination of the broadcast integer `keys`."""
    return np.asarray(scipy.special.ndtri(draw_uniforms(seed, name, *keys)), dtype=np.float64)


def mix_bits(x: Anys) -> Anys:
    """Return other bits for each 64: the finaliser of SplitMix64."""
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(x ^ (x >> np.uint64(31)))
