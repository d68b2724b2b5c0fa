"""Who is in train, validation and test: by patient, stratified, and the same when data are added.

The scheme. A patient's stratum is the sources and the worst pathology of his or her
images. Inside a stratum patients stand in the order of a keyed hash of their id, so that
the order of the rows plays no part; the first of them fill the quota of train, the next
that of validation, the rest that of test. Seats that do not divide evenly go where the
catalog as a whole is short, so that many small strata balance each other.

No pure function of a catalog can be both exactly balanced and unchanged by additions.
So the split that was made before is an argument: its patients keep what they have, and
new ones fill the quotas. Without it, an addition moves the few who stand at a quota's edge.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from mammolibs.errors import BadConfig, BadData
from mammolibs.records import SPLITS, UNKNOWN, ImageRow

FRACTIONS = (0.6, 0.15, 0.25)
_STRATUM_ORDER = ("malignant", "benign", "normal", UNKNOWN)


def split_rows(
    rows: Sequence[ImageRow], *, seed: int, fractions: Sequence[float] = FRACTIONS, previous: Mapping[str, str] | None = None
) -> list[ImageRow]:
    """The rows with `split` filled in: train, validation or test by patient, in the order given.

    fractions: of the patients, for train, validation and test; they add up to 1.
    previous: patient_id -> split of an earlier call; those patients keep it.

    Raises BadConfig for other fractions or an unknown split, BadData for a derived copy
    whose parent is missing or is of another patient or exam.
    """
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise BadConfig(f"split fractions {tuple(fractions)}: give three shares for {', '.join(SPLITS)} that add up to 1")
    wrong = sorted(set((previous or {}).values()) - set(SPLITS))
    if wrong:
        raise BadConfig(f"the earlier split has {wrong[0]!r}; allowed are {', '.join(SPLITS)}")
    strata = _strata(rows)
    chosen = _assign(strata, dict(zip(SPLITS, fractions, strict=True)), _order(f"split {seed}"), previous or {})
    return [replace(row, split=chosen[row.patient_id]) for row in rows]


def fold_rows(rows: Sequence[ImageRow], *, folds: int, fold: int, seed: int, validation: float = 0.2) -> list[ImageRow]:
    """The rows with `split` for one fold of a cross-validation by patient, stratified as `split_rows`.

    The fold's patients are test; of the others a stratified share, drawn anew for each
    fold, is validation. Over all folds every patient is test exactly once.

    Raises BadConfig for fewer than 2 folds, a fold that is not in 0 .. folds - 1, or a
    share that is not in [0, 1); BadData for more folds than patients.
    """
    if folds < 2 or not 0 <= fold < folds:
        raise BadConfig(f"fold {fold} of {folds}: folds are 2 or more and counted from 0 to folds - 1")
    if not 0 <= validation < 1:
        raise BadConfig(f"validation share {validation}: give a share from 0 up to, not including, 1")
    strata = _strata(rows)
    patients = sum(map(len, strata.values()))
    if folds > patients:
        raise BadData(f"{folds} folds of {patients} patients: take fewer folds or more data")
    place = _assign(strata, {str(k): 1 / folds for k in range(folds)}, _order(f"folds {seed}"), {})
    rest = {key: [p for p in people if place[p] != str(fold)] for key, people in strata.items()}
    chosen = _assign(rest, {"train": 1 - validation, "validation": validation}, _order(f"fold {seed} {fold}"), {})
    return [replace(row, split=chosen.get(row.patient_id, "test")) for row in rows]


def check_copies(rows: Iterable[ImageRow]) -> None:
    """Raises BadData where copies of one image are of another patient, exam or split than the image, or than each other.

    The image itself may be missing: the rows may be a part of a catalog.
    """
    known = {row.image_id: row for row in rows}
    for row in rows:
        if not row.parent_id:
            continue
        kin = known.setdefault(row.parent_id, row)
        for name in ("patient_id", "exam_id", "split"):
            own, theirs = getattr(row, name), getattr(kin, name)
            if own != theirs:
                raise BadData(
                    f"{row.image_id} is a copy of {row.parent_id}, and its {name} is {own!r}, not {theirs!r} as that of {kin.image_id}:"
                    " a copy stays with its image; split the whole catalog again"
                )


def _strata(rows: Sequence[ImageRow]) -> dict[tuple[str, str], list[str]]:
    """(sources, worst pathology) -> patients."""
    _refuse_strayed_copies(rows)
    seen: dict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    for row in rows:
        sources, pathologies = seen[row.patient_id]
        sources.add(row.source)
        pathologies.add(row.pathology)
    strata = defaultdict(list)
    for patient, (sources, pathologies) in sorted(seen.items()):
        strata["+".join(sorted(sources)), next(word for word in _STRATUM_ORDER if word in pathologies)].append(patient)
    return dict(strata)


def _refuse_strayed_copies(rows: Iterable[ImageRow]) -> None:
    known = {row.image_id: (row.patient_id, row.exam_id) for row in rows}
    for row in rows:
        if row.parent_id and known.get(row.parent_id) != (row.patient_id, row.exam_id):
            if row.parent_id not in known:
                problem = "is not in the catalog"
            else:
                problem = f"is of another {'exam' if known[row.parent_id][0] == row.patient_id else 'patient'}"
            raise BadData(f"{row.image_id} is a copy of {row.parent_id}, which {problem}: it could end in another split than its parent")


def _order(key: str) -> Callable[[str], bytes]:
    return lambda patient: hashlib.sha256(f"{key}\0{patient}".encode()).digest()


def _assign(
    strata: Mapping[tuple[str, str], list[str]], shares: Mapping[str, float], order: Callable[[str], bytes], previous: Mapping[str, str]
) -> dict[str, str]:
    """patient -> name of a share. Strata are served from the largest; `owed` carries what rounding left to the next ones."""
    chosen: dict[str, str] = {}
    owed = dict.fromkeys(shares, 0.0)
    for _, people in sorted(strata.items(), key=lambda item: (-len(item[1]), item[0])):
        kept = {patient: previous[patient] for patient in people if patient in previous}
        lack = {name: share * len(people) - sum(split == name for split in kept.values()) for name, share in shares.items()}
        fresh = sorted((patient for patient in people if patient not in kept), key=order)
        seats = _seats(len(fresh), lack, owed, order)
        chosen |= kept
        for name, count in seats.items():
            chosen |= dict.fromkeys(fresh[:count], name)
            fresh = fresh[count:]
            # What an earlier split did to this stratum is not made good in others.
            owed[name] = max(-1.0, min(1.0, owed[name] + lack[name] - count))
    return chosen


def _seats(count: int, lack: Mapping[str, float], owed: Mapping[str, float], order: Callable[[str], bytes]) -> dict[str, int]:
    """How many of `count` new patients each share gets: one at a time to the one that lacks most."""
    seats = dict.fromkeys(lack, 0)
    whole = {name: max(0, int(value)) for name, value in lack.items()}
    if sum(whole.values()) <= count:
        seats = whole
    for _ in range(count - sum(seats.values())):
        most = max(lack, key=lambda name: (round(lack[name] - seats[name] + owed[name], 9), order(name)))
        seats[most] += 1
    return seats
