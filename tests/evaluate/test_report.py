"""The report: each figure complete, the page self-contained, bad tables said plainly."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from mammolibs.errors import BadData, BadFile
from mammolibs.evaluate import (
    Calibration,
    Chosen,
    Example,
    Threshold,
    measure,
    paired_difference,
    read_predictions,
    select_examples,
    stage_report,
    write_predictions,
    write_report,
)
from mammolibs.evaluate.result import is_figure
from mammolibs.evaluate.sections import _case_row
from mammolibs.records import Estimate
from tests.walk import faults

CHOSEN = Chosen(
    thresholds=(
        Threshold(name="image_score", value=0.3, rule="90 % specificity"),
        Threshold(name="region_probability", value=0.5, rule="1 false positive"),
    ),
    calibrations=(
        Calibration(name="image score", features=("logit_raw",), slopes=(1.0,), n=9, events=1, reason="1 malignant and 8 others, 3 needed"),
    ),
)
FIELDS = {"value", "low", "high", "n", "events", "unit", "method", "reason"}


def example(image_id, kind):
    rows, columns = np.mgrid[0:64, 0:48]
    image = (np.hypot(rows - 32, columns) < 30).astype(np.uint16) * 30000
    return Example(image_id=image_id, image=image, truth=rows + columns < 30, predicted=columns / 48.0, kind=kind, title=f"{image_id} <&>")


@pytest.fixture(scope="module")
def written(tmp_path_factory, make_predictions):
    folder = tmp_path_factory.mktemp("report")
    (folder / "history.csv").write_text("iteration,train_loss,validation_loss,dice,seconds\n1,0.9,1.0,,3\n2,0.5,0.7,0.2,3\n")
    rows = make_predictions(40, folds=4, seed=1)
    other = [replace(p, image_score=p.image_score * 0.5 + 0.1) for p in rows]
    shown = [example(name, kind) for kind, names in select_examples(rows, 1).items() for name in names]
    result = write_report(
        folder,
        predictions=rows,
        stages={"encoder": {"top1_retrieval": 0.3}, "unet": {"dice_at_half": Estimate(value=0.4, n=3)}},
        data={"synthetic": True, "splits": {"train": {"images": 5}}},
        runtime={"device": "cpu"},
        split_hash="abc123",
        history={
            "unet": {"pretrained": folder / "history.csv", "from scratch": folder / "history.csv"},
            "resnet": folder / "gone.csv",
            "U-Net, fold 0": folder / "history.csv",
        },
        examples=shown,
        chosen={k: CHOSEN for k in range(4)},
        comparisons={"simple measures": {"image_auc": paired_difference(rows, other, "image_auc", rounds=100)}},
        command="bash train/train.sh",
        rounds=200,
    )
    return folder, rows, result


def blocks(result):
    """Every dict that holds a figure, with its path."""
    found = []

    def walk(value, path):
        if isinstance(value, dict):
            if any(is_figure(v) for v in value.values()):
                found.append((path, value))
            for name, inner in value.items():
                walk(inner, f"{path}/{name}")

    walk(result, "")
    return found


def test_each_figure_is_complete_and_each_block_names_its_split(written):
    folder, _, result = written
    assert json.loads((folder / "report.json").read_text()) == result
    found = blocks(result)
    assert faults(result) == []
    assert {"/pipeline", "/unet", "/resnet", "/encoder", "/folds/0", "/comparisons/simple measures"} <= {path for path, _ in found}
    for path, block in found:
        assert block["split_hash"] == "abc123", path
        for name, figure in block.items():
            if is_figure(figure):
                assert set(figure) == FIELDS, (path, name)
                complete = figure["low"] is not None and figure["events"] is not None and figure["n"] > 0
                assert figure["unit"] and figure["method"] and (complete or figure["reason"]), (path, name)
                assert figure["low"] is None or figure["low"] <= figure["value"] <= figure["high"], (path, name)


def test_the_promised_figures_are_there(written):
    _, rows, result = written
    assert {"image_auc", "patient_auc", "sensitivity_at_90_specificity", "sensitivity_at_95_specificity"} <= set(result["pipeline"])
    assert {"dice", "iou", "lesion_sensitivity_at_1_fp", "dice_at_half"} <= set(result["unet"])
    assert "patch_auc" in result["resnet"] and "top1_retrieval" in result["encoder"] and "autoencoder" in result
    assert result["pipeline"]["image_auc"]["value"] == measure(rows, "image_auc").value
    assert (result["pipeline"]["image_auc"]["n"], result["pipeline"]["patient_auc"]["n"]) == (160, 40)
    assert len(result["folds"]) == 4 and "image_auc_within_fold" in result["pipeline"]


def test_the_page_refers_to_nothing_outside_itself(written):
    folder, _, _ = written
    page = (folder / "report.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources and all(s.startswith(("data:image/png;base64,", "#")) for s in sources)
    assert not re.search(r"https?://|@import|url\(|<script|<link", page)
    assert "Not a medical device" in page and "bash train/train.sh" in page and "&lt;&amp;&gt;" in page


def test_pictures_of_an_earlier_report_do_not_stay(tmp_path, make_predictions):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "miss_9.png").write_bytes(b"old")
    write_report(tmp_path, predictions=make_predictions(10), stages={}, data={}, runtime={}, split_hash="x", rounds=50)
    assert (tmp_path / "figures" / "roc.png").exists() and not (tmp_path / "figures" / "miss_9.png").exists()


def test_a_lesion_of_unknown_place_is_no_miss(make_predictions):
    row = next(p for p in make_predictions(40) if p.lesions)
    lost = replace(row, regions=(), lesions=(replace(row.lesions[0], centre_x=None, centre_y=None),))
    assert _case_row(lost)[-1] == "0 of 0, 1 of unknown place"
    assert _case_row(replace(row, regions=()))[-1] == "0 of 1"


def test_markdown_links_to_pictures_that_are_there(written):
    folder, _, _ = written
    links = re.findall(r"\]\((figures/[^)]+)\)", (folder / "report.md").read_text())
    assert "image score, fold 3 | 1.00 x logit raw | 9 (1) | 1 malignant and 8 others, 3 needed" in (folder / "report.md").read_text()
    assert {"figures/roc.png", "figures/froc.png", "figures/calibration.png", "figures/loss_unet.png", "figures/miss_1.png"} <= set(links)
    assert all((folder / link).read_bytes().startswith(b"\x89PNG") for link in links)
    assert "figures/loss_resnet.png" not in links and "figures/loss_u_net_fold_0.png" in links
    assert not any(" " in link for link in links)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_patients_give_a_report_and_no_figure(count, make_predictions, tmp_path):
    result = write_report(tmp_path, predictions=make_predictions(count), stages={}, data={}, runtime={}, split_hash=None, rounds=50)
    assert result["pipeline"]["image_auc"]["value"] is None and result["pipeline"]["image_auc"]["reason"]
    assert result["pipeline"]["split_hash"] is None and result["pipeline"]["split_reason"]
    assert "cannot be computed" in (tmp_path / "report.md").read_text()


def test_a_patient_on_both_sides_is_refused(make_predictions, tmp_path):
    rows = make_predictions(10)
    leak = [*rows[:-1], replace(rows[-1], split="validation")]
    with pytest.raises(BadData, match="p0009"):
        write_report(tmp_path, predictions=leak, stages={}, data={}, runtime={}, split_hash="x")
    other_fold = [*rows, replace(rows[0], split="validation", fold=3)]
    write_report(tmp_path, predictions=other_fold, stages={}, data={}, runtime={}, split_hash="x", rounds=20)


def test_only_held_out_images_count_and_each_once(make_predictions, tmp_path):
    rows = make_predictions(12)
    more = [*rows, rows[0], *(replace(p, image_id="v" + p.image_id, patient_id="v" + p.patient_id, split="validation") for p in rows)]
    result = write_report(tmp_path, predictions=more, stages={}, data={}, runtime={}, split_hash="x", rounds=50)
    assert result["pipeline"]["image_auc"]["n"] == 48
    assert result["data"]["held_out"]["left_out"]["image listed more than once"] == 1


def test_predictions_come_back_as_they_were(make_predictions, tmp_path):
    rows = make_predictions(6)
    write_predictions(tmp_path / "p.parquet", rows)
    assert read_predictions(tmp_path / "p.parquet") == rows
    write_predictions(tmp_path / "none.parquet", [])
    assert read_predictions(tmp_path / "none.parquet") == []


def test_a_file_that_is_no_table_is_named(tmp_path):
    (tmp_path / "p.parquet").write_text("words")
    for name in ("p.parquet", "gone.parquet"):
        with pytest.raises(BadFile, match=name):
            read_predictions(tmp_path / name)


@pytest.mark.parametrize("change", [{"image_score": float("nan")}, {"label": 2}, {"dice": 1.5}, {"split": "held"}, {"patient_id": ""}])
def test_impossible_predictions_are_refused(change, make_predictions):
    with pytest.raises(BadData, match="p0000_L_CC"):
        replace(make_predictions(1)[0], **change)


def test_a_stage_prints_the_table_of_its_json(tmp_path):
    figures = {"dice": Estimate(value=0.18, low=0.11, high=0.28, n=38, events=38), "iou": Estimate(value=None, reason="no mask")}
    table = stage_report(tmp_path, "unet", figures, provenance={"split_hash": "x"}, samples=[example(str(i), "example") for i in range(5)])
    assert "0.18 [0.11, 0.28]" in table and "not known (no mask)" in table
    stored = json.loads((tmp_path / "evaluation.json").read_text())["unet"]
    assert stored["dice"]["n"] == 38 and stored["split_hash"] == "x"
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_evaluating_never_loads_torch():
    code = (
        "import sys, mammolibs.evaluate as e; import mammolibs.evaluate.figures; "
        "print([m for m in ('torch', 'matplotlib', 'scipy', 'pyarrow') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
