"""Listening sockets that systemd holds: no client is refused during a restart."""

import fcntl
import os
import re
import signal
import socket
import struct
import subprocess
import threading

import pytest

from relay import BINARY, DEADLINE, ROOT, clean_environment
from submit import send, session, submit
from wording import mentions

MESSAGE = b"From: from@example.com\r\nSubject: kept\r\n\r\nbody\r\n"
# LISTEN_PID must be the relay's own process id, which is known only after the fork. So a shell sets it, and then executes the
# relay.
BECOME_RELAY = 'exec 3<&"$1" 4<&"$2"; shift 2; LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=smtp:smtps exec "$@"'


class Activation:
    """Holds the listening sockets, as systemd's .socket units do, and starts relays on them."""

    def __init__(self, relay):
        self.relay = relay
        relay.write_settings({"listen": ["systemd"]})
        self.sockets = {name: socket.create_server(("127.0.0.1", 0), backlog=4096) for name in ["smtp", "smtps"]}
        relay.ports = {name: held.getsockname()[1] for name, held in self.sockets.items()}
        self.process = None

    def start(self):
        descriptors = [held.fileno() for held in self.sockets.values()]
        with open(self.relay.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", BECOME_RELAY, "bash", *map(str, descriptors), BINARY, "serve", "--config",
                 str(self.relay.config)],
                pass_fds=descriptors, env=clean_environment(), stderr=log, stdout=subprocess.DEVNULL)

    def stop(self):
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(DEADLINE)
        finally:
            if process.poll() is None:
                process.kill()

    def log_text(self):
        return (self.relay.directory / "log").read_text()


@pytest.fixture
def activation(own_relay):
    activation = Activation(own_relay(start=False))
    yield activation
    if activation.process is not None:
        assert activation.stop() == 0, activation.log_text()
    for held in activation.sockets.values():
        held.close()


def test_the_relay_keeps_the_listen_backlog_set_by_systemd(activation):
    """The backlog stays as the .socket units set it, after the relay has begun to listen too, and while it restarts."""
    def backlogs():
        # For a listening socket, Linux reports the backlog as tcpi_sacked (tcp_get_info).
        return {struct.unpack_from("I", held.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 28)[0]
                for held in activation.sockets.values()}

    before = backlogs()
    assert len(before) == 1 and min(before) > 1000
    key = activation.relay.create_key()
    activation.start()
    submit(activation.relay, key, MESSAGE)
    assert backlogs() == before


def test_inherited_sockets(activation):
    activation.start()
    key = activation.relay.create_key()
    assert submit(activation.relay, key, MESSAGE)


def test_a_client_that_connects_while_no_relay_runs_is_served_later(activation):
    key = activation.relay.create_key()
    replies = []
    client = threading.Thread(target=lambda: replies.append(submit(activation.relay, key, MESSAGE)))
    client.start()
    activation.start()
    client.join(DEADLINE)
    assert len(replies) == 1


def test_a_restart_under_load_turns_nobody_away(activation):
    relay = activation.relay
    key = relay.create_key(per_second=1_000_000)
    activation.start()
    accepted, failures = [], []
    over = threading.Event()

    def work(kind):
        while not over.is_set():
            try:
                with session(relay, key, kind) as smtp:
                    # From here on the relay may close the connection. Only the message counts.
                    smtp.quit = lambda: None
                    code, text = send(smtp, MESSAGE)
                assert code == 250, (code, text)
                accepted.append(text)
            except Exception as error:
                failures.append(error)

    clients = [threading.Thread(target=work, args=(kind,)) for kind in ["smtp", "smtps"] * 4]
    for client in clients:
        client.start()
    try:
        for restarts_left in [3, 2, 1, 0]:
            before = len(accepted)
            relay.wait_until(lambda: len(accepted) >= before + 20 or failures, "the load to be under way")
            assert not failures, failures
            if restarts_left:
                assert activation.stop() == 0, activation.log_text()
                activation.start()
    finally:
        over.set()
        for client in clients:
            client.join(DEADLINE)
    assert not failures, failures
    # Each message is accepted once, in the queue that all relays worked on.
    assert len(set(accepted)) == len(accepted)
    assert relay.json("keys", "list")[0]["emails_total"] == len(accepted)


