"""Hosts in a network of the tests' own. The links between the hosts can be cut. Needs root."""

import contextlib
import ctypes
import os
import subprocess

import pytest

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000

# A hardware address that no host has.
NOBODY = "02:00:00:00:00:ff"


def _ip(*arguments, inside=None):
    entered = ["nsenter", f"--net={inside}"] if inside else []
    result = subprocess.run([*entered, "ip", *map(str, arguments)], capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"ip {' '.join(map(str, arguments))}: {result.stderr.strip()}")


class Host:
    """A host: a network namespace with a loopback interface and an address in the network of the other hosts."""

    def __init__(self, name, number, process):
        self.name, self.address, self._process = name, f"10.213.0.{number}", process
        self.namespace = f"/proc/{process.pid}/ns/net"

    @contextlib.contextmanager
    def entered(self):
        """Moves this thread to the host, with the sockets that it makes and the programs that it starts."""
        outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        inside = os.open(self.namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(inside)
            try:
                yield self
            finally:
                _enter(outside)
        finally:
            os.close(inside)
            os.close(outside)


def _enter(namespace):
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Network:
    """Hosts that all reach each other. `with Network("a", "b") as network: network["a"].address`."""

    def __init__(self, *names):
        self._names, self._hosts, self._processes = names, {}, []

    def __enter__(self):
        if os.geteuid() != 0:
            pytest.skip("needs root, for hosts in network namespaces")
        try:
            switch = self._namespace()
            inside = f"/proc/{switch.pid}/ns/net"
            _ip("link", "add", "switch", "type", "bridge", inside=inside)
            _ip("link", "set", "switch", "up", inside=inside)
            for number, name in enumerate(self._names, 1):
                host = Host(name, number, self._namespace())
                port = f"port{number}"
                _ip("link", "add", port, "type", "veth", "peer", "name", "net0", "netns", host._process.pid, inside=inside)
                _ip("link", "set", port, "master", "switch", "up", inside=inside)
                _ip("link", "set", "lo", "up", inside=host.namespace)
                _ip("link", "set", "net0", "address", self._hardware(host), inside=host.namespace)
                _ip("address", "add", f"{host.address}/24", "dev", "net0", inside=host.namespace)
                _ip("link", "set", "net0", "up", inside=host.namespace)
                self._hosts[name] = host
            return self
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(self, *_):
        # The kernel removes a namespace when the last process in it has ended.
        for process in self._processes:
            process.stdin.close()
            process.wait()

    def __getitem__(self, name):
        return self._hosts[name]

    def _namespace(self):
        # The process ends when the tests end, however they end, because its standard input ends then.
        process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo && exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        self._processes.append(process)
        if process.stdout.readline() != "\n":
            pytest.skip(f"can't make a network namespace here: {process.stderr.read().strip()}")
        return process

    @staticmethod
    def _hardware(host):
        return f"02:00:00:00:00:{int(host.address.rpartition('.')[2]):02x}"

    # In a partition, hosts have wrong hardware addresses for each other. Packets vanish, and no program gets an error, as when
    # a cable is cut behind the next switch. An interface that is down would cause errors at once.

    def cut(self, one, other):
        """Lets no packet pass between the two hosts, in either direction."""
        for here, there in ((one, other), (other, one)):
            _ip("neighbour", "replace", self[there].address, "lladdr", NOBODY, "dev", "net0", "nud", "permanent",
                inside=self[here].namespace)

    def join(self, one, other):
        for here, there in ((one, other), (other, one)):
            _ip("neighbour", "replace", self[there].address, "lladdr", self._hardware(self[there]), "dev", "net0", "nud", "permanent",
                inside=self[here].namespace)

    def isolate(self, name):
        """Lets no packet pass between this host and any other host."""
        for other in self._hosts.keys() - {name}:
            self.cut(name, other)

    def heal(self):
        """Lets all hosts reach each other again."""
        for one in self._hosts:
            for other in self._hosts:
                if one < other:
                    self.join(one, other)

    @contextlib.contextmanager
    def partition(self, name):
        self.isolate(name)
        try:
            yield
        finally:
            self.heal()
