"""Scores as named arrays and back, so that runs of several folders can be compared without their data."""

from collections.abc import Mapping

import numpy as np

from recsys.scores.halvings import choose_interval
from recsys.scores.intervals import Interval
from recsys.scores.records import Score, Scores
from recsys.types import RecsysError
from recsys.types.arrays import Anys, Doubles

TEXT_FIELDS = ("run", "metric", "convention", "shape")
COUNT_NAMES = ("hits", "held_out", "maps")


def pack_scores(scores: Scores) -> dict[str, Anys]:
    """Return the scores of one split as arrays of numbers and text.

    Rows of `per_user` follow the cells that have users, rows of `parts` and `shares` those over maps: of a mean
    over users they can be told from `per_user`. Draws of all cells stand one after the other.
    """
    cells, over_maps = scores.cells, [cell for cell in scores.cells if cell.shape == "maps"]
    arrays: dict[str, Anys] = {name: np.array([getattr(cell, name) for cell in cells]) for name in TEXT_FIELDS}
    for name in ("k", "value", "n_users", "direction"):
        arrays[name] = np.array([getattr(cell, name) for cell in cells])
    arrays["limits"] = np.array([cell.limits for cell in cells], dtype=np.float64).reshape(-1, 3)
    arrays["counts"] = np.array([[cell.counts.get(name, np.nan) for name in COUNT_NAMES] for cell in cells])
    arrays["per_user"] = _stack_rows([cell.per_user for cell in cells if cell.shape != "catalogue"], scores)
    arrays["parts"] = _stack_rows([cell.user_contributions for cell in over_maps], scores)
    arrays["shares"] = _stack_rows([cell.user_weights for cell in over_maps], scores)
    arrays["draws"] = np.concatenate([cell.draws for cell in cells])
    arrays["n_draws"] = np.array([len(cell.draws) for cell in cells])
    if any(cell.halving_parts.size for cell in cells):
        arrays["halving_parts"] = np.array([cell.halving_parts for cell in cells if cell.shape != "catalogue"])
    arrays |= {"users": scores.users, "user_ids": scores.user_ids}
    arrays |= {"seed": np.array(scores.seed), "times": np.array(scores.n_bootstrap)}
    arrays |= {"halvings": np.array(scores.halvings)} if scores.halvings else {}
    arrays["seconds"] = np.array([scores.seconds.get(run, np.nan) for run in scores.runs])
    return arrays | {f"segment.{name}": codes for name, codes in scores.segments.items()}


def unpack_scores(arrays: Mapping[str, Anys]) -> Scores:
    """Return the scores whose arrays `pack_scores` made.

    Raises:
        RecsysError: if something is missing, or arrays do not fit each other.
    """
    try:
        cells = tuple(_unpack_cells(arrays))
        runs = list(dict.fromkeys(cell.run for cell in cells))
        return Scores(
            cells,
            arrays["users"],
            arrays["user_ids"],
            int(arrays["seed"]),
            int(arrays["times"]),
            dict(zip(runs, arrays["seconds"].tolist(), strict=True)),
            {name.removeprefix("segment."): codes for name, codes in arrays.items() if name.startswith("segment.")},
            halvings=int(arrays.get("halvings", 0)),
        )
    except Exception as error:  # other arrays than `pack_scores` makes: whatever NumPy raises of them
        raise RecsysError(f"not the scores of a run: {' '.join(str(error).split())[:200]}") from None


def _stack_rows(rows: list[Doubles], scores: Scores) -> Doubles:
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(scores.users))


def _unpack_cells(arrays: Mapping[str, Anys]) -> list[Score]:
    halved = iter(arrays.get("halving_parts", ()))
    per_user, parts, shares = (iter(arrays[name]) for name in ("per_user", "parts", "shares"))
    draws = np.split(arrays["draws"], np.cumsum(arrays["n_draws"])[:-1])
    cells, judged, halvings = [], len(arrays["users"]), int(arrays.get("halvings", 0))
    for i, shape in enumerate(arrays["shape"].tolist()):
        mine = np.empty(0) if shape == "catalogue" else next(per_user)
        added, weight = (next(parts), next(shares)) if shape == "maps" else _derive_user_weights(mine)
        n_users = int(arrays["n_users"][i])
        spread, freedom = choose_interval(shape, halvings, n_users, judged)
        of_parts = np.empty((2, 0, 0)) if shape == "catalogue" else next(halved, np.empty((2, 0, 0)))
        counts = zip(COUNT_NAMES, arrays["counts"][i].tolist(), strict=True)
        cells.append(
            Score(
                run=str(arrays["run"][i]),
                metric=str(arrays["metric"][i]),
                k=int(arrays["k"][i]),
                value=float(arrays["value"][i]),
                limits=Interval(*arrays["limits"][i].tolist()),
                n_users=n_users,
                convention=str(arrays["convention"][i]),
                direction=int(arrays["direction"][i]),  # type: ignore[arg-type]
                shape=shape,
                draws=draws[i],
                counts={name: count for name, count in counts if not np.isnan(count)},
                per_user=mine,
                user_contributions=added,
                user_weights=weight,
                make_interval=spread,
                degrees_of_freedom=freedom,
                halving_parts=of_parts,
            )
        )
    return cells


def _derive_user_weights(per_user: Doubles) -> tuple[Doubles, Doubles]:
    known = ~np.isnan(per_user)
    n = max(int(known.sum()), 1)
    return np.where(known, per_user, 0.0) / n, known / n