def starting(relay, settings, *names):
    """Starts a relay as systemd would, with sockets of these names."""
    relay.write_settings(settings)
    held = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    # The copies have numbers far above those that the sockets must have in the relay.
    copies = [fcntl.fcntl(one.fileno(), fcntl.F_DUPFD, 100 + n) for n, one in enumerate(held)]
    moves = " ".join(f"{3 + n}<&{copy}" for n, copy in enumerate(copies))
    script = f'exec {moves}; LISTEN_PID=$$ LISTEN_FDS={len(names)} LISTEN_FDNAMES={":".join(names)} exec "$@"'
    try:
        return held, subprocess.Popen(
            ["bash", "-c", script, "bash", BINARY, "serve", "--config", str(relay.config)], pass_fds=copies,
            env=clean_environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    finally:
        for copy in copies:
            os.close(copy)


@pytest.mark.parametrize("settings, names, parts", [
    ({}, ["smtp", "submission"], ["'submission'", "FileDescriptorName="]),
    ({}, ["https"], ["listen: systemd", "smtp", "smtps"]),
    ({"http.listen": ["systemd"]}, ["smtp"], ["http.listen: systemd", "https"]),
    ({}, ["smtp", "smtps+proxy"], ["smtps+proxy", "proxy_networks", "empty"]),
])
def test_systemd_sockets_that_contradict_the_settings_are_refused(own_relay, settings, names, parts):
    relay = own_relay(start=False)
    held, process = starting(relay, {"listen": ["systemd"], **settings}, *names)
    try:
        told = process.communicate(timeout=DEADLINE)[1]
        assert mentions(told, *parts), told
        assert process.returncode == 1
    finally:
        for one in held:
            one.close()


def test_a_proxied_socket_is_served_and_an_unused_socket_is_reported(own_relay):
    relay = own_relay(start=False)
    held, process = starting(
        relay, {"listen": ["systemd"], "proxy_networks": ["127.0.0.1"]}, "smtp+proxy", "smtp", "https")
    try:
        lines = []
        while len([line for line in lines if "listening" in line]) < 2:
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        # The relay accepts mail although it does not use one of the sockets.
        unused = [line for line in lines if "no listener uses" in line]
        assert len(unused) == 1 and "socket=https" in unused[0] and mentions(unused[0], "remedy=", "http.listen", "systemd")
        with socket.create_connection(held[0].getsockname(), timeout=DEADLINE) as client:
            client.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 587\r\n")
            assert client.makefile("rb").readline().startswith(b"220 ")
        with socket.create_connection(held[1].getsockname(), timeout=DEADLINE) as client:
            assert client.makefile("rb").readline().startswith(b"220 ")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DEADLINE)
        for one in held:
            one.close()


def test_the_systemd_units_are_valid(tmp_path):
    """systemd reads the units. The relay is not installed here, so another program takes its place."""
    for unit in (ROOT / "systemd").iterdir():
        (tmp_path / unit.name).write_text(unit.read_text().replace("/usr/bin/hiveku-relay", "/bin/true"))
    units = sorted(tmp_path.iterdir())
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, units)], capture_output=True, text=True, timeout=DEADLINE)
    assert (result.returncode, result.stderr) == (0, "")
    names = {unit.name: re.findall(r"^FileDescriptorName=(.*)$", unit.read_text(), re.M) for unit in units}
    assert names == {
        "hiveku-relay.service": [], "hiveku-relay-smtp.socket": ["smtp"], "hiveku-relay-smtps.socket": ["smtps"],
        "hiveku-relay-http.socket": ["http"], "hiveku-relay-https.socket": ["https"]}
