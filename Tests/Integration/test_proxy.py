"""The PROXY protocol: the relay behind HAProxy and nginx, and behind load balancers that send wrong headers."""

import base64
import contextlib
import re
import signal
import smtplib
import socket
import ssl
import struct
import urllib.request

import pytest

from balancers import haproxy, nginx
from http_api import API, taken
from relay import DEADLINE, Relay
from submit import send

MESSAGE = b"From: from@example.com\r\nSubject: through a load balancer\r\n\r\nbody\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PROXIED = {
    "listen": ["smtp+proxy://127.0.0.1:0", "smtps+proxy://127.0.0.1:0"],
    "http.listen": ["https+proxy://127.0.0.1:0"], "proxy_networks": ["127.0.0.1"],
    "submission.max_rate_delay": "0s"}


@pytest.fixture(scope="module")
def relay(tmp_path_factory):
    """A relay behind load balancers on this machine, which the tests of this module share."""
    relay = Relay(tmp_path_factory.mktemp("relay"), {**PROXIED, "metrics.listen": "127.0.0.1:0"}).start()
    yield relay
    assert relay.stop() == 0, relay.log_text()


@pytest.fixture(scope="module", params=["haproxy version 1", "haproxy version 2", "nginx"])
def balancer(relay, request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("balancer")
    if request.param == "nginx":
        started = nginx(directory, relay)
    else:
        started = haproxy(directory, relay, version=int(request.param[-1]))
    with started as balancer:
        yield balancer


@contextlib.contextmanager
def connected(relay, ports, kind, source):
    """An SMTP client at the address `source`, under TLS."""
    context = ssl.create_default_context(cafile=str(relay.certificate))
    # Host names are not checked, because the certificate names no IPv6 address.
    context.check_hostname = False
    options = {"timeout": DEADLINE, "source_address": (source, 0)}
    address = "::1" if ":" in source else "127.0.0.1"
    if kind == "smtps":
        smtp = smtplib.SMTP_SSL(address, ports[kind], context=context, **options)
    else:
        smtp = smtplib.SMTP(address, ports[kind], **options)
        smtp.starttls(context=context)
    try:
        yield smtp
    finally:
        smtp.close()


def log_lines(relay, text):
    return [line for line in relay.log if text in line]


# -- through real load balancers

@pytest.mark.parametrize("kind", ["smtp", "smtps"])
@pytest.mark.parametrize("source", ["127.0.0.2", "127.0.0.3"])
def test_the_client_is_known_by_its_own_address(relay, balancer, kind, source):
    """The client's address is in the Received field and in the log, and the key's allowlist applies to it."""
    key = relay.create_key(allow_network=f"{source}/32")
    with connected(relay, balancer.ports, kind, source) as smtp:
        smtp.login("apikey", key)
        code, text = send(smtp, MESSAGE)
        assert code == 250, text
        smtp.quit()
    message = re.search(r"queued as (\w+)", text)[1]
    assert re.match(rb"Received: from \S+ \(\[" + source.encode() + rb"\]\)\r\n", relay.raw(message))
    relay.wait_until(
        lambda: [line for line in log_lines(relay, message) if f"client={source}" in line],
        "a log line with the client's address")


@pytest.mark.parametrize("kind", ["smtp", "smtps"])
def test_another_clients_address_is_refused(relay, balancer, kind):
    key = relay.create_key(allow_network="127.0.0.2/32")
    with connected(relay, balancer.ports, kind, "127.0.0.3") as smtp:
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            smtp.login("apikey", key)
    assert b"[network]" in refused.value.smtp_error and b"127.0.0.3" in refused.value.smtp_error


def test_http_through_a_load_balancer(relay, balancer):
    """The relay logs the client's own address, and checks that address when the client uses the key."""
    key = relay.create_key(allow_network="127.0.0.2/32")
    with API(relay, key, source="127.0.0.2", port=balancer.ports["https"]) as api:
        message = taken(api.send())
    relay.wait_until(
        lambda: [line for line in log_lines(relay, message.removeprefix("msg_")) if "client=127.0.0.2" in line],
        "a log line with the client's address")
    with API(relay, key, source="127.0.0.3", port=balancer.ports["https"]) as api:
        answer = api.send()
    assert (answer.status, answer.code) == (403, "network")
    assert "127.0.0.3" in answer.json["detail"]


@pytest.mark.parametrize("version", [1, 2])
def test_over_ipv6(relay, tmp_path, version):
    key = relay.create_key(allow_network="::1")
    with haproxy(tmp_path, relay, version, host="::1") as balancer:
        with connected(relay, balancer.ports, "smtps", "::1") as smtp:
            smtp.login("apikey", key)
            code, text = send(smtp, MESSAGE)
    assert code == 250, text
    assert b"([IPv6:::1])" in relay.raw(re.search(r"queued as (\w+)", text)[1])


def connections(relay):
    """How many connections the relay has accepted."""
    address = relay.wait_until(
        lambda: re.search(r"serving metrics address=(\S+)", relay.log_text()), "the metrics are served")[1]
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=DEADLINE) as answer:
        samples = re.findall(r"^hiveku_relay_connections_total\{.*\} (\d+)", answer.read().decode(), re.M)
    return sum(map(int, samples))


