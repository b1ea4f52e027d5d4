"""Certificates: what of a model no longer knows rows that were forgotten, and what still does."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from recsys.types.errors import RecsysError

EXACT, SOLVED, REFITTED, PENDING = "exact", "solved", "refitted", "pending"
REFIT = "a full refit"


@dataclass(frozen=True)
class ForgottenPart:
    """One part of a model after rows were forgotten.

    Its state is "exact" (what `bound_to` says, up to rounding), "solved" (the same within `bound`, which is more than
    rounding), "refitted" (fitted anew) or "pending" (still made with the forgotten rows).
    """

    name: str  # such as "weights", "links", "user factors"
    state: str
    bound: float | None = None  # no number of the part differs by more; None where no bound is known
    bound_to: str = ""  # what the bound is the distance to
    residual: float | None = None  # that the bound was made of: how far the equations of the part are from solved


@dataclass(frozen=True)
class ForgetCertificate:
    """What a model was made to forget, and how far each of its parts is from a full refit without these rows.

    The refit meant is one with the same settings, of the same matrix with the forgotten cells empty: users and items
    without positives keep their place. Settings that follow from the data stay those of the first fit; where a refit
    would choose others, `kept_settings` has both.
    """

    model: str  # class of the fitted model
    n_users: int  # whose rows changed
    n_rows: int  # positives that were forgotten
    n_unknown: int  # rows asked for that were no positives: nothing was made of them
    remaining: str  # SHA-256 of the positives that are left: shape, row pointers, columns and values
    parts: tuple[ForgottenPart, ...]
    kept_settings: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # kept, and what a refit would take

    @property
    def pending(self) -> tuple[str, ...]:
        """The names of the parts that still know the forgotten rows."""
        return tuple(part.name for part in self.parts if part.state == PENDING)

    @property
    def is_exact(self) -> bool:
        """Whether every part is that of a full refit, up to rounding."""
        return all(part.state == REFITTED or (part.state, part.bound_to) == (EXACT, REFIT) for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """Return the certificate as JSON can say it, under the names of its fields."""
        plain = asdict(replace(self, kept_settings={}))
        kept = {name: list(values) for name, values in self.kept_settings.items()}
        return {**plain, "parts": list(plain["parts"]), "kept_settings": kept}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> "ForgetCertificate":
        """Return the certificate that `to_dict` told.

        Raises:
            RecsysError: for anything else.
        """
        try:
            parts = tuple(ForgottenPart(**part) for part in told["parts"])
            kept = {str(name): (float(values[0]), float(values[1])) for name, values in told["kept_settings"].items()}
            return cls(**{**told, "parts": parts, "kept_settings": kept})
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            raise RecsysError("found no certificate of a forget, expected one as it was written") from None

    def describe(self) -> str:
        """Return in words what became of each part: "item factors solved (bound 0.0012)"."""
        said = [
            part.name + (" " if part.name else "") + part.state + (f" (bound {part.bound:.2g})" if part.bound else "")
            for part in self.parts
        ]
        return f"{self.model}: {', '.join(said) or 'knew no such rows'}"

    def to_json(self) -> str:
        """Return the certificate as JSON text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"
