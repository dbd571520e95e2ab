"""The commands: their output, as text and as JSON, and their exit status."""

import json
import os
import pathlib
import re
import secrets
import sqlite3
import subprocess
import tempfile
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from relay import BINARY, clean_environment, key_id
from submit import submit
from wording import mentions

KEY_NAMES = {
    "id", "name", "environment", "scopes", "per_second", "burst", "per_day", "domains", "networks", "detect_repeats", "created_at",
    "expires_at", "revoked_at", "last_used_at", "emails_total", "emails_30d", "emails_today", "rate_limit_hits",
    "auth_failures", "webhooks_for_all", "deliveries_30d", "bounces_30d", "hard_bounces_30d", "complaints_30d", "bounce_rate",
    "complaint_rate"}
MESSAGE_NAMES = {
    "id", "key", "environment", "state", "from", "recipients", "subject", "size", "accepted_at", "scheduled_at", "tags", "deliveries",
    "statuses", "template"}
DELIVERY_NAMES = {
    "recipients", "state", "attempts", "next_attempt_at", "ses_message_id", "reason", "maybe_duplicate"}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
MESSAGE = b"From: from@example.com\r\nSubject: hello\r\n\r\nbody\r\n"


def test_a_key_from_creation_to_revocation(relay):
    result = relay.run(
        "keys", "create", "--name", "shop", "--environment", "live", "--scope", "email:send", "--scope", "email:batch",
        "--per-second", "2.5", "--burst", "7", "--per-day", "100", "--allow-domain", "Example.COM", "--allow-domain",
        "*.bücher.example", "--allow-network", "192.0.2.0/24", "--allow-network", "2001:db8::/32", "--expires-in", "90d")
    key = result.stdout.strip()
    assert re.fullmatch(r"hk_live_[0-9A-Za-z]{40}", key)
    assert result.stdout == key + "\n"
    assert key not in result.stderr
    record = relay.json("keys", "show", key_id(key))[0]
    assert set(record) == KEY_NAMES
    assert record["domains"] == ["example.com", "*.xn--bcher-kva.example"]
    assert record["networks"] == ["192.0.2.0/24", "2001:db8::/32"]
    assert (record["per_second"], record["burst"], record["per_day"]) == (2.5, 7, 100)
    assert re.fullmatch(TIME, record["expires_at"]) and record["last_used_at"] is None
    relay.run("keys", "update", key_id(key), "--no-per-day", "--any-domain", "--any-network", "--no-expiry", "--name", "new")
    record = relay.json("keys", "show", key_id(key))[0]
    assert (record["per_day"], record["domains"], record["networks"], record["expires_at"]) == (None, [], [], None)
    assert record["name"] == "new" and record["per_second"] == 2.5
    assert relay.run("keys", "check", key).stdout.startswith("accepted")
    second = relay.run("keys", "rotate", key_id(key), "--grace", "0s").stdout.strip()
    assert second != key and key_id(second) == key_id(key)
    assert "[key-unknown]" in relay.run("keys", "check", key, check=False).stdout
    assert relay.run("keys", "check", "-", input=second + "\n").returncode == 0
    relay.run("keys", "revoke", key_id(key))
    assert "[key-revoked]" in relay.run("keys", "check", second, check=False).stdout
    assert key_id(key) not in [k["id"] for k in relay.json("keys", "list")]
    assert key_id(key) in [k["id"] for k in relay.json("keys", "list", "--all")]
    assert relay.run("keys", "rotate", key_id(key), check=False).returncode == 1


def test_creating_a_key_with_json_output_includes_the_key(relay):
    created = relay.json("keys", "create", "--name", "x", "--environment", "test", "--scope", "email:send")[0]
    assert set(created) == KEY_NAMES | {"key"}
    assert relay.run("keys", "check", created["key"]).returncode == 0


def test_a_key_without_scope_is_warned_about(relay):
    result = relay.run("keys", "create", "--name", "x", "--environment", "test")
    assert "--scope email:send" in result.stderr


