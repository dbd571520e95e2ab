"""The sizes of tests: short in `make test`, full in `make faults`."""

import os

IS_FULL = os.environ.get("FAULTS_SIZE") == "full"


def size(short, full):
    return full if IS_FULL else short
