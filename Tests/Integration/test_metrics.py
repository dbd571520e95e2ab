"""Metrics and health checks, requested as Prometheus and other programs do it."""

import http.client
import json
import re
import signal
import smtplib
import socket
import stat
import threading
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay import DEADLINE, ROOT, key_id
from ses import CREDENTIALS, REGION
from ses_standin import SESStandIn
from submit import send, session, submit
from small_disk import fill, small_disk  # noqa: F401
from wording import mentions

MESSAGE = b"From: from@example.com\r\nSubject: secret subject\r\n\r\nbody\r\n"


def documented():
    """The metrics in the table for operators: name → (kind, labels, sentence)."""
    lines = (ROOT / "etc/prometheus/README.md").read_text().splitlines()
    rows = [re.split(r" *\| *", line.strip("| ")) for line in lines if line.startswith("| `hiveku_relay_")]
    return {name.strip("`"): (kind, labels, sentence) for name, kind, labels, sentence in rows}


class Metrics:
    """The metrics in one answer to /metrics."""

    def __init__(self, text):
        self.text = text
        self.families = list(text_string_to_metric_families(text))
        self.samples = [sample for family in self.families for sample in family.samples]

    def __call__(self, name, **labels):
        """The value of the one series with these labels."""
        name = "hiveku_relay_" + name
        found = [s for s in self.samples if s.name == name and labels.items() <= s.labels.items()]
        assert len(found) == 1, (name, labels, found)
        return found[0].value


def address(relay):
    """The address at which the relay serves its metrics."""
    return relay.wait_until(
        lambda: re.search(r"serving metrics address=(\S+)", relay.log_text()), "the metrics' listener")[1]


