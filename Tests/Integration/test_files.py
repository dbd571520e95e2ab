"""Files that another user has prepared: links, pipes, other users' files and directories, and files that everybody may read."""

import os
import pathlib
import re
import signal
import socket
import stat
import subprocess
import tempfile

import pytest

from relay import BINARY, DEADLINE, clean_environment
from wording import mentions, one_mentions

OTHER = 12345
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def open_directory():
    """A directory that every user may pass through."""
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o711)
        yield pathlib.Path(path)


def demo(directory, until=None):
    """Starts the demo in `directory`, and stops it when it prints `until`. Returns its status, output and errors."""
    process = subprocess.Popen(
        [BINARY, "serve", "--demo"], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, umask=0,
        env=clean_environment({
            "HIVEKU_RELAY_LISTEN": "smtp://127.0.0.1:0,smtps://127.0.0.1:0", "HIVEKU_RELAY_HTTP_LISTEN": "http://127.0.0.1:0",
        "HIVEKU_RELAY_ADMIN_LISTEN": "http://127.0.0.1:0"}))
    seen = ""
    for line in process.stdout:
        seen += line
        if until and until in line:
            process.send_signal(signal.SIGTERM)
    errors = process.stderr.read()
    return process.wait(DEADLINE), seen, errors


READY = "messages list"


def test_the_demos_files_are_accessible_only_to_its_user(tmp_path):
    # The umask does not matter: here it is 0.
    status, _, errors = demo(tmp_path, READY)
    assert status == 0, errors
    state = tmp_path / ".hiveku-relay"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    for name in ["relay.yaml", "demo-key", "relay.db"]:
        assert stat.S_IMODE((state / name).stat().st_mode) == 0o600, name
    key = (state / "demo-key").read_text()
    assert demo(tmp_path, READY)[0] == 0
    assert (state / "demo-key").read_text() == key


@pytest.mark.parametrize("name", ["relay.yaml", "demo-key", "relay.yaml.new", "demo-key.new"])
def test_the_demo_does_not_write_through_a_symlink(tmp_path, name):
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    state = tmp_path / ".hiveku-relay"
    state.mkdir(mode=0o700)
    (state / name).symlink_to(victim)
    status, _, errors = demo(tmp_path, READY)
    assert status == 0, errors
    assert victim.read_text() == "untouched"
    assert not (state / name).is_symlink()


def test_the_demo_refuses_a_directory_that_is_a_symlink(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / ".hiveku-relay").symlink_to(elsewhere)
    status, _, errors = demo(tmp_path)
    assert status == 1 and mentions(errors, ".hiveku-relay", "link")
    assert list(elsewhere.iterdir()) == []


def test_the_demo_refuses_a_directory_that_others_may_write_to(tmp_path):
    (tmp_path / ".hiveku-relay").mkdir()
    (tmp_path / ".hiveku-relay").chmod(0o777)
    status, _, errors = demo(tmp_path)
    assert status == 1 and mentions(errors, ".hiveku-relay", "other users", "write")
    (tmp_path / ".hiveku-relay").rmdir()
    tmp_path.chmod(0o777)
    status, _, errors = demo(tmp_path)
    assert status == 1 and mentions(errors, "every user", "replace files")
    # /tmp has these permissions.
    tmp_path.chmod(0o1777)
    assert demo(tmp_path, READY)[0] == 0


@needs_root
def test_the_demo_refuses_a_directory_of_another_user(tmp_path):
    tmp_path.chmod(0o1777)
    state = tmp_path / ".hiveku-relay"
    state.mkdir(mode=0o700)
    os.chown(state, OTHER, OTHER)
    status, _, errors = demo(tmp_path)
    assert status == 1 and mentions(errors, ".hiveku-relay", f"uid {OTHER}")
    assert list(state.iterdir()) == []


