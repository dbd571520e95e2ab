"""The recipes of docs/applications.md, taken from the page. Each sends through the relay, and meets an attacker.

The page's table says of each client whether it refuses the attacker's server or gives the key away. The tests check that it does
so.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

from attacker import Attacker
from relay import DEADLINE, ROOT, clean_environment, free_port, key_id, self_signed

PAGE = (ROOT / "docs/applications.md").read_text()
CLIENTS = ROOT / ".venv/clients"
PHPMAILER = Path("/usr/share/php/libphp-phpmailer/src")


def recipe(section, language="", number=0):
    """The text of a fenced block of the page."""
    body = re.search(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)[1]
    blocks = [m[2] for m in re.finditer(r"^```(\w*)\n(.*?)^```$", body, re.M | re.S) if m[1] == language]
    return blocks[number]


class Place:
    """The values that a client needs instead of those in the recipe: the relay's port and certificate, and the key."""

    def __init__(self, directory, port, authority, key):
        self.directory, self.port, self.authority, self.key = directory, port, authority, key
        self.key_file = directory / "key"
        self.key_file.write_text(key)
        self.environment = clean_environment({
            "HIVEKU_API_KEY": key, "SSL_CERT_FILE": str(authority), "CURL_CA_BUNDLE": str(authority),
            "NODE_EXTRA_CA_CERTS": str(authority), "HELOHOST": "localhost",
            "HOME": str(directory), "NODE_PATH": "/usr/share/nodejs"})

    def fill(self, text):
        """The recipe with this place's host, port, key and authority."""
        meant = {
            "relay.example.com": "localhost", "587": str(self.port), "/etc/hiveku-api-key": str(self.key_file),
            "/etc/ssl/certs/ca-certificates.crt": str(self.authority), "=KEY": f"={self.key}"}
        # All values are replaced in one pass, because a port may contain 587, and a key may contain KEY.
        return re.sub("|".join(map(re.escape, meant)), lambda found: meant[found[0]], text)

    def write(self, name, text, mode=0o600):
        path = self.directory / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def run(self, *command, input=None, environment=None, **options):
        """Runs a command. Returns whether it succeeded, and its output."""
        result = subprocess.run(
            [str(word) for word in command], input=input, capture_output=True, timeout=DEADLINE,
            cwd=self.directory, env={**self.environment, **(environment or {})}, **options)
        return result.returncode == 0, (result.stdout + result.stderr).decode("utf-8", "replace")


MESSAGE = "From: Shop <shop@example.com>\nTo: you@example.net\nSubject: recipe\n\nbody\n"


def curl(place):
    line = place.fill(recipe("curl", "sh").strip())
    place.write("message.eml", MESSAGE)
    return place.run("sh", "-c", line.replace("curl ", "curl --silent --show-error ", 1))


def msmtp(place):
    config = place.write("msmtprc", place.fill(recipe("PHP `mail()`, over msmtp")))
    return place.run("msmtp", "-C", config, "you@example.net", input=MESSAGE.encode())


def php(place, recipe_text, before="", after=""):
    script = place.write("send.php", f"""<?php
        foreach (['Exception', 'SMTP', 'PHPMailer'] as $part) require '{PHPMAILER}/' . $part . '.php';
        {before}
        {recipe_text}
        {after}
        $mail->addAddress('you@example.net');
        $mail->Subject = 'recipe';
        $mail->Body = 'body';
        $mail->send();
        """)
    return place.run("php", script)


def phpmailer(place):
    return php(place, place.fill(recipe("PHPMailer", "php")))


def wordpress(place):
    """Only the two functions of WordPress that the recipe calls are present."""
    plugin = place.fill(recipe("WordPress", "php")).replace("<?php", "")
    return php(
        place, plugin,
        before="function add_action($n, $f) { $GLOBALS['configure'] = $f; }"
               "function add_filter($n, $f) { $GLOBALS['from'] = $f; }",
        after="$mail = new PHPMailer\\PHPMailer\\PHPMailer(true); ($GLOBALS['configure'])($mail);"
              "$mail->setFrom(($GLOBALS['from'])());")


def django(place, python, path):
    settings = place.fill(recipe("Django", "python"))
    script = place.write("send.py", f"""
import os
settings = {{}}
exec({settings!r}, {{"os": os}}, settings)
from django.conf import settings as django_settings
django_settings.configure(**settings)
from django.core.mail import send_mail
send_mail("recipe", "body", None, ["you@example.net"])
""")
    return place.run(python, script, environment={"PYTHONPATH": path})


def django_now(place):
    return django(place, sys.executable, "")


def django_old(place):
    return django(place, "/usr/bin/python3", str(CLIENTS / "usr/lib/python3/dist-packages"))


def rails(place, change=lambda text: text):
    """Action Mailer passes its settings to the gem `mail`, which sends the message."""
    script = place.write("send.rb", f"""
require 'ostruct'
require 'mail'
config = OpenStruct.new(action_mailer: OpenStruct.new)
{change(place.fill(recipe("Rails", "ruby")))}
mail = Mail.new(from: config.action_mailer.default_options[:from], to: 'you@example.net', subject: 'recipe', body: 'body')
mail.delivery_method config.action_mailer.delivery_method, config.action_mailer.smtp_settings
mail.deliver!
""")
    return place.run("ruby", script)


