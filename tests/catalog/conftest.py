"""One small tree per source, in the source's own layout."""

import pytest

from tests.catalog import trees, trees_biopsied, trees_digital, trees_tables, trees_volumes
from tests.storage.gcs_server import GcsServer


def make_phantom(root):
    truth = [
        "image_id,file,patient_id,exam_id,laterality,view,pathology,birads,density,age_years,"
        "rows,columns,spacing_mm,maker,bits_stored,parent_id,lesion_ids"
    ]
    lesions = ["lesion_id,image_id,kind,pathology,mask"]
    for exam, patient in ((1, 1), (2, 2), (3, 1)):
        for side in "LR":
            name = f"E{exam:04d}_{side}_CC"
            ill = side == "L"
            found = f"E{exam:04d}-L1" if ill else ""
            trees.write_dicom(root / "images" / f"E{exam:04d}" / f"{name}.dcm")
            label = "malignant" if ill else "normal"
            truth.append(
                f"{name},images/E{exam:04d}/{name}.dcm,P{patient:04d},E{exam:04d},{side},CC,{label},4,B,55,6,4,0.1,ACME,12,,{found}"
            )
            if ill:
                trees.write_plain(root / "masks" / f"{name}_L1.png")
                lesions.append(f"{found},{name},mass,malignant,masks/{name}_L1.png")
    trees.write_dicom(root / "images" / "E0001" / "raw.dcm")
    truth.append("E0001_R_CC_raw,images/E0001/raw.dcm,P0001,E0001,R,CC,normal,1,B,55,6,4,,ACME,14,E0001_R_CC,")
    (root / "truth.csv").write_text("\n".join(truth) + "\n")
    (root / "lesions.csv").write_text("\n".join(lesions) + "\n")


def make_dicom_folder(root):
    for number in range(3):
        trees.write_dicom(root / "a" / f"{number}.dcm", PatientID=f"P{number}", StudyInstanceUID=f"1.2.{number}")
    trees.write_plain(root / "b" / "plain.png")


def make_mias(root):
    trees.write_mias(root, ["mdb001 G CIRC B 535 425 197", "mdb002 G NORM ", "mdb059 F CIRC B"], films=("mdb001", "mdb002", "mdb059"))


def make_cbis(root):
    records = [trees.cbis_record("P_00001", "LEFT", view) for view in ("CC", "MLO")]
    trees.write_cbis_tables(root, mass_train=records)
    for record in records:
        trees.write_cbis_files(root, record)


def make_cdd(root):
    names = ["P1_L_DM_MLO", "P1_R_DM_MLO", "P2_L_DM_CC"]
    trees.write_cdd_workbook(root / "Radiology manual annotations.xlsx", names)
    for name in names:
        trees.write_plain(root / "Low energy images of CDD-CESM" / f"{name}.jpg", 40, 30)
    trees.write_via(root, [("P1_L_DM_MLO.jpg", {"name": "circle", "cx": 10, "cy": 12, "r": 4})])


def make_inbreast(root):
    trees_digital.write_inbreast(root, [
        ("22678622", "L", "MLO", "3", "1"), ("22678646", "L", "CC", "3", "5"), ("22678670", "R", "CC", " ", "2"),
    ], outlines={"22678646": [("Mass", [(1, 1), (3, 1), (2, 4)])]})  # fmt: skip


def make_vindr(root):
    trees_digital.write_vindr(root, [
        trees_digital.vindr_record("s1", "i1", "L", "CC", "4", ("Mass",), "4", (0.5, 1, 2.5, 3)),
        trees_digital.vindr_record("s1", "i2", "L", "MLO", "4"),
        trees_digital.vindr_record("s2", "i3", "R", "CC", "1", split="test"),
    ])  # fmt: skip


def make_rsna(root):
    trees_digital.write_rsna(root, [
        trees_digital.rsna_record("10006", "462822612", "L", "CC"), trees_digital.rsna_record("10006", "1459541791", "L", "MLO"),
        trees_digital.rsna_record("10011", "541722628", "R", "CC", cancer="1", biopsy="1"),
    ])  # fmt: skip


def make_bcs_dbt(root):
    trees_volumes.write_dbt(root, [
        trees_volumes.dbt_view("DBT-P00001", "DBT-S00163", "lcc", label="Normal"),
        trees_volumes.dbt_view("DBT-P00001", "DBT-S00163", "rmlo2", label="Actionable"),
        trees_volumes.dbt_view("DBT-P00013", "DBT-S00597", "rcc", label="Cancer", boxes=[trees_volumes.dbt_box(2, 1, 1, 3, 2)]),
    ])  # fmt: skip


def make_duke_mri(root):
    # The slices of a patient stand or fall together, so the first one has a single row.
    boxes = {"Breast_MRI_001": (2, 4, 1, 3, 2, 3), "Breast_MRI_002": (1, 2, 1, 2, 1, 1)}
    trees_volumes.write_duke(root, boxes, slices=7, one_tumour=("Breast_MRI_002",))


