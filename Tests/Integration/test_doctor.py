"""`doctor`: which problems it finds, which remedies it gives, and that it changes nothing."""

import contextlib
import json
import os
import re
import socket
import subprocess
import threading

import pytest

import ses as stand_in
from authority import issue
from relay import BINARY, DEADLINE, clean_environment, free_port, key_id
from ses import CREDENTIALS, REGION
from submit import submit
from wording import mentions

SUBJECTS = [
    "settings", "certificate", "hostname", "listeners", "database", "disk", "queue", "keys", "ses", "credentials", "clock",
    "account", "quota", "identity", "feedback", "bounces"]
SES_SUBJECTS = SUBJECTS[SUBJECTS.index("ses"):SUBJECTS.index("feedback")]
# The name relay.example.com does not resolve. Without a network, a resolver may take a long time to find that out.
QUICK_RESOLVER = {"RES_OPTIONS": "timeout:1 attempts:1"}


class Patient:
    """A relay with ports, a certificate and an SES of its own, which doctor examines."""

    def __init__(self, relay, ses):
        self.relay = relay
        self.ses = ses

    def examine(self, environment=None):
        result = self.relay.run("doctor", "--json", check=False, environment={**QUICK_RESOLVER, **(environment or {})})
        document = json.loads(result.stdout)
        assert set(document) == {"ok", "checks"}
        for check in document["checks"]:
            assert set(check) == {"name", "outcome", "found", "remedy"}
            assert check["outcome"] in ("ok", "warning", "problem", "skipped")
            assert bool(check["remedy"]) == (check["outcome"] != "ok"), check
        assert list(dict.fromkeys(check["name"] for check in document["checks"])) == SUBJECTS
        assert document["ok"] == all(check["outcome"] != "problem" for check in document["checks"])
        assert result.returncode == (0 if document["ok"] else 1)
        assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in result.stdout + result.stderr
        # There is no progress line if standard error is not a terminal.
        assert result.stderr == ""
        return document["checks"]


def of(checks, name):
    return [check for check in checks if check["name"] == name]


def but_ok(checks):
    """The checks that are not ok, without those of the host name, which never resolves in these tests, and of the queue of events.

    test_feedback.py tests the queue of events.
    """
    return [c for c in checks if c["outcome"] != "ok" and c["name"] not in ("hostname", "feedback")]


def expect(checks, name, outcome, *parts):
    """Asserts that this is the only check that is not ok, and that its finding or remedy names these facts. Returns the check."""
    found = but_ok(checks)
    assert [(c["name"], c["outcome"]) for c in found] == [(name, outcome)], found
    for part in parts:
        assert part in found[0]["found"] + "\n" + found[0]["remedy"], found[0]
    return found[0]


@pytest.fixture
def ses():
    with stand_in.serving() as ses:
        ses.verify("example.com")
        yield ses


@pytest.fixture
def patient(own_relay, ses, tmp_path):
    """Makes patients: with a running relay or not, and with a live key for example.com or not."""

    def make(settings=None, start=True, live=True, credentials=CREDENTIALS, **certificate):
        pem, key = issue(tmp_path, **certificate)
        relay = own_relay(
            {"listen": [f"smtp://127.0.0.1:{free_port()}", f"smtps://127.0.0.1:{free_port()}"],
             "tls.certificate": [str(pem)], "tls.private_key": [str(key)],
             "ses.region": REGION, "ses.endpoint": ses.url, **(settings or {})},
            {"AWS_EC2_METADATA_DISABLED": "true", **credentials}, start=start)
        relay.certificate = tmp_path / "issued.root"
        if live:
            relay.create_key("live", allow_domain=["example.com", "*.example.com"])
        return Patient(relay, ses)

    return make


