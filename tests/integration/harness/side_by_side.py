"""Tests in several processes of pytest (-n): the long ones first, and those that are marked `alone` while no other runs."""

import fcntl

import pytest


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: no other test runs meanwhile, since what it measures is the whole machine's or its share of it")


def _most_seconds(item):
    """What it is allowed tells how long it takes: who needs more than the usual says so."""
    marker = item.get_closest_marker("timeout")
    return marker.args[0] if marker else 0


def _is_alone(item):
    return item.get_closest_marker("alone") is not None


def pytest_collection_modifyitems(config, items):
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: (_is_alone(item), -_most_seconds(item)))


def _locked(folder, name, how):
    file = open(folder / name, "w")
    fcntl.flock(file, how)
    return file


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before the time that a test may take begins
def pytest_runtest_protocol(item):
    if not hasattr(item.config, "workerinput"):
        return (yield)
    folder = item.config._tmp_path_factory.getbasetemp().parent  # of all processes of this run
    # Whoever wants to be alone keeps the gate shut until the tests that run have ended.
    with _locked(folder, "gate", fcntl.LOCK_EX):
        running = _locked(folder, "running", fcntl.LOCK_EX if _is_alone(item) else fcntl.LOCK_SH)
    with running:
        return (yield)
