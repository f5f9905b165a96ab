"""Vegetation of the forest zone: high forest, cocoa, plantations and the smallholder mosaic."""

from dataclasses import dataclass

import numpy as np

from tools.landscape.courses import Course
from tools.landscape.fields import Cells, FloatField, cells, fractal, pixel_grid, smooth, turned
from tools.landscape.ground import Ground, varied

_PARCEL_COVERS = (
    "forest", "cocoa", "fallow", "crops", "grass", "stubble", "field", "field_red", "burnt", "plantation",
    "forest_pale",
)  # fmt: skip
_PARCEL_CANOPY = np.array([1.0, 0.75, 0.5, 0.15, 0.1, 0.05, 0.0, 0.0, 0.0, 0.55, 0.9], np.float32)
# Share of parcels by cover, from the least to the most used land (rows sum to 1). Assumed: SW Ghana is mostly cocoa
# and fallow, with small open fields near settlements.
_PARCEL_SHARES = np.array(
    [
        [0.34, 0.30, 0.14, 0.02, 0.01, 0.00, 0.005, 0.005, 0.00, 0.03, 0.15],
        [0.10, 0.38, 0.26, 0.07, 0.04, 0.01, 0.010, 0.010, 0.01, 0.04, 0.07],
        [0.04, 0.22, 0.30, 0.18, 0.10, 0.05, 0.030, 0.020, 0.02, 0.02, 0.02],
    ],
    np.float32,
)


@dataclass(frozen=True, kw_only=True)
class CoverPlan:
    """What grows where, before any single feature is drawn."""

    forest_share: float
    """Share of the ground under high forest, 0-1."""

    use: float
    """How intensively the rest is farmed: 0 cocoa under trees, 1 open fields."""

    parcel_px: float
    """Typical width of a farm parcel, pixels."""

    edge_px: float
    """Width of the features of the forest's outline, pixels."""

    reserve_edge: bool = False
    """Whether the forest ends at a straight surveyed line, as forest reserves do."""


def random_cover(rng: np.random.Generator, *, wild: bool = False) -> CoverPlan:
    """Draw a plausible plan; `wild` ones are nearly all forest."""
    if wild:
        return CoverPlan(
            forest_share=rng.uniform(0.75, 1.0), use=rng.uniform(0, 0.4), parcel_px=rng.uniform(5, 10),
            edge_px=rng.uniform(8, 30), reserve_edge=False,
        )  # fmt: skip
    return CoverPlan(
        forest_share=float(np.clip(rng.normal(0.35, 0.3), 0, 0.95)),
        use=float(rng.beta(1.6, 1.6)),
        parcel_px=rng.uniform(3.5, 11),
        edge_px=rng.uniform(5, 26),
        reserve_edge=bool(rng.random() < 0.12),
    )


def _parcel_shares(use: float) -> np.ndarray:
    position = 2 * use
    lower = min(int(position), 1)
    return _PARCEL_SHARES[lower] + (position - lower) * (_PARCEL_SHARES[lower + 1] - _PARCEL_SHARES[lower])


def _draw_parcels(ground: Ground, rng: np.random.Generator, plan: CoverPlan) -> Cells:
    x, y = pixel_grid(ground.shape)
    along, across = turned(x, y, 0, 0, rng.uniform(0, np.pi))
    # Parcels have crooked sides, and hedges and trees fray them.
    warp = smooth(rng, ground.shape, plan.parcel_px) * 0.18 + smooth(rng, ground.shape, 1.1) * (0.55 / plan.parcel_px)
    stretch = rng.uniform(1.0, 1.7)
    parcels = cells(
        rng, along / (plan.parcel_px * stretch) + warp, across / plan.parcel_px - warp, jitter=rng.uniform(0.45, 0.95)
    )
    covers = rng.choice(len(_PARCEL_COVERS), parcels.count, p=_parcel_shares(plan.use) / _parcel_shares(plan.use).sum())
    colours = np.stack([ground.palette[name] for name in _PARCEL_COVERS])[covers]
    level = np.exp(rng.normal(0, 0.10, (parcels.count, 1)))
    hue = np.exp(rng.normal(0, 0.035, colours.shape))
    # Smallholdings are mixed inside: every parcel holds some cocoa and fallow, in patches.
    usual = 0.5 * (ground.palette["cocoa"] + ground.palette["fallow"])
    mixed = rng.beta(1.5, 1.8, (parcels.count, 1))
    colours = ((colours + mixed * 0.75 * (usual - colours)) * level * hue).astype(np.float32)
    ground.reflectance[:] = colours.T[:, parcels.index]
    patches = np.clip(0.3 + 0.32 * fractal(rng, ground.shape, 1.1, outer_px=24), 0, 0.85).astype(np.float32)
    ground.reflectance += patches * (usual[:, None, None] - ground.reflectance)
    ground.canopy[:] = _PARCEL_CANOPY[covers][parcels.index]
    return parcels


