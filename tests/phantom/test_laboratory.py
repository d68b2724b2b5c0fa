"""The ceiling that is known: against a direct solution, against simulation, and in the files that tools read."""

import csv
import filecmp
from dataclasses import replace
from statistics import NormalDist

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mammolibs.catalog.sources.phantom import read
from mammolibs.errors import BadConfig, BadFile
from mammolibs.imaging import read_mammogram
from mammolibs.phantom import Laboratory, laboratory_of, make_laboratory, read_places
from mammolibs.phantom.laboratory_set import MEAN_GREY, breast_of, canonical, tissue_of

SMALL = Laboratory(shape=(18, 14), step_mm=2.0, contrast=0.09)
CENTRE = (7, 8)


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    return make_laboratory(tmp_path_factory.mktemp("laboratory"), exams=3, seed=4, workers=1, progress=False)


def covariance(lab):
    """Written out pixel by pixel from the field's periodic autocovariance, itself a sum of cosines over the spectrum."""
    rows, columns = lab.shape
    y, x = (part.ravel() for part in np.mgrid[:rows, :columns])
    fy, fx = np.fft.fftfreq(rows, lab.step_mm), np.fft.fftfreq(columns, lab.step_mm)
    power = (fy[:, None] ** 2 + fx[None] ** 2 + lab.longest_mm**-2) ** (-lab.beta / 2)
    power = lab.tissue**2 * power / power.mean() + lab.floor**2
    turns = (np.outer(np.arange(rows), y) / rows)[:, None] + (np.outer(np.arange(columns), x) / columns)[None]
    waves = np.exp(2j * np.pi * turns)
    waves = waves.reshape(rows * columns, -1)
    return ((waves.T * power.ravel()) @ waves.conj()).real / (rows * columns)


def test_the_matched_filter_is_the_direct_solution_with_the_covariance_matrix():
    signal, observer = SMALL.lesion(CENTRE).ravel(), SMALL.ideal_observer(CENTRE)
    weights = np.linalg.solve(covariance(SMALL), signal)
    np.testing.assert_allclose(observer.template.ravel(), weights, rtol=1e-7, atol=1e-9 * np.abs(weights).max())
    assert observer.detectability == pytest.approx(np.sqrt(signal @ weights), rel=1e-9)
    assert observer.auc == pytest.approx(NormalDist().cdf(observer.detectability / np.sqrt(2)), abs=1e-12)
    assert SMALL.detectability_of(observer.template, CENTRE) == pytest.approx(observer.detectability, rel=1e-9)


def test_simulated_fields_have_the_covariance_and_simulated_scores_the_auc_that_are_said():
    rng = np.random.default_rng(2)
    fields, observer = SMALL.fields(rng, 6000), SMALL.ideal_observer(CENTRE)
    flat = fields.reshape(len(fields), -1)
    expected = covariance(SMALL)
    assert np.abs(flat.T @ flat / len(flat) - expected).max() < 6 * expected.max() * np.sqrt(2 / len(flat))
    present = np.arange(6000) % 2
    scores = observer.scores(fields + present[:, None, None] * SMALL.lesion(CENTRE))
    half = observer.detectability**2 / 2
    for kind, mean in ((1, half), (0, -half)):
        assert scores[present == kind].mean() == pytest.approx(mean, abs=4 * observer.detectability / np.sqrt(3000))
        assert scores[present == kind].std() == pytest.approx(observer.detectability, rel=0.06)
    assert roc_auc_score(present, scores) == pytest.approx(observer.auc, abs=4 * 0.5 / np.sqrt(3000) / 2)


