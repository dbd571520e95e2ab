"""The life of a relay on a mail gateway: it is installed, configured, used, upgraded with mail in its queue, and removed.

The tests are the chapters of one story and run in their order. The machine is that of machine.py. It has systemd and the
shipped units with their sandbox.
"""

import os
import re
import shutil
import smtplib
import ssl
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from machine import CACHE, Machine, said
from relay import self_signed
from ses import REGION
from ses_standin import SESStandIn
from wording import mentions, one_mentions

STATE, SETTINGS = "/var/lib/hiveku-relay", "/etc/hiveku-relay"
UNITS = ["hiveku-relay.service", "hiveku-relay-smtp.socket", "hiveku-relay-smtps.socket"]
MESSAGE = b"From: Shop <shop@example.com>\r\nTo: to@example.net\r\nSubject: %s\r\n\r\nHello.\r\n"
AWS_SECRET = "wJalrXUtnFEMI-EXAMPLE"


def package():
    named = os.environ.get("HIVEKU_RELAY_PACKAGE")
    found = [Path(named)] if named else [
        path for path in CACHE.glob("hiveku-relay_*.deb") if said("dpkg-deb", "-f", path, "Package") == "hiveku-relay"]
    assert len(found) == 1, f"{found}: run make deb to make the package"
    return found[0]