@pytest.mark.parametrize("arguments, parts", [
    (["--allow-network", "192.0.2.7/24"], ["192.0.2.0/24", "192.0.2.7"]),
    (["--allow-network", "192.0.2.0/33"], ["prefix", "32"]),
    (["--allow-network", "example.com"], ["IP address", "CIDR block"]),
    (["--allow-domain", "no_domain"], ["no_domain", "not a domain"]),
    (["--allow-domain", "*.*.example.com"], ["*.*.example.com", "not a domain"]),
    (["--scope", "email:everything"], ["email:everything", "email:send", "email:batch", "email:domains", "email:templates", "email:webhooks"]),
    (["--per-second", "0"], ["--per-second", "0.0001", "1,000,000"]),
    (["--per-day", "0"], ["--per-day", "1", "1,000,000,000,000"]),
    (["--per-day", "1000000000001"], ["--per-day", "1,000,000,000,000"]),
    (["--burst", "1000000001"], ["--burst", "1,000,000,000"]),
    (["--expires-in", "soon"], ["--expires-in"]),
])
def test_invalid_key_rules_are_refused_with_a_correction(relay, arguments, parts):
    result = relay.run("keys", "create", "--name", "x", "--environment", "test", *arguments, check=False)
    assert result.returncode == 64
    # Only the message counts, not the line about the command's usage.
    assert mentions(result.stderr.partition("Usage:")[0], *parts)
    assert result.stdout == ""


def test_the_table_of_keys_flags_keys_that_need_attention(relay):
    never = relay.create_key(name="never used")
    scopeless = relay.create_key(scopes=(), name="scopeless")
    batch = relay.create_key(scopes=("email:batch",), name="batches")
    expiring = relay.create_key(name="expiring", expires_in="5d")
    lines = {line[:8]: line for line in relay.run("keys", "list").stdout.splitlines()}
    assert list(lines)[0].startswith("ID")
    assert mentions(lines[key_id(scopeless)], "email:send", "email:batch")
    assert "email:send" not in lines[key_id(batch)]
    assert re.search(r"expires .*\b(4|5) d", lines[key_id(expiring)])
    assert " never " in lines[key_id(never)]
    unused = [k["id"] for k in relay.json("keys", "list", "--unused", "1h")]
    assert key_id(never) not in unused


def test_a_key_can_have_only_the_batch_scope(relay):
    arguments = ["keys", "create", "--name", "batches", "--environment", "test"]
    created = relay.run(*arguments, "--scope", "email:batch")
    assert "--scope email:send" not in created.stderr
    key = created.stdout.strip()
    refused = relay.run("keys", "check", key, check=False)
    assert refused.returncode == 1 and "[scope]" in refused.stdout
    assert relay.run("keys", "check", key, "--scope", "email:batch").stdout.startswith("accepted")
    wrong = relay.run("keys", "check", key, "--scope", "email:everything", check=False)
    assert wrong.returncode == 64 and "email:batch" in wrong.stderr


def test_the_remedy_for_a_key_that_cannot_send_keeps_its_scopes(relay):
    created = relay.run(
        "keys", "create", "--name", "domains", "--environment", "test", "--scope", "email:domains")
    command = created.stderr.split("hiveku-relay ", 1)[1].split()
    assert command[-4:] == ["--scope", "email:domains", "--scope", "email:send"]
    relay.run(*command)
    assert relay.run("keys", "check", created.stdout.strip()).returncode == 0


