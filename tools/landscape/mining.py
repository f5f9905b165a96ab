"""Small-scale mines: pits and spoil heaps, ponds in rows, and how they grow and green over the years.

The setting (strips of dug ground along valley floors, dotted with ponds that turn green once left) follows Forkuor
et al. 2020, doi:10.3390/rs12060911, and Gerson et al. 2020, doi:10.1126/sciadv.abd4953; the numbers are assumed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.landscape.boxes import without_specks
from tools.landscape.courses import Course
from tools.landscape.fields import FloatField, cells, pixel_grid, smooth, turned
from tools.landscape.ground import Ground, varied

HECTARES_PER_PIXEL = 0.01

MAX_NEGLECT = 0.75
"""A working that has greened over more than this is bush with ponds again, and no longer labelled a mine."""


@dataclass(frozen=True, kw_only=True)
class MinePlan:
    """One mine: where it lies and how it is worked."""

    centre: tuple[float, float]
    """Pixels right of and below the grid's upper left corner."""

    angle: float
    """Direction of its long axis in radians from x towards y; unused where it follows a river."""

    area_px: int
    """Size at the time it is drawn, pixels of 0.01 ha."""

    elongation: float
    """Length over width, 1-5."""

    pond_share: float
    """Share of the dug cells that hold water, 0-1."""

    pond_px: float
    """Spacing of the ponds, pixels."""

    neglect: float
    """Share of the site that lies abandoned and is greening, 0-1; drawn up to `MAX_NEGLECT`."""

    ochre: float
    """0 pale washed gravel to 1 red subsoil."""


def random_area_px(rng: np.random.Generator) -> int:
    """Draw a size between 0.1 and 40 ha: even in its logarithm, with most weight under 10 ha.

    A working of fewer than ten pixels cannot be told from a clearing or a bend of a track, so nobody would label it.
    """
    return round(float(np.exp(rng.triangular(np.log(10), np.log(100), np.log(4000)))))


def random_mine(rng: np.random.Generator, centre: tuple[float, float], angle: float, area_px: int) -> MinePlan:
    """Draw how a mine of a given place and size is worked."""
    # A tiny working is one or two pits; its pond must be small enough to leave some spoil visible.
    largest = max(2.2, min(6.5, np.sqrt(area_px) / 2))
    return MinePlan(
        centre=centre, angle=angle + rng.normal(0, 0.25), area_px=area_px, elongation=1 + rng.gamma(2.0, 0.6),
        pond_share=float(rng.beta(2.6, 2.6)), pond_px=rng.uniform(2.0, largest),
        neglect=MAX_NEGLECT * float(rng.beta(1.0, 2.6)), ochre=float(rng.beta(1.2, 1.6)),
    )  # fmt: skip


def dig_order(rng: np.random.Generator, shape: tuple[int, int], plan: MinePlan, course: Course | None) -> FloatField:
    """Return the order in which the ground is dug: 0 at the first pit, growing outwards, without unit.

    The site spreads along the river where a course is given, else along its own axis. Excavators take the ground in
    plots, so that outlines are lobed and some ground stays untouched between plots.
    """
    x, y = pixel_grid(shape)
    column = min(max(int(plan.centre[0]), 0), shape[1] - 1)
    row = min(max(int(plan.centre[1]), 0), shape[0] - 1)
    if course is None:
        along, across = turned(x, y, *plan.centre, plan.angle)
    else:
        along = course.along - course.along[row, column]
        across = course.across - course.across[row, column]
        # Beyond a bend the same stretch of river comes near again: keep to the near one.
        far = np.hypot(x - plan.centre[0], y - plan.centre[1])
        along = np.where(far > 3.5 * np.sqrt(plan.area_px * plan.elongation) + 8, np.float32(1e4), along)
    size = np.sqrt(plan.area_px / np.pi)
    stretch = np.sqrt(plan.elongation)
    u, v = along / (size * stretch), across * (stretch / size)
    radius = np.sqrt(u * u + v * v)
    plot_px = float(np.clip(size / 2.0, 1.5, 8.0))
    plots = cells(rng, along / (plot_px * 1.4), across / plot_px, jitter=0.85)
    patchiness = rng.uniform(0.15, 0.6)
    delay = (rng.random(plots.count) ** 2 * patchiness)[plots.index]
    ragged = 0.18 * smooth(rng, shape, max(0.8, size / 5))
    return (radius + delay + ragged).astype(np.float32)