def older(newer, directory):
    """The same package with an older version number."""
    tree = directory / "older"
    subprocess.run(["dpkg-deb", "-R", newer, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: (.*)$", r"Version: \1~older", control.read_text()))
    path = directory / "older.deb"
    subprocess.run(["dpkg-deb", "-Znone", "-b", tree, path], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
    return path


@pytest.fixture(scope="module")
def machine():
    with tempfile.TemporaryDirectory(prefix="hiveku-relay-machine-") as directory:
        machine = Machine(directory)
        for name, deb in (("newer.deb", package()), ("older.deb", older(package(), Path(directory)))):
            shutil.copy(deb, machine.path(f"/root/{name}"))
        try:
            yield machine
        finally:
            machine.halt()


@pytest.fixture(scope="module")
def story():
    """Values that a chapter leaves for later chapters."""
    return {}


class Gateway:
    """The relay on the machine, as its operator and its clients see it."""

    def __init__(self, machine):
        self.machine = machine

    def relay(self, *arguments, **options):
        return self.machine.run("hiveku-relay", *arguments, **options)

    def create_key(self, environment, *rules, **options):
        return self.relay(
            "keys", "create", "--name", "shop", "--environment", environment, "--scope", "email:send", *rules,
            **options).stdout.strip()

    def send(self, key, subject, kind="smtp"):
        """Sends a message. Returns the id under which it was queued."""
        context = ssl.create_default_context(cafile=self.machine.path(f"{SETTINGS}/tls/relay.pem"))
        with self.machine.network():
            if kind == "smtps":
                client = smtplib.SMTP_SSL("localhost", 465, timeout=60, context=context)
            else:
                client = smtplib.SMTP("localhost", 587, timeout=60)
        with client:
            if kind == "smtp":
                client.starttls(context=context)
            client.login("apikey", key)
            for step in (
                    lambda: client.mail("shop@example.com"), lambda: client.rcpt("to@example.net"),
                    lambda: client.data(MESSAGE % subject.encode())):
                code, text = step()
                if code != 250:
                    raise smtplib.SMTPResponseException(code, text)
        return re.search(rb"queued as (\w+)", text)[1].decode()

    def state(self, message):
        return re.search(r'"state"\s*:\s*"([^"]+)"', self.relay("messages", "show", message, "--json").stdout)[1]

    def wait_for(self, message, state):
        self.machine.wait_until(lambda: self.state(message) == state, f"{message} to be {state}")

    def unit(self, name, *properties):
        text = self.machine.said("systemctl", "show", name, "--property", ",".join(properties))
        return dict(line.split("=", 1) for line in text.splitlines())

    def is_active(self):
        return [self.machine.run("systemctl", "is-active", unit, check=False).stdout.strip() for unit in UNITS]

    def journal(self):
        return self.machine.said("journalctl", "--no-pager", "--output=cat", "--unit=hiveku-relay.service")

    def state_files(self):
        return self.machine.said("sh", "-c", f"stat -c '%a %U:%G %n' {STATE} {STATE}/*").splitlines()

    def certificate_served(self):
        with self.machine.network():
            return ssl.get_server_certificate(("localhost", 465), timeout=60)

    def set_certificate(self):
        """Installs a new certificate as README.md says, from files named as by a certificate authority. Returns its PEM text."""
        with tempfile.TemporaryDirectory() as directory:
            certificate, key = self_signed(directory)
            shutil.copy(certificate, self.machine.path("/root/fullchain.pem"))
            shutil.copy(key, self.machine.path("/root/privkey.pem"))
            text = certificate.read_text()
        self.machine.run("install", "-d", "-m", "750", "-g", "hiveku-relay", f"{SETTINGS}/tls")
        for source, target in (("fullchain.pem", "relay.pem"), ("privkey.pem", "relay.key")):
            self.machine.run("install", "-m", "640", "-g", "hiveku-relay", f"/root/{source}", f"{SETTINGS}/tls/{target}")
        return text

    def change_settings(self, **settings):
        """Removes the # before settings and writes their values. The name `ses__region` means `region` in the section `ses`."""
        path = self.machine.path(f"{SETTINGS}/relay.yaml")
        text = path.read_text()
        for setting, value in settings.items():
            section, _, name = setting.rpartition("__")
            start = re.search(rf"(?m)^{section}:$", text).end() if section else 0
            rest, count = re.subn(rf"(?m)^( *)#?{name}:.*$", rf"\1{name}: {value}", text[start:], count=1 if section else 0)
            text = text[:start] + rest
            assert count == 1, setting
        path.write_text(text)


@pytest.fixture
def gateway(machine):
    return Gateway(machine)


def test_the_package_installs_with_its_dependencies(machine):
    machine.prepare("apt-get update -q && apt-get install -q -y --no-install-recommends /root/older.deb")
    machine.boot()
    assert machine.said("dpkg", "--verify", "hiveku-relay") == ""
    assert re.fullmatch(r"\d+\.\d+\.\d+", machine.said("hiveku-relay", "--version"))
    assert machine.stat(SETTINGS, f"{SETTINGS}/relay.yaml", STATE, "/usr/bin/hiveku-relay") == [
        "750 root:hiveku-relay", "640 root:hiveku-relay", "750 hiveku-relay:hiveku-relay", "755 root:root"]
    # With all of ICU's data, the program would have 84 MB.
    assert int(machine.said("stat", "-c", "%s", "/usr/bin/hiveku-relay")) <= 60_000_000
    user = machine.said("getent", "passwd", "hiveku-relay").split(":")
    assert user[5:] == [STATE, "/usr/sbin/nologin"] and int(user[2]) < 1000
    # The file of settings is the only file of the package that the administrator may edit.
    assert machine.said("dpkg-query", "-W", "-f", "${Conffiles}", "hiveku-relay").split()[0::2] == [f"{SETTINGS}/relay.yaml"]


def test_the_service_stays_inactive_until_it_is_configured(machine, gateway):
    for unit in UNITS:
        assert machine.run("systemctl", "is-enabled", unit, check=False).stdout.strip() == "disabled"
    assert gateway.is_active() == ["inactive"] * 3
    assert machine.said("systemctl", "--failed", "--quiet") == ""
    # If the operator starts it anyway, the journal says what is missing, and systemd does not try again.
    assert machine.run("systemctl", "start", "hiveku-relay.service", check=False).returncode != 0
    assert gateway.unit("hiveku-relay.service", "ExecMainStatus", "NRestarts") == {"ExecMainStatus": "78", "NRestarts": "0"}
    assert mentions(gateway.journal(), "tls.certificate", "tls.private_key", "not set")


def test_a_client_does_not_restart_a_failing_service_endlessly(machine, gateway):
    # The attempt to start the service has opened the sockets. A client that connects now starts the service, which
    # can't run.
    with machine.network(), pytest.raises(OSError):
        smtplib.SMTP("localhost", 587, timeout=120)
    assert gateway.unit("hiveku-relay-smtp.socket", "Result")["Result"] == "trigger-limit-hit"
    with machine.network(), pytest.raises(ConnectionRefusedError):
        smtplib.SMTP("localhost", 587, timeout=120)
    machine.run("systemctl", "stop", *UNITS)
    machine.run("systemctl", "reset-failed")


def test_root_and_the_relays_user_can_create_keys_before_the_first_start(machine, gateway, story):
    story["test key"] = gateway.create_key("test")
    story["live key"] = gateway.create_key("live", user="hiveku-relay")
    owners = {line.split()[1] for line in gateway.state_files()}
    assert owners == {"hiveku-relay:hiveku-relay"}, gateway.state_files()
    for user in (None, "hiveku-relay"):
        assert len(gateway.relay("keys", "list", "--json", user=user).stdout.splitlines()) == 2
    # Any other user gets an error that explains why.
    refused = gateway.relay("keys", "list", user="nobody", check=False)
    assert refused.returncode == 78 and mentions(refused.stderr, "Permission denied", "root")
    assert f"{SETTINGS}/relay.yaml" in refused.stderr


def test_the_service_starts_once_it_is_configured(machine, gateway):
    assert gateway.relay("config", "check", check=False).returncode == 78
    gateway.set_certificate()
    gateway.change_settings(
        hostname="relay.example.com", certificate=f"[{SETTINGS}/tls/relay.pem]", private_key=f"[{SETTINGS}/tls/relay.key]")
    for user in (None, "hiveku-relay"):
        gateway.relay("config", "check", user=user)
    # This command also enables and starts the sockets.
    machine.run("systemctl", "enable", "--now", "hiveku-relay.service")
    assert gateway.is_active() == ["active"] * 3
    for unit in UNITS:
        assert machine.said("systemctl", "is-enabled", unit) == "enabled"
    assert machine.stat(STATE) == ["750 hiveku-relay:hiveku-relay"]
    assert machine.stat(SETTINGS) == ["750 root:hiveku-relay"]
    assert "mode is different" not in machine.said("journalctl", "--no-pager")


@pytest.mark.parametrize("kind", ["smtp", "smtps"])
def test_a_message_is_sent(gateway, story, kind):
    message = gateway.send(story["test key"], f"Hello {kind}", kind)
    gateway.wait_for(message, "simulated")
    assert b"Hello." in gateway.relay("messages", "show", message, "--raw").stdout.encode()
    assert f"message={message}" in gateway.journal()


def test_the_swaks_command_of_the_readme_works(machine, story):
    with machine.network():
        result = subprocess.run(
            ["swaks", "--server", "localhost", "--port", "587", "--tls", "--auth", "PLAIN", "--auth-user", "apikey",
             "--auth-password", story["test key"], "--from", "shop@example.com", "--to", "to@example.net"],
            capture_output=True, text=True, timeout=120)
    assert result.returncode == 0 and "250 2.0.0 Ok: queued as" in result.stdout, result.stdout + result.stderr


# Sends a request over a Unix socket and prints the answer.
ASK = """
use IO::Socket::UNIX;
my ($path, $target, $cookie) = @ARGV;
my $socket = IO::Socket::UNIX->new(Peer => $path) or die "$path: $!";
print $socket "GET $target HTTP/1.1\\r\\nHost: 127.0.0.1:8025\\r\\nCookie: $cookie\\r\\nConnection: close\\r\\n\\r\\n";
print while <$socket>;
"""


def test_the_operator_page_is_served_on_its_socket(machine):
    path = "/run/hiveku-relay/admin.sock"
    assert machine.stat(path) == ["660 hiveku-relay:hiveku-relay"]
    link = machine.said("hiveku-relay", "admin", "login")
    target = link.removeprefix("http://127.0.0.1:8025")
    answer = machine.said("perl", "-e", ASK, path, target, "")
    cookie = re.search(r"(?i)^Set-Cookie: ([^;]+)", answer, re.M)[1]
    assert "<h1>Keys</h1>" in machine.said("perl", "-e", ASK, path, "/keys", cookie)
    refused = machine.said("perl", "-e", ASK, path, "/keys", "")
    assert refused.startswith("HTTP/1.1 401 ") and "hiveku-relay admin login" in refused


def test_commands_by_root_leave_no_files_that_the_relay_cannot_use(machine, gateway, story):
    waiting = threading.Thread(
        target=lambda: gateway.relay("messages", "wait", "--subject", "Late", "--timeout", "60s"))
    waiting.start()
    created = gateway.create_key("test", "--per-day", "1")
    owners = {line.split()[1] for line in gateway.state_files()}
    assert owners == {"hiveku-relay:hiveku-relay"}, gateway.state_files()
    message = gateway.send(created, "Late")
    waiting.join(120)
    assert not waiting.is_alive()
    gateway.wait_for(message, "simulated")
    # The same is true while the relay is stopped, when root's command is the only program that uses the database.
    machine.run("systemctl", "stop", "hiveku-relay.service")
    gateway.create_key("test")
    owners = {line.split()[1] for line in gateway.state_files()}
    assert owners == {"hiveku-relay:hiveku-relay"}, gateway.state_files()
    machine.run("systemctl", "start", "hiveku-relay.service")
    gateway.wait_for(gateway.send(story["test key"], "After a stop"), "simulated")


def test_the_reason_why_a_message_was_refused_can_be_found(gateway, machine):
    key = gateway.create_key("test", "--allow-domain", "example.org")
    with pytest.raises(smtplib.SMTPResponseException, match="sender-domain"):
        gateway.send(key, "Refused")
    machine.wait_until(lambda: "sender-domain" in gateway.journal(), "the refusal in the journal")
    checked = gateway.relay("keys", "check", "-", "--from", "shop@example.com", input=key, check=False)
    assert checked.returncode == 1 and "example.com" in checked.stdout + checked.stderr


def test_dropped_messages_are_logged_in_the_journal(gateway, machine):
    key = gateway.create_key("live")
    # No region is set, so these messages wait.
    one, other = gateway.send(key, "Dropped"), gateway.send(key, "Dropped with its key")
    gateway.relay("messages", "drop", one)
    gateway.relay("keys", "revoke", key[8:16], "--queued", "drop")
    for message in (one, other):
        def lines():
            journal = machine.said("journalctl", "--no-pager", "--output=cat", "--identifier=hiveku-relay")
            return [line for line in journal.splitlines() if f"message={message}" in line]
        machine.wait_until(lambda: len(lines()) >= 2, "the end of the message")
        first, last = lines()
        assert first.startswith("accepted ") and last.startswith("failed "), (first, last)
        assert f"key={key[8:16]}" in last and 'reason="dropped: ' in last


def test_the_certificate_is_replaced_without_a_restart(machine, gateway, story):
    before = gateway.unit("hiveku-relay.service", "MainPID")
    certificate = gateway.set_certificate()
    machine.wait_until(
        lambda: gateway.certificate_served().strip() == certificate.strip(), "the new certificate is served")
    assert gateway.unit("hiveku-relay.service", "MainPID") == before
    assert "certificate loaded" in gateway.journal()
    gateway.send(story["test key"], "Under the new certificate")


def test_a_reload_loads_a_new_certificate_at_once(machine, gateway):
    before = gateway.unit("hiveku-relay.service", "MainPID")
    certificate = gateway.set_certificate()
    machine.run("systemctl", "reload", "hiveku-relay.service")
    machine.wait_until(lambda: "because=SIGHUP" in gateway.journal(), "the journal reports the reload")
    assert gateway.certificate_served().strip() == certificate.strip()
    assert gateway.unit("hiveku-relay.service", "MainPID") == before


def test_doctor_reports_files_that_root_can_read_and_the_relay_cannot(machine, gateway):
    machine.run("chmod", "600", f"{SETTINGS}/tls/relay.key")
    try:
        found = gateway.relay("doctor", check=False).stdout
        assert one_mentions(found.splitlines(), "user hiveku-relay", "read", f"{SETTINGS}/tls/relay.key"), found
        assert not one_mentions(found.splitlines(), "user hiveku-relay", f"{SETTINGS}/tls/relay.pem"), found
        machine.run("systemctl", "reload", "hiveku-relay.service")
        machine.wait_until(
            lambda: one_mentions(gateway.journal().splitlines(), "relay.key", "Permission denied", "user hiveku-relay"),
            "the journal has the reason")
    finally:
        machine.run("chmod", "640", f"{SETTINGS}/tls/relay.key")
    found = gateway.relay("doctor", check=False).stdout
    assert not one_mentions(found.splitlines(), "user hiveku-relay", "read", f"{SETTINGS}/tls/relay.key"), found


def test_the_journal_has_no_spurious_errors(machine):
    errors = machine.said("journalctl", "--no-pager", "--output=cat", "--identifier=hiveku-relay", "--priority=err")
    # The library Dispatch would write these words.
    assert "thread priority" not in errors


def test_an_upgrade_keeps_the_queue_and_turns_nobody_away(machine, gateway, story):
    # No region is set, so these messages wait.
    story["queued"] = [gateway.send(story["live key"], f"Queued {number}") for number in range(20)]
    gateway.change_settings(long_lines="refuse")
    before = gateway.unit("hiveku-relay.service", "MainPID", "ExecMainStartTimestampMonotonic")
    sent, failures, upgraded = [], [], threading.Event()

    def keep_sending():
        while not upgraded.is_set():
            try:
                sent.append(gateway.send(story["test key"], f"Meanwhile {len(sent)}"))
            except (smtplib.SMTPServerDisconnected, smtplib.SMTPResponseException) as error:
                # The old relay ended this connection in order: it replied 421 and closed it. A real client would
                # connect again.
                failures.append(error)
            except OSError as error:
                failures.append(error)
                return

    client = threading.Thread(target=keep_sending)
    client.start()
    machine.run("apt-get", "install", "-q", "-y", "/root/newer.deb")
    upgraded.set()
    client.join(120)
    assert not client.is_alive()
    assert [e for e in failures if isinstance(e, ConnectionRefusedError)] == []

    assert "older" not in machine.said("dpkg-query", "-W", "-f", "${Version}", "hiveku-relay")
    after = gateway.unit("hiveku-relay.service", "MainPID", "ExecMainStartTimestampMonotonic")
    assert int(after["MainPID"]) not in (0, int(before["MainPID"]))
    assert gateway.is_active() == ["active"] * 3
    assert machine.stat(SETTINGS, f"{SETTINGS}/relay.yaml", STATE) == [
        "750 root:hiveku-relay", "640 root:hiveku-relay", "750 hiveku-relay:hiveku-relay"]
    assert "long_lines: refuse" in machine.path(f"{SETTINGS}/relay.yaml").read_text()
    for message in story["queued"]:
        assert gateway.state(message) in ("queued", "sending")
    assert sent
    for message in sent:
        gateway.wait_for(message, "simulated")


def test_messages_queued_before_the_upgrade_are_sent_after_it(machine, gateway, story):
    machine.path(f"{SETTINGS}/aws-credentials").write_text(
        f"[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = {AWS_SECRET}\n")
    machine.run("chgrp", "hiveku-relay", f"{SETTINGS}/aws-credentials")
    machine.run("chmod", "640", f"{SETTINGS}/aws-credentials")
    with machine.network():
        server = SESStandIn()
        server.__enter__()
    try:
        gateway.change_settings(
            ses__region=REGION, ses__endpoint=server.url, credentials_file=f"{SETTINGS}/aws-credentials")
        gateway.relay("config", "check")
        machine.run("systemctl", "restart", "hiveku-relay.service")
        for message in story["queued"]:
            gateway.wait_for(message, "sent")
        assert sorted(taken.subject for taken in server.taken) == sorted(f"Queued {number}" for number in range(20))
        assert AWS_SECRET not in machine.said("journalctl", "--no-pager")
    finally:
        server.__exit__(None, None, None)


def test_removal_keeps_settings_and_state(machine, gateway):
    machine.run("apt-get", "remove", "-q", "-y", "hiveku-relay")
    for unit in UNITS:
        assert machine.run("systemctl", "is-active", unit, check=False).stdout.strip() == "inactive"
    with machine.network(), pytest.raises(ConnectionRefusedError):
        smtplib.SMTP("localhost", 587, timeout=60)
    assert machine.path(f"{STATE}/relay.db").exists() and machine.path(f"{SETTINGS}/relay.yaml").exists()


def test_a_reinstalled_relay_accepts_mail_again(machine, gateway, story):
    machine.run("apt-get", "install", "-q", "-y", "/root/newer.deb")
    machine.run("systemctl", "start", "hiveku-relay.service")
    assert machine.stat(SETTINGS, f"{SETTINGS}/relay.yaml", STATE) == [
        "750 root:hiveku-relay", "640 root:hiveku-relay", "750 hiveku-relay:hiveku-relay"]
    gateway.wait_for(gateway.send(story["test key"], "Back again"), "simulated")


def test_purging_keeps_the_user_and_files_not_from_the_package(machine, gateway):
    machine.run("apt-get", "purge", "-q", "-y", "hiveku-relay")
    assert not machine.path(STATE).exists()
    assert not machine.path(f"{SETTINGS}/relay.yaml").exists()
    assert machine.path(f"{SETTINGS}/tls/relay.key").exists()
    assert machine.run("getent", "passwd", "hiveku-relay", check=False).returncode == 0
    assert "hiveku-relay" not in machine.said("sh", "-c", "find /etc/systemd /var/lib/systemd /usr/lib/systemd -name '*hiveku*'")
    assert machine.run("dpkg-query", "-W", "hiveku-relay", check=False).returncode != 0
    machine.run("rm", "-r", SETTINGS)


def test_installing_on_a_running_machine_does_not_start_the_service(machine, gateway):
    machine.run("apt-get", "install", "-q", "-y", "/root/newer.deb")
    assert gateway.is_active() == ["inactive"] * 3
    assert machine.said("systemctl", "--failed", "--quiet") == ""
    assert machine.stat(SETTINGS, f"{SETTINGS}/relay.yaml", STATE) == [
        "750 root:hiveku-relay", "640 root:hiveku-relay", "750 hiveku-relay:hiveku-relay"]
    machine.run("apt-get", "purge", "-q", "-y", "hiveku-relay")
    assert not machine.path(SETTINGS).exists()
