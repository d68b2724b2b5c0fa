"""Does a split leak? Who, and what, lies on both sides of it.

Rows are catalog rows; of them only image_id, patient_id, exam_id, parent_id, split,
official_split, path and frame are looked at, and the split may have any values. Two
splits are apart wherever they differ; a pretraining pool only from what is held out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from mammolibs.catalog.hashes import split_hash
from mammolibs.catalog.thumbnails import Thumbnails
from mammolibs.catalog.verdict import PIXELS, POOL, Offender, Verdict, count_of
from mammolibs.catalog.words import joined
from mammolibs.errors import BadData, BadFile, MammolibsError
from mammolibs.records import ImageRow

if TYPE_CHECKING:
    from mammolibs.catalog.near_duplicates import Signature

# How far a part is held out: what is trained on, chosen by, judged on.
_HELD_OUT = {
    **dict.fromkeys(("train", "training", "development"), 0),
    **dict.fromkeys(("validation", "valid", "val", "dev", "tune", "tuning"), 1),
    **dict.fromkeys(("test", "testing", "holdout", "held out", "held-out"), 2),
}


def audit(
    rows: Sequence[ImageRow],
    *,
    pool: Sequence[ImageRow] = (),
    thumbnails: Thumbnails | None = None,
    ignore: Mapping[str, str] | None = None,
    own_split: bool = False,
) -> Verdict:
    """The verdict on the split that the rows have.

    pool: what a network was pretrained on, compared with every split that is not called training or validation (with
    every one where all are). thumbnails: where images are read through, for the search
    for near-duplicate pixels; None does not read any. ignore: kind of leak -> why it is not looked for.
    own_split: it was drawn anew by patient, so that what the official split holds out is counted and is no leak.

    Raises BadData for a row without a split, and for fewer than two splits (one, where there is a pool).
    """
    check_splits(rows, pool)
    everything = [(row, row.split) for row in rows] + [(row, POOL) for row in pool]
    apart = _Apart(row.split for row in rows)
    searches: dict[str, Callable[[], list[Offender]]] = {
        "patient overlap": lambda: _shared(everything, apart, lambda row: joined(row.patient_id)),
        "exam overlap": lambda: _shared(everything, apart, lambda row: joined(row.exam_id) if row.exam_id != row.patient_id else ""),
        "image overlap": lambda: _same_image(everything, apart),
        "derived copies": lambda: _families(everything, apart),
        "official split": lambda: _nearer_to_training(rows),
    }
    unchecked = {**(_made_anew(rows) if own_split else {}), **_cannot_tell(rows), **(ignore or {})}
    leaks = {kind: tuple(search()) for kind, search in searches.items() if kind not in unchecked}
    if PIXELS not in unchecked:
        pairs, why = _pixels(everything, apart, thumbnails)
        if pairs is not None:
            leaks[PIXELS] = tuple(pairs)
        unchecked |= {PIXELS: why} if why else {}
    return Verdict(
        split_hash=split_hash(rows),
        images=dict(sorted(Counter(split for _, split in everything).items())),
        patients=dict(sorted(Counter(split for _, split in {(joined(row.patient_id), split) for row, split in everything}).items())),
        leaks=leaks,
        unchecked=unchecked,
    )


def audit_own(rows: Sequence[ImageRow]) -> Verdict | None:
    """The verdict by ids alone on a split that was drawn by patient; None for a set so small that all of it is in one part."""
    return audit(rows, own_split=True) if len({row.split for row in rows}) > 1 else None


def check_splits(rows: Sequence[ImageRow], pool: Sequence[ImageRow] = ()) -> None:
    """Raises BadData for rows that cannot be audited: without a split, or with one alone and no pool."""
    lost = [row.image_id for row in rows if not row.split]
    if lost:
        raise BadData(f"{len(lost)} of {len(rows)} images have no split, first {lost[0]}; give each one, or leave it out")
    found = sorted({row.split for row in rows})
    if not found:
        raise BadData("there is no image in this split; give one that has some")
    if len(found) == 1 and not pool:
        raise BadData(f"all {len(rows)} images are in one split, {found[0]!r}; give the other part too, or a pretraining pool")


class _Apart:
    """Which splits must share nothing."""

    def __init__(self, splits: Iterable[str]):
        self.names = sorted(set(splits))
        # Nobody knows all names of test sets: a part that is not known to be trained on or chosen by is held out.
        self._tests = {name for name in self.names if _HELD_OUT.get(name.lower(), 2) == 2} or set(self.names)

    def __call__(self, a: str, b: str) -> bool:
        if POOL in (a, b):
            return bool({a, b} & self._tests)
        return a != b

    def broken_by(self, splits: Iterable[str]) -> tuple[str, ...]:
        """Those of the splits that must share nothing and share what lies in them all."""
        pairs = [pair for pair in combinations(sorted(set(splits)), 2) if self(*pair)]
        return tuple(sorted({split for pair in pairs for split in pair}))


def _shared(everything: list[tuple[ImageRow, str]], apart: _Apart, key: Callable[[ImageRow], str]) -> list[Offender]:
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for row, split in everything:
        groups[key(row)][split] += 1
    found = [(name, apart.broken_by(splits)) for name, splits in sorted(groups.items()) if name]
    return [Offender(name, splits) for name, splits in found if splits]


def _same_image(everything: list[tuple[ImageRow, str]], apart: _Apart) -> list[Offender]:
    """The same id, or another id of the same frame of the same file; a verdict travels, so ids tell which, and no path."""
    by_id = _shared(everything, apart, lambda row: row.image_id)
    known = {offender.name for offender in by_id}
    rest = [(row, split) for row, split in everything if row.path and row.image_id not in known]
    files: dict[tuple[str, int], list[tuple[str, str]]] = defaultdict(list)
    for row, split in rest:
        files[row.path, row.frame].append((row.image_id, split))
    found = [(sorted({image for image, _ in ids}), apart.broken_by(split for _, split in ids)) for ids in files.values()]
    by_file = [Offender(" and ".join(images), splits, "one file") for images, splits in sorted(found) if splits]
    return by_id + by_file


def _families(everything: list[tuple[ImageRow, str]], apart: _Apart) -> list[Offender]:
    parents = {row.image_id: row.parent_id for row, _ in everything if row.parent_id}

    def first(image: str) -> str:
        passed: set[str] = set()
        while image in parents:
            # Copies that name each other have no first one; all of them come to the same.
            if image in passed:
                return min(passed)
            passed.add(image)
            image = parents[image]
        return image

    members: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row, split in everything:
        members[first(row.image_id)].append((row.image_id, split))
    found = []
    for name, family in sorted(members.items()):
        splits = apart.broken_by(split for image, split in family)
        if splits and any(image != name for image, _ in family):
            shown = "; ".join(f"{image} in {split}" for image, split in sorted(family)[:4])
            found.append(Offender(name, splits, shown + (f"; {len(family) - 4} more" if len(family) > 4 else "")))
    return found


def _nearer_to_training(rows: Sequence[ImageRow]) -> list[Offender]:
    """Images that the official split holds out further than this one does: figures cannot be compared with published ones."""
    found = []
    for row in sorted(rows, key=lambda row: row.image_id):
        official, here = _HELD_OUT.get(row.official_split.lower()), _HELD_OUT.get(row.split.lower())
        if official is not None and here is not None and here < official:
            found.append(Offender(row.image_id, (row.split,), f"official {row.official_split}"))
    return found


def _made_anew(rows: Sequence[ImageRow]) -> dict[str, str]:
    """Why the official split is no yardstick for one that was drawn anew, and how many of its images that concerns."""
    reason = "this split is made anew by patient"
    if nearer := _nearer_to_training(rows):
        count = f"{count_of(len(nearer), 'image')} that the official one holds out further"
        reason += f" (no offence: {count} may not be compared with published figures)"
    return {"official split": reason}


def _cannot_tell(rows: Sequence[ImageRow]) -> dict[str, str]:
    """What the rows do not say, so that finding nothing says nothing."""
    reasons = {}
    if all(row.exam_id in ("", row.patient_id) for row in rows):
        reasons["exam overlap"] = "no exams are known, patients only"
    official = sorted({row.official_split for row in rows if row.official_split})
    strange = [name for name in sorted({row.split for row in rows} | set(official)) if name.lower() not in (*_HELD_OUT, "mixed")]
    if not official:
        reasons["official split"] = "no official split is known"
    elif strange:
        reasons["official split"] = f"{strange[0]!r} is neither a training, a validation nor a test set"
    return reasons


def _pixels(everything: list[tuple[ImageRow, str]], apart: _Apart, thumbnails: Thumbnails | None) -> tuple[list[Offender] | None, str]:
    """Near-duplicates, None where there is nothing to compare; and which images were not looked at."""
    if thumbnails is None:
        return None, "no pixels were read"
    with_file = [(row, split) for row, split in everything if row.path]
    signatures, failed = _signatures([row for row, _ in with_file], thumbnails)
    failed += [f"{row.image_id} (no image file is known)" for row, _ in everything if not row.path]
    if not signatures:
        return None, f"none of {len(everything)} images can be looked at, first {failed[0]}"
    parts: dict[str, list[tuple[ImageRow, Signature]]] = defaultdict(list)
    for number, (row, split) in enumerate(with_file):
        if number in signatures:
            parts[split].append((row, signatures[number]))
    why = f"{len(failed)} of {len(everything)} images cannot be looked at, first {failed[0]}" if failed else ""
    if not apart.broken_by(parts):
        return None, f"no two parts could be compared: {why}"
    found = []
    # From the smallest part up, each against all larger ones: every pair once, the longer list in the index.
    order = sorted(parts, key=lambda split: (len(parts[split]), split))
    for place, split in enumerate(order):
        base = [(row, signature, other) for other in order[place + 1 :] if apart(split, other) for row, signature in parts[other]]
        if base:
            found += _pairs(split, parts[split], base)
    return sorted(set(found), key=lambda offender: offender.name), why


def _pairs(split: str, queries: list[tuple[ImageRow, Signature]], base: list[tuple[ImageRow, Signature, str]]) -> Iterable[Offender]:
    from mammolibs.catalog.near_duplicates import find_near_duplicates

    for i, j, likeness in find_near_duplicates([signature for _, signature in queries], [signature for _, signature, _ in base]):
        (first, here), (second, there) = sorted([(queries[i][0].image_id, split), (base[j][0].image_id, base[j][2])])
        how = f"correlation {likeness.correlation:.2f}" + ", mirrored" * likeness.mirrored + ", inverted" * likeness.inverted
        yield Offender(f"{first} and {second}", (here, there), how)


def _signatures(rows: Sequence[ImageRow], thumbnails: Thumbnails) -> tuple[dict[int, Signature], list[str]]:
    """Place of the row -> signature; and what is wrong with the others."""
    from mammolibs.catalog.near_duplicates import LEAST_INLIERS, make_signature

    places: dict[tuple[str, int], list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        places[row.path, row.frame].append(number)
    found: dict[int, Signature] = {}
    failed = []
    for row, answer in thumbnails.read([rows[numbers[0]] for numbers in places.values()]):
        numbers = places[row.path, row.frame]
        if isinstance(answer, MammolibsError):
            failed += [f"{rows[n].image_id} ({answer.problem if isinstance(answer, BadFile) else answer})" for n in numbers]
            continue
        signature = make_signature(answer)
        if len(signature.features) < LEAST_INLIERS:
            failed += [f"{rows[n].image_id} (shows too little)" for n in numbers]
        else:
            found |= dict.fromkeys(numbers, signature)
    return found, sorted(failed)
