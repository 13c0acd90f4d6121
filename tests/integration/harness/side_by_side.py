"""Tests in several processes of pytest (-n): in an order that gives the machine enough to do all the time, and those that are marked `alone`
while no other runs."""

import fcntl

import pytest


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: no other test runs meanwhile, since what it measures is the whole machine's or its share of it")


def _most_seconds(item):
    """What it is allowed tells how long it takes: a test that takes long says so."""
    marker = item.get_closest_marker("timeout")
    return marker.args[0] if marker else 0


def _is_alone(item):
    return item.get_closest_marker("alone") is not None


def _places(items):
    """From 0 to 1."""
    return {item: (place + 0.5) / len(items) for place, item in enumerate(items)}


def pytest_collection_modifyitems(config, items):
    """The longest of all comes first; then the long ones, which need the processors, are spread among those that mostly wait."""
    if not hasattr(config, "workerinput"):
        return
    long = sorted((item for item in items if _most_seconds(item)), key=_most_seconds, reverse=True)
    places = {**_places([item for item in items if not _most_seconds(item)]), **_places(long)}
    items.sort(key=lambda item: (_is_alone(item), item not in long[:1], places[item]))


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
