"""One small tree per source, in the source's own layout."""

import pytest

from tests.catalog import trees


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


MAKERS = {"phantom": make_phantom, "dicom_folder": make_dicom_folder, "mias": make_mias, "cbis_ddsm": make_cbis, "cdd_cesm": make_cdd}


@pytest.fixture(params=MAKERS)
def source_name(request):
    return request.param


@pytest.fixture
def source_tree(source_name, tmp_path):
    root = tmp_path / "tree"
    MAKERS[source_name](root)
    return root
