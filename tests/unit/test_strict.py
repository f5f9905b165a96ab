import pytest

from galamsey.strict import read_json


def test_json_is_read_as_it_is():
    assert read_json('{"a": [1, -2.5e3, true, null, "NaN"]}') == {"a": [1, -2500.0, True, None, "NaN"]}


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}', "1e999", "[-1e400]", "", "{", "[" * 100_000])
def test_what_no_other_program_would_read_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        read_json(text)
