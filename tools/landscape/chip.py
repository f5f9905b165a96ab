"""Random chips for training and tests: a small piece of country, its image and its mines."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, label

from tools.landscape.atmosphere import Conditions, draw_sky, random_conditions, through_air
from tools.landscape.boxes import Box, mask_boxes, without_specks
from tools.landscape.courses import Course, meander, survey
from tools.landscape.cover import draw_cover, draw_plantation, draw_riparian, draw_texture, random_cover
from tools.landscape.fields import FloatField, pixel_grid, turned
from tools.landscape.ground import Ground
from tools.landscape.lookalikes import draw_bare_fields, draw_industrial_pit, draw_ponds, draw_reservoir, draw_rock
from tools.landscape.mining import HECTARES_PER_PIXEL, MinePlan, dig_order, draw_mine, dug, random_area_px, random_mine
from tools.landscape.sensor import OFFSET_DN, capture, classify, digital_numbers, doubled
from tools.landscape.settlements import draw_road, draw_town
from tools.landscape.spectra import palette
from tools.landscape.terrain import elevation, light
from tools.landscape.water import RiverPlan, draw_braids, draw_river

CHIP_PX = 128
Kind = Literal["mine", "lookalike", "forest"]
KINDS: tuple[Kind, ...] = ("mine", "lookalike", "forest")

LOOKALIKES = (
    "sandbar", "braided_river", "fish_ponds", "farm_pond", "roofs", "road", "bare_fields", "rock", "reservoir",
    "industrial_pit",
)  # fmt: skip
"""Everything that is mistaken for a mine and can be present in a chip."""

_SHAPE = (CHIP_PX, CHIP_PX)
_MAX_HIDDEN = 0.35  # a pixel under thicker cloud than this shows no mine
_STRAY_SHARE = 0.2  # of a working: detached pieces below it lie inside one digitised outline, and are not drawn apart
_APART_PX = 3  # between a mine and the look-alikes that it cannot be told from


@dataclass(frozen=True, kw_only=True)
class ChipFacts:
    """What was drawn."""

    seed: int
    """The seed that makes this chip again."""

    kind: Kind
    """What the chip was asked to show."""

    lookalikes: tuple[str, ...]
    """Names from `LOOKALIKES`, in the order they were drawn."""

    mine_areas_ha: tuple[float, ...]
    """Area of each labelled patch, in the order of the boxes."""

    conditions: Conditions
    """Season, haze, light and clouds."""

    offset_dn: int
    """What was added to the digital numbers: 0 or 1000."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GeneratedChip:
    """One chip with its truth."""

    dn: NDArray[np.uint16]
    """Digital numbers, shape (6, 128, 128), in the order of `spectra.BANDS`; 0 is nodata."""

    scl: NDArray[np.uint8]
    """Scene classes, shape (128, 128)."""

    mask: NDArray[np.bool_]
    """True where a mine is visible, shape (128, 128); no patch is smaller than 5 pixels."""

    boxes: tuple[Box, ...]
    """Boxes of the mask's patches, see `mask_boxes`."""

    lookalike: NDArray[np.bool_]
    """True where a look-alike is, shape (128, 128)."""

    facts: ChipFacts
    """How it was made."""


@dataclass(kw_only=True, eq=False)
class _Draft:
    """A chip being drawn."""

    ground: Ground
    river: Course | None
    river_width_px: float
    lookalike: NDArray[np.bool_]
    names: list[str]

    def note(self, name: str, share: FloatField) -> None:
        """Remember a look-alike that can be seen."""
        seen = share > 0.5
        if np.count_nonzero(seen) >= 3:
            self.lookalike |= seen
            if name not in self.names:
                self.names.append(name)


def _somewhere(rng: np.random.Generator, margin: float = 10) -> tuple[float, float]:
    x, y = rng.uniform(margin, CHIP_PX - margin, 2)
    return float(x), float(y)


def _draw_river(draft: _Draft, rng: np.random.Generator, *, wanted: str | None, near_mines: bool, bars: bool) -> None:
    width = float(np.exp(rng.uniform(np.log(0.7), np.log(9))))
    braided, barred = wanted == "braided_river", wanted == "sandbar"
    if braided or barred:
        width = max(width, rng.uniform(3, 8))
    line = meander(
        rng, anchor=_somewhere(rng), heading=rng.uniform(0, 2 * np.pi), half_length_px=260,
        wavelength_px=float(np.clip(width * rng.uniform(8, 14), 24, 90)),
        swing=rng.uniform(0.2, 0.6) if braided else rng.uniform(0.3, 1.35),
    )  # fmt: skip
    draft.river = survey(line, _SHAPE)
    if draft.river is None:
        raise RuntimeError("the river's anchor lies inside the chip, so its course must cross it")
    draft.river_width_px = width
    turbidity = float(rng.beta(2.2, 1.2) if near_mines else rng.beta(1.0, 1.4))
    if rng.random() < 0.7:
        draw_riparian(draft.ground, rng, draft.river, width / 2 + rng.uniform(2, 14))
    plan = RiverPlan(
        width_px=width,
        turbidity=turbidity,
        sandbars=rng.uniform(0.6, 1.0) if barred else float(bars and rng.random() < 0.12),
    )
    if braided:
        sand = draw_braids(draft.ground, rng, draft.river, plan, belt_px=width * rng.uniform(2.0, 3.6))
        draft.note("braided_river", sand)
    else:
        draft.note("sandbar", draw_river(draft.ground, rng, draft.river, plan))


