"""Fixtures of the fault suite alone; those that it shares with the black-box tests are in tests/conftest.py."""

import pytest

from storm import verdicts


@pytest.fixture
def endpoint(tmp_path):
    ledger = verdicts.Ledger(tmp_path)
    yield ledger
    ledger.close()