def test_messages_listed_shown_and_waited_for(relay):
    key = relay.create_key()
    message_id = submit(relay, key, MESSAGE, ["a@example.net", "b@example.net"])
    waited = relay.json("messages", "wait", "--key", key_id(key), "--subject", "hello")
    assert [m["id"] for m in waited] == [message_id]
    listed = relay.json("messages", "list", "--key", key_id(key), "--state", "simulated", "--since", "1h")
    assert [m["id"] for m in listed] == [message_id]
    message = listed[0]
    assert set(message) == MESSAGE_NAMES and set(message["deliveries"][0]) == DELIVERY_NAMES
    assert message["from"] == "from@example.com" and message["subject"] == "hello"
    assert re.fullmatch(TIME, message["accepted_at"])
    shown = relay.message(message_id)
    assert shown["deliveries"][0]["history"][0]["outcome"] == "simulated"
    text = relay.run("messages", "show", message_id).stdout
    assert "a@example.net, b@example.net" in text and "simulated" in text
    assert message_id in relay.run("messages", "list", "--key", key_id(key)).stdout


def test_a_wait_that_times_out_reports_the_messages_found(relay):
    key = relay.create_key()
    result = relay.run("messages", "wait", "--key", key_id(key), "--timeout", "100ms", check=False)
    assert result.returncode == 1 and mentions(result.stderr, "100ms", "no ", "message")
    relay.run("messages", "list")
    submit(relay, key, MESSAGE)
    result = relay.run("messages", "wait", "--key", key_id(key), "--count", "2", "--timeout", "200ms", check=False)
    assert result.returncode == 1 and re.search(r"1 (simulated|queued|sending)", result.stderr)


def test_simulator_addresses(relay):
    key = relay.create_key(per_second=100)
    for mailbox, status in [("success", "delivered"), ("bounce", "bounced"), ("complaint", "complained"), ("ooto", "delivered"),
                            ("suppressionlist", "bounced")]:
        recipient = f"{mailbox}+{secrets.token_hex(4)}@simulator.amazonses.com"
        message_id = submit(relay, key, MESSAGE, [recipient])
        message = relay.wait_for_state(message_id, "simulated")
        assert message["deliveries"][0]["reason"] is None
        assert message_id in relay.run("messages", "list", "--status", status).stdout
    message_id = submit(relay, key, MESSAGE, ["throttle@simulator.amazonses.com"])
    message = relay.wait_for_state(message_id, "simulated")
    assert [a["outcome"] for a in message["deliveries"][0]["history"]] == ["retry", "retry", "simulated"]


def test_operator_actions_on_messages(relay):
    key = relay.create_key(per_second=100)
    message_id = submit(relay, key, MESSAGE)
    relay.wait_for_state(message_id, "simulated")
    # hold, release, drop and retry do not change a delivery that has ended.
    for command in ["hold", "release", "drop", "retry"]:
        assert " 0 deliveries" in relay.run("messages", command, message_id).stderr
    assert relay.run("messages", "drop", check=False).returncode == 64
    assert relay.run("messages", "show", "0000000000000", check=False).returncode == 1


def test_messages_list_filters_by_tag_and_schedule(own_relay):
    relay = own_relay()
    key = relay.create_key()
    at = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(hours=1)
    fields = f"Hiveku-Tags: welcome, caf\u00e9\r\nHiveku-Scheduled-At: {format_datetime(at)}\r\n".encode()
    later = submit(relay, key, fields + MESSAGE)
    now = submit(relay, key, b"Hiveku-Tags: welcome\r\n" + MESSAGE)
    relay.wait_for_state(now, "simulated")

    def listed(*arguments):
        return [json.loads(line)["id"] for line in relay.run("messages", "list", *arguments, "--json").stdout.splitlines()]

    assert listed("--tag", "welcome") == [now, later] and listed("--tag", "caf\u00e9", "--key", key_id(key)) == [later]
    assert listed("--scheduled") == listed("--state", "scheduled") == [later] and listed("--tag", "other") == []
    shown = json.loads(relay.run("messages", "show", f"msg_{later}", "--json").stdout)
    assert shown["state"] == "scheduled" and shown["tags"] == ["welcome", "caf\u00e9"]
    assert shown["scheduled_at"] == shown["deliveries"][0]["next_attempt_at"] == at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert json.loads(relay.run("messages", "show", now, "--json").stdout)["scheduled_at"] is None
    text = relay.run("messages", "show", later).stdout
    assert re.search(r"^State: +scheduled$", text, re.M) and re.search(r"^Tags: +welcome, caf\u00e9$", text, re.M)
    raw = relay.run("messages", "show", later, "--raw").stdout
    assert "Subject: hello" in raw and "Hiveku-Tags" not in raw and "Scheduled-At" not in raw

    status = json.loads(relay.run("status", "--json").stdout)
    assert status["queue"] == []
    assert status["scheduled"] == [{"lane": "test", "deliveries": 1, "next_at": shown["scheduled_at"]}]
    assert mentions(relay.run("status").stdout, "scheduled: 1 delivery", shown["scheduled_at"])
    relay.run("messages", "hold", "--state", "scheduled")
    assert listed("--scheduled") == [] and listed("--state", "held") == [later]
    relay.run("messages", "release", later)
    assert listed("--scheduled") == [later]
    relay.run("messages", "drop", f"msg_{later}")
    assert listed("--state", "failed", "--tag", "welcome") == [later]
    for arguments in (["--tag", ""], ["--scheduled", "--state", "sent"], ["--tag", "a\nb"]):
        assert relay.run("messages", "list", *arguments, check=False).returncode == 64


