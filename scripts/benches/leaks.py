"""Does the audit of a split find what leaks? Eight kinds of leak are planted in small splits, and clean splits are audited beside them.

    patient         an image of a training patient, of another exam, stands in the test set
    exam            an image of a training exam stands in the test set under another patient's id
    copy            a patch cut from a training image stands in the test set, its parent named
    official        an image of the official test set stands in the training set
    mirrored        a training image stands in the test set, mirrored (one in three inverted besides), as another patient's
    turned          turned by 2 to 10 degrees and rescaled to 0.35 to 0.8
    enhanced        after CLAHE (clip limit 2 to 4, 8 x 8 tiles), rescaled
    digitised       digitised again: turned, shifted, cropped, stretched, another tone curve, blur, noise, a film label, JPEG

In every second split the training part is a pretraining pool instead, where that makes sense.
Found: the kind is reported and names what was planted. False alarm: any other kind is reported
(a patch may also be found by its pixels). The images are phantoms of 512 rows, or of a data set.
Exits 1 where anything was missed or alarmed falsely.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mammolibs.catalog import Thumbnails, Verdict, audit, build_catalog, parse_source
from mammolibs.imaging import read_mammogram
from mammolibs.phantom import make_phantoms
from mammolibs.records import ImageRow

PATIENTS = {"train": 6, "validation": 2, "test": 2}
IMAGES_OF_A_PATIENT = 2
PIXELS = "near-duplicate pixels"
EXPECTED = {
    "clean": "", "patient": "patient overlap", "exam": "exam overlap", "copy": "derived copies", "official": "official split",
    "mirrored": PIXELS, "turned": PIXELS, "enhanced": PIXELS, "digitised": PIXELS,
}  # fmt: skip


@dataclass(frozen=True)
class Planted:
    """A split with what was planted in it. names: what the offender's name must hold."""

    rows: list[ImageRow]
    names: tuple[str, ...] = ()


