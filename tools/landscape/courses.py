"""Lines that wind through a landscape: rivers, streams and roads."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, uniform_filter1d

from tools.landscape.fields import FloatField

_STEP_PX = 0.5
_MARGIN_PX = 24


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """A curve as dense points, in flow direction."""

    x: NDArray[np.float64]
    """Pixels to the right of the grid's upper left corner, shape (points,)."""

    y: NDArray[np.float64]
    """Pixels below it, shape (points,)."""

    heading: NDArray[np.float64]
    """Direction of travel in radians from x towards y, shape (points,)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Course:
    """The pixels of a grid seen from a line."""

    along: FloatField
    """Arc length of the nearest point of the line, pixels; less than 0 or more than its length beyond its ends."""

    across: FloatField
    """Signed distance from the line, pixels; positive to the right of the flow as drawn with y down."""

    bend: FloatField
    """Curvature of the nearest point, 1 / pixels; positive where the line turns towards positive `across`."""


def upstream(line: Line, length_px: float) -> Line:
    """Return the part of a line that leads to its middle point: a tributary that joins at its anchor."""
    middle = len(line.x) // 2
    part = slice(max(0, middle - int(length_px / _STEP_PX)), middle + 1)
    return Line(x=line.x[part], y=line.y[part], heading=line.heading[part])


def meander(
    rng: np.random.Generator,
    *,
    anchor: tuple[float, float],
    heading: float,
    half_length_px: float,
    wavelength_px: float,
    swing: float,
    drift: float = 0.15,
) -> Line:
    """Return a curve through `anchor` that swings like a river.

    The direction follows the sine-generated curve (Langbein and Leopold 1966, USGS Professional Paper 422-H) with an
    uneven wavelength and amplitude. `swing` is the largest turn away from `heading` in radians: 0.3 wanders like a
    road, 1.3 meanders. `drift` adds slow turns.
    """
    count = int(half_length_px / _STEP_PX)
    arc = np.arange(-count, count + 1) * _STEP_PX
    wobble = sum(
        rng.normal(0, 1 / order) * np.sin(2 * np.pi * arc / (wavelength_px * 2.3 * order) + rng.uniform(0, 2 * np.pi))
        for order in (1.0, 1.7, 2.9)
    )
    phase = 2 * np.pi * arc / wavelength_px + rng.uniform(0, 2 * np.pi) + 1.3 * wobble
    strength = swing * (0.65 + 0.5 * np.sin(2 * np.pi * arc / (wavelength_px * 3.7) + rng.uniform(0, 2 * np.pi)))
    slow = drift * np.sin(2 * np.pi * arc / (wavelength_px * 5.3) + rng.uniform(0, 2 * np.pi))
    direction = heading + strength * np.sin(phase) + slow
    x = np.cumsum(np.cos(direction)) * _STEP_PX
    y = np.cumsum(np.sin(direction)) * _STEP_PX
    return Line(x=x - x[count] + anchor[0], y=y - y[count] + anchor[1], heading=direction)


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smooth the corners of a coordinate along a line; mirrored through its ends, so that they stay in place."""
    reach = 15
    return uniform_filter1d(np.pad(values, reach, mode="reflect", reflect_type="odd"), 2 * reach + 1)[reach:-reach]


def through(points: list[tuple[float, float]], rng: np.random.Generator, wander_px: float = 2.0) -> Line:
    """Return a road-like curve through given points, wandering up to about `wander_px` between them."""
    corners = np.array(points, np.float64)
    lengths = np.hypot(*np.diff(corners, axis=0).T)
    knots = np.concatenate([[0.0], np.cumsum(lengths)])
    arc = np.arange(0.0, knots[-1], _STEP_PX)
    x, y = (np.interp(arc, knots, corners[:, axis]) for axis in (0, 1))
    # The ends stay where they are wanted; the rest wanders in bends that a lorry can take.
    slack = np.minimum(1, np.minimum(arc, arc[-1] - arc) / 25)
    for wavelength, share in ((140.0, 0.7), (61.0, 0.25)):
        x = x + slack * rng.normal(0, wander_px * share) * np.sin(2 * np.pi * arc / wavelength + rng.uniform(0, 6.3))
        y = y + slack * rng.normal(0, wander_px * share) * np.sin(2 * np.pi * arc / wavelength + rng.uniform(0, 6.3))
    x, y = _rounded(x), _rounded(y)
    return Line(x=x, y=y, heading=np.arctan2(np.gradient(y), np.gradient(x)))


def survey(line: Line, shape: tuple[int, int]) -> Course | None:
    """Measure every pixel of a grid from a line; None if the line passes nowhere near the grid.

    The nearest point is found on the pixel grid and then refined by its tangent, good to a few hundredths of a pixel
    within some pixels of the line.
    """
    height, width = shape
    column = np.floor(line.x).astype(np.intp) + _MARGIN_PX
    row = np.floor(line.y).astype(np.intp) + _MARGIN_PX
    inside = np.flatnonzero(
        (column >= 0) & (column < width + 2 * _MARGIN_PX) & (row >= 0) & (row < height + 2 * _MARGIN_PX)
    )
    if inside.size == 0:
        return None
    owner = np.full((height + 2 * _MARGIN_PX, width + 2 * _MARGIN_PX), -1, np.intp)
    owner[row[inside], column[inside]] = inside
    nearest = distance_transform_edt(owner < 0, return_distances=False, return_indices=True)
    window = (slice(_MARGIN_PX, _MARGIN_PX + height), slice(_MARGIN_PX, _MARGIN_PX + width))
    point = owner[nearest[0][window], nearest[1][window]]
    y, x = np.indices(shape, dtype=np.float32)
    dx, dy = x + 0.5 - line.x[point], y + 0.5 - line.y[point]
    cosine, sine = np.cos(line.heading)[point], np.sin(line.heading)[point]
    curvature = np.gradient(line.heading, _STEP_PX)
    ahead, across = dx * cosine + dy * sine, dy * cosine - dx * sine
    # Beyond the ends of the line its tangent goes on and the line does not.
    ended = ((point < 4) & (ahead < -1)) | ((point > len(line.x) - 5) & (ahead > 1))
    return Course(
        along=(point * _STEP_PX + ahead).astype(np.float32),
        across=np.where(ended, np.copysign(np.hypot(ahead, across), across), across).astype(np.float32),
        bend=curvature[point].astype(np.float32),
    )


def band(course: Course, half_width_px: float | FloatField) -> FloatField:
    """Return how much of each pixel lies within `half_width_px` of the line, 0-1."""
    distance = np.abs(course.across)
    return np.clip(half_width_px - distance + 0.5, 0, 1) * np.minimum(1, 2 * half_width_px)
