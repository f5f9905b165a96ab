"""Write the practice region as files that look like Sentinel-2 on Earth Search: COGs, a catalogue and the truth."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine
from rasterio.warp import transform, transform_geom

from tools.landscape.courses import Line
from tools.landscape.region import (
    ACQUISITIONS,
    EPSG,
    FOREST_POINT,
    GSD_M,
    LOOKALIKE_POINT,
    MGRS,
    MINE_POINT,
    ORIGIN_X_M,
    ORIGIN_Y_M,
    SIZE_PX,
    TOWNS,
    Acquisition,
    Picture,
    Region,
)
from tools.landscape.sensor import QUANTIFICATION
from tools.landscape.spectra import BANDS

Json = dict[str, Any]

_CRS: Final = f"EPSG:{EPSG}"
_WGS84: Final = "EPSG:4326"
_BLOCK_PX: Final = 256
_COLLECTION: Final = "sentinel-2-l2a"
_NOTICE: Final = (
    "A generated practice landscape, not a satellite image. Nothing in it is really there: do not use it as evidence."
)

# Step between digital numbers in the files, a little over one deviation of the noise over forest: rounding adds a
# twelfth of the step's square to the variance, far less than the crowns do, and saves a third of the bytes. Powers of
# two, because deflate then sees fewer different bytes.
_DN_STEPS: Final = {"blue": 8, "green": 8, "red": 8, "nir": 16, "swir16": 16, "swir22": 8}
# Above this reflectance are clouds and new roofs, where the noise is several times that of forest, and the step too.
_BRIGHT_DN: Final = 4000
_BRIGHT_FACTOR: Final = 4

_FILES: Final = {"blue": "B02", "green": "B03", "red": "B04", "nir": "B08", "swir16": "B11", "swir22": "B12"}
_TITLES: Final = {
    "blue": "Blue (band 2) - 10m",
    "green": "Green (band 3) - 10m",
    "red": "Red (band 4) - 10m",
    "nir": "NIR 1 (band 8) - 10m",
    "swir16": "SWIR 1 (band 11) - 20m",
    "swir22": "SWIR 2 (band 12) - 20m",
}
# Centre wavelength and full width at half maximum, micrometres, as Earth Search states them.
_WAVELENGTHS: Final = {
    "blue": (0.49, 0.098),
    "green": (0.56, 0.045),
    "red": (0.665, 0.038),
    "nir": (0.842, 0.145),
    "swir16": (1.61, 0.143),
    "swir22": (2.19, 0.242),
}


def grid_transform(gsd_m: float) -> Affine:
    """Return the map from pixels of a size to metres of the region's zone."""
    return Affine(gsd_m, 0.0, ORIGIN_X_M, 0.0, -gsd_m, ORIGIN_Y_M)


def _lon_lat(x_px: float, y_px: float) -> tuple[float, float]:
    lon, lat = transform(_CRS, _WGS84, [ORIGIN_X_M + x_px * GSD_M], [ORIGIN_Y_M - y_px * GSD_M])
    return round(lon[0], 7), round(lat[0], 7)


def _outline() -> tuple[Json, list[float]]:
    corners = [_lon_lat(x, y) for x, y in ((0, 0), (SIZE_PX, 0), (SIZE_PX, SIZE_PX), (0, SIZE_PX), (0, 0))]
    lons, lats = zip(*corners, strict=True)
    polygon: Json = {"type": "Polygon", "coordinates": [[list(corner) for corner in corners]]}
    return polygon, [min(lons), min(lats), max(lons), max(lats)]


def _stepped(dn: NDArray[np.uint16], offset: int, step: int) -> NDArray[np.uint16]:
    """Round digital numbers to whole steps above the offset; never to 0, which means nodata."""
    above = dn.astype(np.int32) - offset
    steps = np.where(above > _BRIGHT_DN, step * _BRIGHT_FACTOR, step)
    rounded = np.rint(above / steps).astype(np.int32) * steps + offset
    return np.maximum(rounded, 1).astype(np.uint16)


def write_cog(path: Path, pixels: NDArray[np.generic], gsd_m: float) -> None:
    """Write one band as a cloud-optimised GeoTIFF: tiled, with overviews, nodata 0.

    Overviews repeat pixels instead of averaging them: averages would lie between the steps and cost more bytes.
    """
    height, width = pixels.shape
    with rasterio.open(
        path, "w", driver="COG", width=width, height=height, count=1, dtype=pixels.dtype.name, crs=_CRS,
        transform=grid_transform(gsd_m), nodata=0, blocksize=_BLOCK_PX, compress="DEFLATE", level=9,
        predictor="STANDARD", overviews="IGNORE_EXISTING", overview_resampling="NEAREST",
        overview_compress="DEFLATE", overview_predictor="STANDARD", num_threads=1,
    ) as target:  # fmt: skip
        target.write(pixels, 1)