def draw_cover(ground: Ground, rng: np.random.Generator, plan: CoverPlan, wildness: FloatField | None = None) -> None:
    """Paint the whole surface with vegetation.

    `wildness` (any units, higher is wilder) says where forest stands; drawn at random if not given.
    """
    shape = ground.shape
    _draw_parcels(ground, rng, plan)
    ragged = smooth(rng, shape, 1.6) * 0.12
    coarse = smooth(rng, shape, plan.edge_px)
    x, y = pixel_grid(shape)
    angle, offset = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3)
    if wildness is None:
        wildness = coarse
        if plan.reserve_edge:
            line, _ = turned(x, y, shape[1] / 2, shape[0] / 2, angle)
            wildness = line / (shape[1] / 4) + offset
    wildness = wildness + ragged
    threshold = np.quantile(wildness[::4, ::4], 1 - plan.forest_share) if plan.forest_share < 1 else -np.inf
    forest = np.clip((wildness - threshold) * 4 + 0.5, 0, 1).astype(np.float32)
    ground.blend(forest, varied(ground.palette["forest"], rng, 0.06), canopy=1.0)

    # Crowns: emergent pale ones and dark gaps, in patches of unequal age.
    crowns = smooth(rng, shape, 0.75) + 0.6 * smooth(rng, shape, 2.5) + 0.5 * smooth(rng, shape, 9.0)
    pale = np.clip((crowns - 1.0) * 0.55, 0, 0.8) * ground.canopy
    gaps = np.clip((-crowns - 1.1) * 0.5, 0, 0.75) * ground.canopy
    ground.blend(pale, ground.palette["forest_pale"], canopy=1.0)
    ground.blend(gaps, ground.palette["forest_gap"], canopy=1.0)

    # Shade trees left standing in farms.
    trees = np.clip((smooth(rng, shape, 0.6) - 1.75) * 1.6, 0, 0.85) * (1 - forest)
    ground.blend(trees.astype(np.float32), ground.palette["forest"], canopy=1.0)


def draw_plantation(ground: Ground, rng: np.random.Generator) -> None:
    """Paint one block of oil palm or rubber: straight sides, even crowns, access rides."""
    height, width = ground.shape
    x, y = pixel_grid(ground.shape)
    angle, side = rng.uniform(0, np.pi), rng.uniform(20, 60)
    along, across = turned(x, y, rng.uniform(0, width), rng.uniform(0, height), angle)
    inside = np.clip(np.minimum(side - np.abs(along), side * rng.uniform(0.5, 1) - np.abs(across)) + 0.5, 0, 1)
    ground.blend(inside.astype(np.float32), varied(ground.palette["plantation"], rng, 0.08), canopy=0.45)
    block = rng.uniform(9, 16)
    rides = np.minimum(np.abs((along / block) % 1 - 0.5), np.abs((across / block) % 1 - 0.5)) * block
    ground.blend((inside * np.clip(0.5 - rides, 0, 1) * 0.6).astype(np.float32), ground.palette["grass"])


def draw_riparian(ground: Ground, rng: np.random.Generator, course: Course, reach_px: float) -> None:
    """Paint swamp and gallery forest beside a stream, out to about `reach_px`."""
    distance = np.abs(course.across) + smooth(rng, ground.shape, 4.0) * reach_px * 0.45
    wet = np.clip((reach_px - distance) / 3, 0, 1) * np.float32(rng.uniform(0.5, 0.95))
    ground.blend(wet.astype(np.float32), varied(ground.palette["swamp"], rng, 0.07), canopy=0.85)


def draw_texture(ground: Ground, rng: np.random.Generator) -> None:
    """Roughen the surface: strongly in canopies, little on open ground."""
    crowns = smooth(rng, ground.shape, 0.7) * 0.75 + fractal(rng, ground.shape, 0.9) * 0.65
    depth = 0.025 + 0.065 * ground.canopy
    ground.shade((1 + depth * crowns).astype(np.float32))
    # Leaves of unequal colour: the visible bands do not rise and fall together with the near infrared.
    tint = fractal(rng, ground.shape, 1.2) * (0.02 + 0.03 * ground.canopy)
    ground.reflectance[:3] *= 1 + tint
    ground.reflectance[4:] *= 1 + tint * np.float32(0.8)
