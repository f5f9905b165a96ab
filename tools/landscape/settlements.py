"""Where people live: towns, villages and the roads between them."""

import numpy as np

from tools.landscape.courses import Course, band
from tools.landscape.fields import FloatField, cells, pixel_grid, smooth, turned
from tools.landscape.ground import Ground, varied


def draw_town(ground: Ground, rng: np.random.Generator, centre: tuple[float, float], radius_px: float) -> FloatField:
    """Paint roofs, trodden earth and yard trees, thinning outwards; return how much of each pixel is built up."""
    x, y = pixel_grid(ground.shape)
    along, across = turned(x, y, *centre, rng.uniform(0, np.pi))
    radius = (
        np.hypot(along, across * rng.uniform(1.0, 1.6))
        + smooth(rng, ground.shape, max(2.0, radius_px / 4)) * radius_px * 0.3
    )
    built = np.clip((radius_px - radius) / (0.6 * radius_px) + 0.3, 0, 1)
    blocks = cells(rng, along / rng.uniform(1.8, 2.6), across / 1.7, jitter=0.6)
    kind = rng.random(blocks.count).astype(np.float32)
    level = np.exp(rng.normal(0, 0.14, blocks.count)).astype(np.float32)[blocks.index]
    occupied = (rng.random(blocks.count) < 0.82)[blocks.index]
    roof_share = np.clip(0.25 + blocks.edge * 0.9, 0, 0.85).astype(np.float32)
    zinc_share, roofing = rng.uniform(0.1, 0.45), rng.uniform(0.55, 1.0)
    ground.blend((built * rng.uniform(0.5, 0.8)).astype(np.float32), varied(ground.palette["earth"], rng, 0.08))
    for name, chosen in (
        ("roof_zinc", kind < zinc_share),
        ("roof_rust", (kind >= zinc_share) & (kind < 0.8)),
        ("fallow", kind >= 0.8),
    ):
        # Roofs are smaller than pixels: even the brightest block is mixed with its yard.
        share = built * roof_share * chosen[blocks.index] * occupied * roofing
        ground.blend(share.astype(np.float32), ground.palette[name][:, None, None] * level)
    return built.astype(np.float32)


def draw_road(ground: Ground, rng: np.random.Generator, course: Course, *, cover: str, width_m: float) -> FloatField:
    """Paint a road of a given width with grassy verges; return its share of each pixel."""
    share = band(course, width_m / 20)
    ground.blend((band(course, width_m / 20 + 0.7) * 0.35).astype(np.float32), ground.palette["grass"])
    patchy = np.clip(0.9 + 0.12 * smooth(rng, ground.shape, 2.0), 0.5, 1)
    ground.blend((share * patchy).astype(np.float32), varied(ground.palette[cover], rng, 0.08))
    return share.astype(np.float32)
