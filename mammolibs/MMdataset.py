"""The door to images and data sets. Re-exports only; what stands in `__all__` is promised.

For example:

    from mammolibs import MMdataset

    catalog = MMdataset.build_catalog([("mias", "all-mias.tar.gz")], unpack_folder="unpacked")
    print(*MMdataset.audit(catalog.rows).lines(), sep="\n")       # does the split leak?
    MMdataset.ingest_images(catalog.rows, MMdataset.Contract(), "shards")
    store, index = MMdataset.open_shards("shards/train")         # or gs://BUCKET/PREFIX/train
    sample = MMdataset.read_sample(store, index, 0)              # sample.image, sample.mask, sample.label
"""

from mammolibs.lazy import hand_on

__getattr__, __dir__, __all__ = hand_on(
    __name__,
    {
        "Augment": "mammolibs.augment",
        "Contract": "mammolibs.prepare",
        "StoredImage": "mammolibs.imaging",
        "Stream": "mammolibs.stream",
        "audit": "mammolibs.catalog",
        "build_catalog": "mammolibs.catalog",
        "derive_images": "mammolibs.ingest",
        "fold_rows": "mammolibs.catalog",
        "ingest_images": "mammolibs.ingest",
        "is_image_name": "mammolibs.imaging",
        "iter_image_files": "mammolibs.imaging",
        "make_catalog": "mammolibs.catalog",
        "make_phantoms": "mammolibs.phantom",
        "open_index": "mammolibs.shards",
        "open_shards": "mammolibs.shards",
        "prepare_image": "mammolibs.prepare",
        "read_catalog": "mammolibs.catalog",
        "read_facts": "mammolibs.imaging",
        "read_mammogram": "mammolibs.imaging",
        "read_sample": "mammolibs.shards",
        "read_stored": "mammolibs.imaging",
        "split_rows": "mammolibs.catalog",
        "write_shards": "mammolibs.shards",
    },
)