@pytest.mark.parametrize("check", ["", "option smtpchk EHLO health.example.com"])
@pytest.mark.parametrize("version", [1, 2])
def test_health_checks_are_not_logged(relay, tmp_path, version, check):
    written, before = len(relay.log), connections(relay)
    with haproxy(tmp_path, relay, version, check=check, checks_every="20ms"):
        relay.wait_until(lambda: connections(relay) > before + 8, "some health checks")
        # The first client only checks whether the port is open. The second one causes a log line, and all earlier lines
        # come before it. This happens while HAProxy runs, because the end of HAProxy may cut a handshake, which would cause
        # a log line.
        direct(relay, "smtp", b"")
        direct(relay, "smtp", b"garbage")
        relay.wait_until(
            lambda: "proxy-missing" in "".join(relay.log[written:]), "the log line about the missing header")
        # A relay that has just started may still write lines about its start.
        lines = [line for line in relay.log[written:] if "serving " not in line and "listening " not in line]
    assert ["proxy-missing" in line for line in lines] == [True], lines


# -- with headers that the tests write

def line(source="192.0.2.7", family=4):
    return f"PROXY TCP{family} {source} {source} 40000 587\r\n".encode()


def block(command=0x21, kind=0x11, rest=None, length=None):
    rest = socket.inet_aton("192.0.2.7") * 2 + struct.pack(">HH", 40000, 587) if rest is None else rest
    return SIGNATURE + bytes([command, kind]) + struct.pack(">H", len(rest) if length is None else length) + rest