@needs_root
def test_a_demo_by_root_in_a_users_directory_runs_as_that_user(open_directory):
    home = open_directory / "home"
    home.mkdir()
    os.chown(home, OTHER, OTHER)
    secret = open_directory / "secret"
    secret.write_text("untouched")
    secret.chmod(0o600)
    (home / ".hiveku-relay").mkdir(mode=0o700)
    (home / ".hiveku-relay" / "relay.db.spool").symlink_to(open_directory)
    for path in [home / ".hiveku-relay", home / ".hiveku-relay" / "relay.db.spool"]:
        os.chown(path, OTHER, OTHER, follow_symlinks=False)
    # The link leads to a directory that is closed to that user, and therefore to root's demo too.
    status, _, errors = demo(home)
    assert status == 1 and "relay.db.spool: Permission denied" in errors
    (home / ".hiveku-relay" / "relay.db.spool").unlink()
    status, _, errors = demo(home, READY)
    assert status == 0, errors
    assert {path.lstat().st_uid for path in (home / ".hiveku-relay").iterdir()} == {OTHER}
    assert secret.read_text() == "untouched"


@needs_root
def test_serve_by_root_switches_to_the_owner_of_the_state_directory(own_relay, open_directory):
    """This works with ports that only root may bind too, because the relay binds its ports first."""
    relay = own_relay(start=False)
    state = open_directory / "state"
    state.mkdir(mode=0o750)
    tls = open_directory / "tls"
    tls.mkdir()
    for path in [relay.certificate, relay.key_file]:
        path.rename(tls / path.name)
        os.chown(tls / path.name, OTHER, OTHER)
    os.chown(state, OTHER, OTHER)
    relay.config.rename(open_directory / "relay.yaml")
    relay.config = open_directory / "relay.yaml"
    relay.certificate, relay.key_file = tls / relay.certificate.name, tls / relay.key_file.name
    ports = low_ports(2)
    relay.write_settings({
        "database": str(state / "relay.db"),
        "listen": [f"smtp://127.0.0.1:{ports[0]}", f"smtps://127.0.0.1:{ports[1]}"]})
    os.chmod(relay.config, 0o644)
    relay.start()
    assert [relay.ports["smtp"], relay.ports["smtps"]] == ports
    # All threads have the new user, with the first one too, which Dispatch parks.
    tasks = [(task / "status").read_text() for task in pathlib.Path(f"/proc/{relay.process.pid}/task").iterdir()]
    assert len(tasks) > 2
    for text in tasks:
        for kind in ["Uid", "Gid"]:
            assert set(re.search(rf"{kind}:\s+(.*)", text)[1].split()) == {str(OTHER)}
    assert {path.stat().st_uid for path in state.iterdir()} == {OTHER}
    relay.process.send_signal(signal.SIGHUP)
    relay.wait_for_log("settings read")
    assert relay.stop() == 0
    # A file that the relay's user may not read is reported at the start, not at the first SIGHUP.
    relay.config.chmod(0o600)
    result = relay.run("serve", check=False)
    assert result.returncode == 78 and "Permission denied" in result.stderr


def low_ports(count):
    sockets = []
    for port in range(1023, 600, -1):
        probe = socket.socket()
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            probe.close()
            continue
        sockets.append(probe)
        if len(sockets) == count:
            break
    ports = [probe.getsockname()[1] for probe in sockets]
    for probe in sockets:
        probe.close()
    return ports


# -- files that are not regular files


@pytest.fixture
def pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("command", [["config", "check"], ["keys", "list"], ["serve"], ["doctor"]])
@pytest.mark.parametrize("what", ["pipe", "/dev/zero", "directory"])
def test_a_settings_path_that_is_not_a_regular_file_is_refused(tmp_path, pipe, command, what):
    path = {"pipe": pipe, "directory": tmp_path}.get(what, what)
    result = subprocess.run(
        [BINARY, *command, "--config", path], capture_output=True, text=True, timeout=DEADLINE, env=clean_environment())
    # doctor reports it as one of its checks.
    assert result.returncode == (1 if command == ["doctor"] else 78)
    told = result.stdout + result.stderr
    assert str(path) in told and ("a directory" if what == "directory" else "a device") in told


@pytest.mark.parametrize("setting", ["tls.certificate", "tls.private_key", "database"])
def test_a_pipe_in_place_of_a_regular_file_is_refused(own_relay, pipe, setting):
    relay = own_relay(start=False)
    relay.write_settings({setting: str(pipe) if setting == "database" else [str(pipe)]})
    result = relay.run("serve", check=False)
    assert result.returncode == (1 if setting == "database" else 78)
    assert re.search("regular file", result.stderr) and str(pipe) in result.stderr


