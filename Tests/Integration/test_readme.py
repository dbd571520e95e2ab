"""The commands in README.md and docs/ do what the pages say. Each command is run here, or is listed with a reason why it is not."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import threading
from pathlib import Path

import pytest

from relay import BINARY, DEADLINE, ROOT, clean_environment, key_id
from submit import session, submit

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# Commands of these programs must be run here or be listed in NOT_RUN.
PROGRAMS = ("hiveku-relay", "sqlite3", "swaks", "make")

# Tests at the end of this file run these blocks as a whole, line by line.
SCRIPTS = {
    ("operating.md", "Backup"), ("operating.md", "Restore"), ("operating.md", "Moving to another machine"),
    ("templates.md", "From a file to mail")}

# Commands that are run one by one, each with a pattern for its output. They succeed, except doctor, whose exit status tells what it
# found.
RUN = {
    "hiveku-relay config check": r"",
    "hiveku-relay doctor": r"ok +database",
    "hiveku-relay doctor --json": r'"name":"database","outcome":"ok"',
    "hiveku-relay feedback template > feedback.yaml": r"",
    "hiveku-relay feedback status": r"^off: ",
    "hiveku-relay keys create --name shop --environment test --scope email:send": r"^hk_test_\w{40}\n",
    "KEY=$(hiveku-relay keys create --name shop --environment live --scope email:send --allow-domain example.com --per-day 50000)":
        r"^Created the live key \w{8} 'shop'",
    "hiveku-relay keys create --name wordpress --environment test --scope email:send --allow-domain example.com "
    "--allow-network 192.0.2.0/24": r"^hk_test_\w{40}\n",
    "hiveku-relay keys create --name scanner --environment live --scope email:send --allow-domain example.com "
    "--allow-network 192.0.2.10 --per-day 500": r"^hk_live_\w{40}\n",
    "hiveku-relay keys list": r"readme",
    "swaks --server relay.example.com:587 --tls --auth PLAIN --auth-user apikey --from shop@example.com --to you@example.net":
        r"250 2\.0\.0 .*queued as",
    "swaks --server relay.example.com:587 --tls --tls-verify --auth PLAIN --auth-user apikey --from shop@example.com "
    "--to you@example.net": r"250 2\.0\.0 .*queued as",
    "SECRET=$(hiveku-relay webhooks create --key ID --url https://app.example.com/hooks/email --event bounce --event complaint)":
        r"^Created the webhook wh_",
    "hiveku-relay domains add example.com --environment test": r"_domainkey\.example\.com",
    "hiveku-relay domains verify example.com --environment test": r"verified",
    "hiveku-relay messages list --since 1h": r"Order 42",
    "hiveku-relay messages list --since 1d": r"Order 42",
    "hiveku-relay messages list --since 1d --key KEY-ID": r"Order 42",
    "hiveku-relay messages list --since 1d --search user@example.net": r"No messages",
    "hiveku-relay messages list --since 1d --status bounced": r"No messages",
    "hiveku-relay messages list --state failed --since 6h --limit 100000 | awk 'NR > 1 {print $1}' | xargs -r hiveku-relay messages retry":
        r"No messages",
    "hiveku-relay messages retry ID": r"^Queued 0 deliveries again",
    "hiveku-relay messages retry --state failed --key ID": r"^Queued 0 deliveries again",
    "hiveku-relay admin logout": r"^Ended 0 sessions",
    "hiveku-relay messages show ID": r"Order 42",
    "hiveku-relay messages show MESSAGE-ID": r"Order 42",
    "hiveku-relay messages show ID --raw": r"(?m)^Subject: Order 42\r?$",
    'hiveku-relay messages wait --key ID --subject "Order 42" --timeout 10s --json': r'"simulated"',
    "hiveku-relay suppressions list --reason complaint --search example.net": r"No suppressed address matches",
    'hiveku-relay suppressions add user@example.net --note "asked by telephone"': r"Added 1 address",
    "hiveku-relay suppressions remove user@example.net": r"Removed 1 address",
    "hiveku-relay suppressions export > list.csv": r"^$",
    "hiveku-relay status": r"queue: ",
    "hiveku-relay status --json": r'^\{.*"lane"',
}

NOT_RUN = {
    "hiveku-relay templates put order/": "needs the directory; test_template_commands.py puts templates from files",
    "hiveku-relay templates list": "test_template_commands.py runs it",
    'hiveku-relay templates render "Order sent" --variables \'{"order": {"number": 1017}, "link": "https://shop.example.com/1017"}\'':
        "needs the files; test_template_commands.py renders templates",
    "hiveku-relay statistics --by template": "test_template_commands.py runs it",
    "hiveku-relay domains add example.com": "needs SES; test_domains.py has a stand-in for it",
    "hiveku-relay domains verify example.com": "needs SES; test_domains.py has a stand-in for it",
    "hiveku-relay admin login":
        "this relay has no operator page; test_admin.py and test_operator_page_attacks.py run it",
    "make run": "builds the relay; test_lifecycle.py starts serve --demo",
    "make test": "runs this test",
    "hiveku-relay suppressions import list.csv":
        "needs the file of the previous command; test_suppressions.py imports an export",
    'hiveku-relay messages wait --key ID --subject "Order 42" --status bounced':
        "nothing bounces here; test_statuses.py waits for a bounce",
    "hiveku-relay database copy --from /var/lib/hiveku-relay/relay.db    --to "
    "'postgresql://relay@db.example.com/relay?passfile=/etc/hiveku-relay/pgpass'": "test_database_copy.py runs it",
    "hiveku-relay database copy --from 'postgresql://relay@db.example.com/relay?passfile=/etc/hiveku-relay/pgpass'    "
    "--to /var/lib/hiveku-relay/relay.db": "test_database_copy.py runs it",
    "make deb": "takes minutes; make test-deb installs the package",
    "make release": "takes minutes; make deb builds a release, too",
}

# Names on the pages, and their replacements here. The owner is the current user, because only root may give files away.
SUBSTITUTES = [
    ("hiveku-relay:hiveku-relay", f"{os.getuid()}:{os.getgid()}"),
    ("-o hiveku-relay -g hiveku-relay ", ""),
    ("/var/backups/hiveku-relay", "{backups}"),
    ("/var/lib/hiveku-relay", "{state}"),
    ("relay.example.com:587", "localhost:{port}"),
]

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.M | re.S)


def section_of(text, position):
    headings = [m for m in re.finditer(r"^##+ (.*)$", text, re.M) if m.start() < position]
    return headings[-1][1] if headings else ""


def blocks(*languages):
    """(page, section, lines) of each fenced block."""
    for page in PAGES:
        text = page.read_text()
        for fence in FENCE.finditer(text):
            if fence[2] in languages:
                body = re.sub(rf"(?m)^{fence[1]}", "", fence[3]).replace("\\\n", " ")
                yield page.name, section_of(text, fence.start()), body.splitlines()


def commands():
    for page, section, lines in blocks("sh", "console"):
        for line in lines:
            line = re.sub(r"^[$#] ", "", line.strip())
            if line and not line.startswith("#"):
                yield page, section, line


def script(page, section):
    return [line for p, s, line in commands() if (p, s) == (page, section)]


def prose():
    """Each page's name and its text without fenced blocks."""
    for page in PAGES:
        yield page.name, FENCE.sub("", page.read_text())


