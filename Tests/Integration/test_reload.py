"""Reload: new connections use the new value of each setting that the log names as changed."""

import re
import signal
import smtplib
import socket
import ssl

import pytest

from http_api import API, HTTP, taken
from relay import DEADLINE, self_signed
from submit import send, session, submit
from wording import mentions

MESSAGE = b"From: from@example.com\r\nSubject: kept\r\n\r\nbody\r\n"


def reload(relay, words):
    """Sends SIGHUP, waits until `words` are in the log, and returns the part of the log since the signal."""
    before = len(relay.log)
    relay.process.send_signal(signal.SIGHUP)
    relay.wait_until(lambda: words in "".join(relay.log[before:]), f"'{words}' in the log")
    return "".join(relay.log[before:])


def change(relay, settings, words="settings changed"):
    relay.write_settings(settings)
    return reload(relay, words)


def greeting(relay, kind="smtp"):
    with smtplib.SMTP("localhost", relay.ports[kind], timeout=DEADLINE) as smtp:
        smtp.ehlo()
        return smtp.ehlo_resp.decode()


def test_a_reload_changes_client_limits_for_new_connections(own_relay):
    relay = own_relay({"submission.max_rate_delay": "5s"})
    key = relay.create_key(per_second=1, burst=1)
    with session(relay, key) as old:
        log = change(relay, {
            "hostname": "other.example.com", "submission.max_message_size": "64 KiB", "submission.max_recipients": 2,
            "submission.max_rate_delay": "0s", "submission.received_header": False})
        assert ('settings="hostname, submission.max_message_size, submission.max_recipients, submission.max_rate_delay, '
                'submission.received_header"') in log
        told = greeting(relay)
        assert told.startswith("other.example.com") and "SIZE 65536" in told and "RCPTMAX=2" in told
        # An open connection keeps the limit of recipients that the relay announced to it.
        assert send(old, MESSAGE, [f"to{i}@example.net" for i in range(3)])[0] == 250
    other = relay.create_key(per_second=1, burst=1)
    with session(relay, other) as smtp:
        assert send(smtp, MESSAGE, [f"to{i}@example.net" for i in range(3)])[0] == 452
        smtp.rset()
        code, text = send(smtp, MESSAGE)
        assert code == 250
        message_id = re.search(r"queued as (\w+)", text)[1]
        # A client that is too fast is now refused, not slowed down.
        assert send(smtp, MESSAGE)[0] == 451
    relay.wait_for_state(message_id, "simulated")
    assert b"Received:" not in relay.raw(message_id) and b"@other.example.com>" in relay.raw(message_id)


def test_refused_attachments(own_relay):
    message = (b"From: from@example.com\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
               b"Content-Disposition: attachment; filename=a.zip\r\n\r\nAAAA\r\n--b--\r\n")
    relay = own_relay({"submission.refused_attachments": ["zip"]})
    key = relay.create_key()
    with session(relay, key) as smtp:
        code, text = send(smtp, message)
        assert code == 550 and text.endswith("[attachment]")
    change(relay, {"submission.refused_attachments": ["exe"]})
    with session(relay, key) as smtp:
        assert send(smtp, message)[0] == 250


def test_a_reload_changes_the_trusted_http_proxies(own_relay):
    relay = own_relay(HTTP)
    key = relay.create_key(allow_network="198.51.100.0/24")
    with API(relay, key, secure=False) as proxy:
        assert proxy.send(X_Forwarded_For="198.51.100.7").code == "network"
    change(relay, {**HTTP, "http.trusted_proxies": ["127.0.0.1"]})
    with API(relay, key, secure=False) as proxy:
        taken(proxy.send(X_Forwarded_For="198.51.100.7"))
    change(relay, HTTP)
    with API(relay, key, secure=False) as proxy:
        assert proxy.send(X_Forwarded_For="198.51.100.7").code == "network"


def test_a_reload_changes_connection_limits_and_timeouts(own_relay):
    relay = own_relay()
    change(relay, {"submission.max_connections_per_client": 1, "submission.auth_timeout": "1s"})
    with socket.create_connection(("127.0.0.1", relay.ports["smtp"]), timeout=DEADLINE) as first:
        assert first.recv(1000).startswith(b"220 ")
        with socket.create_connection(("127.0.0.1", relay.ports["smtp"]), timeout=DEADLINE) as second:
            assert second.recv(1000).startswith(b"421 ")
        assert mentions(first.recv(1000), "421 4.4.2 ", "1 s ", "authenticate")


def test_plaintext_networks(own_relay):
    relay = own_relay()
    assert "AUTH" not in greeting(relay)
    change(relay, {"submission.plaintext_auth_networks": ["127.0.0.0/8"]})
    assert "AUTH PLAIN LOGIN" in greeting(relay)
    change(relay, {})
    assert "AUTH" not in greeting(relay)


