"""From views to breasts: any number of them in any order, a rule or a combiner from validation rows, odd exams named."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mammolibs.evaluate import Calibration, Chosen, Draws, Prediction, ViewRule, choose_view_rule, fit_combiner
from mammolibs.evaluate.analysis import Evidence
from mammolibs.evaluate.combiner import FEATURES, STRENGTH, breast_scores, breasts_of
from mammolibs.evaluate.exam_level import exam_level
from mammolibs.evaluate.units import RULES, scores_at
from mammolibs.evaluate.views import COMPLETE, view_patterns


def ragged(rows, seed=0):
    """The same images with views of every kind, some missing, some twice, some of unknown side."""
    rng = np.random.default_rng(seed)
    kept = []
    for p in rows:
        draw = rng.random()
        if draw < 0.15:
            continue
        view = rng.choice(["XCC", "ML", "unknown", "other"]) if draw < 0.3 else p.view
        side = "unknown" if draw > 0.95 else p.laterality
        kept.append(replace(p, view=str(view), laterality=side))
        if draw > 0.85:
            kept.append(replace(p, image_id=f"{p.image_id}_again", image_score=float(rng.random()), laterality=side))
    return kept


def shared_noise(patients, seed, split):
    """Each patient has a level of her own that says nothing; what differs between her breasts does. Malignant in both views."""
    rng, rows = np.random.default_rng(seed), []
    for number in range(patients):
        ill, level = rng.choice(["L", "R", ""], p=[0.2, 0.2, 0.6]), rng.normal(0, 1.5)
        for side in "LR":
            label = int(side == ill)
            for view in ("CC", "MLO"):
                odds = level + 1.2 * label + rng.normal(0, 1.0) - 2
                rows.append(Prediction(
                    image_id=f"{split}{number}{side}{view}", patient_id=f"{split}{number}", exam_id=f"{split}{number}e", source="made",
                    laterality=side, view=view, split=split, label=label, has_lesion=label, raw_score=0.5,
                    image_score=1 / (1 + np.exp(-odds)),
                ))  # fmt: skip
    return rows


def test_rules_by_hand(make_predictions):
    rows = make_predictions(1, malignant_share=0.0)
    rows = [replace(p, image_score=s) for p, s in zip(rows, (0.1, 0.3, 0.2, 0.6), strict=True)]
    expected = {"highest": [0.3, 0.6], "mean": [0.2, 0.4], "noisy-or": [0.37, 0.68]}
    for rule in RULES:
        assert scores_at("breast", rows, rule).scores == pytest.approx(expected[rule])
        assert scores_at("patient", rows, rule).scores == pytest.approx([max(expected[rule])])
        assert scores_at("image", rows, rule).scores.tolist() == [0.1, 0.3, 0.2, 0.6]
    alone = scores_at("exam", [replace(p, laterality="unknown") for p in rows], "mean")
    assert alone.scores == pytest.approx([0.6]), "nobody knows which of them show one breast"


def test_order_of_views_and_of_exams_changes_nothing_to_the_bit(make_predictions):
    rows = ragged(make_predictions(80, seed=3, malignant_share=0.4))
    validation = ragged(make_predictions(150, seed=4, split="validation", malignant_share=0.4), seed=1)
    rng = np.random.default_rng(0)
    shuffled = [rows[i] for i in rng.permutation(len(rows))]
    other = [validation[i] for i in rng.permutation(len(validation))]
    for rule in RULES:
        combiner = fit_combiner(validation, rule)
        assert not combiner.is_identity and fit_combiner(other, rule) == combiner
        assert breast_scores(shuffled, rule) == breast_scores(rows, rule)
        assert breast_scores(shuffled, rule, combiner) == breast_scores(rows, rule, combiner)
    one = breast_scores([p for p in rows if p.patient_id == rows[0].patient_id], "highest", combiner)
    assert one.items() <= breast_scores(rows, "highest", combiner).items(), "no exam knows of another"


def test_features_by_hand(make_predictions):
    def odds(share):
        return np.log(share / (1 - share))

    rows = make_predictions(1, malignant_share=0.0)
    rows = [replace(p, image_score=s) for p, s in zip(rows, (0.1, 0.3, 0.2, 0.6), strict=True)]
    extra = replace(rows[0], image_id="x", view="other", image_score=0.4)
    found = breasts_of([*rows, extra])
    left, right = (dict(zip(FEATURES, row, strict=True)) for row in found.features)
    assert left["highest_cc"] == left["highest_mlo"] == pytest.approx(odds(0.4)), "a view of other kind counts with both"
    assert left["mean_cc"] == pytest.approx((odds(0.1) + odds(0.4)) / 2) and left["no_cc"] == left["no_mlo"] == 0
    assert (right["highest_cc"], right["agreement"]) == pytest.approx((odds(0.2), odds(0.2)))
    assert right["asymmetry"] == pytest.approx(odds(0.6) - odds(0.4)) == pytest.approx(-left["asymmetry"])
    [lone] = breasts_of(rows[1:2]).features
    assert lone.tolist() == pytest.approx([odds(0.3)] * 5 + [0.0, 1.0, 0.0])


def test_combiner_equals_sklearn_where_no_slope_meets_its_bound():
    rows = shared_noise(400, 1, "validation")
    fitted, breasts = fit_combiner(rows, "highest"), breasts_of(rows)
    assert all(s >= 0 for s, name in zip(fitted.slopes, FEATURES, strict=True) if not name.startswith("no_"))
    live = np.flatnonzero(np.abs(fitted.slopes) > 1e-6)
    spread = breasts.features.std(axis=0)[live]
    theirs = LogisticRegression(C=1 / STRENGTH, tol=1e-10, max_iter=2000).fit(breasts.features[:, live] / spread, breasts.labels)
    np.testing.assert_allclose(theirs.coef_[0] / spread, np.array(fitted.slopes)[live], atol=2e-3)


def test_the_combiner_sees_what_no_view_alone_shows():
    validation, held_out = shared_noise(400, 1, "validation"), shared_noise(400, 2, "test")
    rule = choose_view_rule(validation)
    chosen = {-1: Chosen(view_rule=rule, calibrations=(fit_combiner(validation, rule.name),))}
    draws = Draws([p.patient_id for p in held_out], rounds=300)
    part = exam_level(Evidence(held_out=held_out, validation=validation, draws=draws, chosen=chosen, split_hash="x"))
    figures = part.result["auc"]
    assert figures["breast_auc_difference"]["low"] > 0.05 and figures["breast_auc_difference"]["n"] == 800
    breasts = breasts_of(held_out)
    scores = breast_scores(held_out, rule.name, chosen[-1].calibrations[0])
    expected = roc_auc_score(breasts.labels, [scores[name] for name in breasts.names])
    assert figures["breast_auc_by_combiner"]["value"] == pytest.approx(expected)
    assert "asymmetry" in part.result["chosen"]["-1"]["combiner"]


def test_another_rule_is_taken_only_where_validation_says_so():
    rows = shared_noise(400, 1, "validation")
    assert choose_view_rule(rows).name == "mean"
    few = choose_view_rule(rows[:80])
    assert few.name == "highest" and "needed to choose" in few.choice
    same = [replace(p, image_score=0.1 + 0.5 * p.label) for p in rows]
    assert choose_view_rule(same).name == "highest"
    assert choose_view_rule([]).name == "highest"


def test_too_few_malignant_breasts_pass_the_rule(make_predictions):
    validation = make_predictions(12, split="validation")
    unknown, all_ill = ([replace(p, label=label) for p in validation] for label in (-1, 1))
    for rows in (validation, [], unknown, all_ill):
        combiner = fit_combiner(rows, "mean")
        assert combiner.is_identity and "needed; the rule (mean view) passes" in combiner.reason
        held_out = make_predictions(10)
        assert breast_scores(held_out, "mean", combiner) == breast_scores(held_out, "mean")
    chosen = {-1: Chosen(view_rule=ViewRule(name="mean"), calibrations=(combiner,))}
    draws = Draws([p.patient_id for p in held_out], rounds=100)
    figures = exam_level(Evidence(held_out=held_out, validation=[], draws=draws, chosen=chosen)).result["auc"]
    assert figures["exam_auc_by_rule"]["value"] is not None and figures["exam_auc_by_combiner"]["value"] is None
    assert "passes" in figures["exam_auc_difference"]["reason"]


def test_each_fold_goes_by_its_own(make_predictions):
    rows = make_predictions(60, folds=2, malignant_share=0.4)
    slope = Calibration(name="breast score", features=FEATURES, slopes=(1.0, *(0.0,) * 7), intercept=0.0, n=9, events=3)
    other = replace(slope, slopes=(0.0, 0.0, 2.0, *(0.0,) * 5))
    chosen = {0: Chosen(view_rule=ViewRule(name="mean"), calibrations=(slope,)), 1: Chosen(calibrations=(other,))}
    draws = Draws([p.patient_id for p in rows], rounds=100)
    figures = exam_level(Evidence(held_out=rows, validation=[], draws=draws, chosen=chosen)).result["auc"]
    cut = {p.image_id: p for p in rows}
    expected, labels = [], []
    for p in rows:
        if p.view == "CC":
            odds = {v: np.log(s / (1 - s)) for v, s in ((q.view, q.image_score) for q in (p, cut[p.image_id.replace("_CC", "_MLO")]))}
            expected.append(odds["CC"] if p.fold == 0 else 2 * odds["MLO"])
            labels.append(p.label)
    assert figures["breast_auc_by_combiner"]["value"] == pytest.approx(roc_auc_score(labels, expected))
    assert "breast_auc_difference_within_fold" in figures


def test_odd_exams_are_named(make_predictions):
    rows = make_predictions(6, malignant_share=0.0)
    by_id = {p.image_id: p for p in rows}
    odd = [p for p in rows if p.image_id not in ("p0001_L_CC", "p0002_R_CC", "p0002_R_MLO")]
    odd += [replace(by_id["p0003_R_CC"], image_id="again"), replace(by_id["p0004_L_MLO"], image_id="more", view="XCC")]
    odd += [replace(by_id["p0005_L_MLO"], image_id="what", view="unknown", laterality="unknown")]
    assert view_patterns(odd) == {
        "1 of unknown side and view": ["p0005 p0005_e0"], COMPLETE: ["p0000 p0000_e0"], "2 x R CC": ["p0003 p0003_e0"],
        "L XCC too": ["p0004 p0004_e0"], "L without CC": ["p0001 p0001_e0"], "no R": ["p0002 p0002_e0"],
    }  # fmt: skip


def test_nothing_and_one_class_go_through(make_predictions):
    rows = make_predictions(3, malignant_share=0.0)
    draws = Draws([p.patient_id for p in rows], rounds=100)
    figures = exam_level(Evidence(held_out=rows, validation=[], draws=draws)).result["auc"]
    assert all(f["value"] is None and f["reason"] for n, f in figures.items() if n.endswith(("rule", "combiner", "difference")))
    assert exam_level(Evidence(held_out=[], validation=[], draws=Draws([]))) is None
