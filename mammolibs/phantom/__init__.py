"""Synthetic screening exams: true DICOM files, exact lesion masks, and a table that says what is in them.

`make_phantoms(folder, exams=N, rows=R, seed=S)` writes

    folder/phantom.json                        seed, exams, rows, traps, difficulty; written last
    folder/truth.csv                           one row per file
    folder/lesions.csv                         one row per lesion and file
    folder/images/<exam>/<image>.dcm
    folder/masks/<exam>/<image>_<lesion>.png   uint8, 0 and 255, in the stored pixel geometry of the file

Both tables are comma-separated UTF-8 with a header line; paths are relative to the
folder, with "/"; several values in one cell are joined by "|"; an empty cell is "none".

truth.csv
    image_id          unique, for instance E0007_L_CC (E0007_L_CC_raw for its FOR PROCESSING twin)
    file              path of the DICOM file
    patient_id        P0006; some patients have two exams
    exam_id           E0007
    study_date        YYYYMMDD
    laterality, view  L or R; CC or MLO: the truth, also where the header does not say it
    pathology         malignant, benign or normal: the worst lesion of this breast
    exam_pathology    the worst of both breasts
    birads            1 to 5, of this breast
    density           A to D
    age_years         whole years at the exam
    rows, columns     size of the image
    spacing_mm        mm per pixel as the header says it, empty where it does not
    true_spacing_mm   mm per pixel, always
    maker             Manufacturer as in the header
    bits_stored       as in the header
    photometric       MONOCHROME1 or MONOCHROME2
    transfer_syntax   its UID
    intent            FOR PRESENTATION or FOR PROCESSING
    parent_id         of a FOR PROCESSING twin: the image_id of the presentation image; else empty
    traps             names of the traps planted in this file, see mammolibs.phantom.TRAPS
    allowed_errors    what dciodvfy may say of this file: parts of its error lines
    lesion_ids        lesions of this breast, as in lesions.csv

lesions.csv
    lesion_id         E0007-L1: the same in both views of a breast
    image_id          the file that this row is about
    kind              mass, calcification or asymmetry
    detail            smooth, spiculated, coarse, fine or diffuse
    pathology         malignant or benign
    centre_x          centre of gravity of the mask in stored pixels, x right, y down
    centre_y
    size_mm           longest side of the box round the mask
    area_px           pixels in the mask
    contrast          how much it stands out of its surroundings in this image, grey share of the display range
    mask              path of the mask

`make_laboratory(folder, exams=N, seed=S)` writes the same files of another kind of phantom: lesions of one known form at known
places in Gaussian noise of known covariance, for which the best that anything can reach is known (`Laboratory.ideal_observer`).
Beside them

places.csv            two rows per image
    image_id, patient_id
    place             0 in the upper part of the breast, 1 in the lower
    x, y              its centre in stored pixels
    present           1 where a lesion is there, 0 where not
"""

from mammolibs.phantom.laboratory import IdealObserver, Laboratory
from mammolibs.phantom.laboratory_set import laboratory_of, make_laboratory, read_places
from mammolibs.phantom.make import PhantomSet, make_phantoms, read_phantoms
from mammolibs.phantom.plan import Difficulty
from mammolibs.phantom.traps import TRAPS

__all__ = [
    "TRAPS", "Difficulty", "IdealObserver", "Laboratory", "PhantomSet", "laboratory_of", "make_laboratory", "make_phantoms",
    "read_phantoms", "read_places",
]  # fmt: skip