def test_status(relay):
    status = relay.json("status")[0]
    assert set(status) == {"queue", "scheduled", "lanes", "nodes", "emails_today", "standing", "suppressions"}
    assert set(status["emails_today"]) == {"live", "test"}
    assert "test lane: moving" in relay.run("status").stdout


def test_config_check_names_every_mistake(own_relay):
    relay = own_relay(start=False)
    assert "no mistakes" in relay.run("config", "check").stdout
    relay.config.write_text("hostnme: x\nsubmission:\n  max_recipients: many\n  idle_timeout: 0s\n")
    result = relay.run("config", "check", check=False)
    assert result.returncode == 78
    assert [line.split(":")[1] for line in result.stderr.splitlines()] == ["1", "3", "4"]
    document = json.loads(relay.run("config", "check", "--json", check=False).stdout)
    assert document["ok"] is False and len(document["mistakes"]) == 3
    assert document["mistakes"][1]["setting"] == "submission.max_recipients" and document["mistakes"][1]["line"] == 3
    # Every command refuses to work with such a file, and prints the same text.
    for command in [["serve"], ["keys", "list"], ["status"]]:
        other = relay.run(*command, check=False)
        assert (other.returncode, other.stderr) == (78, result.stderr)


def test_serving_without_certificates_says_what_to_set(own_relay):
    relay = own_relay(start=False)
    relay.config.write_text(f"database: {relay.directory}/relay.db\n")
    result = relay.run("serve", check=False)
    assert result.returncode == 78 and "tls.certificate" in result.stderr
    relay.config.write_text(
        f"database: {relay.directory}/relay.db\ntls:\n  certificate: [/nowhere.pem]\n  private_key: [/nowhere.key]\n")
    result = relay.run("serve", check=False)
    assert result.returncode == 78 and "/nowhere.pem" in result.stderr
    assert relay.run("config", "check", check=False).returncode == 78


@pytest.mark.parametrize("arguments", [["nonsense"], ["keys", "show"], ["keys", "show", "too-long-for-an-id"], ["serve", "--what"]])
def test_wrong_usage_exits_with_status_64(relay, arguments):
    assert relay.run(*arguments, check=False).returncode == 64


def test_an_unknown_key_exits_with_status_1(relay):
    result = relay.run("keys", "show", "AAAAAAAA", check=False)
    assert result.returncode == 1 and mentions(result.stderr, "no key", "AAAAAAAA")


def test_every_command_has_help(relay):
    import subprocess
    from relay import BINARY
    for command in [[], ["serve"], ["keys"], ["keys", "create"], ["keys", "list"], ["keys", "show"], ["keys", "update"],
                    ["keys", "rotate"], ["keys", "revoke"], ["keys", "check"], ["messages"], ["messages", "list"],
                    ["messages", "show"], ["messages", "wait"], ["messages", "retry"], ["messages", "hold"],
                    ["messages", "release"], ["messages", "drop"], ["status"], ["config", "check"], ["doctor"]]:
        result = subprocess.run([BINARY, *command, "--help"], capture_output=True, text=True)
        assert result.returncode == 0 and "OVERVIEW" in result.stdout


