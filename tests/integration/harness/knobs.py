"""The sizes of heavy tests: small for CI, larger by environment variables."""

import os


def knob(name, default):
    return type(default)(os.environ.get(name, default))
