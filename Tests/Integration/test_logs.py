"""The log has a line for each acceptance, end and refusal, in each format. fail2ban bans the clients that guess keys."""

import base64
import json
import os
import re
import shutil
import smtplib
import ssl
import string
import subprocess
import zlib

import pytest

from relay import BINARY, DEADLINE, ROOT, clean_environment, key_id
from submit import send, session, submit

MESSAGE = b"From: from@example.com\r\nSubject: kept\r\n\r\nbody\r\n"
FAIL2BAN = ROOT / ".venv/fail2ban"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def refused(relay, password):
    """Logs in with a password that the relay refuses."""
    context = ssl.create_default_context(cafile=str(relay.certificate))
    with smtplib.SMTP_SSL("localhost", relay.ports["smtps"], timeout=DEADLINE, context=context) as smtp:
        smtp.ehlo()
        # One attempt only: smtplib's own `login` would try every mechanism.
        response = base64.b64encode(f"\0apikey\0{password}".encode()).decode()
        assert smtp.docmd("AUTH", f"PLAIN {response}")[0] == 535


def unknown():
    """A key of the right form that the relay does not have."""
    body = "hk_test_" + "A" * 34
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    value, check = zlib.crc32(body.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        check = digits[digit] + check
    return body + check


def story(relay):
    """Does what attackers and other clients do. Returns the key with which mail was sent, and the message's id."""
    key, expired, scopeless = relay.create_key(), relay.create_key(expires_in="1s"), relay.create_key(scopes=())
    message_id = submit(relay, key, MESSAGE)
    with session(relay, key) as smtp:
        assert send(smtp, MESSAGE, ["to@example.net"] * 2)[0] == 250
        assert send(smtp, b"Subject: none\r\n\r\n.\r\n")[0] == 550
    relay.wait_until(
        lambda: "[key-expired]" in relay.run("keys", "check", expired, check=False).stdout, "the key has expired")
    for password in [expired, scopeless, unknown(), key[:-1], "hunter2"]:
        refused(relay, password)
    with smtplib.SMTP("localhost", relay.ports["smtp"], timeout=DEADLINE) as smtp:
        smtp.ehlo()
        assert smtp.mail("from@example.com")[0] == 530
    relay.wait_for_state(message_id, "simulated")
    relay.wait_until(
        lambda: f"{message_id}" in "".join(line for line in relay.log if "simulated" in line),
        "a log line about the end of the message")
    return key, message_id


REASONS = ["header-from", "key-expired", "scope", "key-unknown", "key-malformed", "key-malformed", "tls-required"]


@pytest.fixture(params=["text", "json"])
def format(request):
    return request.param


def test_every_acceptance_outcome_and_refusal_is_logged(own_relay, format):
    relay = own_relay({"log.format": format})
    key, message_id = story(relay)
    assert relay.stop() == 0
    lines = [parsed(line, format) for line in relay.log]
    assert all(re.fullmatch(TIME, line["time"]) for line in lines)
    own = [line for line in lines if line.get("message_id") == message_id]
    assert [(line["level"], line["message"], line["key"]) for line in own] == [
        ("info", "accepted", key_id(key)), ("info", "simulated", key_id(key))]
    assert [line["reason"] for line in lines if line["message"] == "refused"] == REASONS
    assert all(line["level"] == "notice" and line["client"] == "127.0.0.1" for line in lines if line["message"] == "refused")
    assert sum(line["message"] == "accepted" for line in lines) == sum(line["message"] == "simulated" for line in lines) == 2
    # The log has the sentence of the reply too, because many devices show no replies.
    assert all(line["text"] for line in lines if line["message"] == "refused")
    # The line about a refused authentication names the key if the relay has it.
    assert [("key" in line) for line in lines if line["message"] == "refused"] == [
        True, True, True, False, False, False, False]
    assert not re.search(r"hk_(test|live)_[0-9A-Za-z]|hunter2", relay.log_text())


def parsed(line, format):
    """The time, level, message and fields of a line in either format. The message's id has the name `message_id` in both."""
    if format == "json":
        fields = json.loads(line)
        assert list(fields) == sorted(fields)
        return fields
    match = re.fullmatch(rf"({TIME}) (\w+) (.*?)((?: [\w-]+=(?:\"(?:[^\"\\]|\\.)*\"|[^ \"=]*))*)\n", line)
    assert match, line
    fields = dict(re.findall(r' ([\w-]+)=("(?:[^"\\]|\\.)*"|[^ ]*)', match[4]))
    return {**{("message_id" if name == "message" else name): value for name, value in fields.items()},
            "time": match[1], "level": match[2], "message": match[3]}


@pytest.mark.parametrize("is_journal", [True, False])
def test_journal_lines_have_a_severity_and_no_timestamp(own_relay, format, is_journal):
    """JOURNAL_STREAM names the stream that the journal reads. If standard error is another stream, the log has its usual form."""
    relay = own_relay({"log.format": format, "log.level": "debug"}, start=False)
    reading, writing = os.pipe()
    status = os.fstat(writing)
    stream = f"{status.st_dev}:{status.st_ino}" if is_journal else f"{status.st_dev}:{status.st_ino + 1}"
    process = subprocess.Popen(
        [BINARY, "serve", "--config", str(relay.config)], stderr=writing, stdout=subprocess.DEVNULL,
        env=clean_environment({"JOURNAL_STREAM": stream}))
    os.close(writing)
    lines = []
    with os.fdopen(reading) as log:
        while not any("listening" in line for line in lines):
            lines.append(log.readline())
            assert lines[-1], "ended"
        process.terminate()
        lines += log.readlines()
    assert process.wait(DEADLINE) == 0
    for line in lines:
        assert (re.match(r"<[2-7]>", line) is not None) == is_journal, line
        assert (re.search(TIME, line) is None) == is_journal, line
    if is_journal:
        assert any(re.match(r'<5>(listening|\{.*"level":"notice","message":"listening")', line) for line in lines)


@pytest.mark.parametrize("arguments, status", [(["serve"], 78), (["serve", "--unknown"], 64)], ids=["settings", "usage"])
def test_startup_errors_in_the_journal_have_a_severity(own_relay, arguments, status):
    relay = own_relay({"listen": ["nonsense"], "log.level": "nonsense"}, start=False)
    reading, writing = os.pipe()
    stream = os.fstat(writing)
    process = subprocess.Popen(
        [BINARY, *arguments, "--config", str(relay.config)], stderr=writing, stdout=subprocess.DEVNULL,
        env=clean_environment({"JOURNAL_STREAM": f"{stream.st_dev}:{stream.st_ino}"}))
    os.close(writing)
    with os.fdopen(reading) as log:
        lines = log.readlines()
    assert process.wait(DEADLINE) == status
    assert len(lines) > 1 and all(line.startswith("<3>") for line in lines), lines


# MARK: fail2ban

@pytest.fixture
def regex():
    """The installed fail2ban-regex, or the one that `make test` has unpacked beside the tests."""
    installed = shutil.which("fail2ban-regex")
    if installed:
        return [installed], clean_environment()
    return (["python3", str(FAIL2BAN / "usr/bin/fail2ban-regex")],
            clean_environment({"PYTHONPATH": str(FAIL2BAN / "usr/lib/python3/dist-packages")}))


def caught(regex, lines, directory):
    """The lines that the filter matches, and fail2ban-regex's output."""
    log = directory / "relay.log"
    log.write_text("".join(lines))
    command, environment = regex
    result = subprocess.run(
        [*command, "--print-all-matched", str(log), str(ROOT / "etc/fail2ban/filter.d/hiveku-relay.conf")],
        capture_output=True, text=True, env=environment, timeout=DEADLINE)
    assert result.returncode == 0, result.stdout + result.stderr
    found = re.search(r"^Lines: (\d+) lines, \d+ ignored, (\d+) matched, (\d+) missed", result.stdout, re.MULTILINE)
    assert found and int(found[1]) == len(lines), result.stdout
    matched = re.findall(r"^\|  (.*)$", result.stdout.partition("Matched line(s):")[2].partition("\n`-")[0], re.MULTILINE)
    return [line for line in matched if line], result.stdout


def test_the_fail2ban_filter_matches_only_key_guesses(own_relay, format, regex, tmp_path):
    relay = own_relay({"log.format": format})
    story(relay)
    assert relay.stop() == 0
    matched, told = caught(regex, relay.log, tmp_path)
    expected = [line.rstrip("\n") for line in relay.log if re.search(r"\bkey-unknown\b", line)]
    assert len(expected) == 1 and matched == expected
    # fail2ban found the date in each line, with the right pattern.
    assert re.search(r"\[(\d+)\] .*(Year|%Y)", told), told
    # The journal passes the lines on with the host and the program before them.
    def as_journal(line):
        line = re.sub(rf'^{TIME} notice |,"time":"{TIME}"', "", line)
        return "Nov 25 07:25:32 gateway hiveku-relay[4711]: " + line
    matched, _ = caught(regex, [as_journal(line) for line in relay.log], tmp_path)
    assert len(matched) == 1


@pytest.mark.parametrize("line", [
    # Texts from a client, in places where the log quotes them.
    'connection failed client=192.0.2.1 error="refused client=203.0.113.9 reason=key-unknown"',
    'connection failed client=192.0.2.1 error="x\\" refused client=203.0.113.9 reason=key-unknown"',
    'refused client=203.0.113.9 reason=address text="x reason=key-unknown text="',
    'refused client=203.0.113.9 reason=attachment text="client=203.0.113.9 reason=key-unknown text=\\"\\""',
    'refused client=203.0.113.9 reason=key-expired text="x"',
    'refused client=203.0.113.9 key=AAAAAAAA reason=scope text="x"',
    'refused client=203.0.113.9 reason=key-malformed text="x"',
    'refused client=203.0.113.9 reason=key-unknown-not text="x"',
])
def test_the_fail2ban_filter_ignores_forged_and_similar_lines(regex, tmp_path, line):
    matched, _ = caught(regex, [f"2026-11-25T07:25:32.123Z notice {line}\n"], tmp_path)
    assert matched == []


@pytest.mark.parametrize("client", ["203.0.113.9", "2001:db8::9"])
def test_the_fail2ban_filter_matches_ipv4_and_ipv6_addresses(regex, tmp_path, client):
    for line in [f'2026-11-25T07:25:32.123Z notice refused client={client} key=AAAAAAAA reason=auth-throttled '
                 'text="Too many \\"failed\\" authentications"\n',
                 f'{{"client":"{client}","level":"notice","message":"refused","reason":"auth-throttled",'
                 '"text":"Too many","time":"2026-11-25T07:25:32.123Z"}\n']:
        matched, told = caught(regex, [line], tmp_path)
        assert len(matched) == 1, told


def test_fail2ban_accepts_the_jail(tmp_path):
    """fail2ban reads the jail with the distribution's filters and actions. Nothing is started."""
    source = next((place for place in [FAIL2BAN / "etc/fail2ban", "/etc/fail2ban"] if os.path.isdir(place)), None)
    configuration = tmp_path / "fail2ban"
    shutil.copytree(source, configuration)
    for file in (configuration / "jail.d").iterdir():
        file.unlink()
    shutil.copytree(ROOT / "etc/fail2ban", configuration, dirs_exist_ok=True)
    installed = shutil.which("fail2ban-client")
    command = [installed] if installed else ["python3", str(FAIL2BAN / "usr/bin/fail2ban-client")]
    environment = {} if installed else {"PYTHONPATH": str(FAIL2BAN / "usr/lib/python3/dist-packages")}
    result = subprocess.run(
        [*command, "-c", str(configuration), "-d"], capture_output=True, text=True, timeout=DEADLINE,
        env=clean_environment(environment))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "ERROR" not in result.stdout + result.stderr, result.stdout + result.stderr
    assert "['add', 'hiveku-relay', 'systemd']" in result.stdout
    assert "['start', 'hiveku-relay']" in result.stdout
    assert "key-unknown" in result.stdout and "_SYSTEMD_UNIT=hiveku-relay.service" in result.stdout
