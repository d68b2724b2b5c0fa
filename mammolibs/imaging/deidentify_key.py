"""Pseudonyms from a key that the user keeps: the same for the same, and without the key nobody can tell of whom."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import stat
import uuid
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import ClassVar

from mammolibs.errors import BadFile
from mammolibs.storage import KEY_MARK

KEY_BYTES = 32
MOST_DAYS = 3652


@dataclass(frozen=True)
class Pseudonyms:
    """What stands in the place of names, numbers, UIDs and dates: HMAC-SHA256 (RFC 2104) of them under one key.

    A person is told by `person`; two kinds of value never share a pseudonym.
    """

    key: bytes = field(repr=False)
    keeps_ids: ClassVar[bool] = False

    @classmethod
    def fresh(cls) -> Pseudonyms:
        """Of a new key that nobody keeps."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @property
    def mark(self) -> str:
        """Tells whether two are of one key, and not what the key is."""
        return self.text("key", "this one")

    @staticmethod
    def person(patient_id: str, issuer: str = "") -> str:
        """Whom an id means: the same number of two issuers is two people."""
        patient_id, issuer = (" ".join(text.replace("\0", " ").split()) for text in (patient_id, issuer))
        return f"{issuer}/{patient_id}" if issuer else patient_id

    def text(self, kind: str, value: str) -> str:
        """16 capitals and digits (80 bits), which fit every element of text; "" for nothing."""
        value = value.strip(" \0")
        return base64.b32encode(self._digest(kind, value)[:10]).decode() if value else ""

    def uid(self, value: str) -> str:
        """A UID under 2.25 (PS3.5 B.2); "" for nothing."""
        value = value.strip(" \0")
        return f"2.25.{uuid.UUID(bytes=self._digest('uid', value)[:16], version=5).int}" if value else ""

    def date(self, person: str, value: str) -> str:
        """YYYYMMDD, by a number of days that is the person's own (1 to 3652) earlier; "" where the value begins with no date."""
        match = re.match(r"(\d{4})[-./]?(\d{2})[-./]?(\d{2})", value.strip())
        days = 1 + int.from_bytes(self._digest("days", person)[:8], "big") % MOST_DAYS
        try:
            return f"{date(*map(int, match.groups())) - timedelta(days):%Y%m%d}" if match else ""
        except (ValueError, OverflowError):
            return ""

    def _digest(self, kind: str, value: str) -> bytes:
        return hmac.digest(self.key, f"{kind}\0{value}".encode("utf-8", "surrogateescape"), hashlib.sha256)


class PublishedIds(Pseudonyms):
    """Of a set that was published without names: patients and UIDs stay as they are, so that its tables fit.

    Dates move by the key, and numbers of other kinds get pseudonyms.
    """

    keeps_ids = True

    @staticmethod
    def person(patient_id: str, issuer: str = "") -> str:
        return Pseudonyms.person(patient_id)

    def text(self, kind: str, value: str) -> str:
        return value.strip(" \0") if kind == "patient" else super().text(kind, value)

    def uid(self, value: str) -> str:
        value = value.strip(" \0")
        return value if re.fullmatch(r"[0-9.]*", value) else super().uid(value)


def open_key(path: str | os.PathLike) -> Pseudonyms:
    """The pseudonyms of a key file, which is made (mode 0600, 32 random bytes) where there is none.

    Raises BadFile for a file that is no key, that others may read, or that cannot be made.
    """
    path = Path(path)
    remedy = "name the key file of the earlier uploads, or one that is not there yet"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(f"{KEY_MARK}{secrets.token_hex(KEY_BYTES)}\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        pass
    except OSError as error:
        raise BadFile(path, f"cannot be made ({error.strerror})", "name a file in a folder that you may write to") from error
    try:
        mode, text = path.stat().st_mode, path.read_bytes().decode("ascii", "replace")
    except OSError as error:
        raise BadFile(path, f"cannot be read ({error.strerror})", remedy) from error
    match = re.fullmatch(re.escape(KEY_MARK) + r"([0-9a-f]{64})\s*", text)
    if match is None:
        raise BadFile(path, "is no key of ours", remedy)
    if stat.S_IMODE(mode) & 0o077:
        raise BadFile(path, "may be read by others on this machine", f"run `chmod 600 {path}`")
    return Pseudonyms(bytes.fromhex(match[1]))
