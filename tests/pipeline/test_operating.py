"""What was chosen on validation patients comes back from its file as it was, of older runs too."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mammolibs.evaluate import Calibration, Region, Threshold, ViewRule, choose_calibration
from mammolibs.pipeline.judge import Operating

REGION = Region(probability=0.6, malignancy=0.5, score=0.3, centre_x=0, centre_y=0, box=(0, 0, 1, 1), area_px=1)
OPERATING = Operating(
    region_calibration=Calibration(name="region probability"),
    calibration=Calibration(name="image score", knots=((0.1, 0.02), (0.2, 0.1), (0.4, 0.5)), n=90, events=30, choice="isotonic: so and so"),
    thresholds={"image_score": Threshold(name="image_score", value=0.3, rule="90 % specificity")},
    models={"unet": "a"}, contract_hash="b", split_hash="c", view_rule=ViewRule(name="mean", choice="mean: better"),
    combiner=Calibration(name="breast score", features=("highest_cc", "no_cc"), slopes=(0.5, -0.2), intercept=-1.0, n=80, events=20),
)  # fmt: skip


def test_it_comes_back_whole_and_is_applied_as_it_was(tmp_path):
    OPERATING.save(tmp_path / "operating.json")
    again = Operating.load(tmp_path / "operating.json")
    assert again == OPERATING
    assert again.image_score([REGION]) == pytest.approx(0.3), "half-way between two knots"
    assert again.image_score([]) == 0.02 and again.image_score([replace(REGION, score=0.9)]) == 0.5
    assert again.notes == () and again.chosen.view_rule.name == "mean"
    assert again.chosen.calibration("breast score") == OPERATING.combiner


def test_a_run_of_before_the_combiner_still_predicts(tmp_path):
    OPERATING.save(tmp_path / "operating.json")
    values = json.loads((tmp_path / "operating.json").read_text())
    for name in ("view_rule", "combiner"):
        del values[name]
    del values["calibration"]["knots"], values["calibration"]["choice"]
    values["calibration"] |= {"features": ["logit_raw"], "slopes": [1.0]}
    (tmp_path / "operating.json").write_text(json.dumps(values))
    old = Operating.load(tmp_path / "operating.json")
    assert old.image_score([REGION]) == pytest.approx(0.3)
    assert old.view_rule.name == "highest" and old.combiner.is_identity and "no combiner" in old.combiner.reason


def test_no_validation_image_leaves_raw_scores():
    fitted = choose_calibration(np.array([]), np.array([]), np.array([]), np.array([], str))
    assert fitted.is_identity and fitted.reason and "by default" in fitted.choice
