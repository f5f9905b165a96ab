import tomllib
from pathlib import Path

import pytest

from tools.console import SetupError
from tools.pyscript_config import LATER_PACKAGES, check, config_text, source_files, write

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path):
    for name in ("galamsey/geo.py", "galamsey/browser/view.py", "galamsey/__pycache__/geo.cpython.pyc", "main.py"):
        path = tmp_path / "py" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return tmp_path


def test_every_module_is_listed_and_nothing_else(project):
    assert source_files(project) == {
        "./py/galamsey/browser/view.py": "./galamsey/browser/view.py",
        "./py/galamsey/geo.py": "./galamsey/geo.py",
    }


def test_the_file_asks_for_exactly_the_packages_that_vendor_holds(project):
    config = tomllib.loads(config_text(source_files(project)))
    assert config["packages_cache"] == "passthrough"
    assert config["files"] == source_files(project)
    listed = tomllib.loads((ROOT / "vendor.toml").read_text())["wheel"]
    assert [*config["packages"], *LATER_PACKAGES] == [wheel["name"] for wheel in listed]


def test_the_interpreter_is_our_own(project):
    assert tomllib.loads(config_text(source_files(project)))["interpreter"] == "./js/interpreter.js"


def test_a_new_module_makes_the_file_out_of_date_until_it_is_written_again(project, capsys):
    write(project)
    check(project)
    (project / "py/galamsey/chips.py").write_text("")
    with pytest.raises(SetupError, match=r"out of date: run `python -m tools\.pyscript_config`"):
        check(project)
    write(project)
    check(project)
    assert "3 modules, up to date" in capsys.readouterr().out


def test_an_up_to_date_file_keeps_its_time(project):
    write(project)
    before = (project / "pyscript.toml").stat().st_mtime_ns
    write(project)
    assert (project / "pyscript.toml").stat().st_mtime_ns == before


def test_an_empty_folder_is_not_a_project(tmp_path):
    with pytest.raises(SetupError, match="holds no Python file"):
        source_files(tmp_path)


def test_the_committed_file_is_the_generated_one():
    check(ROOT)