def _band_asset(acquisition: Acquisition, band: str, gsd_m: float) -> Json:
    centre, width = _WAVELENGTHS[band]
    shape_px = round(SIZE_PX * GSD_M / gsd_m)
    return {
        "href": f"items/{acquisition.item_id}/{_FILES[band]}.tif",
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "title": _TITLES[band],
        "eo:bands": [{"name": band, "common_name": band, "center_wavelength": centre, "full_width_half_max": width}],
        "gsd": round(gsd_m),
        "proj:shape": [shape_px, shape_px],
        "proj:transform": [round(gsd_m), 0, round(ORIGIN_X_M), 0, -round(gsd_m), round(ORIGIN_Y_M)],
        "raster:bands": [
            {
                "nodata": 0,
                "data_type": "uint16",
                "bits_per_sample": 15,
                "spatial_resolution": round(gsd_m),
                "scale": 1 / QUANTIFICATION,
                "offset": -acquisition.offset_dn / QUANTIFICATION if acquisition.offset_dn else 0,
            }
        ],
        "roles": ["data", "reflectance"],
    }


def item(acquisition: Acquisition, picture: Picture) -> Json:
    """Return the STAC item of an acquisition, shaped like those of Earth Search v1.

    Hrefs are relative to the catalogue's own address.
    """
    zone, latitude_band, square = MGRS
    geometry, bbox = _outline()
    moment = acquisition.moment
    cloudy = np.isin(picture.scl, (8, 9, 10)).mean() * 100
    day = f"{moment:%Y-%m-%dT%H:%M:%S}"
    assets = {band: _band_asset(acquisition, band, GSD_M) for band in BANDS[:4]}
    assets |= {band: _band_asset(acquisition, band, 2 * GSD_M) for band in BANDS[4:]}
    assets["scl"] = {
        "href": f"items/{acquisition.item_id}/SCL.tif",
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "title": "Scene classification map (SCL)",
        "proj:shape": [SIZE_PX // 2, SIZE_PX // 2],
        "proj:transform": [20, 0, round(ORIGIN_X_M), 0, -20, round(ORIGIN_Y_M)],
        "raster:bands": [{"nodata": 0, "data_type": "uint8", "spatial_resolution": 20}],
        "roles": ["data", "reflectance"],
    }
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": acquisition.item_id,
        "collection": _COLLECTION,
        "bbox": bbox,
        "properties": {
            "title": f"Practice region, {moment.day} {moment:%b %Y} (generated)",
            "description": _NOTICE,
            "galamsey:generated": True,
            "created": f"{day}.000Z",
            "updated": f"{day}.000Z",
            "platform": {"S2A": "sentinel-2a", "S2B": "sentinel-2b"}[acquisition.platform],
            "constellation": "sentinel-2",
            "instruments": ["msi"],
            "eo:cloud_cover": round(float(cloudy), 6),
            "proj:epsg": EPSG,
            "mgrs:utm_zone": zone,
            "mgrs:latitude_band": latitude_band,
            "mgrs:grid_square": square,
            "grid:code": f"MGRS-{zone}{latitude_band}{square}",
            "view:sun_azimuth": round(acquisition.conditions.sun_azimuth_deg, 4),
            "view:sun_elevation": round(acquisition.conditions.sun_elevation_deg, 4),
            "s2:nodata_pixel_percentage": 0,
            "s2:product_type": "S2MSI2A",
            "s2:processing_baseline": acquisition.baseline,
            "s2:product_uri": f"GENERATED_PRACTICE_{acquisition.item_id}",
            "s2:generation_time": f"{day}.000000Z",
            "datetime": f"{day}.000000Z",
            "s2:sequence": "0",
            # Where there is an offset the files still carry it, as baseline 04.00 defines.
            "earthsearch:boa_offset_applied": False,
        },
        "geometry": geometry,
        "links": [],
        "assets": assets,
    }


