"""What an audit of a split says: stored with the split, carried by everything that is measured on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from mammolibs.errors import BadData

# The pretraining pool, where it stands beside the names of splits.
POOL = "pretraining pool"
NOT_AUDITED = "not audited"
PIXELS = "near-duplicate pixels"
# Kind of leak -> what is counted.
KINDS = {
    "patient overlap": "patient",
    "exam overlap": "exam",
    "image overlap": "image",
    "derived copies": "parent",
    PIXELS: "pair",
    "official split": "image",
}
# Why a kind was not looked for, where a person has chosen so: a verdict says that wherever it goes.
IGNORED = "told to ignore it"
# What the rows of any split tell, so that only a choice keeps it from being looked for.
_ALWAYS_TOLD = ("patient overlap", "image overlap", "derived copies")
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

    def offences(self, split: str) -> dict[str, str]:
        """What `touched` names, with its number: "patient overlap" -> "31 patients"."""
        found = {kind: sum(split in offender.splits for offender in self.leaks[kind]) for kind in self.touched(split)}
        return {kind: count_of(number, KINDS[kind]) for kind, number in found.items()}

    def short(self) -> dict[str, Any]:
        """What travels in cards and reports, JSON types: the verdict, the numbers by kind, what was looked at and what was ignored.

        It names nobody.
        """
        ignored = [kind for kind in KINDS if self._is_ignored(kind)]
        return {
            "split_hash": self.split_hash,
            "verdict": "clean" if self.clean else "leaks",
            "leaks": {kind: count_of(len(offenders), KINDS[kind]) for kind, offenders in self.leaks.items() if offenders},
            "looked_at": ["ids", *self._pixels_looked_at()],
            "hash": self.hash(),
        } | ({"ignored": ignored} if ignored else {})

    def _pixels_looked_at(self) -> list[str]:
        if PIXELS not in self.leaks:
            return []
        return ["some pixels"] if PIXELS in self.unchecked else ["pixels"]

    def _is_ignored(self, kind: str) -> bool:
        chosen = self.unchecked.get(kind) == IGNORED or (kind in _ALWAYS_TOLD and kind in self.unchecked)
        return chosen and kind not in self.leaks

    def with_pixels_of(self, earlier: Verdict) -> Verdict:
        """This verdict, which looked at no pixels, with what an earlier one on the same split found in them."""
        why, missed = earlier.unchecked.get(PIXELS, ""), "the pretraining pool was not looked at"
        if POOL in self.images and missed not in why:
            why = f"{missed}; {why}" if why else missed
        unchecked = {kind: reason for kind, reason in self.unchecked.items() if kind != PIXELS} | ({PIXELS: why} if why else {})
        return replace(self, leaks={**self.leaks, PIXELS: earlier.leaks[PIXELS]}, unchecked=unchecked)

    def with_parents(self, parents: Verdict) -> Verdict:
        """This verdict, on a catalog with derived copies, with all that was found in the catalog without them: it is in this one too."""
        kinds = [kind for kind in KINDS if kind in self.leaks or kind in parents.leaks]
        leaks = {kind: _united(self.leaks.get(kind, ()), parents.leaks.get(kind, ())) for kind in kinds}
        unchecked = dict(self.unchecked)
        if PIXELS in parents.leaks and PIXELS not in self.leaks:
            unchecked[PIXELS] = "; ".join(filter(None, ("copies were not looked at", parents.unchecked.get(PIXELS))))
        images, patients = (
            {**mine, **{split: n for split, n in theirs.items() if split == POOL}}
            for mine, theirs in ((self.images, parents.images), (self.patients, parents.patients))
        )
        return replace(self, images=images, patients=patients, leaks=leaks, unchecked=unchecked)

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
        counts = ((split, count_of(n, "image"), count_of(self.patients[split], "patient")) for split, n in self.images.items())
        sizes = ", ".join(f"{split} {images} of {patients}" for split, images, patients in counts)
        lines = [f"split {self.split_hash}: {sizes}"]
        for kind, offenders in self.leaks.items():
            lines.append(f"{kind}: {count_of(len(offenders), KINDS[kind]) if offenders else 'none'}")
            lines += [f"   {o.name}: {', '.join(o.splits)}{f' ({o.detail})' if o.detail else ''}" for o in offenders[:_SHOWN]]
            lines += [f"   and {len(offenders) - _SHOWN} more"] if len(offenders) > _SHOWN else []
        lines += [f"not checked: {kind}: {reason}" for kind, reason in self.unchecked.items()]
        return [*lines, f"verdict {self.hash()}: {'nothing leaks that was looked for' if self.clean else 'this split leaks'}"]


def short_verdict(verdict: Verdict | None, split_hash: str) -> dict[str, Any]:
    """`Verdict.short`, or the same fields of a split that nobody has judged."""
    if verdict is not None:
        return verdict.short()
    return {"split_hash": split_hash, "verdict": NOT_AUDITED, "leaks": {}, "looked_at": []}


def in_words(short: Mapping[str, Any]) -> str:
    """A verdict in short as a phrase: "clean, by ids and pixels", "31 patients (patient overlap), by ids", "not audited".

    What was not looked for by choice is said too: "clean, by ids, patient overlap ignored".
    """
    if not short.get("looked_at"):
        return NOT_AUDITED
    found = ", ".join(f"{number} ({kind})" for kind, number in short["leaks"].items())
    ignored = f", {' and '.join(short['ignored'])} ignored" if short.get("ignored") else ""
    return f"{found or short['verdict']}, by {' and '.join(short['looked_at'])}{ignored}"


def _united(*found: tuple[Offender, ...]) -> tuple[Offender, ...]:
    """Each offender once, where it is named twice as the last one has it."""
    named = {offender.name: offender for offenders in found for offender in offenders}
    return tuple(sorted(named.values(), key=lambda offender: offender.name))


def count_of(number: int, word: str) -> str:
    """The number with its word: "1 patient", "31 patients"."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
