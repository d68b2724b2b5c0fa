"""Read data sets into one catalog: catalog.parquet, split.json and skipped.csv, and a tree of counts.

For example:

    python dataset_enhancement/build_catalog.py --source mias=FOLDER_OR_ARCHIVE --source cbis_ddsm=FOLDER --out runs/mine/data
    python dataset_enhancement/build_catalog.py --source mias=gs://BUCKET/mias --out gs://BUCKET/mine      # without a copy of the images
"""

from dataclasses import dataclass

from mammolibs import catalog
from mammolibs.pipeline.cli import option, run_script


@dataclass(frozen=True)
class Options:
    source: tuple = option(
        (), "a data set, as NAME=PATH of a folder, an archive or a gs:// address; may be repeated", parse=catalog.parse_source, repeat=True
    )
    out: str = option(
        "runs/default/data", "folder or gs:// address for the catalog; a split.json in it is kept, new patients are added to it"
    )
    seed: int = option(0, "of the split")
    options: tuple = option(
        (), "of a source, as NAME.OPTION=VALUE; may be repeated", parse=catalog.parse_option, repeat=True, flag="option"
    )
    key: str | None = option(None, "file that your patients' pseudonyms come from (default: pseudonyms.key in the folder)", metavar="FILE")


def main(options: Options) -> None:
    made = catalog.make_catalog(options.source, options.out, seed=options.seed, options=options.options, key=options.key)
    print(catalog.format_tree(made))


if __name__ == "__main__":
    run_script(main, Options, __doc__)
