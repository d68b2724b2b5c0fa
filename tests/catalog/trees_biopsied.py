"""Small folders with the layouts of CMMD, BMCD, Mini-DDSM and BCDR."""

from __future__ import annotations

import csv
from pathlib import Path

from pydicom.dataset import Dataset

from tests.catalog.trees import write_dicom, write_plain

CMMD_VIEWS = {"CC": "399162004", "MLO": "399368009"}
BCDR_OUTLINES = (
    *("patient_id", "study_id", "series", "lesion_id", "segmentation_id", "image_view", "image_filename", "lw_x_points", "lw_y_points"),
    *("mammography_type", "mammography_nodule", "mammography_calcification", "mammography_microcalcification"),
    *("mammography_axillary_adenopathy", "mammography_architectural_distortion", "mammography_stroma_distortion"),
    *("age", "density", "classification"),
)
BCDR_IMAGES = ("patient_id", "study_id", "series", "image_filename", "image_type_name", "image_type_id", "age", "density")


def write_workbook(path: Path, sheet: str, rows: list[tuple]) -> None:
    """A workbook of one sheet; the first row names the columns."""
    import openpyxl

    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    book.active.title = sheet
    for row in rows:
        book.active.append(row)
    book.save(path)


def write_cmmd_workbook(root: Path, breasts: list[tuple]) -> None:
    """breasts: (patient, side, abnormality, classification)."""
    names = ("ID1", "LeftRight", "Age", "number", "abnormality", "classification", "subtype")
    rows = [(patient, side, 44, 2, abnormality, label, None) for patient, side, abnormality, label in breasts]
    write_workbook(root / "CMMD_clinicaldata_revision.xlsx", "Sheet1", [names, *rows])


