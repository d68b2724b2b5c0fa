"""Find lesions on mammograms with a trained run: findings as JSON and an overlay PNG per image.

    python scripts/predict.py image.dcm
    python scripts/predict.py FOLDER --out findings --run runs/mias      # also findings.csv and skipped.csv

Takes DICOM, PNG, PGM, JPEG and TIFF. Research only, not a medical device.
"""

from mammolibs.pipeline.cli import run_script
from mammolibs.pipeline.options import PredictOptions


def main(options: PredictOptions) -> None:
    from mammolibs.pipeline.find import predict_files

    predict_files(options)


if __name__ == "__main__":
    run_script(main, PredictOptions, __doc__)
