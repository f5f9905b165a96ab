"""Things that are not illegal mines and are mistaken for them."""

import numpy as np

from tools.landscape.courses import survey, through
from tools.landscape.fields import FloatField, cells, fractal, pixel_grid, smooth, turned
from tools.landscape.ground import Ground, varied
from tools.landscape.settlements import draw_road


def draw_ponds(ground: Ground, rng: np.random.Generator, centre: tuple[float, float], *, farm: bool) -> FloatField:
    """Paint fish ponds (a tidy block of basins) or one farm pond; return their share of each pixel.

    Banks are grassy and the water is dark or green: no pale spoil around them.
    """
    x, y = pixel_grid(ground.shape)
    along, across = turned(x, y, *centre, rng.uniform(0, np.pi))
    cover = rng.choice(["fish_pond", "water", "pond_green"])
    if farm:
        radius = np.hypot(along, across * rng.uniform(1, 2)) + smooth(rng, ground.shape, 3) * 0.4
        size = rng.uniform(1.5, 7)
        bank = np.clip(size + 1.5 - radius, 0, 1).astype(np.float32)
        ground.blend(bank * 0.7, varied(ground.palette["grass"], rng, 0.08))
        water = np.clip(size - radius, 0, 1).astype(np.float32)
        ground.paint(water, cover, rng, 0.12)
        return np.maximum(bank, water)
    width, length = rng.uniform(2.2, 4.5), rng.uniform(3.0, 7.5)
    rows, columns = int(rng.integers(1, 4)), int(rng.integers(3, 8))
    u, v = across / length, along / width
    block = (np.abs(u) < rows / 2) & (np.abs(v) < columns / 2)
    inner = np.minimum((0.5 - np.abs(u % 1 - 0.5)) * length, (0.5 - np.abs(v % 1 - 0.5)) * width)
    ground.blend(block * np.float32(0.85), varied(ground.palette["grass"], rng, 0.08))
    basin = cells(rng, v, u, jitter=0.0)
    level = np.exp(rng.normal(0, 0.15, basin.count)).astype(np.float32)[basin.index]
    emptied = (rng.random(basin.count) < 0.08)[basin.index]
    water = (block * np.clip((inner - 0.35) * 1.3, 0, 1)).astype(np.float32)
    ground.blend(water * ~emptied, ground.palette[cover][:, None, None] * level)
    ground.blend(water * emptied, ground.palette["field"][:, None, None] * level)
    return block.astype(np.float32)


def draw_bare_fields(ground: Ground, rng: np.random.Generator, centre: tuple[float, float]) -> FloatField:
    """Paint a group of cleared fields with straight sides, some of them burnt; return their share of each pixel."""
    x, y = pixel_grid(ground.shape)
    along, across = turned(x, y, *centre, rng.uniform(0, np.pi))
    parcel = rng.uniform(5, 13)
    fray = smooth(rng, ground.shape, 1.2) * (0.4 / parcel)
    plots = cells(rng, along / (parcel * rng.uniform(1, 1.6)) + fray, across / parcel - fray, jitter=0.5)
    reach = rng.uniform(6, 24)
    distance = np.hypot(along, across).ravel()
    pixels = np.bincount(plots.index.ravel(), minlength=plots.count)
    mean_distance = np.bincount(plots.index.ravel(), distance, plots.count) / np.maximum(pixels, 1)
    near = (mean_distance + rng.normal(0, parcel / 3, plots.count) < reach)[plots.index]
    kind = rng.random(plots.count)
    chosen = near & (kind < 0.75)[plots.index]
    level = np.exp(rng.normal(0, 0.14, plots.count)).astype(np.float32)[plots.index]
    rough = 1 + 0.04 * smooth(rng, ground.shape, 1.0)
    for name, low, high in (("field", 0, 0.35), ("field_red", 0.35, 0.55), ("burnt", 0.55, 0.63), ("stubble", 0.63, 1)):
        share = chosen & ((kind >= low) & (kind < high))[plots.index]
        ground.blend(share.astype(np.float32), ground.palette[name][:, None, None] * level * rough)
    return chosen.astype(np.float32)


