"""Prediction on files that nobody catalogued."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from mammolibs.catalog import read_catalog
from mammolibs.errors import BadConfig, BadData, BadFile
from mammolibs.evaluate import Threshold, read_predictions
from mammolibs.imaging import read_mammogram
from mammolibs.pipeline.find import open_finder, predict_files
from mammolibs.pipeline.judge import Operating
from mammolibs.pipeline.options import PredictOptions
from mammolibs.pipeline.run import Run
from mammolibs.pipeline.source import read_source


@pytest.fixture
def images(whole_run):
    return sorted((whole_run / "phantoms" / "images").rglob("*.dcm"))


def test_findings_lie_inside_the_image_and_have_sizes(whole_run, images, tmp_path):
    (findings,) = predict_files(PredictOptions(image=str(images[0]), run=str(whole_run), out=str(tmp_path)))
    told = json.loads((tmp_path / f"{images[0].name}.findings.json").read_text())
    height, width = read_mammogram(images[0]).pixels.shape
    assert told["original"] == [height, width] and told["disclaimer"].endswith("Not a medical device.")
    assert told["outcome"] == ("regions found" if told["findings"] else "nothing found")
    for finding in told["findings"]:
        x, y = np.array(finding["outline"]).T
        assert x.min() >= -1 and y.min() >= -1 and x.max() <= width and y.max() <= height
        assert 0 <= finding["probability"] <= 1 and 0 <= finding["malignancy"] <= 1
        assert finding["size_mm"] > 0
    assert (tmp_path / f"{images[0].name}.overlay.png").read_bytes()[:4] == b"\x89PNG"
    assert findings.image_score == told["image_score"]


def test_findings_are_what_the_evaluation_judged(whole_run, tmp_path):
    """The same file through predict and through the held-out evaluation: one answer, calibrated the same way."""
    run = Run.open(whole_run)
    judged = {p.image_id: p for p in read_predictions(run.report / "predictions.parquet")}
    operating = Operating.load(whole_run / "operating.json")
    cut = operating.thresholds["region"].value
    compared = 0
    for row in [row for row in read_catalog(run.catalog) if row.split == "test"][:6]:
        (findings,) = predict_files(PredictOptions(image=row.path, run=str(whole_run), out=str(tmp_path)))
        expected = judged[row.image_id]
        assert findings.image_score == pytest.approx(expected.image_score, abs=1e-4)
        kept = [r for r in expected.regions if r.probability > cut]
        assert [f.probability for f in findings.findings] == pytest.approx([r.probability for r in kept], abs=1e-4)
        assert [f.malignancy for f in findings.findings] == pytest.approx([r.malignancy for r in kept], abs=1e-4)
        assert set(operating.notes) <= set(findings.notes)
        compared += len(kept)
    assert compared


def test_a_calibration_that_is_no_full_fit_is_told(whole_run):
    operating = Operating.load(whole_run / "operating.json")
    weak = replace(operating, calibration=replace(operating.calibration, name="image score", reason="1 malignant"))
    assert any(note.startswith("image score says little: 1 malignant") for note in weak.notes)
    uncut = replace(
        operating,
        thresholds=operating.thresholds | {"region": Threshold(name="region_probability", value=None, rule="", reason="no lesion")},
    )
    assert "no cut for region probability: no lesion" in uncut.notes
    full = replace(
        operating,
        calibration=replace(operating.calibration, reason=""),
        region_calibration=replace(operating.region_calibration, reason=""),
    )
    assert full.notes == ()


def test_single_and_batched_answers_agree(whole_run, images):
    finder, _, contract = open_finder(PredictOptions(image="", run=str(whole_run)))
    prepared = [read_source(path, contract, None).prepared for path in images[:5]]
    together = finder.analyse(prepared)
    for one, among in zip(prepared, together):
        (alone,) = finder.analyse([one])
        np.testing.assert_allclose(alone.probability, among.probability, atol=1e-5)
        np.testing.assert_allclose(alone.malignancies, among.malignancies, atol=1e-5)
        assert len(alone.regions) == len(among.regions)


def test_a_folder_gives_a_table_and_lists_what_was_skipped(whole_run, images, tmp_path):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    shutil.copy(images[0], folder / "a.dcm")
    shutil.copy(images[1], folder / "sub" / "a.dcm")
    (folder / "bad.dcm").write_text("no image")
    results = predict_files(PredictOptions(image=str(folder), run=str(whole_run), out=str(tmp_path / "out")))
    assert len(results) == 2
    with open(tmp_path / "out" / "findings.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["json"] for row in rows} == {"a.dcm.findings.json", "sub/a.dcm.findings.json"}
    assert "bad.dcm" in (tmp_path / "out" / "skipped.csv").read_text()


def test_bad_input_is_named(whole_run, tmp_path):
    text = tmp_path / "text.dcm"
    text.write_text("this is no image")
    with pytest.raises(BadFile, match="text.dcm"):
        predict_files(PredictOptions(image=str(text), run=str(whole_run), out=str(tmp_path)))
    with pytest.raises(BadFile, match="not there"):
        predict_files(PredictOptions(image=str(tmp_path / "none.dcm"), run=str(whole_run), out=str(tmp_path)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match="no DICOM"):
        predict_files(PredictOptions(image=str(tmp_path / "empty"), run=str(whole_run), out=str(tmp_path)))


def test_untrained_and_unevaluated_runs_say_what_to_type(whole_run, run_copy, images, tmp_path):
    with pytest.raises(BadConfig, match="bash train/train.sh"):
        predict_files(PredictOptions(image=str(images[0]), run=str(tmp_path / "none"), out=str(tmp_path)))
    (run_copy / "operating.json").unlink()
    with pytest.raises(BadConfig, match="pipeline_eval.py"):
        predict_files(PredictOptions(image=str(images[0]), run=str(run_copy), out=str(tmp_path)))


def test_a_refused_image_says_why_and_the_batch_goes_on(whole_run, images, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    dataset = pydicom.dcmread(images[0])
    dataset.Modality = "CT"
    dataset.save_as(folder / "ct.dcm")
    shutil.copy(images[0], folder / "mammogram.dcm")
    results = predict_files(PredictOptions(image=str(folder), run=str(whole_run), out=str(tmp_path / "out")))
    told = json.loads((tmp_path / "out" / "ct.dcm.findings.json").read_text())
    assert (told["outcome"], told["image_score"], told["findings"]) == ("refused", None, [])
    reason = {"code": "wrong_modality", "text": "not a mammogram: its header says modality CT", "action": "refuse"}
    assert told["verdict"] == {"use": "predict", "status": "refused", "reasons": [reason]}
    assert "ct.dcm: refused: not a mammogram" in (printed := capsys.readouterr().out) and "2 images, 1 of them refused" in printed
    (other,) = [findings for findings in results if findings.image_score is not None]
    assert other.verdict.status == "accepted" and not other.verdict.refused and 0 <= other.image_score <= 1
    with open(tmp_path / "out" / "findings.csv", newline="") as file:
        table = {row["json"]: row for row in csv.DictReader(file)}
    assert table["ct.dcm.findings.json"]["reasons"] == "wrong_modality" and table["ct.dcm.findings.json"]["image_score"] == ""
    assert (tmp_path / "out" / "ct.dcm.overlay.png").is_file()


def test_a_flag_or_a_file_changes_what_is_refused(whole_run, images, tmp_path):
    dataset = pydicom.dcmread(images[0])
    dataset.Modality = "CT"
    dataset.save_as(tmp_path / "ct.dcm")
    asked = PredictOptions(image=str(tmp_path / "ct.dcm"), run=str(whole_run), out=str(tmp_path / "out"))
    (accepted,) = predict_files(replace(asked, accept=("wrong_modality",)))
    assert accepted.image_score is not None and accepted.verdict.codes == ("wrong_modality",)
    (tmp_path / "policy.json").write_text('{"predict": {"wrong_modality": "ignore"}}')
    (silent,) = predict_files(replace(asked, policy=str(tmp_path / "policy.json")))
    assert silent.image_score == accepted.image_score and silent.verdict.codes == ()


def test_the_default_policy_keeps_every_phantom(whole_run):
    made = json.loads((whole_run / "data" / "shards" / "ingest.json").read_text())
    assert made["skipped"] == [] and made["refused"] == {} and made["warned"]["implant"] > 0
