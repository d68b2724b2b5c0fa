"""A trained run applied to files that nobody has catalogued: findings as JSON, pictures, and a table for a folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from mammolibs.errors import BadConfig, BadData, BadFile, MammolibsError
from mammolibs.imaging import iter_image_files
from mammolibs.imaging.pool import map_files
from mammolibs.pipeline.adaptation import Adaptation
from mammolibs.pipeline.judge import OPERATING_NAME, Judge, Operating
from mammolibs.pipeline.options import PredictOptions
from mammolibs.pipeline.outcomes import found_regions
from mammolibs.pipeline.policy import read_policy
from mammolibs.pipeline.progress import progress
from mammolibs.pipeline.run import Run
from mammolibs.pipeline.source import Source, read_source
from mammolibs.predict import Analysis, Finder, draw, make_findings, refused_findings, write_overlay
from mammolibs.prepare import Contract
from mammolibs.records import Findings, Policy
from mammolibs.runtime import get_runtime
from mammolibs.storage import write_atomic, write_json

COLUMNS = (
    "file", "outcome", "image_score", "findings", "highest_probability", "highest_malignancy", "laterality", "view", "reasons", "json",
)  # fmt: skip


def predict_files(options: PredictOptions) -> list[Findings]:
    """Findings of a file or of all images below a folder, written into `--out`; prints one line per image.

    An image that the policy refuses has findings that say why, and no scores. In a
    folder, what cannot be read is counted and listed in skipped.csv. Raises BadFile
    for a single file that cannot be read, BadConfig (saying what to type) without a
    trained run, BadData where a folder gives nothing.
    """
    finder, operating, contract = open_finder(options)
    policy = read_policy(options.policy, options.accept, Run.open(options.run).policy)
    source, out = Path(options.image), Path(options.out)
    paths = list(iter_image_files(source)) if source.is_dir() else [source]
    if not source.exists():
        raise BadFile(source, "is not there", "give an image or a folder of images")
    if not paths:
        raise BadData(f"{source}: no DICOM, PNG, PGM, JPEG or TIFF image below this folder; give another one")
    results, skipped = [], []
    for item, answer in analyse_files(paths, finder, contract, options, policy):
        if isinstance(answer, MammolibsError):
            if not source.is_dir():
                raise answer
            skipped.append((str(item), str(answer)))
            continue
        findings = to_findings(item, answer, operating, contract)
        # The whole file name stays: names without an ending may be UIDs, and a.dcm may lie beside a.png.
        name = item.path.relative_to(source) if source.is_dir() else Path(item.path.name)
        told = out / name.with_name(f"{name.name}.findings.json")
        write_json(told, asdict(findings))
        write_overlay(out / name.with_name(f"{name.name}.overlay.png"), draw(item.picture, findings))
        results.append((findings, told))
        print(in_one_line(findings), flush=True)
    if source.is_dir():
        write_tables(out, results, skipped)
        if not results:
            raise BadData(f"{source}: none of {len(paths)} images could be used; {out / 'skipped.csv'} says why")
    refused = sum(findings.image_score is None for findings, _ in results)
    counts = f"{len(results)} images" + (f", {refused} of them refused" if refused else "")
    print(f"{out}: {counts}" + (f", {len(skipped)} skipped (skipped.csv)" if skipped else ""), flush=True)
    return [findings for findings, _ in results]


def open_finder(options: PredictOptions) -> tuple[Finder, Operating, Contract]:
    """The run's networks and what was chosen for them, adapted where that is asked for. Raises BadConfig where they do not belong together."""
    run = Run.open(options.run)
    runtime = get_runtime(precision=options.precision, seed=run.settings.seed, announce=False, one_process=True)
    judge = Judge.open(run, runtime)
    operating = Operating.load(run.folder / OPERATING_NAME)
    if operating.models != judge.models or operating.contract_hash != run.contract.hash():
        raise BadConfig(
            f"{run.folder}: its operating points were chosen for other weights; run: python eval/pipeline_eval.py --run {run.folder}"
        )
    if options.adapt is None:
        return judge.finder, operating, run.contract
    adaptation = Adaptation.load(options.adapt, operating)
    return adaptation.finder(judge.finder), adaptation.operating(operating), run.contract


def analyse_files(
    paths: Sequence[Path], finder: Finder, contract: Contract, options: PredictOptions, policy: Policy
) -> Iterator[tuple[Any, Analysis | MammolibsError | None]]:
    """(Source, Analysis) of each image, (Source, None) of each that is refused, (path, error) of each that cannot be read."""
    read = partial(read_source, contract=contract, spacing_mm=options.spacing_mm, policy=policy)
    reading = map_files(read, paths, workers=max(1, options.workers))
    waiting: list[Source] = []
    for path, result in progress(reading, "images", unit="image", total=len(paths)):
        if isinstance(result, MammolibsError):
            yield path, result
            continue
        if result.verdict.refused:
            yield result, None
            continue
        waiting.append(result)
        if len(waiting) == finder.batch:
            yield from zip(waiting, finder.analyse([s.prepared for s in waiting]))
            waiting = []
    yield from zip(waiting, finder.analyse([s.prepared for s in waiting]))


def to_findings(source: Source, analysis: Analysis | None, operating: Operating, contract: Contract) -> Findings:
    """Findings above the region threshold, and the calibrated image score; of a refused image, without an analysis, its reasons."""
    if analysis is None:
        hashes = {"contract_hash": contract.hash(), "split_hash": operating.split_hash}
        return refused_findings(source.facts, source.verdict, original=source.original, **hashes)
    regions = operating.calibrated(found_regions(analysis))
    return make_findings(
        analysis,
        [region.probability for region in regions],
        source_file=str(source.path),
        image_score=operating.image_score(regions),
        threshold=operating.thresholds["region"].value or 0.0,
        models=operating.models,
        contract_hash=contract.hash(),
        split_hash=operating.split_hash,
        spacing_mm=source.prepared.full.spacing_mm,
        verdict=source.verdict,
        notes=tuple(note for note in (source.frame, *operating.notes) if note),
    )


def in_one_line(findings: Findings) -> str:
    """What one line on the screen says of an image."""
    if findings.image_score is None:
        return f"{findings.source_file}: {findings.outcome}: {'; '.join(reason.text for reason in findings.verdict.decisive)}"
    told = "".join(f"; {reason.text}" for reason in findings.verdict.reasons)
    count = len(findings.findings)
    return f"{findings.source_file}: {findings.outcome}, image score {findings.image_score:.3f}, {count} findings{told}"


def write_tables(out: Path, results: Sequence[tuple[Findings, Path]], skipped: Sequence[tuple[str, str]]) -> None:
    """findings.csv, one row per image, and skipped.csv."""
    rows = [
        (
            f.source_file,
            f.outcome,
            "" if f.image_score is None else f"{f.image_score:.6f}",
            len(f.findings),
            max((x.probability for x in f.findings), default=""),
            max((x.malignancy for x in f.findings), default=""),
            f.laterality,
            f.view,
            " ".join(f.verdict.codes),
            path.relative_to(out).as_posix(),
        )
        for f, path in results
    ]
    write_atomic(out / "findings.csv", _csv(COLUMNS, rows))
    write_atomic(out / "skipped.csv", _csv(("file", "reason"), skipped))


def _csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()