def program(line):
    return re.sub(r"^\w+=\$\(", "", line).split()[0]


def substituted(line, **values):
    for written, meant in SUBSTITUTES:
        if written in line:
            line = line.replace(written, meant.format_map(values))
    assert not re.search(r"(?<![\w.])/(var|etc|usr)/(?!.*pytest-)", line), f"would touch this machine: {line}"
    return line


def shell(line, relay, directory, input=None):
    path = Path(directory) / "bin"
    path.mkdir(exist_ok=True)
    if not (path / "hiveku-relay").exists():
        (path / "hiveku-relay").symlink_to(BINARY)
    environment = clean_environment({
        **relay.environment, "HIVEKU_RELAY_CONFIG": str(relay.config), "SSL_CERT_FILE": str(relay.certificate)})
    environment["PATH"] = f"{path}:{environment['PATH']}"
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, timeout=DEADLINE, input=input, env=environment, cwd=directory)


# -- each command

def test_every_command_is_run_or_has_a_reason_not_to():
    typed = {(page, section, line) for page, section, line in commands() if program(line) in PROGRAMS}
    alone = {line for page, section, line in typed if (page, section) not in SCRIPTS}
    assert alone == RUN.keys() | NOT_RUN.keys()
    assert SCRIPTS <= {(page, section) for page, section, _ in typed}
    # No line of another program hides one of these programs.
    for _, section, line in commands():
        hidden = [word for word in PROGRAMS if re.search(rf"(?:[|;&(]|-- )\s*{word} ", line) and program(line) not in PROGRAMS]
        assert not hidden, line


