"""Look at the days on offer beside the chosen one, so that people can compare them: chip cloud and a small picture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from galamsey.errors import NoUsableImageError, RasterError, UnreachableError
from galamsey.imagery import classes_picture, look_at, preview

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from galamsey.dates import Day
    from galamsey.geo import Point
    from galamsey.imagery import Archive, ReadPreview

SURVEY_DAYS: Final = 12
"""How many days are listed at first, and looked at once the list is open: each costs a tile of its classification."""


async def survey(
    days: Sequence[Day], point: Point, archive: Archive, read_preview: ReadPreview, tell: Callable[[Day], None]
) -> None:
    """Tell what becomes known of each day, one after the other.

    First comes the picture of the classification, which costs nothing more; then one in natural colour from the
    files' overviews, where these are small. A day that cannot be read is told as such. Raises UnreachableError when the
    archive does not answer at all.
    """
    for day in days:
        if day.thumbnail is not None or day.problem:
            continue
        try:
            look = await look_at(day, point, archive)
            seen = replace(look.day, thumbnail=classes_picture(look))
            tell(seen)
            picture = await preview(look, archive, read_preview)
        except UnreachableError:
            raise
        except (RasterError, NoUsableImageError) as error:
            tell(replace(day, problem=str(error)))
            continue
        if picture is not None:
            tell(replace(seen, thumbnail=picture, natural=True))