def write_cmmd_image(root: Path, patient: str, number: int, side: str, view: str, *, series="1.000000-NA-70244", **attributes) -> Path:
    """One image where the downloader puts it; side and view in its header alone."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = CMMD_VIEWS[view], "SCT", view
    study = root / "manifest-1616439774456" / "CMMD" / patient / "07-18-2010-NA-NA-79377"
    header = {"PatientID": patient, "ImageLaterality": side, "ViewCodeSequence": [code], "ImagerPixelSpacing": [0.094090909] * 2}
    return write_dicom(study / series / f"1-{number}.dcm", **{"bits": 8} | header | attributes)


def write_bmcd(root: Path, cases: list[tuple]) -> None:
    """cases: (folder_type, number, laterality, BIRADS, biopsy_result); each with its four images and masks."""
    root.mkdir(parents=True, exist_ok=True)
    with open(root / "label.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("dir", "laterality", "age", "density", "BIRADS", "biopsy_result", "folder_type"))
        writer.writerows((number, side, 57, "b", birads, biopsy, folder) for folder, number, side, birads, biopsy in cases)
    for folder, number, *_ in cases:
        for name in ("CC_prior", "CC_recent", "MLO_prior", "MLO_recent"):
            case = root / "Dataset" / f"{folder.capitalize()}_cases" / str(number)
            write_dicom(case / f"{name}.dcm", BitsStored=12, HighBit=11)
            write_plain(case / f"{name}_GT.jpg")


def overlay(*abnormalities: tuple[str, str, str], assessment="4") -> str:
    """(LESION_TYPE, PATHOLOGY, boundary) -> an .OVERLAY; a boundary is x y and the chain code."""
    text = f"TOTAL_ABNORMALITIES {len(abnormalities)}\n"
    for number, (kind, pathology, boundary) in enumerate(abnormalities, start=1):
        text += f"ABNORMALITY {number}\nLESION_TYPE {kind}\nASSESSMENT {assessment}\nSUBTLETY 3\nPATHOLOGY {pathology}\n"
        text += f"TOTAL_OUTLINES 1 \nBOUNDARY\n{boundary} #\n"
    return text


def square(x: int, y: int, side: int) -> str:
    """A square boundary as a chain, clockwise from its top left."""
    return f"{x} {y} " + " ".join(code for code in "2460" for _ in range(side))


def write_mini_ddsm(
    root: Path, cases: list[tuple[str, str, dict]], *, size=(60, 40), tree="MINI-DDSM-Complete-JPEG-8", ending=".jpg"
) -> Path:
    """cases: (status, case such as C_0029_1, view -> text of its overlay). Returns the folder of the tree.

    Every marked view gets its first mask; the scan has twice the size of the copy.
    """
    names = ("fullPath", "fileName", "View", "Side", "Status", "Tumour_Contour", "Tumour_Contour2", "Age", "Density")
    rows: list[tuple] = [names]
    for status, case, marked in cases:
        folder = root / tree / status / case.split("_")[1]
        lines = ["ics_version 1.0", "DIGITIZER LUMISYS LASER", "SEQUENCE"]
        for view in ("LEFT_CC", "LEFT_MLO", "RIGHT_CC", "RIGHT_MLO"):
            name, place = f"{case}.{view}", f"{status}\\{case.split('_')[1]}\\"
            write_plain(folder / f"{name}{ending}", *size)
            lines.append(f"{view} LINES {2 * size[0]} PIXELS_PER_LINE {2 * size[1]} BITS_PER_PIXEL 12 RESOLUTION 50 NON_OVERLAY")
            side, kind = view.split("_")
            mask = f"{place}{name}_Mask.jpg" if view in marked else "-"
            rows.append((f"{place}{name}.jpg", f"{name}.jpg", kind, side, status, mask, "-", 66.0, 3.0))
            if view in marked:
                (folder / f"{name}.OVERLAY").write_text(marked[view])
                write_plain(folder / f"{name}_Mask{ending}", *size)
        (folder / f"{case.replace('_', '-')}.ics").write_text("\n".join(lines) + "\n")
    write_workbook(root / tree / "DataWMask.xlsx", "Data", rows)
    return root / tree


def bcdr_name(patient: int, study: int, view: str, ending=".tif") -> str:
    """The cell that names an image."""
    return f"patient_{patient}/study_{study}/img_{patient}_{study}_1_{view}{ending}"


def bcdr_outline(name: str, lesion: int = 1, *, view="1", xs="2 8 8 2", ys="3 3 12 12", label="Benign", **flags) -> dict:
    """A row of an outlines table."""
    patient, study = (part.split("_")[1] for part in name.split("/")[:2])
    record = dict.fromkeys(BCDR_OUTLINES, "0") | {
        "patient_id": patient, "study_id": study, "series": "1", "lesion_id": str(lesion), "segmentation_id": str(lesion),
        "image_view": view, "image_filename": name, "lw_x_points": xs, "lw_y_points": ys, "mammography_nodule": "1",
        "age": "47", "density": "2", "classification": label,
    }  # fmt: skip
    return record | flags


def write_bcdr(
    root: Path, part: str, images: list[tuple[str, str]] = (), outlines: list[dict] = (), *, size=(40, 30), ending=".jpg"
) -> Path:
    """part: f01, d02, dn01, ...; images: (file name cell, image_type_name). Cells start with a space. Returns the part's folder."""
    folder = root / f"BCDR-{part.upper()}_dataset"
    folder.mkdir(parents=True, exist_ok=True)
    listed = [(*(word.split("_")[1] for word in name.split("/")[:2]), 1, name, view, 0, 47, "NaN") for name, view in images]
    tables = {"img": (BCDR_IMAGES, listed), "outlines": (BCDR_OUTLINES, [tuple(record.values()) for record in outlines])}
    for kind, (columns, rows) in tables.items():
        if rows:
            text = "\n".join(",".join(f" {cell}" for cell in row) for row in rows)
            (folder / f"bcdr_{part}_{kind}.csv").write_text(f"{','.join(columns)}\n{text}\n")
    for name in {name for name, _ in images} | {record["image_filename"] for record in outlines}:
        write_plain((folder / name).with_suffix(ending), *size)
    return folder
