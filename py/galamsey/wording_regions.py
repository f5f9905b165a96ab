"""Put regions kept on the device into words."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from galamsey.scenes import format_date
from galamsey.wording import format_bytes, format_seconds

if TYPE_CHECKING:
    from galamsey.areas import Area
    from galamsey.regions import Offer, Region


def area_line(area: Area) -> str:
    """Say how large an area is and where it lies."""
    west, south, east, north = area.bounds
    size = f"{area.km2:,.0f} km²" if area.km2 >= 10 else f"{area.km2:.1f} km²"  # noqa: PLR2004 - small ones need a digit
    return f"{size}, from {west:.4f}, {south:.4f} to {east:.4f}, {north:.4f}"


def region_detail(region: Region, *, moving: bool = False) -> str:
    """Say of a region what is kept: dates, size, origin; or how much of it is missing.

    While it is ``moving`` the transfer's own line says how much is here.
    """
    days = [format_date(date.fromisoformat(day)) for day in region.days]
    shown = ", ".join(days[:3]) + (f" and {len(days) - 3} more" if len(days) > 3 else "")  # noqa: PLR2004 - a line's width
    whole = format_bytes(region.total_bytes)
    unfinished = "being fetched" if moving else f"unfinished: {format_bytes(region.kept_bytes)} of {whole}"
    size = whole if region.complete else unfinished
    return f"{shown}; {size}, from {region.catalogue_name}, begun {format_date(date.fromisoformat(region.fetched))}"


def offer_detail(offer: Offer) -> str:
    """Say how well a date shows a region."""
    count = len(offer.scenes)
    files = f"{count} scene{'s' if count > 1 else ''}"
    return f"{offer.cloud_percent:.0f} % cloud in the scene, shows {offer.covers_percent:.0f} %, {files}"


def size_line(wanted_bytes: int, free_bytes: int | None) -> str:
    """Say what a choice needs, and what the browser still allows."""
    room = "" if free_bytes is None else f" The browser still allows {format_bytes(max(0, free_bytes))}."
    return f"{format_bytes(wanted_bytes)} will be fetched and kept.{room}"


def no_room(wanted_bytes: int, free_bytes: int) -> str:
    """Say that there is not enough room."""
    missing = format_bytes(wanted_bytes - max(0, free_bytes))
    return (
        f"There is not enough room: {format_bytes(wanted_bytes)} are needed and this browser allows "
        f"{format_bytes(max(0, free_bytes))} more, so {missing} are missing. Choose fewer dates or a smaller area, or "
        "delete what is kept."
    )


def job_short(region: Region) -> str:
    """Say how far a transfer is, where there is little room."""
    return f"Fetching {region.name}: {100 * region.kept_bytes / max(1, region.total_bytes):.0f} %"


def job_words(region: Region, bytes_per_second: float) -> str:
    """Say how far a transfer is."""
    left = region.total_bytes - region.kept_bytes
    words = f"{format_bytes(region.kept_bytes)} of {format_bytes(region.total_bytes)}"
    if bytes_per_second > 0:
        words += f", {format_bytes(bytes_per_second)}/s, {format_seconds(left / bytes_per_second)} left"
    return words
