"""Scores as named arrays and back, so that runs of several folders can be compared without their data."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from recsys.scores.intervals import Limits, curved
from recsys.scores.records import Score, Scores
from recsys.scores.runs import of_draws, of_groups, of_users
from recsys.types import RecsysError
from recsys.types.arrays import Anys, Doubles

TEXTS = ("run", "metric", "convention", "shape")
COUNTS = ("hits", "held_out", "maps")


def pack(scores: Scores) -> dict[str, Anys]:
    """Return the scores of one split as arrays of numbers and text.

    Rows of `per_user` follow the cells that have users, rows of `parts` and `shares` those over maps: of a mean
    over users they can be told from `per_user`. Draws of all cells stand one after the other.
    """
    cells, over_maps = scores.cells, [cell for cell in scores.cells if cell.shape == "maps"]
    arrays: dict[str, Anys] = {name: np.array([getattr(cell, name) for cell in cells]) for name in TEXTS}
    for name in ("k", "value", "n_users", "direction"):
        arrays[name] = np.array([getattr(cell, name) for cell in cells])
    arrays["limits"] = np.array([cell.limits for cell in cells], dtype=np.float64).reshape(-1, 3)
    arrays["counts"] = np.array([[cell.counts.get(name, np.nan) for name in COUNTS] for cell in cells])
    arrays["per_user"] = _rows([cell.per_user for cell in cells if cell.shape != "catalogue"], scores)
    arrays["parts"] = _rows([cell.parts for cell in over_maps], scores)
    arrays["shares"] = _rows([cell.shares for cell in over_maps], scores)
    arrays["draws"] = np.concatenate([cell.draws for cell in cells])
    arrays["n_draws"] = np.array([len(cell.draws) for cell in cells])
    arrays |= {"users": scores.users, "user_ids": scores.user_ids}
    arrays |= {"seed": np.array(scores.seed), "times": np.array(scores.draws)}
    arrays["seconds"] = np.array([scores.seconds.get(run, np.nan) for run in scores.runs])
    return arrays | {f"segment.{name}": codes for name, codes in scores.segments.items()}


def unpack(arrays: Mapping[str, Anys]) -> Scores:
    """Return the scores that `pack` made arrays of.

    Raises:
        RecsysError: if something is missing, or arrays do not fit each other.
    """
    try:
        cells = tuple(_cells(arrays))
        runs = list(dict.fromkeys(cell.run for cell in cells))
        return Scores(
            cells,
            arrays["users"],
            arrays["user_ids"],
            int(arrays["seed"]),
            int(arrays["times"]),
            dict(zip(runs, arrays["seconds"].tolist(), strict=True)),
            {name.removeprefix("segment."): codes for name, codes in arrays.items() if name.startswith("segment.")},
        )
    except Exception as error:  # other arrays than `pack` makes: whatever NumPy raises of them
        raise RecsysError(f"not the scores of a run: {' '.join(str(error).split())[:200]}") from None


def _rows(rows: list[Doubles], scores: Scores) -> Doubles:
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(scores.users))


def _cells(arrays: Mapping[str, Anys]) -> list[Score]:
    per_user, parts, shares = (iter(arrays[name]) for name in ("per_user", "parts", "shares"))
    draws = np.split(arrays["draws"], np.cumsum(arrays["n_draws"])[:-1])
    cells, judged = [], len(arrays["users"])
    for i, shape in enumerate(arrays["shape"].tolist()):
        mine = np.empty(0) if shape == "catalogue" else next(per_user)
        added, weight = (next(parts), next(shares)) if shape == "maps" else _of_users(mine)
        n_users = int(arrays["n_users"][i])
        counts = zip(COUNTS, arrays["counts"][i].tolist(), strict=True)
        cells.append(
            Score(
                run=str(arrays["run"][i]),
                metric=str(arrays["metric"][i]),
                k=int(arrays["k"][i]),
                value=float(arrays["value"][i]),
                limits=Limits(*arrays["limits"][i].tolist()),
                n_users=n_users,
                convention=str(arrays["convention"][i]),
                direction=int(arrays["direction"][i]),  # type: ignore[arg-type]
                shape=shape,
                draws=draws[i],
                counts={name: count for name, count in counts if not np.isnan(count)},
                per_user=mine,
                parts=added,
                shares=weight,
                spread=partial(curved, n_users=judged) if shape == "catalogue" else of_draws,
                freedom=of_groups if shape == "catalogue" else partial(of_users, n_users=n_users),
            )
        )
    return cells


def _of_users(per_user: Doubles) -> tuple[Doubles, Doubles]:
    known = ~np.isnan(per_user)
    n = max(int(known.sum()), 1)
    return np.where(known, per_user, 0.0) / n, known / n
