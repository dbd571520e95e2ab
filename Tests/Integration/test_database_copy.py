"""`hiveku-relay database copy`: from SQLite to PostgreSQL and back, with relays on both."""

import json
import os
import random
import subprocess

import pytest

from postgresql import Server
from relay import BINARY, DEADLINE, Relay, clean_environment
from submit import submit
from wording import mentions

SMALL = b"From: from@example.com\r\nTo: to@example.net\r\nSubject: small\r\n\r\nHello\r\n"
# The error message names this option if the program was built without the store for PostgreSQL.
BUILD_OPTION = "--traits PostgreSQL"
LARGE = b"From: from@example.com\r\nTo: to@example.net\r\nSubject: large\r\n\r\n" + b"".join(
    b"%076d\r\n" % number for number in range(14_000))


def copy(source, target, *options, check=True, **environment):
    result = subprocess.run(
        [BINARY, "database", "copy", "--from", str(source), "--to", str(target), *options], capture_output=True, text=True,
        timeout=DEADLINE, env=clean_environment(environment))
    assert not check or result.returncode == 0, result.stderr
    return result


def knows_postgresql():
    return BUILD_OPTION not in copy("postgresql://nobody@127.0.0.1:1/none", "new.db", check=False).stderr


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if not knows_postgresql():
        pytest.skip("the relay was built without PostgreSQL; build it with --traits PostgreSQL")
    with Server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def relay(tmp_path):
    relay = Relay(tmp_path)
    yield relay
    relay.stop()


def move(relay, database):
    relay.write_settings({"database": str(database)})
    relay.start()


def listed(relay):
    """All messages by id, with everything that `messages list` shows of them."""
    return {m["id"]: m for m in relay.json("messages", "list", "--limit", "1000")}


def test_a_relay_moves_to_postgresql_and_back_without_loss(relay, server, tmp_path):
    url = server.create_database("there")
    relay.start()
    key = relay.create_key()
    ids = [submit(relay, key, content) for content in (SMALL, LARGE)]
    for message in ids:
        relay.wait_for_state(message, "simulated")
    refused = copy(tmp_path / "relay.db", url, check=False)
    assert refused.returncode == 1 and mentions(refused.stderr, "relay", "SQLite database", "stop")
    relay.stop()
    before, contents = listed(relay), [relay.raw(message) for message in ids]

    done = copy(tmp_path / "relay.db", url, "--json")
    told = json.loads(done.stdout)
    assert told["rows"]["message"] == 2 and told["rows"]["key"] == 1 and told["bodies"] == 2
    assert server.password not in done.stdout + done.stderr

    move(relay, url)
    assert listed(relay) == before
    assert [relay.raw(message) for message in ids] == contents
    ids.append(submit(relay, key, LARGE.replace(b"large", b"later")))
    relay.wait_for_state(ids[-1], "simulated")
    refused = copy(url, tmp_path / "back.db", check=False)
    assert refused.returncode == 1 and mentions(refused.stderr, "relay", "PostgreSQL database", "stop")
    relay.stop()
    before, contents = listed(relay), [relay.raw(message) for message in ids]

    assert str(tmp_path / "back.db") in copy(url, tmp_path / "back.db").stderr
    assert not list(tmp_path.glob("*unfinished*"))
    assert (tmp_path / "back.db").stat().st_mode & 0o077 == 0
    move(relay, tmp_path / "back.db")
    assert listed(relay) == before
    assert [relay.raw(message) for message in ids] == contents
    relay.wait_for_state(submit(relay, key, SMALL.replace(b"small", b"last")), "simulated")


