"""Which hosts may be asked, what for, and what the log of a visit says."""

import json
from dataclasses import replace

import pytest

from galamsey.models import Source, read_source
from galamsey.privacy import UNKNOWN, hosts, purpose_of, read_log
from galamsey.scenes import CATALOGUES, DIGITAL_EARTH_AFRICA, EARTH_SEARCH, PRACTICE, other_catalogue
from galamsey.state import Settings, initial_state
from galamsey.wording_privacy import asked_line, bar_word, host_detail, log_summary


def settings(**changes: object) -> Settings:
    return replace(initial_state().settings, **changes)


def in_use(settings: Settings, source: Source | None = None) -> set[str]:
    return {host.name for host in hosts(settings, source or Source()) if host.in_use}


def row(host: str, **counts: int) -> dict:
    return {"host": host, "requests": 0, "refused": 0, "sent": 0, "received": 0, "last": 0, **counts}


def test_with_the_practice_region_only_the_models_hosts_may_be_asked():
    assert in_use(settings(catalogue=PRACTICE)) == {"huggingface.co", "*.huggingface.co", "*.hf.co"}


def test_each_catalogue_brings_the_hosts_that_its_own_words_name():
    for catalogue in CATALOGUES:
        used = in_use(settings(catalogue=catalogue))
        for word in catalogue.discloses.replace(";", " ").replace(",", " ").split():
            if "." in word:
                assert word in used


def test_the_second_catalogue_may_be_asked_only_when_the_person_lets_it():
    africa = "explorer.digitalearth.africa"
    assert africa in in_use(settings(catalogue=EARTH_SEARCH, use_fallback=True))
    assert africa not in in_use(settings(catalogue=EARTH_SEARCH, use_fallback=False))
    assert africa in in_use(settings(catalogue=DIGITAL_EARTH_AFRICA, use_fallback=False))


def test_an_own_catalogue_its_file_hosts_and_an_own_model_host_are_listed():
    other = other_catalogue("https://stac.example.org/v1", "sentinel-2-l2a", bands="names")
    chosen = settings(catalogue=other, other=other, backdrop=True)
    source = read_source("https://models.example.org/galamsey/", "")
    listed = {host.name: host for host in hosts(chosen, source, ["files.example.org", "stac.example.org"])}
    for name in ("stac.example.org", "files.example.org", "models.example.org", "tiles.maps.eox.at"):
        assert listed[name].in_use
    assert "huggingface.co" not in listed
    assert len(listed) == len(hosts(chosen, source, ["files.example.org", "stac.example.org"])), "no host twice"


@pytest.mark.parametrize(
    ("host", "purpose"),
    [
        ("earth-search.aws.element84.com", "catalogue of scenes"),
        ("cas-bridge.xethub.hf.co", "files of the full model"),
        ("hf.co.example.org", UNKNOWN),
        ("tracker.example.org", UNKNOWN),
    ],
)
def test_a_host_is_named_by_its_purpose_or_as_unknown(host, purpose):
    assert purpose_of(host, hosts(settings(), Source())) == purpose


def test_the_log_is_read_with_purposes_and_told_in_words():
    text = json.dumps(
        [
            row("earth-search.aws.element84.com", requests=2, sent=700, received=123_456),
            row("tracker.example.org", refused=1),
        ]
    )
    asked = read_log(text, hosts(settings(), Source()))
    assert [one.purpose for one in asked] == ["catalogue of scenes", UNKNOWN]
    assert log_summary(asked) == (
        "2 requests to 1 host since the page was opened: 700 B sent, 123 kB received. 1 request was refused."
    )
    assert asked_line(asked[0])["requests"] == "2"
    assert asked_line(asked[1])["requests"] == "1 refused"
    assert log_summary(()) == "Nothing has been asked of any other host since the page was opened."


def test_lockdown_goes_before_the_connection_in_the_bar():
    assert [bar_word(online=on, locked=locked) for on in (True, False) for locked in (True, False)] == [
        "Lockdown",
        "Online",
        "Lockdown",
        "Offline",
    ]


def test_every_host_says_what_for_when_and_what_it_learns():
    for host in hosts(settings(), Source()):
        text = host_detail(host)
        assert host.purpose[1:] in text
        assert host.when in text
        assert "Learns: " in text