def make_cmmd(root):
    trees_biopsied.write_cmmd_workbook(root, [("D1-0001", "L", "mass", "Malignant"), ("D1-0002", "R", "both", "Benign")])
    for number, (side, view) in enumerate((("L", "CC"), ("L", "MLO"), ("R", "CC")), start=1):
        trees_biopsied.write_cmmd_image(root, "D1-0001", number, side, view)
    for number, view in enumerate(("CC", "MLO"), start=1):
        trees_biopsied.write_cmmd_image(root, "D1-0002", number, "R", view)


def make_bmcd(root):
    trees_biopsied.write_bmcd(root, [("suspicious", 1, "Right", "4b", "DCIS"), ("normal", 1, "Left", "2", "")])


def make_mini_ddsm(root):
    marked = trees_biopsied.overlay(("MASS SHAPE OVAL MARGINS SPICULATED", "MALIGNANT", trees_biopsied.square(10, 20, 30)))
    trees_biopsied.write_mini_ddsm(root, [("Cancer", "C_0029_1", {"LEFT_CC": marked}), ("Normal", "A_0002_1", {})])


def make_bcdr(root):
    lesion, empty, normal = (trees_biopsied.bcdr_name(*key) for key in ((3, 5, "RCC"), (3, 5, "LCC"), (23, 33, "LCC")))
    trees_biopsied.write_bcdr(root, "f01", [(lesion, "RCC"), (empty, "LCC")], [trees_biopsied.bcdr_outline(lesion)])
    trees_biopsied.write_bcdr(root, "dn01", [(normal, "LCC")])


def make_kau(root):
    trees_tables.write_kau(
        root, "BIRAD1/b1/2013_BC000541_ MLO_L.jpg", "Birad5/Birad5/2018_BC005421_CC_R.jpg", "Birad3/case 7/d_Left_cc.jpg",
        "Birad4/12/right MLO.jpg",
    )  # fmt: skip


def make_embed(root):
    trees_tables.write_embed(
        root,
        [
            {"uid": "1.2.840.1", "acc_anon": "2001", "ROI_coords": "((10, 5, 30, 20),)"},
            {"uid": "1.2.840.2", "acc_anon": "2001", "ImageLateralityFinal": "R", "ViewPosition": "CC"},
            {"uid": "1.2.840.3", "acc_anon": "2002", "empi_anon": "10000002"},
        ],
        [
            {"acc_anon": "2001", "side": "L", "asses": "S", "massshape": "R", "path_severity": "0.0"},
            {"acc_anon": "2001", "side": "R", "asses": "N"},
            {"acc_anon": "2002", "empi_anon": "10000002", "asses": "B"},
        ],
    )


def make_omi(root):
    proven = {"7": {"BIOPSYWIDE": {"L": {"1": {"Opinion": "B5"}}}, "SCREENING": {"L": {"Opinion": "R5"}, "R": {"Opinion": "R1"}}}}
    mark = trees_tables.omi_mark(20, 30, 5, 10, Mass=1, LinkedNBSSLesionNumber="1")
    trees_tables.write_omi(root, "optm1", [trees_tables.omi_image(1, "L", marks=[mark]), trees_tables.omi_image(2, "R")], proven)
    screened = {"7": {"SCREENING": {"right_opinion": "Normal"}}}
    trees_tables.write_omi(root, "demd2", [trees_tables.omi_image(3, "R", "MLO")], screened, old=True)


def make_csv(root):
    for name in ("a/1.png", "a/2.png", "b/3.png"):
        trees.write_plain(root / "images" / name, 60, 40)
    common = {"laterality": "L", "view": "CC", "x0": "", "y0": "", "x1": "", "y1": ""}
    trees_tables.write_table(root / "labels.csv", [
        {"path": "images/a/1.png", "patient": "p1", "pathology": "malignant"} | common | {"x0": 3, "y0": 4, "x1": 9, "y1": 12},
        {"path": "images/a/2.png", "patient": "p1", "pathology": "normal"} | common,
        {"path": "images/b/3.png", "patient": "p2", "pathology": "benign"} | common,
    ])  # fmt: skip


MAKERS = {
    "phantom": make_phantom,
    "dicom_folder": make_dicom_folder,
    "mias": make_mias,
    "cbis_ddsm": make_cbis,
    "cdd_cesm": make_cdd,
    "inbreast": make_inbreast,
    "vindr": make_vindr,
    "rsna": make_rsna,
    "bcs_dbt": make_bcs_dbt,
    "duke_mri": make_duke_mri,
    "cmmd": make_cmmd,
    "bmcd": make_bmcd,
    "mini_ddsm": make_mini_ddsm,
    "bcdr": make_bcdr,
    "kau_bcmd": make_kau,
    "embed": make_embed,
    "omi_db": make_omi,
    "csv": make_csv,
}


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    with GcsServer("bucket") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        monkeypatch.setenv("MAMMOLIBS_CACHE", str(tmp_path / "cache"))
        yield server
        assert server.violations == []


@pytest.fixture(params=MAKERS)
def source_name(request):
    return request.param


@pytest.fixture
def source_tree(source_name, tmp_path):
    root = tmp_path / "tree"
    MAKERS[source_name](root)
    return root
