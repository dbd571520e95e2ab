"""Shims that make a process's disk fail and its clock step, while it runs."""

import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent


def built(name, directory):
    """The library that is compiled from `<name>.c`."""
    return compiled(SOURCES / f"{name}.c", Path(directory) / f"{name}.so", "-shared", "-fPIC", "-ldl")


def compiled(source, target, *options):
    subprocess.run(["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-o", target, source, *options], check=True)
    return target


class Disk:
    """The disk under a directory, as a process started with `environment` sees it."""

    def __init__(self, directory, under):
        self._control = Path(directory) / "disk"
        self._control.write_bytes(b".")
        self.environment = {
            "LD_PRELOAD": str(built("disk", directory)), "DISK_CONTROL": str(self._control), "DISK_UNDER": str(under)}

    def is_well(self):
        self._set(b".")

    def fails_syncs(self):
        self._set(b"e")

    def is_read_only(self):
        self._set(b"r")

    def is_full(self):
        self._set(b"f")

    def _set(self, mode):
        # The file is changed in place, because the process has mapped it.
        with open(self._control, "r+b", buffering=0) as file:
            file.write(mode)


class Clock:
    """The time of day, as a process started with `environment` sees it."""

    def __init__(self, directory):
        self._control = Path(directory) / "clock"
        self._control.write_bytes(bytes(8))
        self.environment = {"LD_PRELOAD": str(built("clock", directory)), "CLOCK_CONTROL": str(self._control)}

    def is_ahead(self, seconds):
        """From now on, the clock is so many seconds ahead. It is behind if the number is negative."""
        with open(self._control, "r+b", buffering=0) as file:
            file.write(seconds.to_bytes(8, "little", signed=True))
