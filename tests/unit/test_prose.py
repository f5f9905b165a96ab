import pytest

from galamsey.drafts import DESCRIPTIONS
from galamsey.prose import counted_sites


@pytest.mark.parametrize(("text", "count"), [*zip(DESCRIPTIONS, (0, 1, 1, 2, 3), strict=True)])
def test_the_number_of_sites_is_read_from_descriptions_as_taught(text, count):
    assert counted_sites(text) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Two small, scattered pits lie along the river.", 2),
        ("There are 12 mining areas of about 40 ha.", 12),
        ("No illegal small-scale gold mining is visible.", 0),
        ("No mining sites are visible.", 0),
        ("Mining is not visible here.", 0),
        ("ONE large open pit near the road, about 3.5 ha.", 1),
        ("2 sites. In all there are two sites.", 2),
    ],
)
def test_other_wordings_are_understood(text, count):
    assert counted_sites(text) == count


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Turbid water and bare soil.",
        "The pits cover 12.4 ha.",
        "Site 1: large, west.",
        "3 sites in the north and 2 sites in the south.",
        "No mining in the east, but 2 pits in the west.",
        "Image 2 shows bare soil. The pits are large.",
        "x" * 10_000,
        "one " * 10_000,
    ],
)
def test_where_no_single_number_is_given_none_is_read(text):
    assert counted_sites(text) is None