def _draw_lookalike(draft: _Draft, rng: np.random.Generator, name: str) -> None:
    ground = draft.ground
    match name:
        case "fish_ponds" | "farm_pond":
            share = draw_ponds(ground, rng, _somewhere(rng), farm=name == "farm_pond")
        case "roofs":
            share = draw_town(ground, rng, _somewhere(rng), float(np.exp(rng.uniform(np.log(3), np.log(26)))))
        case "road":
            line = meander(
                rng, anchor=_somewhere(rng), heading=rng.uniform(0, 2 * np.pi), half_length_px=200,
                wavelength_px=rng.uniform(40, 120), swing=rng.uniform(0.05, 0.5),
            )  # fmt: skip
            course = survey(line, _SHAPE)
            if course is None:
                return
            paved = rng.random() < 0.25
            share = draw_road(
                ground, rng, course, cover="asphalt" if paved else "laterite",
                width_m=rng.uniform(8, 16) if paved else rng.uniform(5, 20),
            )  # fmt: skip
        case "bare_fields":
            share = draw_bare_fields(ground, rng, _somewhere(rng))
        case "rock":
            share = draw_rock(ground, rng, _somewhere(rng))
        case "reservoir":
            share = draw_reservoir(ground, rng, _somewhere(rng))
        case "industrial_pit":
            share = draw_industrial_pit(ground, rng, _somewhere(rng, 25), rng.uniform(13, 34))
        case _:
            raise ValueError(f"a look-alike is one of {', '.join(LOOKALIKES)}; got {name!r}")
    draft.note(name, share)