def rails_auto(place):
    return rails(place, lambda text: text.replace("enable_starttls: true", "enable_starttls_auto: true"))


def nodemailer(place):
    script = place.write("send.js", place.fill(recipe("Node, with nodemailer", "js")) + """
transport.sendMail({from: 'shop@example.com', to: 'you@example.net', subject: 'recipe', text: 'body'})
  .then(() => transport.close(), (error) => { console.error(error); process.exit(1); });
""")
    return place.run("node", script)


def nullmailer(place):
    """Does what nullmailer-send does with a line of `remotes`: it passes the options to the protocol's program."""
    host, program, *options = place.fill(recipe("nullmailer")).split()
    message = place.write("queued", "shop@example.com\nyou@example.net\n\n" + MESSAGE)
    return place.run(
        "sh", "-c", f'exec "$@" 3<"{message}"', "sh", CLIENTS / "usr/lib/nullmailer" / program, *options,
        f"--x509cafile={place.authority}", f"--host={host}")


def alertmanager(place):
    port = free_port()
    # Debian's program looks for its templates where the package would install them. That path is replaced by one of the same
    # length to this directory.
    installed = b"/usr/share/prometheus/alertmanager"
    for template in (CLIENTS / "usr/share/prometheus/alertmanager").glob("*.tmpl"):
        (place.directory / template.name).write_bytes(template.read_bytes())
    content = (CLIENTS / "usr/bin/prometheus-alertmanager").read_bytes()
    assert installed in content and len(installed) % 2 == 0
    program = place.directory / "alertmanager"
    program.write_bytes(content.replace(installed, b"./" * (len(installed) // 2)))
    program.chmod(0o700)
    config = place.fill(recipe("Alertmanager", "yml")) + """
route: {receiver: mail, group_wait: 0s}
receivers: [{name: mail, email_configs: [{to: you@example.net, headers: {Subject: recipe}}]}]
"""
    process = subprocess.Popen(
        [program, f"--config.file={place.write('alertmanager.yml', config)}",
         f"--storage.path={place.directory}", f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=place.environment, cwd=place.directory)
    alert = json.dumps([{"labels": {"alertname": "recipe"}}]).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v2/alerts", alert, {"Content-Type": "application/json"})
    try:
        end = time.monotonic() + DEADLINE
        while True:
            try:
                urllib.request.urlopen(request, timeout=DEADLINE).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < end, process.stderr.read()
                time.sleep(0.05)
        # Alertmanager counts the notifications that it has sent and those that failed.
        while time.monotonic() < end:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE) as answer:
                text = answer.read().decode()
            counts = {
                name: float(re.search(rf'^alertmanager_notification_requests{name}_total{{integration="email"}} (\S+)', text, re.M)[1])
                for name in ["", "_failed"]}
            if counts["_failed"]:
                return False, "it counts a failure"
            if counts[""]:
                logged = re.search(r'^alertmanager_notification_latency_seconds_count{integration="email"} (\S+)', text, re.M)
                if float(logged[1]):
                    return True, ""
            time.sleep(0.05)
        raise AssertionError("it neither sent nor failed")
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE)


def exim(place):
    """Runs Exim, which is only unpacked, so that it delivers at once.

    Exim looks for its user by name. This machine does not have that user, so nss_wrapper supplies it. If the test runs as root,
    Exim changes to that user, who must be able to read Exim's files.
    """
    user, group = (12345, 12345) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    with tempfile.TemporaryDirectory() as name:
        home = Place(Path(name), place.port, place.authority, place.key)
        home.directory.chmod(0o755)
        home.authority = home.write("authority.pem", place.authority.read_text(), 0o644)
        program = home.directory / "exim4"
        program.write_bytes((CLIENTS / "usr/sbin/exim4").read_bytes())
        program.chmod(0o755)
        return exim_at(home, program, user, group)


def exim_at(place, program, user, group):
    spool = place.directory / "spool"
    spool.mkdir()
    os.chown(spool, user, group)
    password = place.write("passwd.client", f"localhost:apikey:{place.key}\n", 0o644)
    users = place.write(
        "passwd", f"root:x:0:0::/:/bin/sh\nmail:x:8:8::/:/bin/sh\nDebian-exim:x:{user}:{group}::{spool}:/bin/sh\n", 0o644)
    groups = place.write("group", f"root:x:0:\nmail:x:8:\nDebian-exim:x:{group}:\n", 0o644)
    config = place.write("exim.conf", f"""
exim_path = {program}
keep_environment = LD_PRELOAD : ^NSS_WRAPPER_
add_environment = PATH=/usr/bin
primary_hostname = app.example.com
spool_directory = {spool}
log_file_path = {spool}/%slog
begin routers
smarthost:
  driver = manualroute
  transport = remote_smtp_smarthost
  route_list = * localhost byname
  self = send
begin transports
{place.fill(recipe("Exim as smarthost"))}
begin retry
* * F,2h,15m; G,16h,1h,1.5; F,4d,6h
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = "<; ^${{extract{{1}}{{:}}{{${{lookup{{$host}}lsearch{{{password}}}}}}}}}^${{extract{{2}}{{:}}{{${{lookup{{$host}}lsearch{{{password}}}}}}}}}"
""", 0o644)
    accepted, told = place.run(
        program, "-C", config, "-odf", "-f", "shop@example.com", "you@example.net", input=MESSAGE.encode(), environment={
            "LD_PRELOAD": "libnss_wrapper.so", "NSS_WRAPPER_PASSWD": str(users), "NSS_WRAPPER_GROUP": str(groups)})
    assert accepted, told
    log = (spool / "mainlog").read_text()
    return " Completed" in log and " ** " not in log, log


CLIENT = {
    "curl": curl, "msmtp": msmtp, "PHPMailer": phpmailer, "Django 4.2 and later": django_now,
    "Django before 4.2": django_old, "Rails": rails, "Rails, `enable_starttls_auto`": rails_auto, "nodemailer": nodemailer,
    "nullmailer": nullmailer, "Alertmanager": alertmanager, "Exim": exim}
ROWS = re.findall(r"^\| ([^|]+) \| (refuses|\*\*sends the key\*\*) \| (refuses|\*\*sends the key\*\*) \|$", PAGE, re.M)


def test_every_client_of_the_table_is_tried():
    assert {row[0] for row in ROWS} == set(CLIENT)


@pytest.fixture(scope="module")
def key(relay):
    return relay.create_key(per_second=1_000_000)


@pytest.mark.parametrize("name", [*CLIENT, "WordPress"])
def test_a_recipe_sends_through_the_relay(relay, key, tmp_path, name):
    client = wordpress if name == "WordPress" else CLIENT[name]
    before = {m["id"] for m in relay.json("messages", "list", "--key", key_id(key))}
    sent, told = client(Place(tmp_path, relay.ports["smtp"], relay.certificate, key))
    assert sent, told
    new = [m for m in relay.json("messages", "list", "--key", key_id(key)) if m["id"] not in before]
    assert len(new) == 1
    assert relay.wait_for_state(new[0]["id"], "simulated")["recipients"] == ["you@example.net"]


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A certificate for the right name, issued by nobody whom the client trusts."""
    return self_signed(tmp_path_factory.mktemp("foreign"), "foreign", "rsa")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
@pytest.mark.parametrize("attack", ["stripped", "foreign"])
def test_each_client_treats_a_man_in_the_middle_as_documented(relay, key, tmp_path, foreign, row, attack):
    name, expected = row[0], row[1 if attack == "stripped" else 2]
    with Attacker(foreign if attack == "foreign" else None) as attacker:
        sent, told = CLIENT[name](Place(tmp_path, attacker.port, relay.certificate, key))
        assert attacker.received, told
        if expected == "refuses":
            assert not sent, told
            assert not attacker.has(key), attacker.received
        else:
            assert attacker.has(key), attacker.received


def test_exim_keeps_the_mail_while_its_key_is_refused(relay, tmp_path):
    """`hosts_require_auth` achieves this.

    Without it, Exim goes on without AUTH, and the relay's next reply would make it bounce the mail.
    """
    key = relay.create_key()
    relay.run("keys", "revoke", key_id(key))
    sent, log = exim(Place(tmp_path, relay.ports["smtp"], relay.certificate, key))
    assert not sent
    assert " == you@example.net" in log and " ** " not in log and "Completed" not in log


# -- monitoring


def test_the_blackbox_exporters_module(relay, tmp_path):
    place = Place(tmp_path, relay.ports["smtp"], relay.certificate, "no key")
    port = free_port()
    process = subprocess.Popen(
        [CLIENTS / "usr/bin/prometheus-blackbox-exporter",
         f"--config.file={place.write('blackbox.yml', recipe('Monitoring the relay', 'yml'))}",
         f"--web.listen-address=127.0.0.1:{port}"], stderr=subprocess.PIPE, env=place.environment)
    try:
        end = time.monotonic() + DEADLINE
        while True:
            try:
                url = f"http://127.0.0.1:{port}/probe?module=hiveku_relay&target=localhost:{place.port}&debug=true"
                with urllib.request.urlopen(url, timeout=DEADLINE) as answer:
                    text = answer.read().decode()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < end, process.stderr.read()
                time.sleep(0.05)
        assert re.search(r"^probe_success 1$", text, re.M), text
        assert re.search(r"^probe_ssl_earliest_cert_expiry ", text, re.M)
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE)


def test_the_nagios_check(relay, tmp_path):
    place = Place(tmp_path, relay.ports["smtp"], relay.certificate, "no key")
    line = place.fill(recipe("Monitoring the relay", "sh").strip())
    works, told = place.run("sh", "-c", f"/usr/lib/nagios/plugins/{line}")
    assert works and told.startswith("OK"), told