def draw_rock(ground: Ground, rng: np.random.Generator, centre: tuple[float, float]) -> FloatField:
    """Paint a granite dome: grey, streaked, ringed with scrub; return its share of each pixel."""
    x, y = pixel_grid(ground.shape)
    along, across = turned(x, y, *centre, rng.uniform(0, np.pi))
    size = rng.uniform(3, 18)
    radius = np.hypot(along, across * rng.uniform(1.0, 2.0)) / size + 0.25 * smooth(rng, ground.shape, size / 3)
    bare = np.clip((1 - radius) * size * 0.5, 0, 1)
    ground.blend(np.clip((1.35 - radius) * 2, 0, 0.7).astype(np.float32), varied(ground.palette["grass"], rng, 0.1))
    streaks = 1 + 0.12 * fractal(rng, ground.shape, 1.0)
    ground.blend(bare.astype(np.float32), varied(ground.palette["rock"], rng, 0.12)[:, None, None] * streaks)
    scrub = bare * np.clip(smooth(rng, ground.shape, 1.2) - 0.9, 0, 0.9)
    ground.blend(scrub.astype(np.float32), ground.palette["fallow"])
    return bare.astype(np.float32)


def draw_reservoir(ground: Ground, rng: np.random.Generator, centre: tuple[float, float]) -> FloatField:
    """Paint a dammed lake with a straight dam and drowned side valleys; return its share of each pixel."""
    x, y = pixel_grid(ground.shape)
    along, across = turned(x, y, *centre, rng.uniform(0, 2 * np.pi))
    size = rng.uniform(6, 22)
    depth = 1 - np.hypot(along / size - 0.8, across / (size * 0.6)) + 0.35 * smooth(rng, ground.shape, size / 3)
    lake = np.clip(depth * size * 0.5, 0, 1) * (along > 0)
    dam = (np.abs(along + 0.8) < 0.9) & (np.abs(across) < size * 0.65)
    ground.paint(lake.astype(np.float32), "water", rng, 0.15)
    ground.paint(dam * np.float32(0.8), "grass", rng)
    return np.maximum(lake, dam).astype(np.float32)


def _off(centre: tuple[float, float], distance_px: float, angle: float) -> tuple[float, float]:
    return centre[0] + distance_px * float(np.cos(angle)), centre[1] + distance_px * float(np.sin(angle))


def _draw_tailings_dam(
    ground: Ground, rng: np.random.Generator, centre: tuple[float, float], side_px: float
) -> FloatField:
    """Paint a walled basin of pale silt with a pool where its water gathers; return its share of each pixel."""
    x, y = pixel_grid(ground.shape)
    u, v = turned(x, y, *centre, rng.uniform(0, np.pi))
    border = np.minimum(side_px - np.abs(u), side_px * rng.uniform(0.5, 1.0) - np.abs(v))
    beach = np.clip(border + 0.5, 0, 1).astype(np.float32)
    silt = 1 + 0.05 * smooth(rng, ground.shape, 1.0)
    ground.blend(beach, varied(ground.palette["tailings"], rng, 0.06)[:, None, None] * silt)
    ground.blend((beach * (border < 1.6)).astype(np.float32), ground.palette["waste_rock"])
    decant = np.hypot(u - side_px * 0.55, v + side_px * 0.3) / (side_px * rng.uniform(0.25, 0.6))
    pool = np.clip((1 - decant - 0.15 * smooth(rng, ground.shape, 4)) * 5, 0, 1) * (border > 2)
    ground.paint((beach * pool).astype(np.float32), "fish_pond", rng, 0.1)
    return beach


