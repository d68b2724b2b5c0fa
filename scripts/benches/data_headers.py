"""Headers of mammograms: `read_facts` against `dcmread(stop_before_pixels=True)`, and a catalog of many files.

The readers take turns over the same files, and the table shows medians over the turns of the files per second and of
pydicom's CPU time over ours. pydicom's reader is asked for no value, ours finds all facts. Files are small, with headers as
makers write them: some hundred elements, code sequences, sixty private elements; "released" are those as data sets are
released, with the private elements and half of the others removed. The catalog is of the whole headers under as many names as
are asked for (hard links), listed by a table in RSNA's layout; its peak memory is that of the process that builds it, that of
its largest worker beside it.
"""

from __future__ import annotations

import argparse
import csv
import io
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pydicom

from mammolibs.catalog import make_catalog
from mammolibs.imaging import read_facts
from mammolibs.imaging.dicom_write import MammographyHeader, mammogram_bytes
from mammolibs.imaging.prefix_values import KEYWORDS

# Name of a row -> transfer syntax, whether the header is whole.
KINDS = {
    "explicit": ("explicit", True), "jpeg-lossless": ("jpeg-lossless", True), "released": ("jpeg-lossless", False),
    "implicit": ("implicit", True),
}  # fmt: skip
CATALOG_OF = "explicit"
DISTINCT = 64
PRIVATE = 60


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench.py data_headers", description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000, help="read by each reader in a turn (default 1000)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each reader (default 5)")
    parser.add_argument("--catalog", type=int, default=100_000, help="files of the catalog; 0 for none (default 100000)")
    parser.add_argument("--quick", action="store_true", help="few files, one turn, no catalog: shows that it runs, measures nothing")
    options = parser.parse_args(arguments)
    if options.quick:
        options.files, options.rounds, options.catalog = 20, 1, 0
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'headers':<16}{'elements':>9}{'read_facts files/s':>20}{'dcmread files/s':>18}{'ratio':>8}{'CPU ratio':>11}", flush=True)
        for name, (syntax, whole) in KINDS.items():
            paths = write_files(Path(folder) / name, syntax, whole)
            print_turns(f"{name:<16}{len(_dcmread(paths[0])):>9}", [paths[i % len(paths)] for i in range(options.files)], options.rounds)
        if options.catalog:
            seconds, own_mb, worker_mb = build_apart(Path(folder), options.catalog)
            print(f"catalog of {options.catalog} files: {options.catalog / seconds:.0f} files/s, {seconds:.1f} s;", end=" ")
            print(f"peak memory {own_mb} MB, {worker_mb} MB in a worker")


def print_turns(name: str, paths: list[Path], rounds: int) -> None:
    turns = [(_time(read_facts, paths), _time(_dcmread, paths)) for _ in range(rounds)]
    ours, theirs = (statistics.median(len(paths) / turn[reader][0] for turn in turns) for reader in (0, 1))
    ratio, cpu_ratio = (statistics.median(turn[1][kind] / turn[0][kind] for turn in turns) for kind in (0, 1))
    print(f"{name}{ours:>20.0f}{theirs:>18.0f}{ratio:>8.2f}{cpu_ratio:>11.2f}", flush=True)


def write_files(folder: Path, syntax: str, whole: bool = True) -> list[Path]:
    """`DISTINCT` mammograms of 16 x 16 pixels."""
    folder.mkdir()
    pixels = np.zeros((16, 16), np.uint16)
    paths = [folder / f"{number}.dcm" for number in range(DISTINCT)]
    for number, path in enumerate(paths):
        path.write_bytes((_with_private if whole else _released)(mammogram_bytes(pixels, header(number), syntax=syntax)))
    return paths


def header(number: int) -> MammographyHeader:
    side, view = "LR"[number % 2], ("CC", "MLO")[number // 2 % 2]
    return MammographyHeader(
        patient_id=f"P{number // 4:05d}", patient_name=f"BENCH^P{number // 4:05d}", birth_date="19600102", age_years=55,
        study_uid=f"1.2.826.0.1.3680043.8.498.{number // 4}", series_uid=f"1.2.826.0.1.3680043.8.498.{number}.1",
        instance_uid=f"1.2.826.0.1.3680043.8.498.{number}.2", study_id="1", accession="A1", date="20150203", time="101112",
        series_number=number % 4, instance_number=1, laterality=side, view=view, manufacturer="ACME Medical", model="Mammo 1",
        station="MG1", software="1.0", serial="S1", institution="Bench", series_description=f"{side} {view}", spacing_mm=0.07,
        detector_size_mm=(233.0, 179.0), windows=((2047, 4096, "NORMAL"), (2047, 3000, "HARDER"), (2047, 5000, "SOFTER")),
    )  # fmt: skip


def _released(data: bytes) -> bytes:
    """Without every second element that tells no fact of the image."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    others = [element.tag for element in dataset if element.keyword not in KEYWORDS and element.tag.group not in (0x0028, 0x7FE0)]
    for tag in others[::2]:
        del dataset[tag]
    return _saved(dataset)


def _with_private(data: bytes) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    block = dataset.private_block(0x0019, "ACME BENCH", create=True)
    for number in range(PRIVATE):
        block.add_new(number, ("DS", "LO", "IS", "CS")[number % 4], ("1.5", "some text of a maker", "12", "YES")[number % 4])
    return _saved(dataset)


def _saved(dataset: pydicom.Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def build_apart(folder: Path, count: int) -> tuple[float, int, int]:
    """(seconds, peak megabytes of the builder, of its largest worker), measured in a process that does nothing else."""
    link_rsna(folder / "rsna", folder / CATALOG_OF, count)
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    builder = multiprocessing.get_context("spawn").Process(target=build, args=(folder / "rsna", folder / "data", theirs))
    builder.start()
    answer = ours.recv()
    builder.join()
    return answer


def link_rsna(root: Path, files: Path, count: int) -> None:
    """The layout of RSNA's data set: a table, and four images of each patient."""
    images = root / "train_images"
    columns = [
        "site_id",
        "patient_id",
        "image_id",
        "laterality",
        "view",
        "age",
        "cancer",
        "biopsy",
        "BIRADS",
        "implant",
        "density",
        "machine_id",
    ]
    images.mkdir(parents=True)
    with open(root / "train.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns)
        for number in range(count):
            patient = number // 4
            if number % 4 == 0:
                (images / str(patient)).mkdir()
            os.link(files / f"{number % DISTINCT}.dcm", images / str(patient) / f"{number}.dcm")
            side, view, cancer = "LR"[number % 2], ("CC", "MLO")[number // 2 % 2], int(number % 50 == 0)
            table.writerow((1, patient, number, side, view, 55, cancer, 0, 1, 0, "B", 49))


def build(root: Path, out: Path, answers: Connection) -> None:
    began = time.perf_counter()
    make_catalog([("rsna", root)], out)
    seconds = time.perf_counter() - began
    own, workers = (resource.getrusage(who).ru_maxrss >> 10 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    answers.send((seconds, own, workers))


def _time(read: Callable[[Path], object], paths: list[Path]) -> tuple[float, float]:
    """(seconds, CPU seconds) for all of them."""
    began, cpu_began = time.perf_counter(), time.process_time()
    for path in paths:
        read(path)
    return time.perf_counter() - began, time.process_time() - cpu_began


def _dcmread(path: Path) -> pydicom.Dataset:
    return pydicom.dcmread(path, stop_before_pixels=True)