@pytest.fixture(scope="module")
def shown(relay):
    """A key and a message that the commands can show."""
    key = relay.create_key(name="readme")
    message = submit(relay, key, b"From: a@example.com\r\nTo: to@example.net\r\nSubject: Order 42\r\n\r\nHello.\r\n")
    relay.wait_for_state(message, "simulated")
    return key, message


@pytest.mark.parametrize("line", RUN)
def test_command(relay, shown, tmp_path, line):
    key, message = shown
    output = RUN[line]
    identity = key_id(key) if "--key" in line else message
    typed = substituted(re.sub(r"\b(KEY-|MESSAGE-)?ID\b", identity, line), port=relay.ports["smtp"])
    # swaks asks for the password on standard input.
    result = shell(typed, relay, tmp_path, input=f"{key}\n" if line.startswith("swaks") else None)
    assert result.returncode in ((0, 1) if "doctor" in line else (0,)), result.stdout + result.stderr
    assert re.search(output, (result.stdout + result.stderr).strip()), result.stdout + result.stderr


# -- all names exist

@pytest.fixture(scope="module")
def options():
    """The long options of each command, by the command's words."""
    dump = json.loads(subprocess.run(
        [BINARY, "--experimental-dump-help"], capture_output=True, check=True, timeout=DEADLINE).stdout)
    found = {}

    def walk(command, words):
        names = {f"--{n['name']}" for a in command.get("arguments", []) for n in a.get("names", []) if n["kind"] == "long"}
        found[words] = names
        for below in command.get("subcommands", []):
            walk(below, (*words, below["commandName"]))

    walk(dump["command"], ())
    return found


def test_every_command_and_option_named_exists(options):
    spans = [(page, span) for page, text in prose() for span in re.findall(r"`([^`\n]+)`", text)]
    spans += [(page, line) for page, _, line in commands() if program(line) == "hiveku-relay"]
    checked = 0
    for page, span in spans:
        words = re.sub(r"^\w+=\$\(", "", span).rstrip(")").split()
        explicit = words[0] == "hiveku-relay" and len(words) > 1
        if explicit:
            words = words[1:]
        named = {word.partition("=")[0] for word in words if word.startswith("--")}
        if words[0].startswith("--") and not explicit:
            # An option without a command.
            assert any(words[0] in names for names in options.values()), f"{page}: no option {words[0]}"
            checked += 1
        elif explicit or (words[0],) in options:
            depth = 0
            while depth < len(words) and tuple(words[: depth + 1]) in options:
                depth += 1
            command = tuple(words[:depth])
            assert command or not words[0].isalpha(), f"{page}: no such command: {span}"
            below = [other for other in options if len(other) == depth + 1 and other[:depth] == command]
            assert not (below and len(words) > depth), f"{page}: no such command: {span}"
            assert named <= options[command], f"{page}: {span}: no option {named - options[command]}"
            checked += 1
    assert checked > 60


def settings():
    section = None
    for line in (ROOT / "etc/relay.yaml").read_text().splitlines():
        if heading := re.match(r"(\w+):$", line):
            section = heading[1]
        elif setting := re.match(r"( *)#(\w+):", line):
            yield f"{section}.{setting[2]}" if setting[1] else setting[2]


