"""A mammogram as a sample: breast found, chest wall on the left, one intensity scale, one canvas; patches in mm.

Pure functions of (Mammogram, Contract), numpy and OpenCV.
"""

from mammolibs.prepare.both import Prepared, prepare_both
from mammolibs.prepare.breast import BreastRegion, find_breast, mask_on_pixels
from mammolibs.prepare.contract import Contract, parse_canvas
from mammolibs.prepare.intensity import LANDMARKS, Curve, landmarks
from mammolibs.prepare.lesions import LesionShape, Raster, describe, rasterize
from mammolibs.prepare.orient import Located, chest_wall_side, locate
from mammolibs.prepare.patches import cut_patch, patch_placement, patch_side_px
from mammolibs.prepare.placement import breast_box, image_to_canvas, mask_to_canvas, mask_to_original, place, to_canvas, to_original
from mammolibs.prepare.sample import FullResolution, breast_on_canvas, breast_spacing_mm, full_resolution, prepare_image

__all__ = [
    "LANDMARKS",
    "BreastRegion",
    "Contract",
    "Curve",
    "FullResolution",
    "LesionShape",
    "Located",
    "Prepared",
    "Raster",
    "breast_box",
    "breast_on_canvas",
    "breast_spacing_mm",
    "chest_wall_side",
    "cut_patch",
    "describe",
    "find_breast",
    "full_resolution",
    "image_to_canvas",
    "landmarks",
    "locate",
    "mask_on_pixels",
    "mask_to_canvas",
    "mask_to_original",
    "parse_canvas",
    "patch_placement",
    "patch_side_px",
    "place",
    "prepare_both",
    "prepare_image",
    "rasterize",
    "to_canvas",
    "to_original",
]