def draw_industrial_pit(
    ground: Ground, rng: np.random.Generator, centre: tuple[float, float], radius_px: float
) -> FloatField:
    """Paint a licensed mine; return its share of each pixel.

    What tells it from galamsey: one large grey pit with concentric benches, terraced waste dumps, a walled tailings
    dam with straight sides, a plant with roofs, and wide haul roads.
    """
    shape = ground.shape
    x, y = pixel_grid(shape)
    angle = rng.uniform(0, 2 * np.pi)
    along, across = turned(x, y, *centre, angle)
    outline = np.hypot(along, across * rng.uniform(1.1, 1.6)) / radius_px
    outline = outline + 0.10 * smooth(rng, shape, radius_px / 3) + 0.02 * smooth(rng, shape, 2.0)
    footprint = np.zeros(shape, np.float32)
    rough = 1 + 0.05 * smooth(rng, shape, 0.8)
    palette = ground.palette

    def terraces(field: FloatField, steps: int, name: str, contrast: float) -> None:
        share = np.clip((1 - field) * radius_px * 0.6, 0, 1).astype(np.float32)
        wander = field * steps + 0.25 * smooth(rng, shape, radius_px / 2)
        faded = np.clip(0.6 + 0.5 * smooth(rng, shape, radius_px / 3), 0, 1)
        face = (wander % 1 < 0.4) * contrast * faded
        ground.blend(share, varied(palette[name], rng, 0.08)[:, None, None] * (1 - face) * rough)
        np.maximum(footprint, share, out=footprint)

    dump_angle = angle + rng.uniform(0.6, 2.4)
    dump_x, dump_y = _off(centre, rng.uniform(1.3, 1.9) * radius_px, dump_angle)
    dam_angle = dump_angle + np.pi + rng.uniform(-1.3, 1.3)
    dam_x, dam_y = _off(centre, rng.uniform(1.8, 2.3) * radius_px, dam_angle)
    has_dump, has_dam = rng.random() < 0.85, rng.random() < 0.7
    if has_dump:
        dump_u, dump_v = turned(x, y, dump_x, dump_y, angle)
        dump = np.hypot(dump_u, dump_v * rng.uniform(1.0, 1.8)) / (rng.uniform(0.5, 0.9) * radius_px)
        terraces(dump + 0.22 * smooth(rng, shape, radius_px / 3), 4, "waste_rock", 0.18)
    terraces(outline, int(rng.integers(3, 7)), "bench", 0.3)
    if rng.random() < 0.6:
        lake = np.clip((rng.uniform(0.12, 0.35) - outline) * radius_px * 0.5, 0, 1).astype(np.float32)
        ground.paint(lake, "fish_pond", rng, 0.1)
    if has_dam:
        beach = _draw_tailings_dam(ground, rng, (dam_x, dam_y), rng.uniform(0.6, 1.3) * radius_px)
        np.maximum(footprint, beach, out=footprint)

    targets = ((dump_x, dump_y), (dam_x, dam_y), _off(centre, 5 * radius_px, rng.uniform(0, 2 * np.pi)))
    for target, there in zip(targets, (has_dump, has_dam, True), strict=True):
        road = survey(through([centre, target], rng, radius_px / 6), shape) if there else None
        if road is not None:
            haul = draw_road(ground, rng, road, cover="waste_rock", width_m=28)
            np.maximum(footprint, haul * (outline > 0.9), out=footprint)
    plant_u, plant_v = turned(x, y, *_off(centre, 1.35 * radius_px, angle), angle)
    yard = (np.abs(plant_u) < 4.5) & (np.abs(plant_v) < 6)
    halls = yard & ((plant_v / 3.1) % 1 < 0.6) & (np.abs(plant_u) < 3)
    ground.paint(yard.astype(np.float32), "waste_rock", rng)
    ground.paint(halls * np.float32(0.9), "roof_zinc", rng)
    return np.maximum(footprint, yard).astype(np.float32)
