"""`database_replica: required`: the relay accepts mail only if a standby gets it too.

And root's commands with a PostgreSQL server.
"""

import os
import subprocess

import pytest

from postgresql import Server
from relay import BINARY, DEADLINE, Relay, clean_environment
from submit import send, session


@pytest.fixture
def primary(tmp_path):
    with Server(tmp_path / "primary") as server:
        yield server


def required(tmp_path, primary):
    directory = tmp_path / "relay"
    directory.mkdir()
    return Relay(directory, {"database": primary.url(), "database_replica": "required"})


def test_the_relay_does_not_start_without_a_required_replica(tmp_path, primary):
    relay = required(tmp_path, primary)
    with pytest.raises(RuntimeError, match="synchronous_standby_names"):
        relay.start()


def test_mail_is_refused_while_the_server_does_not_wait_for_a_replica(tmp_path, primary):
    with primary.standby(tmp_path / "standby"):
        primary.wait_for_commits_on("standby")
        relay = required(tmp_path, primary).start()
        try:
            with session(relay, relay.create_key()) as smtp:
                def reply(subject):
                    return send(smtp, f"From: from@example.com\r\nSubject: {subject}\r\n\r\nx\r\n".encode())[0]

                assert reply("first") == 250
                primary.set("synchronous_standby_names", "")
                assert reply("second") == 452
                primary.wait_for_commits_on("standby")
                assert reply("second") == 250
        finally:
            relay.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become the relay's user")
def test_commands_by_root_read_libpq_files_as_the_relays_user(tmp_path):
    """libpq looks into the home directory. With TLS, it fails if the user may not read that directory."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-subj", "/CN=db"],
        check=True, capture_output=True, timeout=DEADLINE)
    key.chmod(0o600)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    settings = {"ssl": "on", "ssl_cert_file": certificate, "ssl_key_file": key}
    with Server(tmp_path / "primary", settings=settings) as server:
        result = subprocess.run(
            # The command becomes the owner of this directory.
            ["unshare", "-m", "sh", "-c", "mount -t tmpfs none /var/lib && install -d -o 12345 -g 12345 /var/lib/hiveku-relay && exec \"$@\"",
             "sh", BINARY, "keys", "list"],
            capture_output=True, text=True, timeout=DEADLINE,
            env=clean_environment({"HIVEKU_RELAY_DATABASE": server.url() + "?sslmode=require", "HOME": str(home)}))
    assert result.returncode == 0, result.stderr