def _line_string(line: Line) -> Json | None:
    inside = (line.x >= 0) & (line.x <= SIZE_PX) & (line.y >= 0) & (line.y <= SIZE_PX)
    points = np.flatnonzero(inside)[::8]
    if points.size < 2:
        return None
    x_m, y_m = ORIGIN_X_M + line.x[points] * GSD_M, ORIGIN_Y_M - line.y[points] * GSD_M
    projected = {"type": "LineString", "coordinates": [list(map(float, pair)) for pair in zip(x_m, y_m, strict=True)]}
    drawn: Json = transform_geom(_CRS, _WGS84, projected, precision=6)
    return {"type": drawn["type"], "coordinates": drawn["coordinates"]}


def region_description(region: Region) -> Json:
    """Return what the page needs to know of the region: grid, extent, rivers, towns and suggested clicks."""
    _, bbox = _outline()
    names = ("Practice River", "East Stream", "West Stream")
    rivers = [
        {"type": "Feature", "properties": {"name": name, "rank": rank}, "geometry": geometry}
        for rank, (name, line) in enumerate(zip(names, region.rivers, strict=True))
        if (geometry := _line_string(line)) is not None
    ]
    towns = [
        {
            "type": "Feature",
            "properties": {"name": name, "radius_m": radius * GSD_M},
            "geometry": {"type": "Point", "coordinates": list(_lon_lat(x, y))},
        }
        for name, (x, y, radius) in TOWNS.items()
    ]
    suggested = (
        (
            "A mine",
            MINE_POINT,
            "Pale, torn-up ground on both banks. In the SWIR view the ponds stand in it as dark spots in rows.",
        ),
        (
            "A look-alike",
            LOOKALIKE_POINT,
            "Roofs, roads and fish ponds. The ponds lie in one tidy block on green banks, with no bare ground around.",
        ),
        ("Untouched forest", FOREST_POINT, "Closed canopy on low hills. A good answer here is an empty one."),
    )
    return {
        "name": "Practice region",
        "description": _NOTICE,
        "galamsey:generated": True,
        "epsg": EPSG,
        "transform": list(grid_transform(GSD_M))[:6],
        "shape": [SIZE_PX, SIZE_PX],
        "bbox": bbox,
        "dates": [f"{acquisition.moment:%Y-%m-%d}" for acquisition in ACQUISITIONS],
        "rivers": {"type": "FeatureCollection", "features": rivers},
        "towns": {"type": "FeatureCollection", "features": towns},
        "suggested": [
            {"name": name, "lon": _lon_lat(*point)[0], "lat": _lon_lat(*point)[1], "look_for": look_for}
            for name, point, look_for in suggested
        ],
    }


def write_acquisition(folder: Path, acquisition: Acquisition, picture: Picture) -> Json:
    """Write one acquisition's bands, classes and truth under a folder; return its STAC item."""
    place = folder / "items" / acquisition.item_id
    place.mkdir(parents=True)
    for band, dn in zip(BANDS, (*picture.fine_dn, *picture.coarse_dn), strict=True):
        gsd_m = GSD_M if dn.shape[0] == SIZE_PX else 2 * GSD_M
        write_cog(place / f"{_FILES[band]}.tif", _stepped(dn, acquisition.offset_dn, _DN_STEPS[band]), gsd_m)
    write_cog(place / "SCL.tif", picture.scl, 2 * GSD_M)
    truth = folder / "truth" / f"{acquisition.item_id}.tif"
    truth.parent.mkdir(exist_ok=True)
    write_cog(truth, picture.truth.astype(np.uint8), GSD_M)
    return item(acquisition, picture)


def publish(folder: Path, progress: Callable[[str], None]) -> None:
    """Write the whole practice region into an empty folder."""
    region = Region()
    items = []
    for number, (acquisition, picture) in enumerate(region.pictures(), start=1):
        items.append(write_acquisition(folder, acquisition, picture))
        size_mb = sum(path.stat().st_size for path in (folder / "items" / acquisition.item_id).iterdir()) / 1e6
        cloud = items[-1]["properties"]["eo:cloud_cover"]
        progress(
            f"{number}/{len(ACQUISITIONS)} {acquisition.moment:%d %b %Y}: {size_mb:.1f} MB, cloud {cloud:.0f} %, "
            f"mined {picture.truth.sum() / 100:.1f} ha"
        )
    catalogue = {
        "type": "FeatureCollection",
        "description": _NOTICE,
        "features": items,
        "numberMatched": len(items),
        "numberReturned": len(items),
        "links": [],
    }
    (folder / "catalogue.json").write_text(json.dumps(catalogue, indent=1) + "\n", encoding="utf-8")
    (folder / "region.json").write_text(json.dumps(region_description(region), indent=1) + "\n", encoding="utf-8")
