"""Names that only a test's server knows, with tests/tools/host_names preloaded: several addresses, in this order, and others later."""

import pathlib

from . import paths

LIBRARY = paths.TOOLS / "libhost_names.so"


class HostNames:
    def __init__(self, file):
        self._file = pathlib.Path(file)
        self._names = {}
        self.environment = {"LD_PRELOAD": LIBRARY, "HOST_NAMES": self._file}

    def lead(self, name, *addresses):
        """From the next question on."""
        self._names[name] = addresses
        new = self._file.with_suffix(".new")
        new.write_text("".join(f"{name} {' '.join(of)}\n" for name, of in self._names.items()))
        new.rename(self._file)