def test_doctor_finds_no_problem_in_a_healthy_relay(patient):
    patient = patient()
    checks = patient.examine()
    assert but_ok(checks) == []
    found = {check["name"]: check["found"] for check in checks}
    assert "relay.example.com" in found["certificate"] and "1 intermediate" in found["certificate"]
    assert len(of(checks, "listeners")) == 2 and len(of(checks, "database")) == 2
    assert "1 live, 0 test" in found["keys"]
    assert "environment" in found["credentials"] and "AKIDEXAMPLE" in found["credentials"]
    assert "1200 of 50000 emails" in found["quota"] and "14 a second" in found["quota"]
    # Two rules name the same domain, so there is one check, and doctor asks SES once.
    (identity,) = [c["found"] for c in of(checks, "identity")]
    assert mentions(identity, "example.com", "verified", REGION)
    # (The relay also asks SES about the account.)
    assert [path for path in patient.ses.asked if "identities" in path] == ["/v2/email/identities/example.com"]
    text = patient.relay.run("doctor", environment=QUICK_RESOLVER).stdout
    assert re.search(r"(?m)^ok {7}certificate  /", text) and "\x1b" not in text


def test_doctor_asks_ses_nothing_without_a_usable_live_key(patient):
    patient = patient(start=False, live=False)
    patient.relay.create_key("test")
    expired = patient.relay.create_key("live", expires_in="1ms")
    scopeless = patient.relay.create_key("live", scopes=())
    checks = patient.examine()
    assert patient.ses.asked == []
    assert [(c["name"], c["outcome"]) for c in but_ok(checks)] == [
        ("listeners", "problem"), ("listeners", "problem"), ("keys", "warning"), *((name, "skipped") for name in SES_SUBJECTS)]
    keys = of(checks, "keys")
    assert key_id(expired) in keys[0]["found"] and "keys revoke " + key_id(expired) in keys[0]["remedy"]
    assert key_id(scopeless) in keys[1]["found"]
    # In the output for people, the reason is given only once.
    text = patient.relay.run("doctor", check=False, environment=QUICK_RESOLVER).stdout
    assert text.count(of(checks, "ses")[0]["found"]) == 1 and text.count("the same reason") == len(SES_SUBJECTS) - 1


@pytest.mark.parametrize("certificate, outcome, words", [
    ({"days": -3}, "problem", ["expired", "3 days", "certbot renew"]),
    ({"days": 5}, "warning", ["expires", "4 days", "certbot renew"]),
    ({"names": ["other.example.com", "*.relay.example.com"]}, "warning", ["other.example.com", "hostname", "relay.example.com"]),
    ({"chain": False}, "warning", ["intermediate", "fullchain.pem"]),
])
def test_certificates(patient, certificate, outcome, words):
    expect(patient(**certificate).examine(), "certificate", outcome, *words)


def test_a_wildcard_covers_the_host_name(patient):
    assert but_ok(patient(names=["*.example.com"]).examine()) == []


def test_doctor_reports_unusable_certificate_files(patient, tmp_path):
    patient = patient()
    relay = patient.relay
    other, other_key = issue(tmp_path, name="other")
    settings = json.loads(relay.config.read_text())
    settings["tls"]["private_key"] = [str(other_key)]
    relay.config.write_text(json.dumps(settings))
    expect(patient.examine(), "certificate", "problem", "private key", settings["tls"]["certificate"][0])
    # The files now have another certificate than the one that the relay has loaded.
    settings["tls"]["certificate"] = [str(other)]
    relay.config.write_text(json.dumps(settings))
    other_key.chmod(0o644)
    found = but_ok(patient.examine())
    assert [(c["name"], c["outcome"]) for c in found] == [
        ("certificate", "warning"), ("listeners", "warning"), ("listeners", "warning")]
    assert "chmod o-rwx" in found[0]["remedy"] and "different" in found[1]["found"]


def test_self_signed(own_relay):
    relay = own_relay({"listen": [f"smtp://127.0.0.1:{free_port()}", f"smtps://127.0.0.1:{free_port()}"],
                       "hostname": "localhost"})
    checks = Patient(relay, None).examine()
    (certificate,) = [c["found"] for c in of(checks, "certificate")]
    assert mentions(certificate, str(relay.certificate), "self-signed")
    assert [c["outcome"] for c in of(checks, "hostname")] == ["warning"]
    assert of(checks, "keys")[0]["outcome"] == "warning" and "keys create" in of(checks, "keys")[0]["remedy"]


