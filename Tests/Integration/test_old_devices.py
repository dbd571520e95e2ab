"""Old devices that know no modern cipher suite.

They are refused, and the log has the remedy. A setting admits them, without a restart.
"""

import signal
import subprocess

import pytest

from relay import DEADLINE, self_signed


def handshake(relay, kind, suite):
    """The output of openssl's client when it offers only `suite`."""
    starttls = ["-starttls", "smtp"] if kind == "smtp" else []
    result = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{relay.ports[kind]}", *starttls, "-tls1_2", "-cipher",
         f"{suite}:@SECLEVEL=0"], input=b"QUIT\r\n", capture_output=True, timeout=DEADLINE)
    return (result.stdout + result.stderr).decode("latin-1")


@pytest.mark.parametrize("kind", ["smtp", "smtps"])
def test_a_reload_lets_old_devices_in(own_relay, kind):
    relay = own_relay(start=False)
    certificate, key = self_signed(relay.directory, "rsa", "rsa")
    settings = {"tls.certificate": [str(certificate)], "tls.private_key": [str(key)]}
    relay.write_settings(settings)
    relay.start()
    for suite in ["AES256-SHA256", "ECDHE-RSA-AES128-SHA256"]:
        assert "handshake failure" in handshake(relay, kind, suite)
    relay.wait_for_log("tls.compatibility: old-devices")
    relay.write_settings({**settings, "tls.compatibility": "old-devices"})
    relay.process.send_signal(signal.SIGHUP)
    relay.wait_for_log("settings=tls.compatibility")
    for suite in ["AES256-SHA256", "ECDHE-RSA-AES128-SHA256"]:
        assert f"Cipher is {suite}" in handshake(relay, kind, suite)
    # The setting can be changed back.
    relay.write_settings(settings)
    relay.process.send_signal(signal.SIGHUP)
    relay.wait_until(lambda: relay.log_text().count("settings=tls.compatibility") == 2, "the second change")
    assert "handshake failure" in handshake(relay, kind, "AES256-SHA256")
