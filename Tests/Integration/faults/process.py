"""The resources of a relay's process, seen from outside."""

import os


def sockets(relay):
    """How many connections and listeners the relay has open."""
    inodes = {target[len("socket:["):-1] for target in descriptors(relay) if target.startswith("socket:[")}
    with open("/proc/net/tcp") as lines:
        return sum(line.split()[9] in inodes for line in list(lines)[1:])


def descriptors(relay):
    folder = f"/proc/{relay.process.pid}/fd"
    found = []
    for number in os.listdir(folder):
        try:
            found.append(os.readlink(f"{folder}/{number}"))
        except FileNotFoundError:
            pass  # The descriptor was closed meanwhile.
    return found


def memory(relay, field="VmRSS"):
    """The relay's memory in bytes. VmRSS is the current value, VmHWM the highest so far."""
    with open(f"/proc/{relay.process.pid}/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))
