"""What the kernel tells of a process."""

import os
import pathlib
import re
import subprocess

_TICKS = os.sysconf("SC_CLK_TCK")


def _status(pid, field):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {field} in /proc/{pid}/status")


def rss_bytes(pid):
    return _status(pid, "VmRSS")


def peak_rss_bytes(pid):
    return _status(pid, "VmHWM")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def run_delay_seconds(pid):
    """How long threads of the process have been ready to run while the machine ran others, in all."""
    total = 0
    for thread in pathlib.Path(f"/proc/{pid}/task").glob("*"):
        try:
            total += int((thread / "schedstat").read_text().split()[1])
        except (OSError, IndexError):
            continue
    return total / 1e9


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def received_bytes(pid, port):
    """Bytes that the process has received on its present connections to a local port."""
    text = subprocess.run(["ss", "-tinpH", "dport", "=", f":{port}"], capture_output=True, text=True, timeout=10, check=True).stdout
    total, ours = 0, False
    for line in text.splitlines():
        if not line.startswith((" ", "\t")):
            ours = f"pid={pid}," in line
        elif ours and (match := re.search(r"bytes_received:(\d+)", line)):
            total += int(match[1])
    return total