def test_every_setting_named_exists():
    known = set(settings())
    assert len(known) > 30
    files = ("db", "db-wal", "db-shm", "ini", "py", "rb", "properties", "yaml", "md", "service", "socket", "pem", "json", "php", "html", "txt", "yml", "conf", "mc", "client")
    named = 0
    for page, text in prose():
        for span in re.findall(r"`([a-z_]+\.[a-z_-]+)(?:: [^`]*)?`", text):
            if span.partition(".")[2] not in files:
                assert span in known, f"{page}: no setting {span}"
                named += 1
        for variable in re.findall(r"`HIVEKU_RELAY_(\w+)", text):
            assert variable in {name.upper().replace(".", "_") for name in known} | {"CONFIG"}, f"{page}: {variable}"
    assert named > 20
    for page, _, lines in blocks("yaml"):
        # The YAML on this page has fields of a template, not settings.
        if page == "templates.md":
            continue
        section = None
        for line in lines:
            indent, name = re.match(r"( *)(\w+):", line).groups()
            if not indent:
                section = name
                assert name in known | {other.partition(".")[0] for other in known}, f"{page}: {name}"
            else:
                assert f"{section}.{name}" in known, f"{page}: no setting {section}.{name}"


def slug(heading):
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_links_lead_somewhere():
    links = 0
    for page in PAGES:
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
            if "://" in target:
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), f"{page.name}: {target}"
            if anchor:
                assert anchor in map(slug, re.findall(r"^#+ (.*)$", file.read_text(), re.M)), f"{page.name}: {target}"
            links += 1
    assert links > 10


def test_no_page_has_a_key_in_it():
    for page in PAGES:
        assert not re.search(r"hk_(live|test)_\w{8}", page.read_text()), page.name


# -- texts to paste

def pasted(section, language, number=0):
    return [lines for page, s, lines in blocks(language) if (page, s) == ("applications.md", section)][number]


def test_msmtp_as_configured(relay, shown, tmp_path):
    key, _ = shown
    (tmp_path / "key").write_text(key + "\n")
    text = "\n".join(pasted("PHP `mail()`, over msmtp", "")) + "\n"
    for written, meant in [
            ("relay.example.com", "localhost"), ("port 587", f"port {relay.ports['smtp']}"), ("/etc/hiveku-api-key", tmp_path / "key"),
            ("/etc/ssl/certs/ca-certificates.crt", relay.certificate)]:
        assert written in text
        text = text.replace(written, str(meant))
    (tmp_path / "msmtprc").write_text(text)
    (tmp_path / "msmtprc").chmod(0o600)
    # PHP calls msmtp like this: the recipients are in the message, and a From field is not needed.
    path = re.search(r'"/usr/bin/(msmtp .*)"', "\n".join(pasted("PHP `mail()`, over msmtp", "ini")))[1]
    result = subprocess.run(
        f"{path} -C {tmp_path}/msmtprc", shell=True, input="To: to@example.net\nSubject: over msmtp\n\nHello.\n", text=True,
        capture_output=True, timeout=DEADLINE, env=clean_environment())
    assert result.returncode == 0, result.stderr
    message = relay.json("messages", "list", "--subject", "over msmtp")[0]
    assert b"\r\nFrom: shop@example.com\r\n" in relay.raw(message["id"])


def test_django_as_configured(relay, shown):
    """The test logs in with the values of Django's settings."""
    key, _ = shown
    values = {}
    environment = {"os": type("os", (), {"environ": {"HIVEKU_API_KEY": key}})}
    exec("\n".join(pasted("Django", "python")), environment, values)
    assert values["EMAIL_USE_TLS"] and values["EMAIL_PORT"] == 587 and values["EMAIL_TIMEOUT"] >= 60
    with session(relay, values["EMAIL_HOST_PASSWORD"], "smtp") as smtp:
        assert smtp.user == values["EMAIL_HOST_USER"]


# -- backup, loss and restore

BODY = b"".join(b"%075d\r\n" % n for n in range(6000))


@pytest.fixture
def house(own_relay, tmp_path):
    """A relay with its directory. Two live messages wait in it, because SES is not set.

    The body of the first one is in the database, and that of the second one in the spool.
    """
    state = tmp_path / "state"
    state.mkdir()
    relay = own_relay({"database": str(state / "relay.db")})
    key = relay.create_key("live")
    head = b"From: a@example.com\r\nTo: to@example.net\r\nMessage-ID: <%d@example.com>\r\n\r\n"
    relay.key = key
    relay.sent = [submit(relay, key, head % n + body) for n, body in enumerate([b"Small.\r\n", BODY])]
    relay.state = state
    assert [path.name for path in (state / "relay.db.spool").iterdir()] == [relay.sent[1]]
    return relay


