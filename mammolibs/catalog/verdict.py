"""What an audit of a split says: stored with the split, carried by everything that is measured on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mammolibs.errors import BadData

# The pretraining pool, where it stands beside the names of splits.
POOL = "pretraining pool"
# Kind of leak -> what is counted.
KINDS = {
    "patient overlap": "patient",
    "exam overlap": "exam",
    "image overlap": "image",
    "derived copies": "parent",
    "near-duplicate pixels": "pair",
    "official split": "image",
}
_SHOWN = 50


@dataclass(frozen=True)
class Offender:
    """One thing that leaks. name: its id (two, for a pair). splits: where it lies. detail: what else there is to say."""

    name: str
    splits: tuple[str, ...]
    detail: str = ""


@dataclass(frozen=True)
class Verdict:
    """What was looked for in a split, and what was found.

    split_hash: of the rows that were judged. images, patients: split -> how many, the pretraining
    pool among them. leaks: kind (see `KINDS`) -> offenders, for every kind that was looked for.
    unchecked: what was not looked for, or not in all images -> why.
    """

    split_hash: str
    images: Mapping[str, int]
    patients: Mapping[str, int]
    leaks: Mapping[str, tuple[Offender, ...]]
    unchecked: Mapping[str, str]

    @property
    def clean(self) -> bool:
        """Nothing was found. What was not looked for stands in `unchecked`."""
        return not any(self.leaks.values())

    def touched(self, split: str) -> tuple[str, ...]:
        """The kinds of leak that images of this split take part in; empty where its figures can be believed, as far as was looked."""
        return tuple(kind for kind, offenders in self.leaks.items() if any(split in offender.splits for offender in offenders))

    def hash(self) -> str:
        """16 hex digits of all that it says."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """JSON types, `clean` and the hash among them."""
        return {"clean": self.clean, "hash": self.hash(), **json.loads(json.dumps(asdict(self)))}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Verdict:
        """What `to_dict` made. Raises BadData where it is none, or was changed since."""
        try:
            found = {
                kind: tuple(Offender(o["name"], tuple(o["splits"]), o["detail"]) for o in offenders)
                for kind, offenders in values["leaks"].items()
            }
            verdict = cls(values["split_hash"], dict(values["images"]), dict(values["patients"]), found, dict(values["unchecked"]))
            told = values["hash"]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise BadData(f"this is no verdict on a split ({type(error).__name__}: {error}); audit the split again") from error
        if verdict.hash() != told:
            raise BadData(f"the verdict {told} on a split was changed after it was made; audit the split again")
        return verdict

    def lines(self) -> list[str]:
        """For a person: the sizes, a line per kind with its count and the offenders below it, what was not checked, the verdict."""
        sizes = ", ".join(f"{split} {_count(n, 'image')} of {_count(self.patients[split], 'patient')}" for split, n in self.images.items())
        lines = [f"split {self.split_hash}: {sizes}"]
        for kind, offenders in self.leaks.items():
            lines.append(f"{kind}: {_count(len(offenders), KINDS[kind]) if offenders else 'none'}")
            lines += [f"   {o.name}: {', '.join(o.splits)}{f' ({o.detail})' if o.detail else ''}" for o in offenders[:_SHOWN]]
            lines += [f"   and {len(offenders) - _SHOWN} more"] if len(offenders) > _SHOWN else []
        lines += [f"not checked: {kind}: {reason}" for kind, reason in self.unchecked.items()]
        return [*lines, f"verdict {self.hash()}: {'nothing leaks that was looked for' if self.clean else 'this split leaks'}"]


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
