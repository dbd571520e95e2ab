"""A relay's system calls in their order, as strace reported them."""

import codecs
import re
import shutil
import subprocess
from dataclasses import dataclass

import pytest

CALLS = "write,writev,sendto,sendmsg,pwrite64,ftruncate,fsync,fdatasync,mkdir,openat,unlink"


def traced(relay, file, *options):
    """Makes strace trace the relay from its next start on."""
    # With -D, strace runs as a detached grandchild, so that the process that the test has started becomes the relay.
    tracer = ["strace", "-D", "-f", "-yy", "-s", "1000000", "-e", f"trace={CALLS}", "-o", str(file), *options]
    if not shutil.which("strace") or subprocess.run([*tracer, "true"], capture_output=True).returncode != 0:
        pytest.skip("can't trace a process here")
    relay.prefix = tracer


@dataclass
class Call:
    name: str
    # The arguments as text. Each descriptor's number is followed by its path or address.
    arguments: str
    result: int
    # Line numbers in the trace, which has a line for each begin and each end. If a call begins after another one has ended, its
    # number is higher.
    begin: int
    end: int

    @property
    def path(self):
        """The path or address of the first descriptor."""
        match = re.match(r"\d+<(.*?)>(?:,|$)", self.arguments)
        return match[1] if match else ""

    @property
    def octets(self):
        """The octets that the call writes."""
        match = re.search(r'"((?:[^"\\]|\\.)*)"', self.arguments)
        return codecs.escape_decode(match[1].encode())[0] if match else b""


COMPLETE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)")
UNFINISHED = re.compile(r"(\d+) +(\w+)\((.*) <unfinished \.\.\.>$")
RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+)")


def calls(file):
    """All calls that have returned, in the order of their ends."""
    begun, found = {}, []
    with open(file, encoding="ascii", errors="backslashreplace") as lines:
        for place, line in enumerate(lines):
            if match := UNFINISHED.match(line):
                begun[match[1]] = (place, match[3])
            elif (match := RESUMED.match(line)) and match[1] in begun:
                begin, arguments = begun.pop(match[1])
                found.append(Call(match[2], arguments + match[3], int(match[4]), begin, place))
            elif match := COMPLETE.match(line):
                found.append(Call(match[2], match[3], int(match[4]), place, place))
    return found
