"""Write DICOM images (PNG, PGM, JPEG too) as 16-bit PNGs, each with a JSON of its facts.

    python dataset_enhancement/extract_dicom.py FILE_OR_FOLDER --out FOLDER
    python dataset_enhancement/extract_dicom.py FILE_OR_FOLDER --out FOLDER --raw

As displayed (dark is air), or with --raw the stored values: signed ones + 32768, one PNG per frame.
"""

from dataclasses import MISSING, dataclass

from mammolibs.imaging.extract import extract
from mammolibs.pipeline.cli import option, run_script


@dataclass(frozen=True, kw_only=True)
class Options:
    source: str = option(
        MISSING, "an image file, or a folder with image files anywhere below it", positional=True, metavar="FILE_OR_FOLDER"
    )
    out: str = option(MISSING, "folder for the PNG and JSON files; a folder's structure is kept")
    raw: bool = option(False, "the stored values instead of the displayed image")
    workers: int = option(0, "processes, 0 for one per core")
    timeout: float = option(60.0, "seconds that one file may take")

    def __post_init__(self):
        if self.workers < 0 or not self.timeout > 0:
            raise ValueError(f"--workers {self.workers} --timeout {self.timeout:g}: expected 0 or more workers and a time above 0")


def main(options: Options) -> None:
    print(extract(options.source, options.out, raw=options.raw, workers=options.workers or None, timeout_s=options.timeout))


if __name__ == "__main__":
    run_script(main, Options, __doc__)