def test_the_relay_is_not_running(patient):
    patient = patient(start=False)
    checks = patient.examine()
    assert [(c["name"], c["outcome"]) for c in but_ok(checks)] == [("listeners", "problem")] * 2
    for check in of(checks, "listeners"):
        assert "not running" in check["found"] and "systemctl start" in check["remedy"]


@pytest.mark.parametrize("talk, parts", [
    (b"220 mx.example.com ESMTP Postfix\r\n", ["program", "mx.example.com ESMTP Postfix"]),
    (b"421 4.3.2 Too many connections\r\n", ["refuse", "421 4.3.2 Too many connections"]),
    (b"220-relay.example.com\r\n220 relay.example.com ESMTP Hiveku Relay\r\n", ["program", "220-relay.example.com"]),
    (b"x" * 5000, ["protocol"]),
    (b"", ["closed", "reply"]),
    (b"220 relay.example.com ESMTP Hiveku Relay\r\n250-relay.example.com\r\n250 SIZE 1\r\n", ["not", "STARTTLS"]),
    (b"220 relay.example.com ESMTP Hiveku Relay\r\n250 STARTTLS\r\n220 2.0.0 Go\r\nnonsense, not TLS at all", ["not", "TLS"]),
])
def test_doctor_recognizes_another_program_on_the_port(patient, talk, parts):
    patient = patient(start=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve():
            # Doctor may close the connection early.
            with server.accept()[0] as connection, contextlib.suppress(OSError):
                connection.sendall(talk)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1000):
                    pass
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        settings = json.loads(patient.relay.config.read_text())
        settings["listen"] = [f"smtp://127.0.0.1:{server.getsockname()[1]}"]
        patient.relay.config.write_text(json.dumps(settings))
        check = of(patient.examine(), "listeners")[0]
        thread.join(DEADLINE)
    assert all(part in check["found"] for part in [*parts, settings["listen"][0]]), check
    assert ("STARTTLS" in check["found"]) == ("STARTTLS" in parts), check
    assert check["outcome"] == ("warning" if talk.startswith(b"421") else "problem")


def test_listeners_behind_a_load_balancer(patient):
    """Doctor connects to the listeners as a load balancer does, if this machine may be one."""
    listen = [f"smtp+proxy://127.0.0.1:{free_port()}", f"smtps+proxy://127.0.0.1:{free_port()}"]
    patient = patient({"listen": listen, "proxy_networks": ["127.0.0.1"]})
    checks = of(patient.examine(), "listeners")
    assert len(checks) == 2
    assert all(mentions(check["found"], place, "answers", "TLS") for check, place in zip(checks, listen)), checks
    checks = of(patient.examine({"HIVEKU_RELAY_PROXY_NETWORKS": "192.0.2.1"}), "listeners")
    assert [check["outcome"] for check in checks] == ["ok", "ok"]
    assert all(mentions(check["found"], place, "proxy_networks") for check, place in zip(checks, listen)), checks


@pytest.mark.parametrize("answer, outcome, parts", [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "ok", ["answers"]),
    (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "warning", ["refuse", "HTTP/1.1 503 Service Unavailable"]),
    (b"HTTP/1.1 404 Not Found\r\n\r\n", "problem", ["program", "HTTP/1.1 404 Not Found"]),
])
@pytest.mark.parametrize("kind", ["address", "socket"])
def test_listeners_of_http(patient, tmp_path, kind, answer, outcome, parts):
    """HTTP without TLS. Another program answers instead of the relay."""
    path = str(tmp_path / "http.sock")
    with (socket.create_server(("127.0.0.1", 0)) if kind == "address" else socket.socket(socket.AF_UNIX)) as server:
        if kind == "socket":
            server.bind(path)
            server.listen()
        place = f"http://127.0.0.1:{server.getsockname()[1]}" if kind == "address" else f"unix:{path}"

        def serve():
            connection, _ = server.accept()
            with connection:
                assert connection.makefile("rb").readline() == b"GET /v1/openapi.json HTTP/1.1\r\n"
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        check = of(patient({"http.listen": [place]}, start=False).examine(), "listeners")[-1]
        thread.join(DEADLINE)
    assert check["outcome"] == outcome
    assert all(part in check["found"] for part in [place, *parts]), check