def _plan_mines(draft: _Draft, rng: np.random.Generator) -> list[tuple[MinePlan, bool]]:
    """Draw where mines lie; True marks those that follow the river."""
    plans = []
    for _ in range(1 + int(rng.poisson(1.3))):
        area_px = random_area_px(rng)
        centre, angle, follows = _somewhere(rng, 6), rng.uniform(0, np.pi), False
        if draft.river is not None and rng.random() < 0.75:
            reach = rng.uniform(2, 12) + np.sqrt(area_px) * 0.3
            near = np.flatnonzero(np.abs(draft.river.across).ravel() < reach)
            if near.size:
                row, column = divmod(int(near[rng.integers(near.size)]), CHIP_PX)
                centre, follows = (column + 0.5, row + 0.5), True
                # The gradient of arc length points downstream.
                ahead = draft.river.along[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
                slope_y, slope_x = (float(np.mean(step)) for step in np.gradient(ahead))
                angle = float(np.arctan2(slope_y, slope_x))
        plans.append((random_mine(rng, centre, angle, area_px), follows and rng.random() < 0.7))
    return plans


def _draw_mines(draft: _Draft, rng: np.random.Generator) -> NDArray[np.bool_]:
    mask = np.zeros(_SHAPE, np.bool_)
    # Nobody can tell a mine dug into braid bars or inside a licensed pit from what it is dug into.
    apart = {"braided_river", "industrial_pit"} & set(draft.names)
    allowed = ~binary_dilation(draft.lookalike, iterations=_APART_PX) if apart else np.ones(_SHAPE, np.bool_)
    if draft.river is not None and rng.random() < 0.6:
        # Diggers work the banks; the channel stays open.
        allowed &= np.abs(draft.river.across) > draft.river_width_px / 2
    for plan, follows in _plan_mines(draft, rng):
        order = dig_order(rng, _SHAPE, plan, draft.river if follows else None)
        where = _without_strays(dug(order, plan.area_px, allowed & ~mask))
        if not where.any():
            continue
        # The core was dug first: with neglect it is the core that greens.
        reach = max(float(order[where].max()), 1e-3)
        age = np.clip((1 - order / reach) * 0.6 + plan.neglect * 1.1 - 0.25, 0, 1) * (plan.neglect > 0.05)
        draw_mine(draft.ground, rng, plan, where, age.astype(np.float32))
        mask |= where
        if rng.random() < 0.4:
            track = survey(
                meander(rng, anchor=plan.centre, heading=rng.uniform(0, 2 * np.pi), half_length_px=60,
                        wavelength_px=50, swing=0.4), _SHAPE,
            )  # fmt: skip
            if track is not None:
                beside = (track.along > 60) & ~mask
                share = np.clip(3.0 / 10 - np.abs(track.across) + 0.5, 0, 1) * 0.6 * beside
                draft.ground.paint(share.astype(np.float32), "laterite", rng)
    return mask


def _without_strays(where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a working less its detached pieces of under `_STRAY_SHARE` of the largest."""
    labels, count = label(where)
    if count == 0:
        return where
    sizes = np.bincount(labels.ravel())
    kept = sizes >= _STRAY_SHARE * sizes[1:].max()
    kept[0] = False
    return kept[labels]


def _patch_areas_ha(mask: NDArray[np.bool_]) -> tuple[float, ...]:
    labels, _ = label(mask)
    return tuple(round(float(size) * HECTARES_PER_PIXEL, 2) for size in np.bincount(labels.ravel())[1:])


def _beyond_swath(rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return the pixels of a chip beyond a slanting swath edge, in blocks of 2 x 2 so that all bands agree."""
    x, y = pixel_grid((CHIP_PX // 2, CHIP_PX // 2))
    along, _ = turned(x, y, CHIP_PX / 4, CHIP_PX / 4, rng.choice([0.0, np.pi]) + rng.normal(0.25, 0.05))
    return doubled(along > rng.uniform(8, 28)).astype(np.bool_)


def _draw(rng: np.random.Generator, kind: Kind, conditions: Conditions) -> tuple[_Draft, NDArray[np.bool_]]:
    ground = Ground.bare(palette(conditions.dryness), _SHAPE)
    draft = _Draft(ground=ground, river=None, river_width_px=0.0, lookalike=np.zeros(_SHAPE, np.bool_), names=[])
    draw_cover(ground, rng, random_cover(rng, wild=kind == "forest"))
    wanted: list[str] = []
    if kind == "lookalike":
        wanted = [str(name) for name in rng.choice(LOOKALIKES, 1 + int(rng.poisson(0.9)))]
    elif kind == "mine":
        wanted = [str(name) for name in LOOKALIKES if name != "industrial_pit" and rng.random() < 0.09]
        if rng.random() < 0.02:
            wanted.append("industrial_pit")
    if kind != "forest" and rng.random() < 0.3:
        draw_plantation(ground, rng)
    river_name = next((name for name in wanted if name in {"sandbar", "braided_river"}), None)
    if river_name is not None or rng.random() < (0.75 if kind == "mine" else 0.4):
        _draw_river(
            draft, rng, wanted=river_name, near_mines=kind == "mine" or rng.random() < 0.3, bars=kind != "forest"
        )
    for name in wanted:
        if name not in {"sandbar", "braided_river"}:
            _draw_lookalike(draft, rng, name)
    mask = _draw_mines(draft, rng) if kind == "mine" else np.zeros(_SHAPE, np.bool_)
    draw_texture(ground, rng)
    heights = elevation(rng, _SHAPE, float(rng.gamma(2.0, 5.0)), draft.river)
    lit = light(heights, conditions.sun_elevation_deg, conditions.sun_azimuth_deg)
    ground.shade(1 + (lit - 1) * (0.35 + 0.65 * ground.canopy))
    return draft, mask


def generate_chip(seed: int, *, kind: Kind | None = None) -> GeneratedChip:
    """Draw the chip of a seed: the same one each time on one version of NumPy.

    `kind` asks for at least one visible mine, for a look-alike and no mine, or for forest with neither; by default
    the seed decides (55, 30 and 15 %). A mine under opaque cloud is not in the mask. Rarely a chip lies at the edge
    of the swath and part of it is nodata.
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)} or None, got {kind!r}")
    rng = np.random.default_rng(seed)
    drawn: Kind = kind or KINDS[int(rng.choice(3, p=[0.55, 0.30, 0.15]))]
    if kind is not None:
        rng = np.random.default_rng([seed, 1 + KINDS.index(kind)])
    while True:
        # A mine may fall under cloud, or a look-alike outside the chip: draw again, from the same stream.
        conditions = random_conditions(rng)
        draft, mask = _draw(rng, drawn, conditions)
        sky = draw_sky(rng, _SHAPE, conditions)
        mask = without_specks(mask & (sky.cloud < _MAX_HIDDEN))
        if (drawn != "mine" or mask.any()) and (drawn != "lookalike" or draft.names):
            break
    seen = through_air(draft.ground.reflectance, rng, conditions, sky, draft.ground.palette["cloud"])
    fine, coarse = capture(seen, rng)
    offset = OFFSET_DN if rng.random() < 0.5 else 0
    dn = np.concatenate([digital_numbers(fine, offset), doubled(digital_numbers(coarse, offset))])
    scl = doubled(classify(fine, coarse, sky))
    if rng.random() < 0.012:
        empty = _beyond_swath(rng)
        cut = without_specks(mask & ~empty)
        if cut.any() == mask.any():
            mask = cut
            dn[:, empty], scl[empty] = 0, 0
    boxes = mask_boxes(mask)
    facts = ChipFacts(
        seed=seed, kind=drawn, lookalikes=tuple(draft.names), mine_areas_ha=_patch_areas_ha(mask),
        conditions=conditions, offset_dn=offset,
    )  # fmt: skip
    return GeneratedChip(
        dn=dn.astype(np.uint16), scl=scl.astype(np.uint8), mask=mask, boxes=tuple(boxes),
        lookalike=draft.lookalike & ~mask, facts=facts,
    )  # fmt: skip
