"""From a DICOM file to a prepared sample: ours against plain pydicom and scikit-image, in one process, on one thread each.

Theirs: `pixel_array`, the window by pydicom, Otsu's threshold, the largest component, its chest wall to the left, its box
resized with anti-aliasing to the same canvas, percentiles inside the breast as the ends of 16 bits, 0 outside: the same
sample as one writes it down. CPU time; the median over turns. Before anything is timed both have to give the stored
values bit for bit.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import warnings
from pathlib import Path

import cv2
import numpy as np
import pydicom
from benches.data import cpu_s, print_head, print_row
from benches.decode import dicom_bytes, mammogram_like
from pydicom.pixels import apply_voi_lut
from skimage.filters import threshold_otsu
from skimage.measure import label
from skimage.transform import resize

from mammolibs.imaging import read_mammogram, read_stored
from mammolibs.prepare import Contract, prepare_image

# What has to be reached, by syntax.
TARGETS = {"JPEG lossless .70": 7.0, "explicit LE": 12.0}
BITS = 12
CUTS = (Contract().low_percentile, Contract().high_percentile)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench.py data_sample", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3328, help="rows of the image; columns follow (default 3328)")
    parser.add_argument("--canvas", type=int, nargs=2, default=(1024, 832), metavar=("H", "W"), help="the sample's size (default 1024 832)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each reader (default 5)")
    parser.add_argument("--quick", action="store_true", help="a small image, one turn: shows that it runs, measures nothing")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rows, options.canvas, options.rounds = 256, (64, 48), 1
    cv2.setNumThreads(1)
    contract = Contract(canvas_height_px=options.canvas[0], canvas_width_px=options.canvas[1])
    pixels = mammogram_like(options.rows, BITS)
    print_head(f"DICOM to sample: {pixels.shape[0]}x{pixels.shape[1]}, {BITS} bit, to {contract.canvas[0]}x{contract.canvas[1]}, CPU time")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, target in TARGETS.items():
            path = Path(folder) / "image.dcm"
            path.write_bytes(dicom_bytes(pixels, BITS, name))
            compare(name, path, pixels, contract, options.rounds, target)


def compare(name: str, path: Path, pixels: np.ndarray, contract: Contract, rounds: int, target: float) -> None:
    """Print the row of one syntax."""
    if not np.array_equal(read_stored(path).frames[0], pixels):
        sys.exit(f"{name}: ours does not give the stored values")
    try:
        exact = np.array_equal(pydicom.dcmread(path).pixel_array, pixels)
    except (RuntimeError, NotImplementedError):
        print(f"{'sample':<8}{name:<22}plain pydicom refuses here: it wants python-gdcm, which `bench.py data` brings", flush=True)
        return
    if not exact:
        sys.exit(f"{name}: pydicom does not give the stored values")
    readers = (lambda: plain(path, contract.canvas), lambda: prepare_image(read_mammogram(path), contract))
    turns = [[cpu_s(read) for read in readers] for _ in range(rounds + 1)]
    # The first turn warms up.
    theirs, ours = (statistics.median(times) for times in zip(*turns[1:], strict=True))
    print_row("sample", name, "pydicom + scikit-image", 1 / ours, 1 / theirs, statistics.median(t / o for t, o in turns[1:]), target)


def plain(path: Path, canvas: tuple[int, int]) -> np.ndarray:
    """uint16 canvas: the breast as one writes it down with pydicom and scikit-image."""
    ds = pydicom.dcmread(path)
    shown = apply_voi_lut(ds.pixel_array, ds)
    parts = label(shown > threshold_otsu(shown))
    breast = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    rows, columns = (np.flatnonzero(breast.any(axis)) for axis in (1, 0))
    crop = shown[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    inside = breast[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if inside[:, : inside.shape[1] // 2].sum() < inside[:, inside.shape[1] // 2 :].sum():
        crop, inside = crop[:, ::-1], inside[:, ::-1]
    scale = min(canvas[0] / crop.shape[0], canvas[1] / crop.shape[1])
    shape = round(crop.shape[0] * scale), round(crop.shape[1] * scale)
    small = resize(crop, shape, order=1, anti_aliasing=True, preserve_range=True)
    low, high = np.percentile(crop[inside], CUTS)
    scaled = np.clip((small - low) / (high - low), 0, 1) * 65534 + 1
    image = np.zeros(canvas, np.uint16)
    image[: shape[0], : shape[1]] = scaled * resize(inside, shape, order=0)
    return image
