"""The log of receipts: a file that receipts are appended to, and the salt that hides users in it."""

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from recsys.control.receipts import Receipt
from recsys.support.checked_lines import append_records, open_to_append, read_records
from recsys.types.errors import RecsysError
from recsys.types.numbers import check_flag
from recsys.types.paths import check_path

SALT_BYTES = 32


class ReceiptLog:
    """A file of receipts, one JSON line each, that several processes may append to.

    Each line has a checksum that goes on from the line before: a changed, lost or moved line is noticed. A last line
    that was cut, because its process was killed, is no receipt: it is left out (`cut_bytes`), and replaced by the next.

    Users, and digests of what requests brought, are hashed with a salt that stands beside the log, in a file with the
    suffix ".salt" that its owner alone may read. Who has the log without it can neither guess a user nor a history;
    where it is removed, no receipt is anybody's any more. With `hash_users=False` they are written as they are.
    """

    def __init__(self, path: str | Path, *, hash_users: bool = True) -> None:
        """Take the path of the log; it is made when the first receipt is appended.

        Raises:
            RecsysError: if it is no path, or a folder.
        """
        self.path = check_path("receipts", path, "the path of a file").absolute()
        self.hash_users = check_flag("receipts: hash_users", hash_users)
        self._salt = b""
        if self.path.is_dir():
            raise RecsysError(f"{self.path}: is a folder, expected a file of receipts")

    @property
    def salt_path(self) -> Path:
        """The file of the salt."""
        return self.path.with_name(f"{self.path.name}.salt")

    def append(self, *receipts: Receipt) -> None:
        """Append receipts in one write. They outlive the process; a power failure may take those of the last seconds.

        Raises:
            RecsysError: for something else than receipts, a file that cannot be written, that is no log of receipts,
                or whose salt is gone.
        """
        for one in receipts:
            if not isinstance(one, Receipt):
                found = type(one).__name__
                raise RecsysError(f"receipts: found a {found}, expected a Receipt: Recommendation.receipt() makes one")
        with open_to_append(self.path) as file:
            if self.hash_users:
                salt = self._salt = self._salt or self._read_salt() or self._make_salt(file.seek(0, os.SEEK_END))
                receipts = tuple(one.hash_persons(salt) for one in receipts)
            append_records(file, [one.to_dict() for one in receipts], str(self.path))

    def __iter__(self) -> Iterator[Receipt]:
        """Yield the receipts, oldest first, each read when it is asked for.

        Raises:
            RecsysError: for a file that cannot be read, and when a line is reached that was changed or is no receipt.
        """
        salt = self._read_salt()
        for number, record in enumerate(read_records(self.path).records, start=1):
            receipt = Receipt.from_dict(record, f"{self.path}: line {number:,}")
            if receipt.is_hashed:
                if not salt:
                    raise self._make_salt_error()
                object.__setattr__(receipt, "salt", salt)
            yield receipt

    @property
    def cut_bytes(self) -> int:
        """The length of a last line that was cut: it is no receipt. 0 where there is none."""
        return read_records(self.path).cut_bytes

    def _read_salt(self) -> bytes:
        """Return the salt, b"" where there is none."""
        with suppress(FileNotFoundError):
            try:
                salt = bytes.fromhex(self.salt_path.read_text(encoding="ascii").strip())
            except (ValueError, PermissionError) as error:
                raise RecsysError(f"{self.salt_path}: cannot be read as a salt: {error}") from None
            if salt and len(salt) != SALT_BYTES:
                raise RecsysError(f"{self.salt_path}: has {len(salt)} bytes, expected {SALT_BYTES}")
            return salt
        return b""

    def _make_salt(self, length: int) -> bytes:
        """Write a new salt; the log, of which there are `length` bytes, is locked."""
        if length:
            raise self._make_salt_error()
        salt = secrets.token_bytes(SALT_BYTES)
        number = os.open(self.salt_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(number, "w", encoding="ascii") as file:
            file.write(salt.hex() + "\n")
            os.fsync(file.fileno())
        return salt

    def _make_salt_error(self) -> RecsysError:
        return RecsysError(
            f"{self.path}: has receipts, but there is no {self.salt_path.name}: expected the salt beside the log"
        )