def test_doctor_skips_http_sockets_passed_by_systemd(patient):
    checks = of(patient({"http.listen": ["systemd"]}, start=False).examine(), "listeners")
    assert checks[-1]["outcome"] == "skipped" and "systemctl list-sockets" in checks[-1]["remedy"]


def test_there_is_no_database(patient):
    patient = patient(start=False, live=False)
    before = sorted(os.listdir(patient.relay.directory))
    checks = patient.examine()
    outcomes = {c["name"]: c["outcome"] for c in checks if c["name"] not in ("hostname", "listeners")}
    assert outcomes == {
        "settings": "ok", "certificate": "ok", "database": "problem", "disk": "ok", "queue": "skipped", "keys": "skipped",
        **{name: "skipped" for name in SES_SUBJECTS}, "feedback": "skipped", "bounces": "ok"}
    assert mentions(of(checks, "database")[0]["found"], "no", str(patient.relay.directory / "relay.db"))
    # Doctor has not created one.
    assert sorted(os.listdir(patient.relay.directory)) == before


def test_doctor_reports_a_file_that_is_not_a_database(patient):
    patient = patient(start=False, live=False)
    (patient.relay.directory / "relay.db").write_bytes(b"A" * 8192)
    (patient.relay.directory / "relay.db").chmod(0o600)
    check = of(patient.examine(), "database")[0]
    assert check["outcome"] == "problem" and "damaged" in check["found"]


def test_a_damaged_database(patient):
    patient = patient(start=False)
    path = patient.relay.directory / "relay.db"
    subprocess.run(
        [os.sys.executable, "-c", """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
db.execute("PRAGMA writable_schema=ON")
# An index that says something else than its table.
db.execute("UPDATE sqlite_master SET sql = 'CREATE INDEX message_by_key ON message (lane)' WHERE name = 'message_by_key'")
db.execute("UPDATE sqlite_master SET rootpage = 1 WHERE name = 'delivery_held'")
db.commit()
""", str(path)], check=True)
    check = of(patient.examine(), "database")
    assert "problem" in [c["outcome"] for c in check], check
    assert any("damaged" in c["found"] for c in check)