def test_commands_accept_a_key_in_place_of_its_id_and_never_print_it(relay):
    """Every command that expects a key's id also accepts the key. After a leak, the key may be all that the operator has.

    No error message repeats the key.
    """
    key = relay.create_key()
    assert json.loads(relay.run("keys", "show", key, "--json").stdout)["id"] == key_id(key)
    mistyped = key[:-1] + ("a" if key[-1] != "a" else "b")
    for arguments in [["keys", "revoke", mistyped], ["messages", "list", "--key", mistyped], ["keys", "list", key],
                      ["messages", "show", key], ["keys", "create", "--environment", "test", "--name", f"of {key}"]]:
        result = relay.run(*arguments, check=False)
        assert result.returncode == 64
        assert key[16:42] not in result.stdout + result.stderr
    relay.run("keys", "revoke", key)
    assert relay.run("keys", "check", key, check=False).returncode == 1


@pytest.mark.parametrize("arguments", [
    ["keys", "create", "--environment", "test", "--name", "lost"], ["keys", "create", "--environment", "test", "--name", "lost", "--json"],
    ["keys", "list"], ["keys", "list", "--json"], ["messages", "list", "--json"], ["--help"]], ids=" ".join)
def test_output_that_cannot_be_written_is_an_error(relay, arguments):
    relay.create_key()
    submit(relay, relay.create_key(), MESSAGE)
    options = [] if arguments == ["--help"] else ["--config", str(relay.config)]
    with open("/dev/full", "w") as full:
        result = subprocess.run([BINARY, *arguments, *options], stdout=full, stderr=subprocess.PIPE, text=True,
                                env=clean_environment(relay.environment))
    assert result.returncode == 1
    if arguments != ["--help"]:
        assert mentions(result.stderr, "output", "No space left on device")
    # Standard error can't be written either, so only the exit status is left.
    with open("/dev/full", "w") as full:
        result = subprocess.run([BINARY, *arguments, *options], stdout=full, stderr=full, env=clean_environment(relay.environment))
    assert result.returncode == 1


@pytest.fixture
def open_directory():
    """A directory that every user may pass through."""
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o711)
        yield pathlib.Path(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_roots_commands_work_as_the_relays_user(own_relay, open_directory):
    relay = own_relay(start=False)
    state = open_directory / "state"
    state.mkdir()
    os.chown(state, 12345, 12345)
    relay.write_settings({"database": str(state / "relay.db")})
    relay.create_key()
    assert {path.stat().st_uid for path in state.iterdir()} == {12345}
    # The relay's user may have replaced a file by a link to a file that only root may read.
    secret = open_directory / "secret.db"
    database = sqlite3.connect(secret)
    database.executescript("PRAGMA user_version = 1; CREATE TABLE secret (word); INSERT INTO secret VALUES ('secret')")
    database.close()
    secret.chmod(0o600)
    before = secret.read_bytes()
    for path in state.iterdir():
        if path.is_file():
            path.unlink()
    (state / "relay.db").symlink_to(secret)
    result = relay.run("keys", "list", check=False)
    assert result.returncode == 1 and "Permission denied" in result.stderr
    assert secret.read_bytes() == before and secret.stat().st_uid == 0
    assert [path.name for path in state.iterdir() if path.name.startswith("relay.db.v")] == []


def test_no_key_is_in_the_log(relay):
    key = relay.create_key()
    message_id = submit(relay, key, MESSAGE)
    relay.wait_until(
        lambda: f"accepted client=127.0.0.1 key={key_id(key)} message={message_id}" in relay.log_text(),
        "a log line about the message")
    text = relay.log_text()
    assert key not in text and key[16:42] not in text
