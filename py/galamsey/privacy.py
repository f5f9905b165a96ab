"""Which hosts the page may talk to and why, what each of them learns, and what it was asked in this visit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from galamsey.scenes import DIGITAL_EARTH_AFRICA, EARTH_SEARCH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from galamsey.models import Source
    from galamsey.state import Settings

BACKDROP: Final = (
    "https://tiles.maps.eox.at/wmts/1.0.0/s2cloudless-2020_3857/default/g/{z}/{y}/{x}.jpg",
    "Sentinel-2 cloudless 2020 by EOX IT Services GmbH, CC BY-NC-SA 4.0 (modified Copernicus Sentinel data 2020)",
)
"""Imagery to orient oneself by, loaded only when switched on: URL template and licence line."""

LEARNS_PLACES: Final = "The outline of the chip or region that you look at (a chip is 1.28 km wide), and the dates."
LEARNS_TILES: Final = "Which tiles of which scenes are read (a tile is 2.5 to 20 km wide), and so about where you look."
LEARNS_MODEL: Final = "That you fetch the model. Nothing about places."
LEARNS_MAP: Final = "Which part of the map is in view, and how close."
UNKNOWN: Final = "Not on the list above"


@dataclass(frozen=True, kw_only=True)
class Host:
    """A host that the page may talk to."""

    name: str
    """Its name; ``*.`` at the start stands for any host under it."""
    purpose: str
    learns: str
    """Beside the network address of the person, which every host learns."""
    when: str
    in_use: bool
    """Whether the present settings let it be asked at all."""

    def covers(self, host: str) -> bool:
        """Say whether a host, with or without a port, is meant."""
        bare = self.name.removeprefix("*.")
        return host == self.name or (self.name.startswith("*.") and host.endswith(f".{bare}"))


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What one host was asked in this visit."""

    host: str
    requests: int
    refused: int
    """Requests that lockdown stopped before they left."""
    sent_bytes: int
    received_bytes: int
    purpose: str


def hosts(settings: Settings, source: Source, seen: Iterable[str] = ()) -> tuple[Host, ...]:
    """Return every host that the page may talk to; ``seen`` are those where the person's own catalogue keeps files."""
    key = settings.catalogue.key
    earth = key == EARTH_SEARCH.key
    africa = key == DIGITAL_EARTH_AFRICA.key or (earth and settings.use_fallback)
    selected = "while Sentinel-2 (Earth Search) is the imagery"
    second = "while it is the imagery, or when Earth Search does not answer"
    found = [
        _host("earth-search.aws.element84.com", "catalogue of scenes", LEARNS_PLACES, selected, in_use=earth),
        _host("sentinel-cogs.s3.us-west-2.amazonaws.com", "bands of scenes", LEARNS_TILES, selected, in_use=earth),
        _host("explorer.digitalearth.africa", "second catalogue", LEARNS_PLACES, second, in_use=africa),
        _host("deafrica-sentinel-2.s3.af-south-1.amazonaws.com", "its bands", LEARNS_TILES, second, in_use=africa),
    ]
    if settings.other is not None:
        own = key == settings.other.key
        selected = "while your own catalogue is the imagery"
        name = urlsplit(settings.other.url).netloc
        found.append(_host(name, "catalogue that you entered", LEARNS_PLACES, selected, in_use=own))
        known = {host.name for host in found}
        found += [
            _host(file_host, "bands of your own catalogue", LEARNS_TILES, selected, in_use=own)
            for file_host in sorted(set(seen) - known)
        ]
    asked = "when you load the full model and it is not kept here yet"
    found += [_host(name, "files of the full model", LEARNS_MODEL, asked, in_use=True) for name in _model_hosts(source)]
    selected = "while the satellite backdrop is on"
    found.append(
        _host(urlsplit(BACKDROP[0]).netloc, "backdrop of the map", LEARNS_MAP, selected, in_use=settings.backdrop)
    )
    return tuple(found)


def _host(name: str, purpose: str, learns: str, when: str, *, in_use: bool) -> Host:
    return Host(name=name, purpose=purpose, learns=learns, when=when, in_use=in_use)


def _model_hosts(source: Source) -> tuple[str, ...]:
    host = urlsplit(source.address).netloc
    if host == "huggingface.co":
        return (host, "*.huggingface.co", "*.hf.co")  # the last two hold its large files
    return (host,)


def purpose_of(host: str, known: Iterable[Host]) -> str:
    """Say what a host was asked for; a host that is on no list is said to be so."""
    return next((one.purpose for one in known if one.covers(host)), UNKNOWN)


def read_log(text: str, known: tuple[Host, ...]) -> tuple[Asked, ...]:
    """Read the page's log of this visit, the latest host first."""
    return tuple(
        Asked(
            host=row["host"],
            requests=int(row["requests"]),
            refused=int(row["refused"]),
            sent_bytes=int(row["sent"]),
            received_bytes=int(row["received"]),
            purpose=purpose_of(row["host"], known),
        )
        for row in json.loads(text)
    )
