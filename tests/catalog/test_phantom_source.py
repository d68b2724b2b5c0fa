"""Phantoms: the truth table, exact masks, twins; and the real maker's files."""

import pytest

from mammolibs.catalog import SOURCES
from tests.catalog.conftest import make_phantom


def read(root, **options):
    return SOURCES["phantom"](root, options)


def test_truth_is_taken_from_the_table(tmp_path):
    make_phantom(tmp_path)
    rows = {row.image_id: row for row in read(tmp_path).rows}
    assert len(rows) == 6 and {row.patient_id for row in rows.values()} == {"phantom/P0001", "phantom/P0002"}
    ill, well = rows["phantom-E0003_L_CC"], rows["phantom-E0003_R_CC"]
    assert (ill.patient_id, ill.exam_id, ill.pathology, ill.truth, ill.laterality) == (
        "phantom/P0001",
        "phantom/E0003",
        "malignant",
        "synthetic",
        "L",
    )
    assert (ill.maker, ill.spacing_mm, ill.bits, ill.age_years) == ("ACME", 0.1, 12, 55)
    assert ill.lesions[0].outline.shape == "mask" and ill.lesions[0].outline.path.endswith("E0003_L_CC_L1.png")
    assert well.pathology == "normal" and well.lesions == ()


def test_a_twin_is_left_out_or_a_copy_of_its_image(tmp_path):
    make_phantom(tmp_path)
    assert [item.on_purpose for item in read(tmp_path).skipped] == [True]
    twin = next(row for row in read(tmp_path, twins="both").rows if row.image_id.endswith("_raw"))
    assert twin.parent_id == "phantom-E0001_R_CC" and twin.spacing_mm is None


def test_an_image_that_is_gone_is_absent_and_one_whose_mask_is_gone_is_skipped(tmp_path):
    make_phantom(tmp_path)
    (tmp_path / "images" / "E0002" / "E0002_R_CC.dcm").unlink()
    assert read(tmp_path).absent == 1
    (tmp_path / "masks" / "E0001_L_CC_L1.png").unlink()
    result = read(tmp_path)
    [item] = [item for item in result.skipped if not item.on_purpose]
    assert len(result.rows) == 4 and item.item.endswith("E0001_L_CC.dcm") and "E0001_L_CC_L1.png is not there" in item.reason


@pytest.mark.parametrize("old,new,reason", [
    (",6,4,0.1", ",8,4,0.1", "truth.csv says 8 x 4"), (",E0003-L1", ",E0003-L9", "different lesions"), (",55,", ",old,", "no number"),
])  # fmt: skip
def test_a_table_that_contradicts_the_files_is_caught(tmp_path, old, new, reason):
    make_phantom(tmp_path)
    lines = (tmp_path / "truth.csv").read_text().splitlines()
    changed = [line.replace(old, new) if line.startswith("E0003_L_CC") else line for line in lines]
    (tmp_path / "truth.csv").write_text("\n".join(changed) + "\n")
    [item] = [item for item in read(tmp_path).skipped if not item.on_purpose]
    assert reason in item.reason and len(read(tmp_path).rows) == 5


def test_what_the_maker_writes_is_read(tmp_path):
    from mammolibs.phantom import make_phantoms

    make_phantoms(tmp_path, exams=1, rows=512, seed=0, workers=1)
    result = read(tmp_path, twins="both")
    files = sorted(str(path) for path in (tmp_path / "images").rglob("*.dcm"))
    assert sorted(row.path for row in result.rows) == files and not result.skipped and result.absent == 0
    masks = sorted(str(path) for path in (tmp_path / "masks").rglob("*.png"))
    assert sorted({lesion.outline.path for row in result.rows for lesion in row.lesions}) == masks
