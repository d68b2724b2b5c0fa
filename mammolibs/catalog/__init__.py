"""Data sets -> one table of images with patients, labels, lesions and split. Headers only; pixels are never touched."""

from mammolibs.catalog.audit import audit, audit_own
from mammolibs.catalog.build import Catalog, build_catalog, parse_option, parse_source
from mammolibs.catalog.files import copy_split, read_skipped, read_split, read_verdict, write_skipped, write_split, write_verdict
from mammolibs.catalog.hashes import data_hash, split_hash
from mammolibs.catalog.make import make_catalog, write_split_of_copies
from mammolibs.catalog.source import Skipped, Source, SourceResult
from mammolibs.catalog.sources import SOURCES
from mammolibs.catalog.split import check_copies, fold_rows, split_rows
from mammolibs.catalog.table import read_catalog, write_catalog
from mammolibs.catalog.thumbnails import Thumbnails
from mammolibs.catalog.tree import format_tree
from mammolibs.catalog.verdict import Verdict

__all__ = [
    "SOURCES",
    "Catalog",
    "Skipped",
    "Source",
    "SourceResult",
    "Thumbnails",
    "Verdict",
    "audit",
    "audit_own",
    "build_catalog",
    "check_copies",
    "copy_split",
    "data_hash",
    "fold_rows",
    "format_tree",
    "make_catalog",
    "parse_option",
    "parse_source",
    "read_catalog",
    "read_skipped",
    "read_split",
    "read_verdict",
    "split_hash",
    "split_rows",
    "write_catalog",
    "write_skipped",
    "write_split",
    "write_split_of_copies",
    "write_verdict",
]