# -- secrets


def test_a_world_readable_file_with_secrets_is_reported(own_relay):
    relay = own_relay(start=False)
    credentials = relay.directory / "aws"
    credentials.write_text("[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = secret\n")
    relay.write_settings({"ses.credentials_file": str(credentials)})
    facts = [("every user", what, str(path)) for what, path in [("AWS credentials", credentials), ("private key", relay.key_file)]]
    for path in (credentials, relay.key_file):
        path.chmod(0o644)
    checked = relay.run("config", "check")
    document = relay.json("config", "check")[0]
    doctor = relay.run("doctor", check=False)
    relay.start()
    for parts in facts:
        assert one_mentions(checked.stderr.splitlines(), "warning: ", *parts, "chmod o-rwx")
        assert one_mentions(document["warnings"], *parts)
        assert one_mentions(doctor.stdout.splitlines(), *parts)
        relay.wait_until(lambda: one_mentions(relay.log, *parts), f"{parts} in the log")
    relay.stop()
    credentials.chmod(0o640)
    relay.key_file.chmod(0o600)
    assert "warning" not in relay.run("config", "check").stderr
    assert relay.json("config", "check")[0]["warnings"] == []


KEY = "hk_live_A1b2C3d4Zq3Xv9LmT0aRk7WcY2nPf5BdHs8JgUe4iVoQ6x1M"[:48]
MANGLED = [
    KEY, KEY[:-3], KEY.upper(), KEY.replace("_", "-"), KEY[3:], KEY[8:] + "Q7", "x" + KEY, KEY[:20] + " " + KEY[20:],
    KEY.replace("hk_", "hk")]


@pytest.mark.parametrize("arguments", [
    ["keys", "create", "--environment", "test", "--name"], ["keys", "show"], ["keys", "revoke"], ["messages", "show"],
    ["keys", "create", "--environment", "test", "--name", "a", "--allow-domain"],
    ["keys", "create", "--environment", "test", "--name", "a", "--scope"], ["keys", "create", "--name", "a", "--environment"],
    ["messages", "list", "--key"], ["keys"]])
def test_error_messages_never_repeat_a_mangled_key(relay, arguments):
    for text in MANGLED:
        result = relay.run(*arguments, text, check=False)
        told = (result.stdout + result.stderr).lower()
        # No part of the key after its public id is shown.
        assert not [i for i in range(16, 40) if KEY[i : i + 8].lower() in told], (arguments, text, told)


# No server listens at port 1.
SERVER = "postgresql://relay:open-sesame@127.0.0.1:1/relay"


@pytest.mark.parametrize("command", [["keys", "list"], ["status"], ["doctor"], ["doctor", "--json"], ["config", "check"], ["serve"]])
def test_the_database_password_is_never_printed(own_relay, command):
    relay = own_relay(start=False)
    relay.write_settings({"database": SERVER})
    os.chmod(relay.config, 0o644)
    result = relay.run(*command, check=False)
    told = result.stdout + result.stderr
    assert result.returncode == (0 if command == ["config", "check"] else 1), told
    assert "sesame" not in told
    if command[0] not in ("keys", "status"):
        assert mentions(told, "every user", "password", str(relay.config))
    if command == ["doctor"]:
        assert "postgresql://relay@127.0.0.1:1/relay" in told


def test_a_password_file_that_others_may_read_is_reported(own_relay):
    relay = own_relay(start=False)
    passwords = relay.directory / "pgpass"
    passwords.write_text("*:*:*:*:open-sesame\n")
    passwords.chmod(0o640)
    relay.write_settings({"database": f"postgresql://relay@127.0.0.1:1/relay?passfile={passwords}"})
    for command in [["config", "check"], ["doctor"]]:
        result = relay.run(*command, check=False)
        assert mentions(result.stdout + result.stderr, f"passfile {passwords}", "other users", "libpq")
    passwords.chmod(0o600)
    assert "passfile" not in relay.run("config", "check").stderr