def follow(relay, lines, directory, **values):
    """Runs `lines`. Instead of systemctl, it starts and stops the relay."""
    for line in lines:
        if line.startswith("systemctl"):
            verb = line.split()[1]
            # To start a service that runs, or to stop one that does not, is not an error.
            if verb in ("stop", "disable"):
                assert relay.stop() in (0, None), relay.log_text()
            elif relay.process is None:
                assert verb in ("start", "enable"), line
                relay.start()
            continue
        result = shell(substituted(line, state=relay.state, **values), relay, directory)
        assert result.returncode in ((0, 1) if "doctor" in line else (0,)), f"{line}\n{result.stdout}{result.stderr}"
        yield line, result


def back_up(relay, directory):
    """Runs the script for cron and returns the directory that it made."""
    text = "\n".join(substituted(line, state=relay.state, backups=directory / "backups") for line in script("operating.md", "Backup"))
    result = shell(text, relay, directory)
    assert result.returncode == 0 and result.stdout.endswith("\nok\n"), result.stdout + result.stderr
    (backup,) = (directory / "backups").iterdir()
    assert backup.stat().st_mode & 0o077 == 0
    return backup


def restore(relay, backup, directory):
    lines = [line.replace("2026-11-25-031500", backup.name) for line in script("operating.md", "Restore")]
    # Only the lines before the first decision about a message are run here. The caller runs the others.
    until = next(n for n, line in enumerate(lines) if line.startswith("hiveku-relay messages release"))
    outputs = dict(
        (line, result.stdout) for line, result in follow(relay, lines[:until], directory, backups=backup.parent))
    return lines[until:], outputs


def test_a_restored_queue_is_complete_and_held(house, tmp_path):
    backup = back_up(house, tmp_path)
    # After the backup, a message is accepted and the key is revoked. The backup knows of neither.
    submit(house, house.key, b"From: a@example.com\r\nTo: to@example.net\r\n\r\nLater.\r\n")
    house.run("keys", "revoke", key_id(house.key))
    house.stop(signal.SIGKILL)
    (house.state / "relay.db").write_bytes(b"lost")
    rest, outputs = restore(house, backup, tmp_path)
    assert {m["id"]: m["state"] for m in house.json("messages", "list")} == {m: "held" for m in house.sent}
    assert all(m in outputs["hiveku-relay messages list --state held"] for m in house.sent)
    assert house.raw(house.sent[1]).endswith(BODY)
    assert (house.state / "relay.db").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state.lost").is_dir()
    # The key works again as it did at the time of the backup. The page warns of this.
    submit(house, house.key, b"From: a@example.com\r\nTo: to@example.net\r\n\r\nNew.\r\n")
    for line in rest:
        assert shell(re.sub(r"\bID\b", house.sent[1], line), house, tmp_path).returncode == 0, line
    assert [house.message(m)["state"] for m in house.sent] == ["failed", "queued"]


def test_a_message_being_sent_at_the_backup_is_held_after_the_restore(house, tmp_path):
    """`messages hold` only holds queued messages. That is why the relay is started and stopped before it."""
    backup = back_up(house, tmp_path)
    changed = subprocess.run(
        ["sqlite3", str(backup / "relay.db"),
         "UPDATE delivery SET state = 'sending', holder = 0, claimed_at = 0, lease_until = 9e15; SELECT changes()"],
        capture_output=True, text=True, timeout=DEADLINE)
    assert changed.stdout == "2\n", changed.stderr
    restore(house, backup, tmp_path)
    assert {house.message(m)["state"] for m in house.sent} == {"held"}