def dug(order: FloatField, area_px: float, allowed: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Return the first `area_px` pixels in order of digging, less specks; grows monotonically with `area_px`."""
    usable = order if allowed is None else np.where(allowed, order, np.inf)
    count = min(int(area_px), int(np.isfinite(usable).sum()))
    if count == 0:
        return np.zeros(order.shape, np.bool_)
    limit = np.partition(usable.ravel(), count - 1)[count - 1]
    return without_specks(usable <= limit)


def draw_mine(
    ground: Ground,
    rng: np.random.Generator,
    plan: MinePlan,
    where: NDArray[np.bool_],
    age: FloatField,
) -> None:
    """Paint a mine over the pixels `where`.

    `age` says how long ago each pixel was dug, 0 fresh to 1 long abandoned: old ponds are green and dark, old spoil
    carries grass and shrub.
    """
    shape = ground.shape
    x, y = pixel_grid(shape)
    along, across = turned(x, y, *plan.centre, plan.angle)
    warp = smooth(rng, shape, 5.0) * 0.25
    basins = cells(rng, along / (plan.pond_px * 1.35) + warp, across / plan.pond_px - warp, jitter=0.55)
    count = basins.count
    kind = rng.random(count).astype(np.float32)
    level = np.exp(rng.normal(0, 0.13, count)).astype(np.float32)[basins.index]
    milky = rng.beta(1.0, 1.8, count).astype(np.float32)[basins.index]
    redness = np.clip(plan.ochre + rng.normal(0, 0.25, count), 0, 1).astype(np.float32)[basins.index]
    greening = np.clip(age * 1.5 - 0.45 + 0.25 * smooth(rng, shape, 2.0), 0, 1)

    palette = ground.palette
    spoil = palette["spoil"][:, None, None] + redness * (palette["spoil_ochre"] - palette["spoil"])[:, None, None]
    heaps = 1 + 0.09 * smooth(rng, shape, 0.8) + 0.06 * smooth(rng, shape, 3.0)
    # Damp, trodden and mixed ground: on the whole darker than the washed gravel of the palette.
    tone = np.float32(np.exp(rng.normal(-0.14, 0.14)))
    inside = where.astype(np.float32)
    ground.blend(inside, spoil * level * heaps * tone)

    is_pond = (kind < plan.pond_share)[basins.index]
    is_slurry = ((kind >= plan.pond_share) & (kind < plan.pond_share + 0.14))[basins.index]
    ground.blend(inside * is_slurry * 0.85, palette["slurry"][:, None, None] * level)
    growth = np.clip(greening * 1.2 - 0.15, 0, 0.9) * inside * ~is_pond
    mixed = 0.55 * palette["grass"] + 0.45 * palette["fallow"]
    ground.blend(growth.astype(np.float32), varied(mixed, rng, 0.1), canopy=0.2)

    dike = 0.42 / plan.pond_px
    shore = np.clip((basins.edge - dike) * plan.pond_px * 1.3, 0, 1)
    fresh = palette["pond"][:, None, None] + milky * (palette["pond_milky"] - palette["pond"])[:, None, None]
    stale = palette["pond_green"][:, None, None] * np.ones_like(milky)
    settled = np.clip(greening * 1.4 + (milky < 0.06) * 0.5, 0, 1)
    water = (fresh + settled * (stale - fresh)) * (0.5 + 0.5 * level)
    ground.blend((inside * is_pond * shore).astype(np.float32), water.astype(np.float32))
    ground.canopy *= 1 - inside * (1 - np.float32(0.3) * greening)