def ask(relay, path, method="GET"):
    request = urllib.request.Request(f"http://{address(relay)}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers


def scrape(relay):
    status, text, headers = ask(relay, "/metrics")
    assert status == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Metrics(text)


def scrape_until(relay, condition, what):
    return relay.wait_until(lambda: next((m for m in [scrape(relay)] if condition(m)), None), what)


@pytest.fixture
def measured(own_relay):
    def make(settings=None, **options):
        return own_relay({"metrics.listen": "127.0.0.1:0", **(settings or {})}, **options)

    return make


def test_served_metrics_match_the_documented_metrics(measured):
    metrics = scrape(measured())
    table = documented()
    # The parser removes _total from the name of a counter.
    served = {f.name + ("_total" if f.type == "counter" else ""): (f.type, f.documentation) for f in metrics.families}
    assert served == {name: (kind, sentence) for name, (kind, labels, sentence) in table.items()}
    for name, (_, labels, _) in table.items():
        plain = name.removesuffix("_total")
        told = {label.split(":")[0] for label in labels.split("; ") if label}
        family = next(f for f in metrics.families if f.name == plain)
        assert family.samples
        assert {label for s in family.samples for label in s.labels} - {"le"} == told, name


def test_traffic_is_counted(measured):
    relay = measured({"submission.max_connections_per_client": 3})
    key = relay.create_key(per_second=1, burst=2, allow_domain="example.com")
    before = scrape(relay)
    with session(relay, key) as smtp:
        assert send(smtp, MESSAGE)[0] == 250
        assert send(smtp, MESSAGE.replace(b"body", b"other"), recipients=["a@example.net"])[0] == 250
        # The bucket is empty, so the relay delays this message by about a second.
        assert send(smtp, MESSAGE.replace(b"body", b"third"))[0] == 250
        code, text = send(smtp, MESSAGE, sender="from@example.org")
        assert code == 553 and text.endswith("[sender-domain]")
        open_now = scrape(relay)("connections_open")
    with session(relay, key, "smtp") as smtp:
        assert smtp.noop()[0] == 250
    with pytest.raises(smtplib.SMTPAuthenticationError, match="key-malformed"), session(relay, key[:-1]):
        pass
    metrics = scrape_until(
        relay, lambda m: m("deliveries_total", lane="test", outcome="simulated") == 3
        and m("queue_deliveries", lane="test", state="sending") == 0, "three deliveries")

    def gain(name, **labels):
        return metrics(name, **labels) - before(name, **labels)

    assert open_now == 1
    assert gain("connections_total", tls="implicit") == 2 and gain("connections_total", tls="starttls") == 1
    assert gain("tls_handshakes_total", version="TLSv1.3", resumed="false") == 3
    assert gain("authentications_total", result="ok") == 2
    # smtplib tries PLAIN, and then LOGIN, so there are two refusals.
    assert gain("authentications_total", result="key-malformed") == gain("refusals_total", reason="key-malformed") == 2
    assert gain("refusals_total", reason="sender-domain") == 1
    assert gain("rate_delay_seconds_count") == 1 and 0 < gain("rate_delay_seconds_sum") < 2
    assert gain("messages_accepted_total", lane="test") == 3 and gain("emails_accepted_total", lane="test") == 3
    assert gain("messages_accepted_total", lane="live") == 0
    assert gain("accepted_bytes_total", lane="test") > 3 * len(MESSAGE)
    assert gain("commit_messages_count") == 3 and gain("commit_messages_sum") == 3
    assert gain("commit_messages_bucket", le="1") == 3 and gain("commit_messages_bucket", le="+Inf") == 3
    assert gain("commit_seconds_count") == 3 and gain("commit_seconds_sum") > 0
    # Each message is accepted, claimed and settled, and each of these steps syncs. One claim may include several messages.
    assert gain("sync_seconds_count") >= 5 and gain("sync_seconds_sum") > 0
    assert gain("emails_sent_total", lane="test") == 3
    assert gain("delivery_delay_seconds_count", lane="test") == 3
    assert metrics("store_up") == 1 and metrics("build_info") == 1 and metrics("metrics_dropped_series") == 0
    assert 0 < metrics("disk_free_bytes") <= metrics("disk_size_bytes")
    assert metrics("queue_oldest_age_seconds", lane="test", state="sending") == 0


def test_queued_deliveries_are_reported_by_lane_and_state(measured):
    """Without a region, no live message can be sent."""
    relay = measured()
    key = relay.create_key("live")
    held = submit(relay, key, MESSAGE)
    metrics = scrape_until(relay, lambda m: m("lane_held", lane="live") == 1, "the live lane is held")
    relay.run("messages", "hold", held)
    submit(relay, key, MESSAGE.replace(b"body", b"other"))
    metrics = scrape_until(
        relay, lambda m: m("queue_deliveries", lane="live", state="held") == 1
        and m("queue_deliveries", lane="live", state="queued") == 1
        and m("queue_oldest_age_seconds", lane="live", state="held") > 0, "one held, one queued")
    assert metrics("queue_deliveries", lane="test", state="queued") == 0
    assert metrics("lane_held", lane="test") == 0


def test_the_expiry_of_the_served_certificate_is_reported(measured):
    from cryptography import x509

    relay = measured()
    expiry = x509.load_pem_x509_certificate(relay.certificate.read_bytes()).not_valid_after_utc.timestamp()
    assert scrape(relay)("certificate_expiry_timestamp_seconds", key_type="EC") == expiry


def test_labels_contain_no_names_and_their_number_does_not_grow(measured):
    relay = measured({"submission.max_rate_delay": "0s"})
    before = scrape(relay)
    keys = [relay.create_key(per_second=1, burst=1, name=f"secret name {n}") for n in range(3)]
    for n, key in enumerate(keys):
        with session(relay, key) as smtp:
            smtp.ehlo(f"client-{n}.example")
            assert send(smtp, MESSAGE, [f"to-{n}@recipient-{n}.example"], f"from-{n}@sender-{n}.example")[0] == 250
            assert send(smtp, MESSAGE, [f"to-{n}@recipient-{n}.example"])[0] == 451
    after = scrape(relay)
    identities = lambda metrics: {(s.name, *sorted(s.labels.items())) for s in metrics.samples}
    assert identities(after) == identities(before)
    assert len(after.samples) < 400
    names = [key for key in keys] + [key_id(key) for key in keys] + ["127.0.0.1", "example", "secret name", "secret subject"]
    for name in names:
        assert name not in after.text


def test_ses_is_measured(measured):
    with SESStandIn() as ses:
        relay = measured({"ses.region": REGION, "ses.endpoint": ses.url}, environment=CREDENTIALS)
        message = submit(relay, relay.create_key("live"), MESSAGE, ["a@example.net", "b@example.net"])
        relay.wait_for_state(message, "sent")
        metrics = scrape_until(relay, lambda m: m("deliveries_total", lane="live", outcome="sent") == 1, "a delivery")
    assert metrics("ses_request_seconds_count", outcome="sent") == 1
    assert metrics("ses_request_seconds_sum", outcome="sent") > 0
    assert metrics("ses_emails_total") == 2 and metrics("emails_sent_total", lane="live") == 2
    assert metrics("ses_rate_allowed_emails_per_second") > 0


# -- health


def test_health_and_readiness(measured):
    relay = measured()
    status, text, _ = ask(relay, "/healthz")
    assert status == 200
    assert "event loop 1: ok\n" in text and text.endswith("store: ok\nlive worker: ok\ntest worker: ok\n")
    assert ask(relay, "/readyz")[:2] == (200, "listeners: ok\nstore: ok\ndisk: ok\n")


def test_a_draining_relay_is_alive_but_not_ready(measured):
    relay = measured()
    key = relay.create_key()
    address(relay)
    with session(relay, key) as smtp:
        assert smtp.mail("from@example.com")[0] == 250
        status = []
        stopper = threading.Thread(target=lambda: status.append(relay.stop()))
        process = relay.process
        stopper.start()
        relay.wait_until(lambda: ask(relay, "/readyz")[0] == 503, "not ready")
        assert mentions(ask(relay, "/readyz")[1], "listeners: ", "stopping")
        assert ask(relay, "/healthz")[0] == 200
        assert process.poll() is None
        assert smtp.rset()[0] == 250
        assert smtp.getreply()[0] == 421
        smtp.quit = lambda: None
    stopper.join(DEADLINE)
    assert status == [0], relay.log_text()


def test_a_relay_with_a_full_disk_is_alive_but_not_ready(measured, small_disk):  # noqa: F811
    relay = measured({"database": str(small_disk / "relay.db")})
    assert ask(relay, "/readyz")[0] == 200
    filler = fill(small_disk)
    relay.wait_until(lambda: ask(relay, "/readyz")[0] == 503, "not ready")
    assert "disk: full" in ask(relay, "/readyz")[1]
    assert ask(relay, "/healthz")[0] == 200
    assert scrape(relay)("disk_free_bytes") == 0
    filler.unlink()
    relay.wait_until(lambda: ask(relay, "/readyz")[0] == 200, "ready again")


# -- the listener


def test_other_requests(measured):
    relay = measured()
    assert ask(relay, "/")[0] == 404
    assert ask(relay, "/metrics", "POST")[0] == 405
    status, text, headers = ask(relay, "/metrics", "HEAD")
    assert status == 200 and text == "" and headers["Content-Type"].startswith("text/plain")
    assert ask(relay, "/healthz?verbose=1")[0] == 200
    host, port = address(relay).rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=DEADLINE) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n")
        try:
            assert client.recv(1000).startswith(b"HTTP/1.1 4") or client.recv(1000) == b""
        except ConnectionResetError:
            pass
    assert scrape(relay)("store_up") == 1