def test_a_backup_of_a_running_relay_has_every_message_body(house, tmp_path):
    """This holds even if messages arrive between the copy of the database and the copy of the spool."""
    key = house.create_key("live", per_second=1_000_000)
    text = script("operating.md", "Backup")
    accepted = []

    def more(count):
        with session(house, key) as smtp:
            for _ in range(count):
                n = len(accepted)
                smtp.sendmail(
                    "a@example.com", ["to@example.net"],
                    b"From: a@example.com\r\nTo: to@example.net\r\nMessage-ID: <l%d@example.com>\r\n\r\n" % n + BODY)
                accepted.append(n)

    more(3)
    # The script runs up to its first copy, and then up to its second. After each copy, more messages arrive.
    prelude = []
    for line in text:
        prelude.append(substituted(line, state=house.state, backups=tmp_path / "backups"))
        if line.startswith(("sqlite3 /var", "tar")):
            result = shell("\n".join(prelude), house, tmp_path)
            assert result.returncode == 0, result.stderr
            (made,) = (tmp_path / "backups").iterdir()
            prelude = [f"to={made}"]
            more(3)
    (backup,) = (tmp_path / "backups").iterdir()
    restore(house, backup, tmp_path)
    listed = house.json("messages", "list")
    assert len(listed) == 2 + 3
    for message in listed:
        assert message["state"] == "held" and (message["size"] < 1000 or house.raw(message["id"]).endswith(BODY))
    # Messages that came between the copies have a body and no row. The relay deletes these bodies at its start.
    assert len(list((house.state / "relay.db.spool").iterdir())) == 1 + 3


def test_a_backup_completes_while_the_database_is_written(house, tmp_path):
    """SQLite's backup starts again when another process has written, unless it reads within one transaction."""
    house.stop()
    database = sqlite3.connect(house.state / "relay.db", isolation_level=None)
    database.execute("PRAGMA synchronous = OFF")
    database.execute("CREATE TABLE filler (bytes)")
    with database:
        database.executemany("INSERT INTO filler VALUES (zeroblob(4000))", [()] * 20_000)
    ended = threading.Event()

    def write():
        other = sqlite3.connect(house.state / "relay.db", isolation_level=None)
        other.execute("PRAGMA synchronous = OFF")
        while not ended.wait(0.002):
            other.execute("UPDATE key SET last_used_at = COALESCE(last_used_at, 0) + 1")
        other.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        back_up(house, tmp_path)
    finally:
        ended.set()
        writer.join()
        database.close()


def test_the_queue_moves_to_another_machine(house, own_relay, tmp_path):
    """The new relay has the old one's keys, queue and bodies."""
    new = own_relay(start=False)
    new.state = tmp_path / "new"
    tree = json.loads(new.config.read_text())
    tree["database"] = str(new.state / "relay.db")
    new.config.write_text(json.dumps(tree))
    lines = script("operating.md", "Moving to another machine")
    there = next(n for n, line in enumerate(lines) if not line.startswith("systemctl disable"))
    list(follow(house, lines[:there], tmp_path))
    subprocess.run(["cp", "-a", house.state, new.state], check=True)
    list(follow(new, lines[there:], tmp_path))
    assert {new.message(m)["state"] for m in house.sent} <= {"queued", "sending"}
    assert new.raw(house.sent[1]).endswith(BODY)
    submit(new, house.key, b"From: a@example.com\r\nTo: to@example.net\r\n\r\nAt the new place.\r\n")


# -- templates

def test_the_documented_steps_from_a_template_file_to_a_mail_work(own_relay, tmp_path):
    relay = own_relay({"http.listen": ["http://127.0.0.1:0"]})
    section = [(lines, language) for language in ("sh", "json") for page, heading, lines in blocks(language)
               if (page, heading) == ("templates.md", "From a file to mail")]
    template, = ("\n".join(lines) for lines, language in section if language == "json")
    (tmp_path / "order.json").write_text(template)
    steps = ["\n".join(lines) for lines, language in section if language == "sh"]
    script = "set -e -o pipefail\n" + "\n".join(steps)
    script = script.replace("https://relay.example.com", f"http://127.0.0.1:{relay.ports['http']}")
    result = shell(script, relay, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert '"subject":"Your order 1017 is on its way"' in result.stdout
    assert "Subject: Your order 1017 is on its way" in result.stdout and "Dear Ann," in result.stdout
    assert "Subject: Your order 1018 is on its way" in result.stdout and "Dear customer," in result.stdout
    assert '"version":2' in result.stdout and '"subject":"Order {{order.number}} has left our house"' in result.stdout
