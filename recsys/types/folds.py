"""A fold of cross-fitting: users whose histories make audit maps, and users whose histories make all else."""

from dataclasses import dataclass

from recsys.types.arrays import Longs
from recsys.types.maps import TasteMap


@dataclass(frozen=True, eq=False)
class Fold:
    """One direction of one halving of the users: no user is on both sides, and every user on one."""

    halving: int  # from 0
    judge_users: Longs  # (J,) ascending codes of the users that the audit maps are made from
    table_users: Longs  # (T,) ascending codes of the users that what is judged is made from


@dataclass(frozen=True, eq=False)
class Judge:
    """The audit maps of a fold's judge users, and the own maps of those whom it has not seen."""

    fold: Fold  # whose judge users and table users the maps are made from
    audit_maps: tuple[TasteMap, ...]  # of the judge's users
    objective_maps: tuple[TasteMap, ...]  # of the other users: those that objectives read in this fold
    witness_maps: tuple[TasteMap, ...] = ()  # the audit maps of the other users, paired with `audit_maps` by place
