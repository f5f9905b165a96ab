"""What the person can do, as the page tells it to whoever owns the state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class ChangeSettings(Protocol):
        """Take over catalogue, period and sensitivity by key, and what is switched on."""

        def __call__(
            self, catalogue_key: str, period_key: str, sensitivity_key: str, *, backdrop: bool, use_fallback: bool
        ) -> None:
            """Take them over."""

    class DescribeCatalogue(Protocol):
        """Take over the catalogue that the person entered; returns what is wrong with it, or nothing."""

        def __call__(self, url: str, collection: str, bands: str) -> str:
            """Take it over."""


@dataclass(frozen=True, kw_only=True)
class Handlers:
    """What the person can do."""

    search: Callable[[str], None]
    """Go to a typed place or coordinate."""
    suggest: Callable[[str], None]
    """Offer places for what has been typed so far."""
    analyse_at: Callable[[float, float], None]
    """Look at the chip around longitude and latitude."""
    cancel: Callable[[], None]
    retry: Callable[[], None]
    pick_day: Callable[[str], None]
    """Look again at the same place: ``best``, ``median`` or an ISO date."""
    survey_days: Callable[[], None]
    """Look at the days on offer, now that their list is open."""
    save: Callable[[], None]
    """Ask for the present run as a file."""
    choose_model: Callable[[str], None]
    choose_way: Callable[[str], None]
    """Load the present model in another way."""
    cancel_model: Callable[[], None]
    pause_job: Callable[[], None]
    """Stop a transfer of model files so that it can go on later."""
    resume_job: Callable[[], None]
    cancel_job: Callable[[], None]
    set_source: Callable[[str, str], None]
    """Fetch models from this host, in this revision."""
    verify_stored: Callable[[str], None]
    remove_stored: Callable[[str], None]
    export_stored: Callable[[str], None]
    """What is done with a stored model, by the address under which it is kept."""
    load_from_disk: Callable[[str], None]
    """Take the full model from a ``folder`` or an ``archive``."""
    change_settings: ChangeSettings
    describe_catalogue: DescribeCatalogue
    set_theme: Callable[[str], None]
    """``auto``, ``light`` or ``dark``; the page itself has changed already."""
    select_site: Callable[[int | None], None]
    choose_views: Callable[[tuple[str, str]], None]
    """Show the two pictures in these views from now on."""
    open_regions: Callable[[], None]
    """Show what is kept for work without a network."""