def direct(relay, kind, *pieces):
    """Sends octets without a load balancer. Returns the relay's answer, up to the end of the connection or of a line."""
    with socket.create_connection(("127.0.0.1", relay.ports[kind]), timeout=DEADLINE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        if not pieces or pieces == (b"",):
            return b""
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while not answer.endswith(b"\n"):
                octets = connection.recv(1000)
                if not octets:
                    break
                answer += octets
        return answer


HEADERS = [line(), line("2001:db8::7", 6), b"PROXY UNKNOWN\r\n", block(), block(0x20, 0, b""), block(rest=block()[16:] + bytes(200))]


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_and_the_first_command_in_one_segment(relay, header):
    assert direct(relay, "smtp", header + b"QUIT\r\n").startswith(b"220 relay.example.com ")


@pytest.mark.parametrize("header", [line(), block()])
def test_a_proxy_header_split_at_any_octet_is_accepted(relay, header):
    for cut in range(1, len(header)):
        assert direct(relay, "smtp", header[:cut], header[cut:]).startswith(b"220 "), cut
    assert direct(relay, "smtp", *[header[n:n + 1] for n in range(len(header))]).startswith(b"220 ")


@pytest.mark.parametrize("header", [line(), block()])
def test_a_header_and_the_beginning_of_tls_in_one_segment(relay, header):
    """Implicit TLS: the ClientHello comes with the header."""
    key = relay.create_key(allow_network="192.0.2.7")
    context = ssl.create_default_context(cafile=str(relay.certificate))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", relay.ports["smtps"]), timeout=DEADLINE) as connection:
        def carry(step):
            """Passes octets in both directions until TLS has what it needs for `step`."""
            while True:
                try:
                    result = step()
                except ssl.SSLWantReadError:
                    result = None
                octets = outgoing.read()
                if octets:
                    connection.sendall(octets)
                if result is not None:
                    return result
                octets = connection.recv(16_000)
                assert octets, "the relay closed the connection"
                incoming.write(octets)

        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        connection.sendall(header + outgoing.read())
        carry(lambda: tls.do_handshake() or True)
        assert carry(lambda: tls.read(1000)).startswith(b"220 ")
        login = base64.b64encode(f"\0apikey\0{key}".encode())
        carry(lambda: tls.write(b"EHLO client\r\n"))
        assert carry(lambda: tls.read(1000)).startswith(b"250-")
        carry(lambda: tls.write(b"AUTH PLAIN " + login + b"\r\n"))
        assert carry(lambda: tls.read(1000)).startswith(b"235 ")


@pytest.mark.parametrize("octets, reason", [
    (b"EHLO client\r\n", "proxy-missing"), (b"\x16\x03\x01\x02\x00\x01", "proxy-missing"),
    (b"GET / HTTP/1.1\r\n\r\n", "proxy-missing"), (b"PROXY TCP4 192.0.2.7\r\n", "proxy-malformed"),
    (line().replace(b"\r\n", b"\n"), "proxy-malformed"), (b"PROXY UNKNOWN " + b"x" * 200, "proxy-too-long"),
    (block(length=5000), "proxy-too-long"), (block(0x31), "proxy-unsupported"), (block(kind=0x51), "proxy-unsupported"),
    (block(rest=b"x" * 11), "proxy-malformed")])
@pytest.mark.parametrize("kind", ["smtp", "smtps"])
def test_a_connection_without_a_good_header_is_closed(own_relay, octets, reason, kind):
    relay = own_relay(PROXIED)
    assert direct(relay, kind, octets) == b""
    relay.wait_for_log(f"reason={reason}")
    logged = log_lines(relay, reason)
    assert len(logged) == 1 and "notice" in logged[0] and "client=127.0.0.1" in logged[0] and "remedy=" in logged[0]


def test_an_incomplete_or_missing_proxy_header_ends_the_connection(relay):
    """The header must be complete within five seconds, even if the client goes on sending."""
    written = len(relay.log)
    with socket.create_connection(("127.0.0.1", relay.ports["smtp"]), timeout=DEADLINE) as cut:
        cut.sendall(line()[:20])
        cut.shutdown(socket.SHUT_WR)
        assert cut.recv(1000) == b""
    with socket.create_connection(("127.0.0.1", relay.ports["smtp"]), timeout=DEADLINE) as silent, \
            socket.create_connection(("127.0.0.1", relay.ports["smtp"]), timeout=DEADLINE) as slow:
        slow.sendall(block(rest=bytes(1000))[:100])
        assert silent.recv(1000) == b"" and slow.recv(1000) == b""
    relay.wait_until(lambda: len(relay.log) >= written + 3, "three new lines in the log")
    reasons = [re.search(r"reason=(\S+)", line)[1] for line in relay.log[written:]]
    assert sorted(reasons) == ["proxy-cut", "proxy-late", "proxy-late"]


def test_repeated_proxy_errors_do_not_flood_the_log(own_relay):
    relay = own_relay(PROXIED)
    for _ in range(60):
        direct(relay, "smtp", b"garbage")
    relay.wait_for_log("more lines left out")
    assert len(log_lines(relay, "reason=proxy-missing")) < 60


def test_a_peer_outside_proxy_networks_is_refused_until_a_reload_adds_it(own_relay):
    relay = own_relay({**PROXIED, "proxy_networks": ["192.0.2.0/24"]})
    for kind in ["smtp", "smtps"]:
        assert direct(relay, kind, line()) == b""
    relay.wait_for_log("reason=proxy-network")
    assert "proxy_networks" in log_lines(relay, "proxy-network")[0]
    relay.write_settings(PROXIED)
    relay.process.send_signal(signal.SIGHUP)
    relay.wait_for_log("settings changed settings=proxy_networks")
    assert direct(relay, "smtp", line()).startswith(b"220 ")


def test_limits_and_throttle_go_by_the_clients_address(own_relay):
    relay = own_relay({**PROXIED, "submission.max_connections_per_client": 2})

    def greeting(connection):
        return connection.makefile("rb").readline()

    with contextlib.ExitStack() as open_ones:
        def connect(source):
            connection = open_ones.enter_context(
                socket.create_connection(("127.0.0.1", relay.ports["smtp"]), timeout=DEADLINE))
            connection.sendall(line(source))
            return greeting(connection)

        assert [connect("192.0.2.7")[:4] for _ in range(3)] == [b"220 ", b"220 ", b"421 "]
        assert [connect("192.0.2.8")[:4] for _ in range(3)] == [b"220 ", b"220 ", b"421 "]
    relay.wait_for_log("client=192.0.2.7", "client=192.0.2.8")
    assert "connection refused" in log_lines(relay, "client=192.0.2.8")[0]


def test_listeners_with_and_without_load_balancer_beside_each_other(own_relay):
    """A listener without a load balancer expects no header. It reads a header as an unknown command."""
    relay = own_relay({"listen": ["smtp://127.0.0.1:0", "smtps+proxy://127.0.0.1:0"], "proxy_networks": ["127.0.0.1"]})
    with socket.create_connection(("127.0.0.1", relay.ports["smtp"]), timeout=DEADLINE) as connection:
        connection.sendall(line() + b"QUIT\r\n")
        replies = connection.makefile("rb").read().splitlines()
    assert [reply[:3] for reply in replies] == [b"220", b"500", b"221"]
    assert direct(relay, "smtps", b"\x16\x03\x01\x02\x00\x01") == b""
    relay.wait_for_log("reason=proxy-missing")


def test_a_proxied_listener_needs_proxy_networks(own_relay):
    relay = own_relay({**PROXIED, "proxy_networks": []}, start=False)
    result = relay.run("config", "check", check=False)
    assert result.returncode == 78
    assert "proxy_networks" in result.stderr and "empty" in result.stderr


def accepts(relay):
    try:
        socket.create_connection(("127.0.0.1", relay.ports["smtp"]), timeout=DEADLINE).close()
        return True
    except ConnectionRefusedError:
        return False


def test_a_client_whose_header_comes_during_the_shutdown_is_greeted(own_relay):
    """A load balancer connected the client at the last moment. The client may still send its message."""
    relay = own_relay(PROXIED)
    with socket.create_connection(("127.0.0.1", relay.ports["smtp"]), timeout=DEADLINE) as connection:
        connection.sendall(line()[:20])
        # This connection was made later. When it is greeted, the relay has accepted the first one too.
        assert direct(relay, "smtp", line()).startswith(b"220 ")
        relay.process.send_signal(signal.SIGTERM)
        relay.wait_until(lambda: not accepts(relay), "the listener to close")
        connection.sendall(line()[20:])
        assert connection.makefile("rb").readline().startswith(b"220 ")
    assert relay.stop() == 0


def test_the_log_shows_which_http_listeners_require_the_proxy_header(own_relay):
    relay = own_relay({"http.listen": ["https+proxy://127.0.0.1:0"], "proxy_networks": ["127.0.0.1"]})
    relay.wait_for_log("http=tls proxy_header=required")