def test_metrics_are_not_served_unless_configured(own_relay):
    relay = own_relay()
    assert relay.stop() == 0
    assert "metrics" not in relay.log_text()


def test_a_port_in_use_is_reported(own_relay):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        relay = own_relay({"metrics.listen": f"127.0.0.1:{port}"}, start=False)
        result = relay.run("serve", check=False)
    assert result.returncode == 1
    assert mentions(result.stderr, f"127.0.0.1:{port}", "metrics.listen")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=DEADLINE)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def ask_unix(path):
    connection = UnixConnection(path)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_a_unix_socket(own_relay, tmp_path):
    path = tmp_path / "metrics.sock"
    relay = own_relay({"metrics.listen": f"unix:{path}"})
    assert address(relay) == f"unix:{path}"
    status, text = ask_unix(path)
    assert status == 200 and Metrics(text)("store_up") == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    # A second relay does not remove the first relay's socket.
    other = own_relay({"metrics.listen": f"unix:{path}"}, start=False)
    result = other.run("serve", check=False)
    assert result.returncode == 1 and mentions(result.stderr, str(path), "another process")
    assert ask_unix(path)[0] == 200
    # A relay can start although a crash has left the socket behind.
    relay.stop(signal.SIGKILL)
    assert path.exists()
    relay.start()
    relay.wait_until(
        lambda: len(re.findall("serving metrics", relay.log_text())) == 2, "the relay serves metrics again")
    assert ask_unix(path)[0] == 200
    assert relay.stop() == 0
    assert not path.exists()