@pytest.mark.parametrize("way", ["to PostgreSQL", "to SQLite"])
def test_a_killed_copy_can_be_repeated(relay, server, tmp_path, way):
    relay.start()
    key = relay.create_key()
    ids = [submit(relay, key, (LARGE, SMALL)[n % 4 > 0].replace(b"Subject: ", b"Subject: %d " % n)) for n in range(40)]
    for message in ids:
        relay.wait_for_state(message, "simulated")
    relay.stop()
    before, contents = listed(relay), {message: relay.raw(message) for message in ids}
    source, target = tmp_path / "relay.db", server.create_database(f"killed_{way[3:].lower()}")
    if way == "to SQLite":
        copy(source, target)
        source, target = target, tmp_path / "copy.db"
    chance = random.Random(18)
    finished = False
    for _ in range(100):
        process = subprocess.Popen(
            [BINARY, "database", "copy", "--from", str(source), "--to", str(target)], stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL, env=clean_environment(), text=True)
        try:
            process.communicate(timeout=chance.uniform(0.05, 0.6))
            finished = True
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        if finished:
            break
        if isinstance(target, os.PathLike):
            assert not target.exists()
    if not finished:
        copy(source, target)
    else:
        assert process.returncode == 0
    move(relay, target)
    assert listed(relay) == before
    assert {message: relay.raw(message) for message in ids} == contents
    relay.wait_for_state(submit(relay, key, SMALL), "simulated")


def test_an_unfinished_copy_is_not_usable_as_a_database(relay, server, tmp_path):
    relay.start()
    relay.create_key()
    relay.stop()
    url = server.create_database("unfinished")
    copy(tmp_path / "relay.db", url)
    server.psql("INSERT INTO task (name, node, until) VALUES ('copy', 1, 0)", "unfinished")
    relay.write_settings({"database": url})
    result = relay.run("keys", "list", check=False)
    assert result.returncode == 1 and "unfinished copy" in result.stderr
    copy(tmp_path / "relay.db", url)
    assert relay.run("keys", "list").stdout


def test_the_password_can_come_from_a_file(relay, server, tmp_path):
    relay.start()
    relay.create_key()
    relay.stop()
    url = server.create_database("passfile")
    password = tmp_path / "pgpass"
    password.touch(mode=0o600)
    password.write_text(f"*:*:*:*:{server.password}\n")
    copy(tmp_path / "relay.db", url.replace(f":{server.password}", ""), PGPASSFILE=str(password))
    taken = copy(tmp_path / "relay.db", url.replace(f":{server.password}", "") + f"?passfile={password}", check=False)
    assert taken.returncode == 1 and mentions(taken.stderr, "PostgreSQL database", "empty")


def test_a_refused_copy_does_not_print_the_password(relay, tmp_path):
    relay.run("keys", "create", "--name", "a", "--environment", "test", "--scope", "email:send")
    database = tmp_path / "relay.db"
    for source, target, status, parts in (
        (tmp_path / "none.db", tmp_path / "new.db", 1, ["no database", str(tmp_path / "none.db")]),
        (database, database, 64, ["--from", "--to", "same"]),
        (database, "mysql://relay:geheim@localhost/relay", 64, ["begin", "postgresql://"]),
        (database, "host=localhost password=geheim", 64, ["--to", "SQLite", "URI", "postgresql://"]),
        (database, "postgresql://relay:ge@heim@localhost/relay", 64, ["percent-encoded"]),
        (tmp_path / "relay.yaml", tmp_path / "new.db", 1, ["damaged"]),
    ):
        result = copy(source, target, check=False)
        assert (result.returncode, mentions(result.stderr, *parts)) == (status, True), (source, target, result.stderr)
        assert "geheim" not in result.stderr and "heim" not in result.stderr
    result = subprocess.run(
        [BINARY, "database", "copy", "--from", database, "postgresql://relay:geheim@localhost/relay"], capture_output=True,
        text=True, timeout=DEADLINE, env=clean_environment())
    assert result.returncode == 64 and "geheim" not in result.stderr
    taken = tmp_path / "taken.db"
    taken.write_text("")
    assert mentions(copy(database, taken, check=False).stderr, str(taken), "exists")
    if not knows_postgresql():
        assert BUILD_OPTION in copy(database, "postgresql://relay@localhost/relay", check=False).stderr


def test_a_database_is_copied_to_another_file(relay, tmp_path):
    relay.start()
    key = relay.create_key()
    message = submit(relay, key, LARGE)
    relay.wait_for_state(message, "simulated")
    relay.stop()
    before, content = listed(relay), relay.raw(message)
    copy(tmp_path / "relay.db", tmp_path / "copy.db")
    move(relay, tmp_path / "copy.db")
    assert listed(relay) == before and relay.raw(message) == content