def test_permissions_of_the_database(patient):
    patient = patient(start=False)
    path = patient.relay.directory / "relay.db"
    patient.relay.directory.chmod(0o755)
    path.chmod(0o644)
    # Doctor reports only the database, because SQLite gives the other files beside it the same permissions.
    check = next(c for c in of(patient.examine(), "database") if c["outcome"] != "ok")
    assert check["outcome"] == "warning" and f"chmod o-rwx {path}" in check["remedy"]
    patient.relay.directory.chmod(0o750)
    assert all(c["outcome"] == "ok" for c in of(patient.examine(), "database"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_database_that_the_relay_may_not_write(patient):
    patient = patient(start=False)
    path = patient.relay.directory / "relay.db"
    os.chown(patient.relay.directory, 1, 1)
    checks = of(patient.examine(), "database")
    check = next(c for c in checks if c["outcome"] == "problem")
    assert str(path) in check["found"] and "chown daemon: " in check["remedy"]


def test_doctor_reports_a_held_lane_and_checks_recent_sender_domains(patient):
    patient = patient({"ses.region": ""}, live=False, names=["relay.example.com", "localhost"])
    key = patient.relay.create_key("live")
    submit(patient.relay, key, b"From: a@Mail.Example.org\r\n\r\nx\r\n", sender="a@Mail.Example.org")
    patient.relay.wait_until(
        lambda: any(lane["held"] for s in patient.relay.json("status") for lane in s["lanes"]), "the live lane is held")
    checks = patient.examine()
    assert mentions(of(checks, "queue")[0]["found"], "live lane", "held", "ses.region")
    assert of(checks, "queue")[0]["outcome"] == "problem"
    assert mentions(of(checks, "keys")[0]["found"], "any domain", key_id(key), "--allow-domain")
    assert [c["outcome"] for c in checks if c["name"] in SES_SUBJECTS] == ["problem"] + ["skipped"] * 5
    assert "ses.region" in of(checks, "ses")[0]["remedy"]
    # The key may send from any domain. So doctor looks at the domains that it has sent from. A verified parent domain is enough.
    environment = {"HIVEKU_RELAY_SES_REGION": REGION}
    check = of(patient.examine(environment), "identity")[0]
    assert check["outcome"] == "problem" and mentions(check["found"], "no identity", "mail.example.org", REGION)
    patient.ses.verify("example.org")
    check = of(patient.examine(environment), "identity")[0]
    assert check["outcome"] == "ok" and mentions(check["found"], "mail.example.org", REGION, " example.org")


def test_doctor_skips_identities_if_no_sender_domain_is_known(patient):
    patient = patient(live=False)
    patient.relay.create_key("live")
    expect(patient.examine(), "identity", "skipped", "--allow-domain")


@pytest.mark.parametrize("account, name, outcome, words", [
    ({"ProductionAccessEnabled": False}, "account", "warning", ["sandbox", REGION, "verified recipients", "production access"]),
    ({"SendingEnabled": False}, "account", "problem", ["paused", "put-account-sending-attributes"]),
    ({"EnforcementStatus": "SHUTDOWN"}, "account", "problem", ["paused"]),
    ({"EnforcementStatus": "PROBATION"}, "account", "warning", ["review"]),
    ({"SendQuota": {"Max24HourSend": 1000.0, "MaxSendRate": 1.0, "SentLast24Hours": 850.0}}, "quota", "warning",
     ["used up", "850 of 1000", "85 %"]),
    ({"SendQuota": {"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 200.0}}, "quota", "problem", ["used up", "200 of 200", "100 %"]),
])
def test_accounts(patient, account, name, outcome, words):
    patient = patient()
    patient.ses.account.update(account)
    expect(patient.examine(), name, outcome, *words)


def test_doctor_reports_an_unlimited_ses_quota(patient):
    patient = patient()
    patient.ses.account["SendQuota"]["Max24HourSend"] = -1.0
    checks = patient.examine()
    assert but_ok(checks) == [] and "no limit" in of(checks, "quota")[0]["found"]


def test_identities(patient):
    patient = patient()
    patient.relay.create_key("live", name="second", allow_domain=["new.example.net", "unknown.example"])
    patient.ses.verify("new.example.net", verified=False)
    patient.ses.verify("example.com", MailFromAttributes={
        "MailFromDomain": "bounce.example.com", "MailFromDomainStatus": "FAILED", "BehaviorOnMxFailure": "REJECT_MESSAGE"})
    patient.ses.throttled = 1
    found = but_ok(patient.examine())
    assert [(c["name"], c["outcome"]) for c in found] == [("identity", "problem")] * 3
    assert "bounce.example.com" in found[0]["found"] and f"feedback-smtp.{REGION}.amazonses.com" in found[0]["remedy"]
    assert mentions(found[1]["found"], "new.example.net", "not verified", REGION, "PENDING")
    assert mentions(found[2]["found"], "no identity", "unknown.example", REGION)
    assert f"create-email-identity --email-identity unknown.example --region {REGION}" in found[2]["remedy"]


def test_doctor_checks_the_sender_domain_of_bounce_reports_too(patient):
    checks = patient({"bounces.from": "bounces@reports.example.net"}).examine()
    expect(checks, "identity", "problem", "no identity", "reports.example.net")
    assert "bounces@reports.example.net" in of(checks, "bounces")[0]["found"]


def test_doctor_reports_an_iam_policy_that_denies_its_requests(patient):
    patient = patient()
    patient.ses.account_refusal = (403, "AccessDeniedException", "User is not authorized to perform ses:GetAccount")
    found = but_ok(patient.examine())
    assert [(c["name"], c["outcome"]) for c in found] == [("account", "warning"), ("quota", "skipped")]
    assert "ses:GetAccount" in found[0]["remedy"]


def test_credentials_missing(patient):
    patient = patient(credentials={}, settings={"ses.credentials_file": "/nowhere/credentials"})
    checks = patient.examine()
    assert [c["outcome"] for c in checks if c["name"] in SES_SUBJECTS] == ["skipped", "problem"] + ["skipped"] * 4
    assert "/nowhere/credentials" in of(checks, "credentials")[0]["found"]
    assert patient.ses.asked == []


def test_credentials_from_a_file(patient, tmp_path):
    path = tmp_path / "credentials"
    path.write_text("[mail]\naws_access_key_id = AKIDFILE\naws_secret_access_key = wJalrXUtnFEMI-EXAMPLE\n")
    path.chmod(0o600)
    checks = patient(credentials={}, settings={"ses.credentials_file": str(path), "ses.profile": "mail"}).examine()
    assert but_ok(checks) == []
    found = of(checks, "credentials")[0]["found"]
    assert all(part in found for part in [str(path), "profile mail", "AKIDFILE"]), found


def test_credentials_refused(patient):
    patient = patient()
    patient.ses.refusal = (403, "UnrecognizedClientException", "The security token included in the request is invalid.")
    checks = patient.examine()
    assert [c["outcome"] for c in checks if c["name"] in SES_SUBJECTS] == ["ok", "problem", "ok"] + ["skipped"] * 3
    assert "UnrecognizedClientException" in of(checks, "credentials")[0]["found"]
    assert mentions(of(checks, "credentials")[0]["remedy"], "access key", "IAM")


@pytest.mark.parametrize("ahead, outcome, parts", [
    (10_900, "problem", ["3 hours", "behind"]), (-10_900, "problem", ["3 hours", "ahead"]),
    (90, "warning", ["seconds", "behind"]), (30, "ok", ["seconds", "behind"]), (0, "ok", ["agrees"])])
def test_doctor_checks_the_clock_skew_against_aws(patient, ahead, outcome, parts):
    patient = patient()
    patient.ses.clock_ahead = ahead
    checks = patient.examine()
    if outcome == "ok":
        assert but_ok(checks) == []
    else:
        expect(checks, "clock", outcome, "timedatectl")
    assert mentions(of(checks, "clock")[0]["found"], *parts)


def test_a_clock_that_aws_refuses(patient):
    patient = patient()
    patient.ses.refusal = (403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
    patient.ses.clock_ahead = 7200
    checks = patient.examine()
    assert [c["outcome"] for c in checks if c["name"] in SES_SUBJECTS] == ["ok", "skipped", "problem"] + ["skipped"] * 3


def test_doctor_reports_that_ses_is_unreachable(patient):
    patient = patient({"ses.endpoint": f"http://127.0.0.1:{free_port()}"})
    checks = patient.examine()
    assert [c["outcome"] for c in checks if c["name"] in SES_SUBJECTS] == ["problem"] + ["skipped"] * 5
    assert "reach" in of(checks, "ses")[0]["found"] and "curl -I http://127.0.0.1" in of(checks, "ses")[0]["remedy"]


def test_every_mistake_in_the_settings(patient):
    patient = patient(start=False, live=False)
    patient.relay.config.write_text("hostnme: x\nsubmission:\n  max_recipients: many\n")
    checks = patient.examine()
    assert [c["outcome"] for c in checks] == ["problem"] * 2 + ["skipped"] * (len(SUBJECTS) - 1)
    assert "line 1" in checks[0]["remedy"] and "line 3" in checks[1]["remedy"]


def test_output_is_wrapped_to_the_terminal_width(patient):
    import fcntl
    import pty
    import struct
    import termios
    patient = patient(start=False)
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 72, 0, 0))
    process = subprocess.Popen(
        [BINARY, "doctor", "--config", str(patient.relay.config)], stdin=subprocess.DEVNULL, stdout=follower, stderr=follower,
        env=clean_environment({**patient.relay.environment, **QUICK_RESOLVER}))
    os.close(follower)
    output = b""
    try:
        while piece := os.read(leader, 10_000):
            output += piece
    except OSError:
        # The terminal has ended, because no process has it open any more.
        pass
    os.close(leader)
    assert process.wait(DEADLINE) == 1
    progress, _, text = output.decode().rpartition("\r" + " " * 3)
    assert "certificate, host name, listeners, database, queue, keys, SES" in progress
    lines = output.decode().replace("\r\n", "\n").rpartition("\r")[2].splitlines()
    assert len(lines) > 20
    longest = max((line for line in lines if "/" not in line), key=len)
    assert len(longest) <= 72, longest
