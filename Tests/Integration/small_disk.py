"""A file system that can be filled."""

import contextlib
import os
import subprocess

import pytest


@pytest.fixture
def small_disk(tmp_path):
    """A file system of a few megabytes."""
    with mounted(tmp_path, "6m") as path:
        yield path


@pytest.fixture
def roomy_disk(tmp_path):
    """A file system that is too large for a relay to fill within moments."""
    with mounted(tmp_path, "96m") as path:
        yield path


@contextlib.contextmanager
def mounted(tmp_path, size):
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    path = tmp_path / "disk"
    path.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], capture_output=True, text=True)
    if mount.returncode != 0:
        pytest.skip(f"can't mount a file system here: {mount.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def fill(disk, leaving=0):
    """Fills the file system except for `leaving` octets. To get the space back, remove the file that this returns."""
    filler = disk / "filler"
    if leaving:
        status = os.statvfs(disk)
        filler.write_bytes(bytes(max(0, status.f_bavail * status.f_frsize - leaving)))
        return filler
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
    return filler
