"""Rivers: their water, sandbars, and reaches that split into many threads."""

from dataclasses import dataclass

import numpy as np

from tools.landscape.courses import Course, band
from tools.landscape.fields import FloatField, cells, smooth
from tools.landscape.ground import Ground, varied


@dataclass(frozen=True, kw_only=True)
class RiverPlan:
    """How one river looks."""

    width_px: float
    """Width of the water, pixels; under 1 is a stream seen as a mixed pixel."""

    turbidity: float
    """0 clear dark water to 1 the milky brown below mines."""

    sandbars: float = 0.0
    """How much of the inner bends is bare sand, 0-1."""


def draw_river(ground: Ground, rng: np.random.Generator, course: Course, plan: RiverPlan) -> FloatField:
    """Paint a river and its point bars; return how much of each pixel is sand."""
    width = plan.width_px * (1 + 0.18 * np.sin(course.along / 17.0) + 0.12 * np.sin(course.along / 7.3 + 1.0))
    half = (width / 2).astype(np.float32)
    clear, turbid = ground.palette["river"], ground.palette["river_turbid"]
    sand = np.zeros(ground.shape, np.float32)
    ragged = smooth(rng, ground.shape, 1.2) * 0.35
    bar_seed = rng.uniform(0, 2 * np.pi, 2)
    if plan.sandbars > 0:
        # Sand gathers on the inner side of a bend, in some bends and not in others.
        inner = -np.sign(course.bend) * course.across
        fullness = np.abs(course.bend) * 14 * plan.sandbars * (0.7 + 0.6 * np.sin(course.along / 41 + bar_seed[0]))
        reach = half * np.clip(1 + fullness, 0, 2.2) + ragged
        bar = np.clip(inner - half * (0.9 - fullness * 0.7) + 0.5, 0, 1) * np.clip(reach + 1.2 - inner + 0.5, 0, 1)
        sand = (bar * np.clip(fullness * 3 - 0.5, 0, 1)).astype(np.float32)
    water = band(course, half) * (1 - 0.92 * sand)
    ground.blend(water.astype(np.float32), varied(clear + np.float32(plan.turbidity) * (turbid - clear), rng, 0.08))
    ground.blend(sand, varied(ground.palette["sand"], rng, 0.08))
    ground.blend((sand * np.clip(0.4 + ragged, 0, 1)).astype(np.float32), ground.palette["sand_wet"])
    return sand


def draw_braids(
    ground: Ground, rng: np.random.Generator, course: Course, plan: RiverPlan, *, belt_px: float
) -> FloatField:
    """Paint a braided reach: threads of water between bars, over a belt of `belt_px`; return how much is sand."""
    stretch = rng.uniform(3.5, 6.0)
    bars = cells(
        rng,
        course.along / (stretch * 3.2) + smooth(rng, ground.shape, 5) * 0.2,
        course.across / 3.6 + smooth(rng, ground.shape, 3) * 0.3,
        jitter=1.0,
    )
    belt = np.clip((belt_px / 2 - np.abs(course.across) + smooth(rng, ground.shape, 3.0) * 1.5) / 1.5, 0, 1)
    dry = np.clip((bars.edge - rng.uniform(0.12, 0.32) - 0.12 * smooth(rng, ground.shape, 4)) * 7, 0, 1)
    grown = (rng.random(bars.count) < 0.3)[bars.index]
    level = np.exp(rng.normal(0, 0.10, bars.count)).astype(np.float32)[bars.index]
    clear, turbid = ground.palette["river"], ground.palette["river_turbid"]
    ground.blend(belt.astype(np.float32), varied(clear + np.float32(plan.turbidity) * (turbid - clear), rng, 0.08))
    sand = (belt * dry * ~grown).astype(np.float32)
    ground.blend(sand, ground.palette["sand"][:, None, None] * level)
    ground.blend((belt * dry * grown * 0.8).astype(np.float32), varied(ground.palette["fallow"], rng, 0.08), canopy=0.4)
    return sand