def test_nobody_else_does_better():
    lab = Laboratory()
    place = (150, 200)
    ideal = lab.ideal_observer(place)
    assert 0.90 < ideal.auc < 0.95 and lab.ceiling == pytest.approx(ideal.auc, abs=1e-9)
    for other in (lab.lesion(place), lab.mask(place).astype(float), np.roll(ideal.template, 2, 0)):
        assert lab.detectability_of(other, place) < 0.9 * ideal.detectability
    # What is shown of the breast, and a patch of 40 mm, hold all that there is to know.
    shown = ideal.template * breast_of(lab)
    y, x = np.abs(np.mgrid[: lab.shape[0], : lab.shape[1]] - np.array([200, 150])[:, None, None]) * lab.step_mm
    for part in (shown, ideal.template * ((x < 20) & (y < 20))):
        assert lab.detectability_of(part, place) > 0.9999 * ideal.detectability
    stored = lab.stored(2**14 - 1).ideal_observer(place)
    assert ideal.detectability - 1e-5 < stored.detectability < ideal.detectability


def test_the_files_hold_what_the_tables_say(laboratory, validator_errors):
    lab, places = laboratory_of(laboratory), read_places(laboratory)
    catalog = {row.image_id.removeprefix("phantom-"): row for row in read(laboratory.folder, {"twins": "presentation"}).rows}
    assert len(places) == 2 * len(catalog) == 24 and 0 < sum(place.present for place in places) < 24
    assert {(p.image_id, str(p.place)) for p in places if p.present} == {tuple(r["lesion_id"].rsplit("-", 1)) for r in laboratory.lesions}
    for record in laboratory.lesions:
        place = next(p for p in places if f"{p.image_id}-{p.place}" == record["lesion_id"])
        assert (float(record["centre_x"]), float(record["centre_y"])) == (place.x, place.y)
        mask = cv2.imread(str(laboratory.folder / record["mask"]), cv2.IMREAD_UNCHANGED)
        assert mask[place.y, place.x] == 255 and (mask > 0).sum() * lab.step_mm**2 == pytest.approx(np.pi * 36, rel=0.03)
    assert all(row.spacing_mm == 0.4 and (row.pathology == "malignant") == bool(row.lesions) for row in catalog.values())
    assert validator_errors(laboratory.folder / laboratory.truth[0]["file"]) == []


def test_scores_on_the_stored_pixels_are_those_of_the_field(laboratory):
    """Without the lesion that was added there is a field of the right spread, and with it the score rises by d'^2."""
    lab, places = laboratory_of(laboratory), read_places(laboratory)
    side = {row["image_id"]: row for row in laboratory.truth}
    gaps, spreads = [], []
    for place in places:
        shown = read_mammogram(laboratory.folder / side[place.image_id]["file"]).pixels
        chest_left = shown[:, ::-1] if side[place.image_id]["laterality"] == "R" else shown
        tissue = tissue_of(lab, chest_left)
        at = canonical(lab, side[place.image_id]["laterality"], place)
        observer = lab.ideal_observer(at)
        spreads.append(tissue[breast_of(lab)].std())
        gaps.append(observer.scores(tissue) / observer.detectability + (0.5 - place.present) * observer.detectability)
        assert chest_left[~breast_of(lab)].max() == 0 and abs(chest_left[breast_of(lab)].mean() - MEAN_GREY) < 0.1
    assert np.std(gaps) == pytest.approx(1, abs=0.45) and abs(np.mean(gaps)) < 4 / np.sqrt(len(gaps))
    assert np.mean(spreads) == pytest.approx(lab.tissue, rel=0.25)


def test_same_seed_same_bytes_and_other_sets_are_refused(laboratory, tmp_path):
    again = make_laboratory(tmp_path, exams=2, seed=4, workers=1, progress=False)
    names = [f"{r['file']}" for r in again.truth]
    assert filecmp.cmpfiles(laboratory.folder, again.folder, names, shallow=False) == (names, [], [])
    with open(again.folder / "places.csv") as told:
        assert len(list(csv.DictReader(told))) == 16
    with pytest.raises(BadConfig, match="another set"):
        make_laboratory(tmp_path, exams=2, seed=5, progress=False)
    with pytest.raises(BadConfig, match="contrast 0.5"):
        make_laboratory(tmp_path / "other", exams=2, contrast=0.5, progress=False)


def test_ordinary_phantoms_have_no_ceiling(laboratory):
    with pytest.raises(BadFile, match="--laboratory"):
        laboratory_of(replace(laboratory, settings={"format": 1, "seed": 4, "exams": 3}))
