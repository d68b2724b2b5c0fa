"""Writes the files of one exam and says what it wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mammolibs.imaging.dicom_write import TRANSFER_SYNTAXES, MammographyHeader, write_mammogram
from mammolibs.phantom.encode import encode_display, encode_exposure
from mammolibs.phantom.plan import ExamPlan, ImagePlan, worst
from mammolibs.phantom.render import Rendered
from mammolibs.phantom.seeds import generator, uid
from mammolibs.phantom.traps import allowed_errors
from mammolibs.storage import write_atomic

Row = dict[str, Any]
_LOSSLESS = ("jpeg-lossless", "jpeg-ls", "jpeg2000")
_BIRADS = {"normal": "1", "benign": "2", "malignant": "5"}


def write_exam(folder: Path, exam: ExamPlan, draw: Callable[[ImagePlan], Rendered]) -> tuple[list[Row], list[Row]]:
    """Write every file of the exam, as `draw` draws its images, below `folder`; returns its rows of truth.csv and of lesions.csv."""
    truth: list[Row] = []
    lesions: list[Row] = []
    for number, image in enumerate(exam.images, 1):
        rendered = draw(image)
        twin = "for_processing" in image.traps
        header = _header(exam, image, rendered, number)
        encoded = encode_display(rendered.display, rendered.air, exam.maker, image.traps)
        syntax = _syntax(exam, image)
        names = [image.image_id]
        shown = replace(header, **encoded.fields, source_uid=uid(exam.seed, image.image_id, "raw") if twin else None)
        write_mammogram(folder / _file(exam, image.image_id), encoded.pixels, shown, syntax=syntax)
        truth.append(_truth_row(exam, image, image.image_id, shown, rendered, syntax, ""))
        if twin:
            raw = encode_exposure(rendered.exposure)
            name = f"{image.image_id}_raw"
            raw_header = replace(_as_raw(exam, header, name), **raw.fields)
            write_mammogram(folder / _file(exam, name), raw.pixels, raw_header, syntax=syntax)
            truth.append(_truth_row(exam, image, name, raw_header, rendered, syntax, image.image_id))
            names.append(name)
        for name in names:
            lesions += _write_masks(folder, exam, image, name, rendered)
    return truth, lesions


def _file(exam: ExamPlan, name: str) -> str:
    return f"images/{exam.exam_id}/{name}.dcm"


def _syntax(exam: ExamPlan, image: ImagePlan) -> str:
    if "compressed" not in image.traps:
        return exam.maker.syntax
    return _LOSSLESS[int(generator(exam.seed, "syntax", image.image_id).integers(len(_LOSSLESS)))]


def _header(exam: ExamPlan, image: ImagePlan, rendered: Rendered, number: int) -> MammographyHeader:
    draw = generator(exam.seed, "header", image.image_id)
    maker, side, view = exam.maker, image.laterality, image.view
    start = 8 * 3600 + int(generator(exam.seed, "time", exam.number).integers(0, 9 * 3600)) + 50 * number
    hidden = "view_in_description" in image.traps
    height, width = rendered.display.shape
    return MammographyHeader(
        patient_id=exam.patient_id, patient_name=f"PHANTOM^{exam.patient_id}", birth_date=f"{exam.birth:%Y%m%d}",
        age_years=exam.age_years, study_uid=uid(exam.seed, exam.exam_id), study_id=exam.exam_id, accession=f"A{exam.exam_id}",
        series_uid=uid(exam.seed, image.image_id, "series"), instance_uid=uid(exam.seed, image.image_id),
        date=f"{exam.date:%Y%m%d}", time=f"{start // 3600:02d}{start // 60 % 60:02d}{start % 60:02d}",
        series_number=number, instance_number=number, laterality=side, view=view,
        series_description=f"{side} {view}", manufacturer=maker.name, model=maker.model, station=f"MG{exam.number % 4 + 1}",
        software=maker.software, serial=f"S{len(maker.name):03d}{exam.number % 3}", institution="Synthetic Screening Centre",
        spacing_mm=None if "no_spacing" in image.traps else rendered.spacing_mm,
        detector_size_mm=(height * rendered.spacing_mm, width * rendered.spacing_mm),
        view_position=not (hidden or "no_view_position" in image.traps), view_code=not hidden, old_codes=maker.old_codes,
        implant="implant" in image.traps, anode=maker.anode, filter_material=maker.filter_material,
        kvp=float(draw.integers(26, 33)), exposure_mas=int(draw.integers(60, 150)), exposure_time_ms=int(draw.integers(600, 1500)),
        thickness_mm=float(draw.integers(35, 75)), force_n=float(draw.integers(60, 160)),
        angle=0.0 if view == "CC" else (45.0 if side == "R" else -45.0),
    )  # fmt: skip


def _as_raw(exam: ExamPlan, header: MammographyHeader, name: str) -> MammographyHeader:
    return replace(header, instance_uid=uid(exam.seed, name), series_uid=uid(exam.seed, name, "series"),
                   series_number=header.series_number + 10, intent="FOR PROCESSING",
                   series_description=f"{header.series_description} RAW")  # fmt: skip


def _truth_row(exam: ExamPlan, image: ImagePlan, name: str, header: MammographyHeader, rendered: Rendered, syntax: str, parent: str) -> Row:
    pathology = worst(image.lesions)
    exam_pathology = worst(tuple(lesion for other in exam.images for lesion in other.lesions))
    height, width = rendered.display.shape
    return {
        "image_id": name, "file": _file(exam, name), "patient_id": exam.patient_id, "exam_id": exam.exam_id,
        "study_date": header.date, "laterality": image.laterality, "view": image.view, "pathology": pathology,
        "exam_pathology": exam_pathology, "birads": _BIRADS[pathology], "density": exam.density, "age_years": exam.age_years,
        "rows": height, "columns": width, "spacing_mm": "" if header.spacing_mm is None else f"{header.spacing_mm:.6g}",
        "true_spacing_mm": f"{rendered.spacing_mm:.6g}", "maker": header.manufacturer, "bits_stored": header.bits_stored,
        "photometric": header.photometric, "transfer_syntax": TRANSFER_SYNTAXES[syntax], "intent": header.intent,
        "parent_id": parent, "traps": "|".join(image.traps), "allowed_errors": "|".join(allowed_errors(image.traps)),
        "lesion_ids": "|".join(lesion.lesion_id for lesion in image.lesions),
    }  # fmt: skip


def _write_masks(folder: Path, exam: ExamPlan, image: ImagePlan, name: str, rendered: Rendered) -> list[Row]:
    rows = []
    for lesion, mask, contrast in zip(image.lesions, rendered.masks, rendered.contrasts, strict=True):
        path = f"masks/{exam.exam_id}/{name}_{lesion.lesion_id.split('-')[-1]}.png"
        write_atomic(folder / path, cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes())
        ys, xs = np.nonzero(mask)
        longest = max(np.ptp(ys), np.ptp(xs)) + 1
        rows.append({
            "lesion_id": lesion.lesion_id, "image_id": name, "kind": lesion.kind, "detail": lesion.detail,
            "pathology": lesion.pathology, "centre_x": f"{xs.mean():.2f}", "centre_y": f"{ys.mean():.2f}",
            "size_mm": f"{longest * rendered.spacing_mm:.2f}", "area_px": len(ys), "contrast": f"{contrast:.4f}", "mask": path,
        })  # fmt: skip
    return rows
