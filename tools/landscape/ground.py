"""The surface being painted: six bands of reflectance without atmosphere or sensor."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.landscape.fields import FloatField
from tools.landscape.spectra import BANDS

Palette = dict[str, NDArray[np.float32]]

# How strongly crown texture and slopes show in each band: shadows are deepest where leaves are bright (near infrared)
# and soft in the visible, where the sky lights them. Assumed from the look of Sentinel-2 over closed forest.
TEXTURE_BY_BAND = np.array([0.75, 0.95, 0.95, 1.0, 1.1, 1.15], np.float32)


@dataclass(kw_only=True, eq=False)
class Ground:
    """A mutable painting surface; painters add to it in order, later ones on top."""

    palette: Palette
    """Reflectance by cover for the season."""

    reflectance: NDArray[np.float32]
    """Shape (6, height, width)."""

    canopy: FloatField
    """How much of each pixel is closed canopy, 0-1: decides how rough it looks."""

    @classmethod
    def bare(cls, palette: Palette, shape: tuple[int, int]) -> "Ground":
        """Return a surface of nothing but forest."""
        reflectance = np.empty((len(BANDS), *shape), np.float32)
        reflectance[:] = palette["forest"][:, None, None]
        return cls(palette=palette, reflectance=reflectance, canopy=np.ones(shape, np.float32))

    @property
    def shape(self) -> tuple[int, int]:
        """Return (height, width)."""
        return self.canopy.shape[0], self.canopy.shape[1]

    def window(self, rows: slice, columns: slice) -> "Ground":
        """Return a part of this surface; painting on it paints here."""
        return Ground(
            palette=self.palette, reflectance=self.reflectance[:, rows, columns], canopy=self.canopy[rows, columns]
        )

    def blend(self, alpha: FloatField, colour: NDArray[np.float32], canopy: float = 0.0) -> None:
        """Cover a share `alpha` (0-1) of each pixel with a colour, shape (6,) or (6, height, width)."""
        rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
        if rows.size == 0:
            return
        window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        share = alpha[window].astype(np.float32)
        target = self.reflectance[(slice(None), *window)]
        wanted = colour[:, None, None] if colour.ndim == 1 else colour[(slice(None), *window)]
        target += share * (wanted - target)
        self.canopy[window] += share * (np.float32(canopy) - self.canopy[window])

    def paint(self, alpha: FloatField, cover: str, rng: np.random.Generator, variation: float = 0.08) -> None:
        """Cover with one kind of ground whose brightness and hue differ a little each time."""
        self.blend(alpha, varied(self.palette[cover], rng, variation))

    def shade(self, factor: FloatField) -> None:
        """Multiply by a light field around 1, band by band with the depth of `TEXTURE_BY_BAND`."""
        self.reflectance *= 1 + TEXTURE_BY_BAND[:, None, None] * (factor - 1)


def varied(colour: NDArray[np.float32], rng: np.random.Generator, variation: float) -> NDArray[np.float32]:
    """Return a colour made brighter or darker by about `variation`, and its hue changed by a third of that."""
    level = np.exp(rng.normal(0, variation))
    hue = np.exp(rng.normal(0, variation / 3, colour.shape))
    return (colour * level * hue).astype(np.float32)
