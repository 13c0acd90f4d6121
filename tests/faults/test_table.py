"""The table in the README names tests that exist, and every test of this folder that makes a fault."""

import pathlib
import re

HERE = pathlib.Path(__file__).parent
TESTS = HERE.parent
OF_THE_SUITE_ITSELF = ("test_table.py", "test_verdicts.py", "test_storm_parts.py")


def named():
    rows = [line for line in (HERE / "README.md").read_text().splitlines() if line.startswith("| ")][1:]
    return [name for row in rows for name in re.findall(r"`([^` ]+)`", row.rsplit("|", 2)[1])]


def python_tests(*folders):
    files = [file for folder in folders for file in sorted((TESTS / folder).glob("test_*.py"))]
    return {f"{file.name}::{name}" for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)}


def unit_tests():
    files = [*(TESTS / "unit").rglob("*_test.cc"), *(TESTS / "tools").glob("*_test.cc")]
    return {f"{suite}.{name}" for file in files for suite, name in re.findall(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", file.read_text(), re.M)}


def test_every_test_that_the_table_names_exists():
    assert len(named()) > 40, "the table is read"
    missing = sorted(set(named()) - python_tests("integration", "faults") - unit_tests())
    assert not missing, missing


def test_every_test_of_this_folder_is_in_the_table():
    own = {name for name in python_tests("faults") if not name.startswith(OF_THE_SUITE_ITSELF)}
    assert not own - set(named()), sorted(own - set(named()))