def test_a_file_at_the_socket_path_is_not_removed(own_relay, tmp_path):
    path = tmp_path / "metrics.sock"
    path.write_text("dear")
    relay = own_relay({"metrics.listen": f"unix:{path}"}, start=False)
    result = relay.run("serve", check=False)
    assert result.returncode == 1 and mentions(result.stderr, str(path), "not a socket")
    assert path.read_text() == "dear"


# -- the dashboard


def test_the_dashboard_shows_every_metric_and_no_unknown_one():
    dashboard = json.loads((ROOT / "etc/grafana/hiveku-relay.json").read_text())
    histograms = {n for n, (kind, _, _) in documented().items() if kind == "histogram"}
    names = (set(documented()) - histograms) | {n + part for n in histograms for part in ("_bucket", "_sum", "_count")}
    panels = [p for p in dashboard["panels"] if p["type"] != "row"]
    assert len({p["id"] for p in dashboard["panels"]}) == len(dashboard["panels"])
    used = set()
    for panel in panels:
        assert all(isinstance(n, int) for n in panel["gridPos"].values()), panel["title"]
        for target in panel["targets"]:
            found = set(re.findall(r"hiveku_relay_\w+", target["expr"]))
            assert found and found <= names, (panel["title"], found - names)
            used |= found
    # The dashboard shows all metrics.
    assert {re.sub("_(bucket|sum|count)$", "", n) if n not in documented() else n for n in used} == set(documented())


def test_the_alerts_use_only_existing_metrics():
    rules = (ROOT / "etc/prometheus/alerts.yaml").read_text()
    assert set(re.findall(r"hiveku_relay_\w+", rules)) <= set(documented())


def test_idle_metrics_connections_make_room_for_a_health_check(measured):
    """More connections than the listener allows.

    Some send nothing, some send one octet at a time. A health check is answered each time.
    """
    relay = measured()
    host, port = address(relay).rsplit(":", 1)
    sitting = []
    try:
        for number in range(96):
            client = socket.create_connection((host, int(port)), timeout=DEADLINE)
            sitting.append(client)
            if number % 3 == 1:
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-Drip: ")
            elif number % 3 == 2:
                # The header is complete, and the body never comes.
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(3):
            assert ask(relay, "/healthz")[0] == 200
            for client in sitting[1::3]:
                try:
                    client.sendall(b"y")
                except OSError:
                    pass
        assert scrape(relay)("store_up") == 1
        # The relay has closed the first connections, to make room.
        assert sitting[0].recv(1) == b""
    finally:
        for client in sitting:
            client.close()


def test_an_incomplete_request_header_ends_the_connection(measured):
    relay = measured()
    host, port = address(relay).rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=DEADLINE) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert client.recv(100) == b""
