"""Several makers' looks: field of view, grey curve, depth, noise, habits of the header."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Maker:
    """How one maker's images look.

    field_mm: height and width of the detector. bits: stored bits. curve: exponent of the
    display curve (above 1 darkens fat). toe: grey of air as share of the range. noise: of
    the display range. edge_mm: how far the edge of the breast fades. equalise: how much of
    the thickness is taken out, 0 to 1. window: centre and width as shares of the range.
    """

    name: str
    model: str
    field_mm: tuple[float, float]
    bits: int
    curve: float
    toe: float
    noise: float
    edge_mm: float
    equalise: float
    window: tuple[float, float]
    window_name: str
    syntax: str
    old_codes: bool
    anode: str
    filter_material: str
    software: str


MAKERS = (
    Maker(
        name="HOLOGIC, Inc.",
        model="Lorad Selenia",
        field_mm=(287.0, 233.0),
        bits=12,
        curve=1.15,
        toe=0.0,
        noise=0.008,
        edge_mm=9.0,
        equalise=0.9,
        window=(0.5, 1.0),
        window_name="NORMAL",
        syntax="explicit",
        old_codes=True,
        anode="TUNGSTEN",
        filter_material="RHODIUM",
        software="AWS:1.8.3",
    ),
    Maker(
        name="GE MEDICAL SYSTEMS",
        model="Senographe Essential",
        field_mm=(306.0, 239.0),
        bits=12,
        curve=1.0,
        toe=0.0,
        noise=0.012,
        edge_mm=12.0,
        equalise=0.75,
        window=(0.55, 0.8),
        window_name="NORMAL",
        syntax="explicit",
        old_codes=True,
        anode="RHODIUM",
        filter_material="RHODIUM",
        software="ADS 54.20",
    ),
    Maker(
        name="SIEMENS",
        model="Mammomat Inspiration",
        field_mm=(299.0, 239.0),
        bits=12,
        curve=1.3,
        toe=0.02,
        noise=0.01,
        edge_mm=14.0,
        equalise=0.7,
        window=(0.5, 0.9),
        window_name="USER",
        syntax="implicit",
        old_codes=False,
        anode="TUNGSTEN",
        filter_material="RHODIUM",
        software="VB30",
    ),
    Maker(
        name="FUJIFILM Corporation",
        model="AMULET Innovality",
        field_mm=(296.0, 236.0),
        bits=14,
        curve=0.9,
        toe=0.0,
        noise=0.01,
        edge_mm=10.0,
        equalise=0.85,
        window=(0.5, 0.95),
        window_name="STANDARD",
        syntax="explicit",
        old_codes=False,
        anode="TUNGSTEN",
        filter_material="RHODIUM",
        software="FDR-3000AWS V9",
    ),
    Maker(
        name="IMS s.r.l.",
        model="Giotto Image 3DL",
        field_mm=(302.0, 240.0),
        bits=13,
        curve=1.1,
        toe=0.03,
        noise=0.015,
        edge_mm=11.0,
        equalise=0.8,
        window=(0.52, 0.85),
        window_name="NORMAL",
        syntax="explicit",
        old_codes=False,
        anode="TUNGSTEN",
        filter_material="SILVER",
        software="RAFFAELLO 4",
    ),
)
"""Looks like these names' images in outline; measured on none of them."""
