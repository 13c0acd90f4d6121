"""A power cut, for a process that runs with tests/tools/power_cut preloaded: what was never synced is gone, file by file and name by name."""

import pathlib

from . import paths

LIBRARY = paths.TOOLS / "libpower_cut.so"


class PowerCut:
    def __init__(self, root, shadow, forgets=""):
        """`forgets`: files with this ending are lost although they were synced, as by a disk that lies."""
        self.root, self.shadow = pathlib.Path(root), pathlib.Path(shadow)
        self.shadow.mkdir(parents=True, exist_ok=True)
        self.environment = {"LD_PRELOAD": LIBRARY, "POWER_CUT_ROOT": self.root, "POWER_CUT_SHADOW": self.shadow, "POWER_CUT_FORGETS": forgets}

    def cut(self):
        """Once the process is dead. Files keep their inodes."""
        present = {}
        for file in [file for file in self.root.rglob("*") if file.is_file()]:
            aside = self.root / f".aside-{file.stat().st_ino}"
            file.rename(aside)
            present[str(aside.stat().st_ino)] = aside
        for listing in self.shadow.glob("folder-*"):
            if listing.suffix == ".new":
                continue
            folder, *lines = listing.read_text().splitlines()
            for line in lines:
                identity, name = line.split(" ", 1)
                target, kept = pathlib.Path(folder) / name, self.shadow / f"file-{identity}"
                if aside := present.pop(identity.split("-")[0], None):
                    aside.rename(target)
                target.touch()
                with open(target, "r+b") as out:  # not a new file: it keeps its inode
                    data = kept.read_bytes() if kept.exists() else b""
                    out.write(data)
                    out.truncate(len(data))
        for aside in present.values():
            aside.unlink()
