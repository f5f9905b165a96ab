"""The bands of a Sentinel-2 product among its files."""

import pytest

from galamsey.errors import ImageFileError
from galamsey.safe import WANTED, band_paths, is_product

ROOT = "S2B_MSIL2A_20250110T103321_N0511_R108_T30NXM_20250110T130000.SAFE/GRANULE/L2A_T30NXM_A040991/IMG_DATA"
STEM = "T30NXM_20250110T103321"
LEVEL_2A = [
    f"{ROOT}/R{metres}m/{STEM}_{band}_{metres}m.jp2"
    for metres, bands in {
        10: ("B02", "B03", "B04", "B08", "TCI", "AOT"),
        20: ("B02", "B03", "B04", "B8A", "B11", "B12", "SCL"),
        60: ("B01", "B02", "B11", "B12", "B09"),
    }.items()
    for band in bands
]
LEVEL_1C = [f"X.SAFE/GRANULE/L1C/IMG_DATA/{STEM}_{band}.jp2" for band in ("B01", *WANTED, "B8A", "B09", "TCI")]


def test_level_2a_gives_each_band_at_its_own_resolution():
    found = band_paths(["X.SAFE/MTD_MSIL2A.xml", *LEVEL_2A])
    assert [path.split("/")[-1] for path in found] == [
        f"{STEM}_{band}_{metres}m.jp2" for band, metres in WANTED.items()
    ]


def test_level_1c_gives_each_band_once():
    assert [path[-7:-4] for path in band_paths(LEVEL_1C)] == list(WANTED)


def test_paths_of_windows_are_understood():
    assert len(band_paths([path.replace("/", "\\") for path in LEVEL_2A])) == len(WANTED)


def test_missing_bands_are_named():
    with pytest.raises(ImageFileError, match="B11, B12 missing"):
        band_paths([path for path in LEVEL_2A if "B11" not in path and "B12" not in path])


def test_two_products_at_once_are_refused():
    with pytest.raises(ImageFileError, match="got several"):
        band_paths([*LEVEL_2A, *(path.replace("T30NXM", "T30NXN") for path in LEVEL_2A)])


@pytest.mark.parametrize("paths", [[], ["a.tif"], ["IMG_DATA/readme.txt"], [f"{STEM}_B02.jp2"]])
def test_other_files_are_no_product(paths):
    assert not is_product(paths)
