"""Scores -> estimates with intervals -> report. Knows no network: all it needs is a table of predictions.

rows = held_out_rows(read_predictions("runs/default/report/predictions.parquet"))
measure(rows, "image_auc")                 Estimate(value=..., low=..., high=..., unit="image", ...)
paired_difference(rows, other, "dice")     the same images, the same draws of patients
write_report(folder, predictions=rows, ...)
"""

from mammolibs.evaluate.analysis import Beside
from mammolibs.evaluate.bootstrap import Draws, Statistic, difference, estimate, estimate_all, mean_over_folds, unpaired_difference
from mammolibs.evaluate.calibration import Calibration, calibrate_regions, fit_calibration, fit_region_calibration, region_features
from mammolibs.evaluate.calibration_choice import choose_calibration
from mammolibs.evaluate.chosen import Chosen
from mammolibs.evaluate.combiner import ViewRule, choose_view_rule, fit_combiner
from mammolibs.evaluate.examples import Example, select_examples
from mammolibs.evaluate.flow import held_out_rows
from mammolibs.evaluate.left_out import LeftOut, write_left_out
from mammolibs.evaluate.matching import match_regions
from mammolibs.evaluate.metrics import METRICS, measure, measure_all, paired_difference
from mammolibs.evaluate.overlap import DiceSweep, dice_iou, surface_distances
from mammolibs.evaluate.predictions import LesionTruth, PatchScore, Prediction, ProbeScore, Region, read_predictions, write_predictions
from mammolibs.evaluate.ranking import auc_statistic, roc_curve, sensitivity_statistic
from mammolibs.evaluate.report import write_report
from mammolibs.evaluate.stage_report import print_table, stage_report
from mammolibs.evaluate.sums import mean_statistic
from mammolibs.evaluate.thresholds import Threshold, choose_mask_threshold, choose_region_threshold, choose_score_threshold

__all__ = [
    "METRICS", "Beside", "Calibration", "Chosen", "DiceSweep", "Draws", "Example", "LeftOut", "LesionTruth", "PatchScore", "Prediction",
    "ProbeScore", "Region", "Statistic", "Threshold", "ViewRule", "auc_statistic", "calibrate_regions", "choose_calibration",
    "choose_mask_threshold", "choose_region_threshold", "choose_score_threshold", "choose_view_rule", "dice_iou", "difference",
    "estimate", "estimate_all", "fit_calibration", "fit_combiner", "fit_region_calibration", "held_out_rows", "match_regions",
    "mean_over_folds", "mean_statistic", "measure", "measure_all", "paired_difference", "print_table", "read_predictions",
    "region_features", "roc_curve", "select_examples", "sensitivity_statistic", "stage_report", "surface_distances",
    "unpaired_difference", "write_left_out", "write_predictions", "write_report",
]  # fmt: skip
