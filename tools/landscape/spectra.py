"""Reflectance of each kind of ground in the six bands the detector reads.

What these numbers are: band averages rounded by hand to about 0.005, chosen so that shape and level agree with the
sources named beside each cover. They were not computed by convolving library files with Sentinel-2's response
functions. Where a source gives the shape and we chose the level, the basis says "level assumed".

Sources (keys used below):

- `splib07`: Kokaly et al. 2017, USGS Spectral Library Version 7, Data Series 1035, doi:10.3133/ds1035.
- `ecostress`: Meerdink et al. 2019, The ECOSTRESS spectral library 1.0, doi:10.1016/j.rse.2019.05.015.
- `asner1998`: Asner 1998, Biophysical and biochemical sources of variability in canopy reflectance,
  doi:10.1016/S0034-4257(98)00014-5.
- `seaswir`: Knaeps et al. 2018, The SeaSWIR dataset, doi:10.5194/essd-10-1439-2018. Turbid water peaks between 600
  and 720 nm, is low below 450 nm and still reflects in the near infrared.
- `lobo2015`: Lobo et al. 2015, Amazonian waters impacted by gold mining, doi:10.1016/j.rse.2014.04.030.
- `gerson2020`: Gerson et al. 2020, Artificial lake expansion from gold mining, doi:10.1126/sciadv.abd4953.
- `moraiti2024`: Moraiti et al. 2024, Cocoa in Cote d'Ivoire and Ghana with Sentinel-2, doi:10.3390/rs16030598.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

BANDS: Final = ("blue", "green", "red", "nir", "swir16", "swir22")
"""Band order of every array in this package."""


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """One kind of ground."""

    reflectance: tuple[float, float, float, float, float, float]
    """Surface reflectance in the order of `BANDS`, 0-1."""

    basis: str
    """Source keys of the module docstring, and what was assumed."""

    dry: str | None = None
    """Name of the cover this one fades towards in the dry season."""

    dry_share: float = 0.0
    """How far it fades at the height of the dry season, 0-1."""


def _spectrum(*reflectance: float, basis: str, dry: str | None = None, dry_share: float = 0.0) -> Spectrum:
    blue, green, red, nir, swir16, swir22 = reflectance
    return Spectrum(reflectance=(blue, green, red, nir, swir16, swir22), basis=basis, dry=dry, dry_share=dry_share)


# fmt: off
SPECTRA: Final[dict[str, Spectrum]] = {
    # Vegetation
    "forest": _spectrum(0.022, 0.042, 0.024, 0.330, 0.145, 0.058, basis="asner1998, splib07 broadleaf trees"),
    "forest_pale": _spectrum(
        0.028, 0.056, 0.033, 0.385, 0.180, 0.076,
        basis="asner1998: young, flushing crowns; level assumed", dry="fallow", dry_share=0.12,
    ),
    "forest_gap": _spectrum(
        0.016, 0.028, 0.017, 0.215, 0.090, 0.036,
        basis="assumed: crowns with deep shadow, 0.65 of forest",
    ),
    "swamp": _spectrum(
        0.023, 0.043, 0.028, 0.270, 0.110, 0.043,
        basis="assumed: raffia over wet ground, forest less SWIR",
    ),
    "cocoa": _spectrum(
        0.026, 0.051, 0.031, 0.355, 0.170, 0.071,
        basis="moraiti2024 (order of classes); level assumed", dry="fallow", dry_share=0.15,
    ),
    "plantation": _spectrum(
        0.027, 0.056, 0.032, 0.345, 0.155, 0.064,
        basis="asner1998: closed even canopy (oil palm, rubber)",
    ),
    "fallow": _spectrum(
        0.034, 0.066, 0.047, 0.320, 0.200, 0.100,
        basis="asner1998: shrub and young regrowth; level assumed", dry="grass", dry_share=0.30,
    ),
    "crops": _spectrum(
        0.044, 0.078, 0.066, 0.295, 0.225, 0.125,
        basis="assumed: maize and cassava half covering the soil", dry="stubble", dry_share=0.45,
    ),
    "grass": _spectrum(
        0.055, 0.085, 0.090, 0.250, 0.270, 0.165,
        basis="splib07 dry grass mixed with green; level assumed", dry="stubble", dry_share=0.40,
    ),
    "stubble": _spectrum(
        0.066, 0.098, 0.125, 0.235, 0.310, 0.215,
        basis="splib07 dry grass over ferralsol; level assumed",
    ),
    # Bare ground
    "field": _spectrum(0.062, 0.092, 0.138, 0.215, 0.305, 0.255, basis="ecostress reddish-brown tropical soils"),
    "field_red": _spectrum(0.055, 0.085, 0.158, 0.240, 0.320, 0.255, basis="ecostress oxisols, iron rich"),
    "burnt": _spectrum(0.034, 0.043, 0.050, 0.090, 0.150, 0.135, basis="splib07 burned ground; level assumed"),
    "laterite": _spectrum(0.082, 0.122, 0.198, 0.280, 0.370, 0.300, basis="ecostress oxisols, compacted and dry"),
    "earth": _spectrum(0.105, 0.148, 0.205, 0.275, 0.345, 0.290, basis="ecostress: trodden soil between houses"),
    "asphalt": _spectrum(0.085, 0.097, 0.108, 0.138, 0.165, 0.145, basis="ecostress asphalt, dusty"),
    "rock": _spectrum(0.105, 0.128, 0.150, 0.190, 0.235, 0.205, basis="splib07 and ecostress granite with lichen"),
    "sand": _spectrum(0.165, 0.215, 0.268, 0.325, 0.375, 0.335, basis="splib07 quartz sand, river stained"),
    "sand_wet": _spectrum(0.095, 0.128, 0.162, 0.185, 0.165, 0.115, basis="splib07 wet sand; level assumed"),
    # Buildings
    "roof_zinc": _spectrum(0.275, 0.295, 0.305, 0.325, 0.320, 0.285, basis="ecostress galvanised steel, weathered"),
    "roof_rust": _spectrum(0.105, 0.128, 0.180, 0.240, 0.295, 0.265, basis="ecostress rusted steel roofs"),
    # Mining
    "spoil": _spectrum(
        0.168, 0.222, 0.282, 0.340, 0.405, 0.355,
        basis="splib07 quartz gravel with clay; gerson2020 (setting)",
    ),
    "spoil_ochre": _spectrum(
        0.105, 0.160, 0.240, 0.312, 0.395, 0.330,
        basis="ecostress oxisol subsoil, freshly dug; level assumed",
    ),
    "slurry": _spectrum(0.125, 0.170, 0.212, 0.220, 0.150, 0.095, basis="splib07 wet clay; level assumed"),
    "pond": _spectrum(0.092, 0.142, 0.182, 0.112, 0.024, 0.012, basis="seaswir, lobo2015; level assumed"),
    "pond_milky": _spectrum(0.138, 0.188, 0.212, 0.145, 0.034, 0.019, basis="seaswir at its highest loads"),
    "pond_green": _spectrum(0.034, 0.066, 0.043, 0.062, 0.018, 0.009, basis="gerson2020 (setting); level assumed"),
    # Other water
    "water": _spectrum(0.026, 0.036, 0.026, 0.020, 0.010, 0.006, basis="splib07 open ocean and lake water"),
    "river": _spectrum(0.036, 0.056, 0.052, 0.036, 0.012, 0.007, basis="lobo2015 rivers upstream of mining"),
    "river_turbid": _spectrum(0.074, 0.116, 0.148, 0.082, 0.019, 0.010, basis="lobo2015 rivers below mining"),
    "fish_pond": _spectrum(0.040, 0.068, 0.050, 0.034, 0.014, 0.008, basis="assumed: fertilised pond, some algae"),
    # Licensed industry
    "bench": _spectrum(0.118, 0.138, 0.154, 0.176, 0.205, 0.182, basis="splib07 greenstone and diorite, broken"),
    "waste_rock": _spectrum(0.148, 0.176, 0.204, 0.242, 0.290, 0.255, basis="splib07 weathered rock; level assumed"),
    "tailings": _spectrum(0.195, 0.228, 0.250, 0.272, 0.245, 0.195, basis="splib07 damp silt; level assumed"),
    # Sky
    "cloud": _spectrum(0.620, 0.610, 0.615, 0.640, 0.460, 0.360, basis="assumed: thick water cloud, ice-free top"),
}
# fmt: on


def palette(dryness: float) -> dict[str, NDArray[np.float32]]:
    """Return reflectance by cover, each float32 (6,), for a season.

    `dryness` is 0 at the end of the rains and 1 at the height of the dry season.
    """
    if not 0 <= dryness <= 1:
        raise ValueError(f"dryness lies between 0 and 1, got {dryness}")
    wet = {name: np.array(spectrum.reflectance, np.float32) for name, spectrum in SPECTRA.items()}
    return {
        name: wet[name]
        if spectrum.dry is None
        else wet[name] + np.float32(dryness * spectrum.dry_share) * (wet[spectrum.dry] - wet[name])
        for name, spectrum in SPECTRA.items()
    }