def test_a_reload_changes_the_log_level_and_format(own_relay):
    relay = own_relay()
    key = relay.create_key()
    # At this level, "certificate loaded" is the last line of the reload.
    change(relay, {"log.level": "error"}, "certificate loaded")
    quiet = submit(relay, key, MESSAGE)
    relay.wait_for_state(quiet, "simulated")
    log = change(relay, {"log.level": "debug", "log.format": "json"}, '"message":"settings changed"')
    assert '"settings":"log.level, log.format"' in log
    loud = submit(relay, key, MESSAGE)
    relay.wait_for_state(loud, "simulated")
    relay.wait_until(lambda: '"message":"authenticated"' in relay.log_text(), "a line of debug level")
    assert quiet not in relay.log_text() and loud in relay.log_text()


def test_a_reload_changes_certificate_paths_and_the_minimum_tls_version(own_relay):
    relay = own_relay()
    certificate, key_file = self_signed(relay.directory, "second")
    log = change(relay, {
        "tls.certificate": [str(certificate)], "tls.private_key": [str(key_file)], "tls.minimum_version": "1.3"})
    assert 'settings="tls.certificate, tls.private_key, tls.minimum_version"' in log and "second" in log
    context = ssl.create_default_context(cafile=str(certificate))
    with socket.create_connection(("127.0.0.1", relay.ports["smtps"]), timeout=DEADLINE) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            assert secure.version() == "TLSv1.3"
    # The relay now watches the new files.
    third, third_key = self_signed(relay.directory, "third")
    third_key.replace(key_file)
    third.replace(certificate)
    before = len(relay.log)
    relay.wait_until(
        lambda: 'because="the files have changed"' in "".join(relay.log[before:]), "the change to be seen")


def test_https_has_the_new_certificate_and_keeps_its_connections(own_relay):
    relay = own_relay(HTTP)
    key = relay.create_key(per_second=1000)
    certificate, key_file = self_signed(relay.directory, "renewed")
    with API(relay, key) as old:
        taken(old.send())
        change(relay, {**HTTP, "tls.certificate": [str(certificate)], "tls.private_key": [str(key_file)]},
               "certificate loaded")
        # This client trusts only the old certificate.
        taken(old.send())
        with pytest.raises(ssl.SSLCertVerificationError), API(relay, key) as late:
            late.send()
    relay.certificate = certificate
    with API(relay, key) as new:
        taken(new.send())


def test_retries_follow_the_new_schedule(own_relay):
    relay = own_relay({"delivery.retry_first": "1h"})
    key = relay.create_key("live")
    # Without a region live mail waits, so no retry can be seen. A lane gets its schedule and its rate in one call, so the test
    # looks at the rate: 0.96 times the new ses.max_send_rate.
    log = change(relay, {"delivery.retry_first": "1s", "retention.simulated": "60s", "ses.max_send_rate": 5})
    assert 'settings="ses.max_send_rate, delivery.retry_first, retention.simulated"' in log
    relay.wait_until(
        lambda: any(lane["emails_per_second"] == 4.8 for lane in relay.json("status")[0]["lanes"]),
        "the new rate in the status")
    assert key


def test_a_reload_reports_settings_that_require_a_restart(own_relay):
    relay = own_relay()
    ports = dict(relay.ports)
    log = change(
        relay, {"listen": ["smtp://127.0.0.1:0"], "ses.region": "eu-west-1", "submission.max_recipients": 9},
        "take effect only after a restart")
    assert 'settings="listen, ses.region"' in log and "settings=submission.max_recipients" in log
    assert "RCPTMAX=9" in greeting(relay)
    # The settings are named at each reload until the restart.
    log = reload(relay, "take effect only after a restart")
    assert "nothing to change without a restart" in log and "warning" in log
    assert relay.ports == ports


def test_an_invalid_settings_file_changes_nothing_and_is_reported(own_relay):
    relay = own_relay()
    log = change(relay, {
        "hostname": "other.example.com", "hostnme": "x", "submission.max_recipients": "many"}, "max_recipients")
    assert log.count("settings not reloaded, nothing was changed") == 2 and "hostnme" in log
    log = change(relay, {
        "hostname": "other.example.com", "tls.certificate": [str(relay.directory / "nowhere.pem")]},
        "certificates not reloaded")
    assert "nowhere.pem" in log
    assert greeting(relay).startswith("relay.example.com")
    relay.config.unlink()
    log = reload(relay, "settings not reloaded")
    assert mentions(log, "settings not reloaded", str(relay.config), "No such file")
    assert greeting(relay).startswith("relay.example.com")


def test_a_signal_at_the_very_start_does_no_harm(own_relay):
    relay = own_relay(start=False)
    relay.start()
    for _ in range(20):
        relay.process.send_signal(signal.SIGHUP)
    reload(relay, "nothing to change without a restart")
    assert relay.stop() == 0