def main(arguments: list[str]) -> None:
    """Plant, audit, print; exits 1 where the audit was wrong."""
    parser = argparse.ArgumentParser(prog="bench.py leaks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=50, help="splits of each kind, and clean ones (default 50)")
    parser.add_argument("--source", type=parse_source, metavar="NAME=PATH", help="images of a data set in place of phantoms")
    parser.add_argument("--exams", type=int, default=40, help="phantom exams that the splits are drawn from (default 40)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        by_patient = images(options, Path(folder))
        began = time.process_time()
        wrong = judge_all(by_patient, Path(folder), options.repeats, options.seed)
    print(f"CPU s per audit: {(time.process_time() - began) / (options.repeats * len(EXPECTED)):.2f}")
    sys.exit(1 if wrong else 0)


def images(options: argparse.Namespace, folder: Path) -> list[list[ImageRow]]:
    """Images of each patient, of the first exam alone: a phantom's later exams show the same tissue again."""
    if options.source is None:
        make_phantoms(folder / "phantoms", exams=options.exams, rows=512, seed=options.seed, traps=False, workers=1, progress=False)
    rows = build_catalog([options.source or ("phantom", folder / "phantoms")], unpack_folder=folder / "unpacked").rows
    patients: dict[str, list[ImageRow]] = {}
    for row in rows:
        own = patients.setdefault(row.patient_id, [])
        if not own or own[0].exam_id == row.exam_id:
            own.append(row)
    patients = {patient: [replace(row, exam_id=f"{patient}/first") for row in own] for patient, own in patients.items()}
    return [own[:: max(1, len(own) // IMAGES_OF_A_PATIENT)][:IMAGES_OF_A_PATIENT] for own in patients.values()]


def judge_all(by_patient: list[list[ImageRow]], folder: Path, repeats: int, seed: int) -> int:
    """Audit every planted split and print a line per kind; how many verdicts were wrong."""
    thumbnails, wrong = Thumbnails(folder / "thumbnails"), 0
    print(f"{'kind':<12}{'found':>8}{'of':>6}{'false alarms':>15}")
    for kind, expected in EXPECTED.items():
        found, alarms = 0, Counter()
        for number in tqdm(range(repeats), desc=kind, unit="split", leave=False):
            rng = np.random.default_rng([seed, number, *kind.encode()])
            planted = plant(kind, clean_split(by_patient, rng), rng, folder / f"{kind}-{number}.png")
            verdict = judge(planted, thumbnails, as_pool=number % 2 == 1 and kind != "official")
            found += is_named(verdict, expected, planted.names)
            allowed = {expected, PIXELS if kind == "copy" else expected}
            alarms.update(name for name, offenders in verdict.leaks.items() if offenders and name not in allowed)
        wrong += repeats - found + alarms.total()
        told = ", ".join(f"{count} x {name}" for name, count in alarms.items()) or "0"
        print(f"{kind:<12}{found if expected else '-':>8}{repeats:>6}{told:>15}", flush=True)
    return wrong


def judge(planted: Planted, thumbnails: Thumbnails, *, as_pool: bool) -> Verdict:
    """The verdict, with the training part of the split or with it as a pretraining pool."""
    if not as_pool:
        return audit(planted.rows, thumbnails=thumbnails)
    pool = [row for row in planted.rows if row.split == "train"]
    return audit([row for row in planted.rows if row.split != "train"], pool=pool, thumbnails=thumbnails)


def is_named(verdict: Verdict, expected: str, names: Sequence[str]) -> bool:
    """The kind was reported, with an offender that holds all names; of a clean split: nothing was reported."""
    if not expected:
        return verdict.clean
    return any(all(name in offender.name for name in names) for offender in verdict.leaks.get(expected, ()))


def clean_split(by_patient: list[list[ImageRow]], rng: np.random.Generator) -> list[ImageRow]:
    """Some patients, drawn, each in one part; the official split is the same."""
    order = iter(rng.permutation(len(by_patient)))
    return [
        replace(row, split=split, official_split=split)
        for split, count in PATIENTS.items()
        for _ in range(count)
        for row in by_patient[next(order)]
    ]


def plant(kind: str, rows: list[ImageRow], rng: np.random.Generator, path: Path) -> Planted:
    """The split with one leak of a kind; files of new images are written to `path`."""
    if kind == "clean":
        return Planted(rows)
    place = int(rng.choice([n for n, row in enumerate(rows) if row.split == ("test" if kind == "official" else "train")]))
    victim = rows[place]
    if kind == "official":
        # Its patient goes along: the patient must not be torn apart.
        return Planted([replace(row, split="train") if row.patient_id == victim.patient_id else row for row in rows], (victim.image_id,))
    if kind == "patient":
        moved = replace(victim, exam_id=f"{victim.patient_id}/second", split="test", official_split="test")
        return Planted([*rows[:place], moved, *rows[place + 1 :]], (victim.patient_id,))
    if kind == "exam":
        moved = replace(victim, patient_id=f"{victim.patient_id}-alias", split="test", official_split="test")
        return Planted([*rows[:place], moved, *rows[place + 1 :]], (victim.exam_id,))
    changed = CHANGES[kind](read_mammogram(victim.path).pixels, rng)
    cv2.imwrite(str(path), np.rint(255 * changed).astype(np.uint8))
    stranger = {"image_id": "stranger", "patient_id": "stranger", "exam_id": "stranger/first", "split": "test", "official_split": "test"}
    twin = replace(victim, path=str(path), **stranger, parent_id=victim.image_id if kind == "copy" else "")
    return Planted([*rows, twin], (victim.image_id,) if kind == "copy" else (victim.image_id, "stranger"))


def turn(pixels: np.ndarray, degrees: float, scale: float, shift: Sequence[float] = (0, 0), stretch: float = 1.0) -> np.ndarray:
    """Turned round the middle, shifted by shares of the size, rescaled; stretch: of the width."""
    rows, columns = pixels.shape
    matrix = cv2.getRotationMatrix2D((columns / 2, rows / 2), degrees, 1.0)
    matrix[:, 2] += np.multiply(shift, (columns, rows))
    size = round(columns * scale * stretch), round(rows * scale)
    return cv2.resize(cv2.warpAffine(pixels, matrix, (columns, rows)), size, interpolation=cv2.INTER_AREA)


def mirrored(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (1 - pixels if rng.random() < 1 / 3 else pixels)[:, ::-1]


def turned(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return turn(pixels, rng.choice([-1, 1]) * rng.uniform(2, 10), rng.uniform(0.35, 0.8))


def enhanced(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    made = cv2.createCLAHE(rng.uniform(2, 4), (8, 8)).apply(np.rint(255 * pixels).astype(np.uint8))
    return turn(made.astype(np.float32) / 255, 0, rng.uniform(0.5, 1))


def digitised(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    made = turn(pixels, rng.uniform(-3, 3), rng.uniform(0.5, 0.95), rng.uniform(-0.04, 0.04, 2), rng.uniform(0.97, 1.03))
    made = cv2.GaussianBlur(made ** rng.uniform(0.6, 1.6), (0, 0), rng.uniform(0.5, 1.0)) + rng.normal(0, 0.01, made.shape)
    made = np.clip(made * rng.uniform(0.8, 1) + rng.uniform(0, 0.06), 0, 1)
    rows, columns = made.shape
    top, left = int(rng.uniform(0.02, 0.1) * rows), int(rng.uniform(0.6, 0.8) * columns)
    made[top : top + rows // 20, left : left + columns // 6] = 0.95
    cut = [int(rng.uniform(0, 0.03) * side) for side in (rows, rows, columns, columns)]
    made = made[cut[0] : rows - cut[1], cut[2] : columns - cut[3]]
    packed = cv2.imencode(".jpg", np.rint(255 * made).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255


def patch(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rows, columns = (side // 3 for side in pixels.shape)
    top, left = rng.integers(0, pixels.shape[0] - rows), rng.integers(0, pixels.shape[1] - columns)
    return pixels[top : top + rows, left : left + columns]


CHANGES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "copy": patch,
    "mirrored": mirrored,
    "turned": turned,
    "enhanced": enhanced,
    "digitised": digitised,
}
