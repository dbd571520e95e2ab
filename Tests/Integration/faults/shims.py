"""Shims that make a process's disk fail and its clock step, while it runs."""

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent


def built(name, directory):
    """The library made of `<name>.c`."""
    library = Path(directory) / f"{name}.so"
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    subprocess.run(
        [compiler, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o", library,
         SOURCES / f"{name}.c", "-ldl"], check=True)
    return library


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
        # In place: the file is mapped.
        with open(self._control, "r+b", buffering=0) as file:
            file.write(mode)
