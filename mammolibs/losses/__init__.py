"""What the stages minimise: on logits, padded examples count nothing, empty masks are defined.

Every loss is a ratio of sums over the global batch. Where a program sees only its own part
of it, the runtime hands in `global_sum` (adds up over all parts) and `global_cat` (joins
rows over all parts), both differentiable; by default they change nothing. Shapes never
depend on values, so that a compiled program stays the same from step to step.
"""

from mammolibs.losses.common import Hook
from mammolibs.losses.contrastive import nt_xent
from mammolibs.losses.embedding import embedding_spread, retrieval_hits, retrieval_top1
from mammolibs.losses.labels import weighted_bce
from mammolibs.losses.reconstruction import masked_reconstruction, mean_fill_error
from mammolibs.losses.segmentation import dice_bce

__all__ = [
    "Hook",
    "dice_bce",
    "embedding_spread",
    "masked_reconstruction",
    "mean_fill_error",
    "nt_xent",
    "retrieval_hits",
    "retrieval_top1",
    "weighted_bce",
]
