"""The practice region: one fixed landscape of 7.68 x 7.68 km and its acquisitions.

It lies on Sentinel-2's grid beside the Offin, west of Dunkwa-on-Offin, and shows nothing that is really there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tools.landscape.atmosphere import Conditions, draw_sky, through_air
from tools.landscape.boxes import without_specks
from tools.landscape.courses import Course, Line, band, meander, survey, through, upstream
from tools.landscape.cover import CoverPlan, draw_cover, draw_plantation, draw_riparian, draw_texture
from tools.landscape.fields import FloatField, pixel_grid, smooth
from tools.landscape.ground import Ground
from tools.landscape.lookalikes import draw_bare_fields, draw_industrial_pit, draw_ponds, draw_reservoir, draw_rock
from tools.landscape.mining import MinePlan, dig_order, draw_mine, dug, random_mine
from tools.landscape.sensor import capture, classify, digital_numbers, offset_dn
from tools.landscape.settlements import draw_road, draw_town
from tools.landscape.spectra import palette
from tools.landscape.terrain import elevation, light
from tools.landscape.water import RiverPlan, draw_braids, draw_river

EPSG: Final = 32630
SIZE_PX: Final = 768
GSD_M: Final = 10.0
ORIGIN_X_M: Final = 622_000.0
"""West edge. A whole number of 20 m pixels from the west edge of Sentinel-2 tile 30NXM (600000)."""
ORIGIN_Y_M: Final = 664_000.0
"""North edge. A whole number of 20 m pixels from the north edge of that tile (700020)."""
MGRS: Final = (30, "N", "XM")

_SHAPE: Final = (SIZE_PX, SIZE_PX)
_SEED: Final = 20_160_103
_LAST_YEAR: Final = 2025.1
_GREENING_YEARS: Final = 7.0
_SITE_REACH_PX: Final = 110

TOWNS: Final[dict[str, tuple[float, float, float]]] = {
    "Practice Town": (160, 405, 40),
    "Upper Practice": (565, 105, 13),
    "Lower Practice": (345, 660, 16),
    "New Practice": (60, 640, 10),
}
"""Invented settlements: pixels right, pixels down, radius in pixels."""

MINE_POINT: Final = (400.0, 352.0)
LOOKALIKE_POINT: Final = (196.0, 455.0)
FOREST_POINT: Final = (655.0, 610.0)
"""Centres of the suggested chips, pixels right and down."""

_PIT: Final = (112.0, 120.0)
_FISH_PONDS: Final = ((222.0, 470.0), (205.0, 486.0))


@dataclass(frozen=True, kw_only=True)
class Acquisition:
    """One pass of the satellite over the region."""

    platform: str
    """`S2A` or `S2B`."""

    moment: datetime
    """UTC."""

    baseline: str
    """Processing baseline in force on that day."""

    conditions: Conditions
    """What the sky was like."""

    @property
    def item_id(self) -> str:
        """Identifier in the style of Earth Search."""
        zone, latitude_band, square = MGRS
        return f"{self.platform}_{zone}{latitude_band}{square}_{self.moment:%Y%m%d}_0_L2A"

    @property
    def offset_dn(self) -> int:
        """What is added to the digital numbers: 0 or 1000."""
        return offset_dn(self.moment.date())

    @property
    def year(self) -> float:
        """Decimal year."""
        return self.moment.year + (self.moment.timetuple().tm_yday - 1) / 365.25


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """What one acquisition delivers, and the truth."""

    fine_dn: NDArray[np.uint16]
    """Blue, green, red, nir: shape (4, 768, 768)."""

    coarse_dn: NDArray[np.uint16]
    """Swir16, swir22: shape (2, 384, 384)."""

    scl: NDArray[np.uint8]
    """Scene classes, shape (384, 384)."""

    truth: NDArray[np.bool_]
    """True where the ground is mined, cloud or no cloud, shape (768, 768)."""


def _acquired(
    platform: str, day: str, baseline: str, season: str, *, haze: float, cumulus: float = 0.0, cirrus: float = 0.0,
    exposure: float = 1.0,
) -> Acquisition:  # fmt: skip
    moment = datetime.fromisoformat(f"{day}T10:38:11").replace(tzinfo=UTC)
    # Sun over 6 N, 1.9 W at 10:38 UTC: 52 deg high in the south-east at New Year, a little higher later in January.
    late = (moment.timetuple().tm_yday + 10) % 365 / 30
    conditions = Conditions(
        season=season, haze=haze, sun_elevation_deg=52.0 + late, sun_azimuth_deg=140.0 - 3 * late,
        view_gradient=(0.045, 0.012) if platform == "S2A" else (0.03, 0.008), exposure=exposure, cumulus=cumulus,
        cirrus=cirrus,
    )  # fmt: skip
    return Acquisition(platform=platform, moment=moment, baseline=baseline, conditions=conditions)


# One orbit's ten-day cycle: S2A passes on 3 January 2016 and every ten days after, S2B half a cycle later.
ACQUISITIONS: Final = (
    _acquired("S2A", "2016-01-03", "02.01", "january", haze=0.16, exposure=0.97),
    _acquired("S2B", "2018-01-07", "02.06", "january", haze=0.20, cumulus=0.17, cirrus=0.12, exposure=1.02),
    _acquired("S2A", "2018-12-28", "02.11", "december", haze=0.06),
    _acquired("S2A", "2020-01-02", "02.13", "january", haze=0.26, cumulus=0.82, cirrus=0.5),
    _acquired("S2B", "2021-01-11", "02.14", "january", haze=0.34, exposure=1.03),
    _acquired("S2A", "2022-01-11", "03.01", "january", haze=0.12, exposure=0.98),
    _acquired("S2B", "2023-12-27", "05.10", "december", haze=0.14, cumulus=0.09, cirrus=0.22),
    _acquired("S2B", "2025-01-10", "05.11", "january", haze=0.08),
)


@dataclass(frozen=True, kw_only=True)
class _Working:
    """A mine of the region over the years."""

    along: float
    """Where on its river, pixels of arc from the anchor."""

    beside: float
    """How far off its middle, pixels."""

    start: float
    """Year of the first pit, decimal."""

    area_ha: float
    """Size at the last acquisition."""

    river: int = 0
    """0 the main river, 1 and 2 its tributaries."""

    stop: float = _LAST_YEAR
    """Year in which it was left."""

    elongation: float = 3.0
    """Length over width."""

    pond_share: float = 0.45
    """Share of ponds."""


_WORKINGS: Final = (
    _Working(along=-195, beside=9, start=2014.5, area_ha=28.0, elongation=4.0, pond_share=0.5),
    _Working(along=-330, beside=-12, start=2017.2, area_ha=12.0),
    _Working(along=-262, beside=-13, start=2015.0, area_ha=7.5, stop=2018.5),
    _Working(along=-85, beside=12, start=2018.4, area_ha=16.0, elongation=3.5),
    _Working(along=10, beside=-12, start=2020.6, area_ha=9.0, pond_share=0.55),
    _Working(along=300, beside=11, start=2015.2, area_ha=19.0, elongation=3.5, stop=2021.0),
    _Working(along=365, beside=-12, start=2021.5, area_ha=11.0, pond_share=0.4),
    _Working(along=-140, beside=-34, start=2022.2, area_ha=1.8, elongation=1.6),
    _Working(along=250, beside=-30, start=2019.4, area_ha=0.5, elongation=1.4, pond_share=0.35),
    _Working(along=-120, beside=4, start=2019.0, area_ha=6.0, river=1, elongation=3.8),
    _Working(along=-60, beside=-5, start=2023.0, area_ha=1.2, river=1, elongation=2.0),
    _Working(along=-90, beside=3, start=2016.4, area_ha=4.2, river=2, elongation=3.6),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Site:
    """A working laid out on the grid."""

    working: _Working
    plan: MinePlan
    rows: slice
    columns: slice
    order: FloatField
    allowed: NDArray[np.bool_]

    def area_px(self, year: float) -> float:
        """Return how much has been dug by a year."""
        span = self.working.stop - self.working.start
        progress = min(max((year - self.working.start) / span, 0.0), 1.0)
        return self.working.area_ha * 100 * progress**1.2

    def age(self, year: float) -> FloatField:
        """Return how long ago each pixel was dug, as a share of the time that greening takes, 0-1."""
        ranked = np.where(self.allowed, self.order, np.inf).ravel().argsort(kind="stable").argsort(kind="stable")
        share = np.clip(ranked.reshape(self.order.shape) / (self.working.area_ha * 100), 0, 1)
        dug_in = self.working.start + (self.working.stop - self.working.start) * share ** (1 / 1.2)
        return np.clip((year - dug_in) / _GREENING_YEARS, 0, 1).astype(np.float32)


class Region:
    """The landscape; everything that does not change from date to date is laid out once."""

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([_SEED, *key])

    @cached_property
    def rivers(self) -> tuple[Line, Line, Line]:
        """The main river, flowing south-west, and two tributaries."""
        main = meander(
            self._rng(1), anchor=(384, 384), heading=2.25, half_length_px=900, wavelength_px=120, swing=0.95, drift=0.35
        )
        middle = len(main.x) // 2
        joins = [(main.x[middle + 2 * step], main.y[middle + 2 * step]) for step in (-130, 180)]
        streams = [
            meander(
                self._rng(2, number), anchor=(float(x), float(y)), heading=heading, half_length_px=420,
                wavelength_px=46, swing=0.9, drift=0.3,
            )
            for number, ((x, y), heading) in enumerate(zip(joins, (0.75, 3.6), strict=True))
        ]  # fmt: skip
        return main, upstream(streams[0], 400), upstream(streams[1], 400)

    @cached_property
    def _courses(self) -> tuple[Course, ...]:
        courses = [survey(line, _SHAPE) for line in self.rivers]
        if any(course is None for course in courses):
            raise RuntimeError("a river of the practice region misses the region")
        return tuple(course for course in courses if course is not None)

    @cached_property
    def _roads(self) -> tuple[tuple[Course, str, float], ...]:
        town, upper, lower, new = ((x, y) for x, y, _ in TOWNS.values())
        bridge = (452.0, 300.0)
        lines = [
            (through([(-5, 330), town, (300, 350), bridge, upper, (773, 40)], self._rng(3, 0), 7), "asphalt", 11.0),
            (through([town, _PIT], self._rng(3, 1), 6), "laterite", 12.0),
            (through([town, (240, 560), lower, (420, 775)], self._rng(3, 2), 8), "laterite", 9.0),
            (through([(160, 430), new, (30, 775)], self._rng(3, 3), 6), "laterite", 7.0),
            (through([upper, (640, 210), (775, 260)], self._rng(3, 4), 6), "laterite", 6.0),
            (through([town, (250, 240), (310, -5)], self._rng(3, 5), 7), "laterite", 6.0),
        ]
        surveyed = ((survey(line, _SHAPE), cover, width) for line, cover, width in lines)
        return tuple((course, cover, width) for course, cover, width in surveyed if course is not None)

    @cached_property
    def _sites(self) -> tuple[_Site, ...]:
        sites = []
        main = self._courses[0]
        dry = band(main, 2.8) < 0.5
        keep_off = np.zeros(_SHAPE, np.bool_)
        x, y = pixel_grid(_SHAPE)
        for town_x, town_y, radius in TOWNS.values():
            keep_off |= np.hypot(x - town_x, y - town_y) < radius * 1.2
        for number, working in enumerate(_WORKINGS):
            rng = self._rng(4, number)
            line, course = self.rivers[working.river], self._courses[working.river]
            point = int((len(line.x) // 2 if working.river == 0 else len(line.x) - 1) + 2 * working.along)
            heading = line.heading[point]
            centre = (
                float(line.x[point] - working.beside * np.sin(heading)),
                float(line.y[point] + working.beside * np.cos(heading)),
            )
            column, row = int(centre[0]), int(centre[1])
            if not (0 <= column < SIZE_PX and 0 <= row < SIZE_PX):
                raise RuntimeError(f"mine {number} of the practice region lies outside it, at {centre}")
            rows = slice(max(0, row - _SITE_REACH_PX), min(SIZE_PX, row + _SITE_REACH_PX))
            columns = slice(max(0, column - _SITE_REACH_PX), min(SIZE_PX, column + _SITE_REACH_PX))
            drawn = random_mine(
                rng, (centre[0] - columns.start, centre[1] - rows.start), heading, int(working.area_ha * 100)
            )
            plan = MinePlan(
                centre=drawn.centre, angle=drawn.angle, area_px=drawn.area_px, elongation=working.elongation,
                pond_share=working.pond_share, pond_px=drawn.pond_px, neglect=0.0, ochre=drawn.ochre,
            )  # fmt: skip
            here = Course(
                along=course.along[rows, columns], across=course.across[rows, columns], bend=course.bend[rows, columns]
            )
            order = dig_order(rng, here.along.shape, plan, here if working.area_ha > 2 else None)
            allowed = (dry & ~keep_off)[rows, columns]
            sites.append(_Site(working=working, plan=plan, rows=rows, columns=columns, order=order, allowed=allowed))
        return tuple(sites)

    @cached_property
    def _wildness(self) -> FloatField:
        x, y = pixel_grid(_SHAPE)
        # East of a surveyed line lies a forest reserve; the land is cleared around the settlements.
        wild = 0.55 * smooth(self._rng(5), _SHAPE, 22) + 0.35 * smooth(self._rng(6), _SHAPE, 60)
        reserve = np.clip((x * 0.85 + y * 0.55 - 745) / 6, 0, 1)
        wild = wild + 3.2 * reserve
        for town_x, town_y, radius in TOWNS.values():
            wild = wild - 2.2 * np.exp(-((np.hypot(x - town_x, y - town_y) / (radius * 2.8 + 25)) ** 2))
        return wild.astype(np.float32)

    def mined(self, year: float) -> NDArray[np.bool_]:
        """Return the ground dug by a decimal year, shape (768, 768); what is mined stays mined."""
        mask = np.zeros(_SHAPE, np.bool_)
        for site in self._sites:
            mask[site.rows, site.columns] |= dug(site.order, site.area_px(year), site.allowed)
        return without_specks(mask)

    def _surface(self, year: float, conditions: Conditions) -> tuple[Ground, NDArray[np.bool_]]:
        ground = Ground.bare(palette(conditions.dryness), _SHAPE)
        plan = CoverPlan(forest_share=0.46, use=0.42, parcel_px=6.5, edge_px=16)
        draw_cover(ground, self._rng(7), plan, self._wildness)
        draw_plantation(ground.window(slice(560, 760), slice(160, 330)), self._rng(8))
        main = self._courses[0]
        for number, course in enumerate(self._courses):
            draw_riparian(ground, self._rng(9, number), course, (13, 6, 5)[number])
        for number, course in enumerate(self._courses[1:], start=1):
            draw_river(ground, self._rng(10, number), course, RiverPlan(width_px=1.3, turbidity=0.5))
        turbidity = float(np.clip(0.30 + 0.075 * (year - 2016), 0.3, 0.95))
        river = RiverPlan(width_px=4.6, turbidity=turbidity, sandbars=0.5)
        draw_river(ground, self._rng(11), main, river)
        split = np.abs(main.along - main.along[384, 384] - 175) < 42
        braided = Ground.bare(ground.palette, _SHAPE)
        braided.reflectance[:], braided.canopy[:] = ground.reflectance, ground.canopy
        draw_braids(braided, self._rng(12), main, river, belt_px=13)
        ground.blend(split.astype(np.float32), braided.reflectance)

        for number, centre in enumerate(((330, 500), (90, 300), (430, 120), (270, 300), (600, 60))):
            # Farmers clear other fields every second year.
            draw_bare_fields(ground, self._rng(13, number, int(year) // 2), centre)
        draw_rock(ground, self._rng(14), (640, 330))
        draw_rock(ground, self._rng(15), (60, 700))
        draw_reservoir(ground, self._rng(16), (255, 70))
        draw_industrial_pit(ground, self._rng(17), _PIT, 27)
        for course, cover, width_m in self._roads:
            draw_road(ground, self._rng(18), course, cover=cover, width_m=width_m)
        for number, (x, y, radius) in enumerate(TOWNS.values()):
            draw_town(ground, self._rng(19, number), (x, y), radius * (0.85 + 0.015 * (year - 2015)))
        for number, centre in enumerate(_FISH_PONDS):
            draw_ponds(ground, self._rng(20, number), centre, farm=False)
        draw_ponds(ground, self._rng(21), (120, 520), farm=True)

        mask = self.mined(year)
        for number, site in enumerate(self._sites):
            where = dug(site.order, site.area_px(year), site.allowed) & mask[site.rows, site.columns]
            part = ground.window(site.rows, site.columns)
            draw_mine(part, self._rng(22, number), site.plan, where, site.age(year))
        draw_texture(ground, self._rng(23))
        lit = light(self._heights, conditions.sun_elevation_deg, conditions.sun_azimuth_deg)
        ground.shade(1 + (lit - 1) * (0.35 + 0.65 * ground.canopy))
        return ground, mask

    @cached_property
    def _heights(self) -> FloatField:
        return elevation(self._rng(24), _SHAPE, 11.0, self._courses[0])

    def picture(self, acquisition: Acquisition) -> Picture:
        """Return what the satellite delivers on one date."""
        ground, truth = self._surface(acquisition.year, acquisition.conditions)
        rng = self._rng(25, acquisition.moment.toordinal())
        sky = draw_sky(rng, _SHAPE, acquisition.conditions)
        seen = through_air(ground.reflectance, rng, acquisition.conditions, sky, ground.palette["cloud"])
        fine, coarse = capture(seen, rng)
        return Picture(
            fine_dn=digital_numbers(fine, acquisition.offset_dn),
            coarse_dn=digital_numbers(coarse, acquisition.offset_dn),
            scl=classify(fine, coarse, sky),
            truth=truth,
        )

    def pictures(self) -> Iterator[tuple[Acquisition, Picture]]:
        """Yield every acquisition with its picture, oldest first."""
        for acquisition in ACQUISITIONS:
            yield acquisition, self.picture(acquisition)
