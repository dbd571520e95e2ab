"""Commands that change many messages. On a terminal they ask first and show their progress. In a script they do neither."""

import os
import pty
import re
import sqlite3
import subprocess

import pytest

from relay import BINARY, DEADLINE, clean_environment, key_id
from wording import mentions


@pytest.fixture
def queue(own_relay):
    """A relay that is not running, with 1,200 messages in its queue."""
    relay = own_relay(start=False)
    relay.key = key_id(relay.create_key("live"))
    database = sqlite3.connect(relay.directory / "relay.db")
    with database:
        for number in range(1, 1201):
            database.execute(
                "INSERT INTO message (id, key, lane, reverse_path, size, accepted_at) VALUES (?, ?, 'live', 'a@b.c', 1, 0)",
                [number << 24, relay.key])
            database.execute("INSERT INTO body (message, bytes) VALUES (?, x'00')", [number << 24])
            database.execute(
                "INSERT INTO delivery (message, key, lane, recipients, state, next_attempt_at, queued_since)"
                " VALUES (?, ?, 'live', 'to@example.net', 'queued', 0, 0)", [number << 24, relay.key])
    database.close()
    return relay


def states(relay):
    database = sqlite3.connect(relay.directory / "relay.db")
    try:
        return dict(database.execute("SELECT state, COUNT(*) FROM delivery GROUP BY state"))
    finally:
        database.close()


class Terminal:
    """A command on a terminal at which a person types."""

    def __init__(self, relay, *arguments, **redirected):
        self.master, slave = pty.openpty()
        streams = {"stdin": slave, "stdout": slave, "stderr": slave, **redirected}
        self.process = subprocess.Popen(
            [BINARY, *arguments, "--config", str(relay.config)], env=clean_environment(), **streams)
        os.close(slave)
        self.text = ""

    def read(self):
        try:
            piece = os.read(self.master, 4096).decode()
        except OSError:
            piece = ""
        self.text += piece
        return piece

    def wait_for(self, words):
        while words not in self.text:
            assert self.read(), f"ended without '{words}': {self.text}"

    def type(self, text):
        os.write(self.master, text.encode())

    def end(self):
        while self.read():
            pass
        os.close(self.master)
        return self.process.wait(DEADLINE)


@pytest.mark.parametrize("command, question, done, state", [
    ("drop", "Drop", "500 of 1,200", "failed"),
    ("hold", "Hold", "1,000 of 1,200", "held"),
])
def test_many_messages_are_changed_after_a_yes_at_the_prompt(queue, command, question, done, state):
    terminal = Terminal(queue, "messages", command, "--state", "queued")
    terminal.wait_for("[y/N]")
    assert mentions(terminal.text, question, "1,200 messages", "[y/N]")
    assert states(queue) == {"queued": 1200}
    terminal.type("y\n")
    assert terminal.end() == 0
    assert done in terminal.text and "1200 deliveries" in terminal.text
    assert states(queue) == {state: 1200}


@pytest.mark.parametrize("answer", ["n\n", "\n", "yess\n", "\x04"])
def test_any_other_answer_at_the_prompt_changes_nothing(queue, answer):
    terminal = Terminal(queue, "messages", "drop", "--key", queue.key)
    terminal.wait_for("[y/N]")
    terminal.type(answer)
    assert terminal.end() == 1
    assert "Nothing" in terminal.text.partition("[y/N]")[2]
    assert states(queue) == {"queued": 1200}


def test_the_yes_option_suppresses_the_prompt(queue):
    terminal = Terminal(queue, "messages", "drop", "--state", "queued", "--yes")
    assert terminal.end() == 0
    assert "[y/N]" not in terminal.text and states(queue) == {"failed": 1200}


def test_naming_messages_by_id_suppresses_the_prompt(queue):
    ids = [message["id"] for message in queue.json("messages", "list", "--limit", "2")]
    terminal = Terminal(queue, "messages", "drop", *ids)
    assert terminal.end() == 0
    assert "[y/N]" not in terminal.text and states(queue) == {"queued": 1198, "failed": 2}


def test_a_single_message_is_changed_without_a_prompt(queue):
    listed = queue.json("messages", "list", "--limit", "1")
    queue.run("messages", "hold", listed[0]["id"])
    terminal = Terminal(queue, "messages", "release", "--state", "held")
    assert terminal.end() == 0
    assert "[y/N]" not in terminal.text and states(queue) == {"queued": 1200}


def test_a_script_gets_no_prompt_and_no_progress(queue):
    """A script has no one who could answer: a question would make it hang. The options of its command say what to do."""
    result = queue.run("messages", "drop", "--state", "queued")
    assert re.fullmatch(r".*\b1200 deliveries.*\n", result.stderr) and result.stdout == ""
    # Failed messages are retried only if they are named one by one: see 'messages retry --help'.
    assert re.fullmatch(r".*\b0 deliveries.*\n", queue.run("messages", "retry", "--state", "failed").stderr)


@pytest.mark.parametrize("stream", ["stdin", "stderr"])
def test_there_is_no_prompt_if_stdin_or_stderr_is_not_a_terminal(queue, stream):
    terminal = Terminal(queue, "messages", "hold", "--state", "queued", **{stream: subprocess.DEVNULL})
    assert terminal.end() == 0
    assert states(queue) == {"held": 1200}


def test_failed_messages_are_retried_after_a_yes_at_the_prompt(queue):
    database = sqlite3.connect(queue.directory / "relay.db")
    with database:
        database.execute("UPDATE delivery SET state = 'failed', reason = 'MessageRejected: no', ended_at = 1")
    database.close()
    terminal = Terminal(queue, "messages", "retry", "--state", "failed")
    terminal.wait_for("[y/N]")
    assert mentions(terminal.text, "1,200 messages", "[y/N]")
    terminal.type("YES\n")
    assert terminal.end() == 0
    assert mentions(terminal.text, "[y/N]", "1,000 of 1,200")
    assert states(queue) == {"queued": 1200}


def test_doctor_shows_progress_only_on_a_terminal(queue):
    terminal = Terminal(queue, "doctor")
    terminal.end()
    assert "checking: " in terminal.text
    result = queue.run("doctor", check=False)
    assert "checking" not in result.stderr + result.stdout
