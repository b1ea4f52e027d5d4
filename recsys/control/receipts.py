"""Receipts: a small record of one slate, from which it can be made again."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import NoneType
from typing import Any, NamedTuple

import numpy as np

from recsys.types.arrays import Anys, Floats, Longs
from recsys.types.errors import RecsysError

FORMAT = 1
KINDS = ("rank", "rerank")
DIGEST_BYTES = 16


class InputDigest(NamedTuple):
    """An input of a slate by its digest: what it was cannot be read from it."""

    digest: str
    size: int  # rows or items, those that the request brought included
    held: int = 0  # those that the ranker held


@dataclass(frozen=True)
class Receipt:
    """The record of one slate of a ranker: who was shown what, by which policy, and what else decided it."""

    kind: str  # "rank", or "rerank" for candidates of the caller's
    artefact: str  # the ranker's name: a digest of its settings and of every array
    policy: str  # that of the answer: the ranker's under its dials
    now: int  # seconds since 1970: the moment of the request
    k: int
    seed: int
    dials: Mapping[str, float]  # the factor of each objective that is not as configured
    profile_free: bool
    guards: tuple[Mapping[str, Any] | None, ...]  # of the request, as a config has them; None: one has no such name
    user: str | None  # the id, or in a log its hash; None for whom the ranker does not know
    history: InputDigest
    shown: InputDigest  # rows of what was shown before
    candidates: InputDigest | None  # with their scores; None: the ranker retrieved them
    brought: tuple[
        str, ...
    ]  # which inputs the request brought: history, more, dislikes, region_answers, shown, candidates
    items: tuple[str, ...]  # that the slate showed
    log_propensity: tuple[float, ...] | None  # of each pick, where picks are drawn
    answer: str  # digest of items, scores, ranks and contributions, to the last bit
    environment: Mapping[str, str]  # versions and kind of CPU
    inputs: Mapping[str, Any] | None = None  # those that the request brought, where the receipt keeps them
    is_hashed: bool = False  # whether user and digests of inputs are hashed with the salt of a log
    salt: bytes = field(default=b"", repr=False, compare=False)  # of the log that it was read from: not written

    @property
    def digest(self) -> str:
        """The digest of the receipt: 32 hexadecimal characters of all that it says."""
        return _hash_content(self._list_content())

    def to_dict(self) -> dict[str, Any]:
        """Return the receipt as JSON can say it, under the names of its fields, with its own digest."""
        return {"receipt": FORMAT, **self._list_content(), "digest": self.digest}

    def to_json(self) -> str:
        """Return the receipt as one line of JSON."""
        return _dump(self.to_dict())

    @classmethod
    def from_dict(cls, found: Any, place: str = "receipt") -> "Receipt":
        """Return the receipt that `to_dict` said.

        Raises:
            RecsysError: if it is none, of a newer format, or does not agree with its digest.
        """
        if not isinstance(found, Mapping) or "receipt" not in found:
            raise RecsysError(f"{place}: found no receipt, expected what Receipt.to_dict returns")
        if found["receipt"] != FORMAT:
            raise RecsysError(f"{place}: has format {found['receipt']!r}, expected {FORMAT}: a newer recsys wrote it")
        content = {name: value for name, value in found.items() if name not in ("receipt", "digest")}
        try:
            if content.keys() == _KINDS_OF_FIELDS.keys() and _hash_content(content) == found.get("digest"):
                return cls(**{name: _parse_field(name, value) for name, value in content.items()})
        except (TypeError, ValueError):
            pass
        raise RecsysError(f"{place}: was changed: it does not agree with its digest")

    def hash_persons(self, salt: bytes) -> "Receipt":
        """Return the receipt with its user and the digests of its inputs hashed with a salt.

        A short history could be guessed from its digest, and a user from a hash without salt.
        """
        if self.is_hashed:
            return self
        own = {name: _salt_digest(getattr(self, name), salt) for name in ("history", "shown", "candidates")}
        user = None if self.user is None else hash_text(self.user, salt)
        return replace(self, user=user, **own, is_hashed=True, salt=salt)

    def hash_input(self, digest: InputDigest) -> InputDigest:
        """Return the digest of an input as this receipt has them: hashed with its salt, or as it is."""
        return InputDigest(*_salt_digest(digest, self.salt)) if self.is_hashed else digest

    def _list_content(self) -> dict[str, Any]:
        content = {name: getattr(self, name) for name in _KINDS_OF_FIELDS}
        for name in ("history", "shown", "candidates"):
            content[name] = None if content[name] is None else content[name]._asdict()
        return {**content, "dials": dict(self.dials), "environment": dict(self.environment)}


def hash_text(text: str, salt: bytes = b"") -> str:
    """Return 32 hexadecimal characters of BLAKE2b, keyed with a salt of at most 64 bytes.

    >>> hash_text("3") == hash_text("3"), hash_text("3") == hash_text("3", b"salt")
    (True, False)
    """
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES, key=salt).hexdigest()


def hash_arrays(names: Sequence[str], *arrays: Anys | Floats | Longs | None) -> str:
    """Return the digest of names and of the bits of arrays, None for one that is not there."""
    told = hashlib.blake2b(_dump(list(names)).encode(), digest_size=DIGEST_BYTES)
    for array in arrays:
        if array is None:
            told.update(b"\0none")
            continue
        fixed = np.ascontiguousarray(array)
        fixed = fixed.astype(fixed.dtype.newbyteorder("<"), copy=False)
        told.update(f"\0{fixed.dtype.str} {fixed.shape} ".encode() + fixed.tobytes())
    return told.hexdigest()


def _salt_digest(digest: InputDigest | None, salt: bytes) -> Any:
    return None if digest is None else digest._replace(digest=hash_text(digest.digest, salt))


_KINDS_OF_FIELDS: Mapping[str, tuple[type[Any], ...]] = {
    "kind": (str,),
    "artefact": (str,),
    "policy": (str,),
    "now": (int,),
    "k": (int,),
    "seed": (int,),
    "dials": (dict,),
    "profile_free": (bool,),
    "guards": (list, tuple),
    "user": (str, NoneType),
    "history": (dict,),
    "shown": (dict,),
    "candidates": (dict, NoneType),
    "brought": (list, tuple),
    "items": (list, tuple),
    "log_propensity": (list, tuple, NoneType),
    "answer": (str,),
    "environment": (dict,),
    "inputs": (dict, NoneType),
    "is_hashed": (bool,),
}


def _parse_field(name: str, found: Any) -> Any:
    """Return a field of a receipt that was read.

    Raises:
        TypeError: for a value of another kind.
    """
    if not isinstance(found, _KINDS_OF_FIELDS[name]) or (name == "kind" and found not in KINDS):
        raise TypeError
    if name in ("history", "shown", "candidates"):
        return None if found is None else InputDigest(**found)
    return tuple(found) if isinstance(found, list) else found


def _hash_content(content: Mapping[str, Any]) -> str:
    return hash_text(json.dumps(content, sort_keys=True, allow_nan=False))


def _dump(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"), allow_nan=False)
