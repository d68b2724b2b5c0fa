"""The door to tools round the networks: load, find, measure. Re-exports only; what stands in `__all__` is promised."""

from mammolibs.lazy import hand_on

__getattr__, __dir__, __all__ = hand_on(
    __name__,
    {
        "Estimate": "mammolibs.records",
        "Finder": "mammolibs.predict",
        "Findings": "mammolibs.records",
        "Mammogram": "mammolibs.records",
        "MammolibsError": "mammolibs.errors",
        "Prediction": "mammolibs.evaluate",
        "get_runtime": "mammolibs.runtime",
        "load_model": "mammolibs.models",
        "measure": "mammolibs.evaluate",
        "paired_difference": "mammolibs.evaluate",
        "predict_files": "mammolibs.pipeline.find",
        "read_predictions": "mammolibs.evaluate",
        "train_stage": "mammolibs.pipeline.train_stage",
        "write_report": "mammolibs.evaluate",
    },
)
