"""Supervision: watchdog notifications for the service manager, a hang that it notices, and outages that are not a hang."""

import ctypes
import os
import resource
import socket
import sqlite3
import ssl

import pytest

from relay import DEADLINE
from submit import send, session

MESSAGE = b"From: from@example.com\r\n\r\nbody\r\n"


class Manager:
    """The part of systemd that receives a service's notifications."""

    def __init__(self, directory):
        self.path = str(directory / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(DEADLINE)

    def environment(self, seconds):
        return {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": str(int(seconds * 1_000_000))}

    def hears(self):
        return self.socket.recv(1000).decode()

    def waits_for(self, text):
        while (said := self.hears()) != text:
            pass
        return said

    def heard(self):
        """The notifications that have arrived and have not been read yet."""
        said = []
        self.socket.setblocking(False)
        try:
            while True:
                said.append(self.hears())
        except BlockingIOError:
            return said
        finally:
            self.socket.settimeout(DEADLINE)


@pytest.fixture
def manager(tmp_path):
    manager = Manager(tmp_path)
    yield manager
    manager.socket.close()


def test_systemd_gets_readiness_watchdog_and_status_notifications(own_relay, manager):
    relay = own_relay(environment=manager.environment(4))
    assert manager.hears() == "READY=1"
    assert {manager.hears(), manager.hears()} == {"STATUS=0 deliveries waiting", "WATCHDOG=1"}
    for _ in range(3):
        manager.waits_for("WATCHDOG=1")
    assert relay.stop() == 0
    said = manager.heard()
    assert said[-1] == "STOPPING=1" and set(said[:-1]) <= {"WATCHDOG=1", "STATUS=0 deliveries waiting"}


class Frozen:
    """One thread of a process is stopped with ptrace(2), as a hang would stop it. The other threads go on."""

    SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
    WALL = 0x40000000

    def __init__(self, thread):
        self.thread = thread
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.libc.ptrace.restype = ctypes.c_long

    def _call(self, request):
        if self.libc.ptrace(request, self.thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def __enter__(self):
        try:
            self._call(self.SEIZE)
        except OSError as error:
            pytest.skip(f"threads can't be stopped here: {error}")
        self._call(self.INTERRUPT)
        os.waitpid(self.thread, self.WALL)

    def __exit__(self, *_):
        self._call(self.DETACH)


def event_loops(process):
    """The threads that serve clients. Those with the lowest number belong to the relay itself, the others to libraries."""
    threads = {}
    for thread in os.listdir(f"/proc/{process}/task"):
        with open(f"/proc/{process}/task/{thread}/comm") as file:
            name = file.read().strip()
        if name.startswith("NIO-ELT-"):
            threads[name] = int(thread)
    assert threads, "no event loops"
    return [threads[name] for name in sorted(threads)]


def test_a_hanging_event_loop_stops_the_watchdog_notifications(own_relay, manager):
    relay = own_relay(environment=manager.environment(2))
    manager.waits_for("WATCHDOG=1")
    with Frozen(event_loops(relay.process.pid)[0]):
        line = relay.wait_until(
            lambda: next((line for line in relay.log if "part of the relay does not respond" in line), None),
            "a log line about the part that does not respond")
        assert " critical part of the relay does not respond" in line and 'part="event loop ' in line
        # The relay itself goes on. It reports its status, and sends no more watchdog notifications.
        manager.heard()
        manager.waits_for("STATUS=0 deliveries waiting")
        assert "WATCHDOG=1" not in manager.heard()
    manager.waits_for("WATCHDOG=1")
    relay.wait_until(
        lambda: "part of the relay responds again" in relay.log_text(), "a log line about the part that responds again")


def test_a_locked_database_does_not_stop_the_watchdog_notifications(own_relay, manager):
    """Another program copies or repairs the database. Meanwhile the relay refuses mail. A restart would not help."""
    relay = own_relay(environment=manager.environment(1))
    key = relay.create_key()
    with session(relay, key) as smtp:
        other = sqlite3.connect(relay.directory / "relay.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        manager.heard()
        # Each of these takes some seconds. The watchdog interval is one second.
        for _ in range(2):
            assert send(smtp, MESSAGE)[0] == 452
        assert manager.heard().count("WATCHDOG=1") >= 5
        other.execute("ROLLBACK")
        other.close()
        relay.wait_until(lambda: send(smtp, MESSAGE)[0] == 250, "the relay accepts messages again")
    assert "does not respond" not in relay.log_text()


def test_an_unresponsive_service_manager_does_not_block_the_relay(own_relay, manager):
    """The manager's socket is full after some ten notifications."""
    relay = own_relay(environment=manager.environment(0.2))
    manager.waits_for("READY=1")
    with open("/proc/sys/net/unix/max_dgram_qlen") as file:
        length = int(file.read())
    key = relay.create_key(per_second=1_000_000)
    with session(relay, key) as smtp:
        # Notifications come 20 times a second, more of them than the socket can hold.
        for _ in range(2 * length):
            assert send(smtp, MESSAGE)[0] == 250
            select_nothing(0.05)
    assert manager.heard().count("WATCHDOG=1") >= length // 2
    manager.waits_for("WATCHDOG=1")


def cpu_seconds(process):
    with open(f"/proc/{process}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_without_free_descriptors_clients_wait_and_the_relay_stays_idle(own_relay):
    relay = own_relay()
    key = relay.create_key()
    process = relay.process.pid
    with session(relay, key) as smtp:
        limits = resource.prlimit(process, resource.RLIMIT_NOFILE)
        # The open descriptors stay open. Two more connections can be accepted, or fewer if the relay opens a file.
        used = max(int(name) for name in os.listdir(f"/proc/{process}/fd")) + 1
        resource.prlimit(process, resource.RLIMIT_NOFILE, (used + 2, limits[1]))
        clients = [socket.create_connection(("127.0.0.1", relay.ports["smtp"]), timeout=DEADLINE) for _ in range(20)]
        try:
            relay.wait_until(
                lambda: "can't accept connections" in relay.log_text(),
                "a log line about connections that are not accepted")
            assert "LimitNOFILE" in relay.log_text()
            # If the relay tried again without a pause, it would use a processor for the whole of these two seconds.
            before = cpu_seconds(process)
            for _ in range(20):
                # A client that is connected is served.
                assert smtp.noop()[0] == 250
                select_nothing(0.1)
            assert cpu_seconds(process) - before < 1
            assert relay.log_text().count("can't accept connections") == 1
            resource.prlimit(process, resource.RLIMIT_NOFILE, limits)
            for client in clients:
                assert client.recv(1000).startswith(b"220 ")
        finally:
            for client in clients:
                client.close()
        assert send(smtp, MESSAGE)[0] == 250


def select_nothing(seconds):
    import time
    time.sleep(seconds)


def test_a_health_check_of_the_port_is_not_logged(own_relay):
    relay = own_relay()
    for _ in range(3):
        socket.create_connection(("127.0.0.1", relay.ports["smtps"]), timeout=DEADLINE).close()
    with socket.create_connection(("127.0.0.1", relay.ports["smtps"]), timeout=DEADLINE) as client:
        client.sendall(b"\x16\x03\x01\x02\x00")
        client.shutdown(socket.SHUT_WR)
        client.recv(1000)
    relay.wait_until(
        lambda: "connection failed" in relay.log_text(), "a log line about the connection that began a handshake")
    # This client looks at the certificate, and then closes the connection in order.
    context = ssl.create_default_context(cafile=str(relay.certificate))
    with context.wrap_socket(
            socket.create_connection(("127.0.0.1", relay.ports["smtps"]), timeout=DEADLINE), server_hostname="localhost"):
        pass
    assert relay.stop() == 0
    assert relay.log_text().count("connection failed") == 1, relay.log_text()
    assert "ClientHello" in relay.log_text()
