"""Several relays on one PostgreSQL server, and the content of its database.

Its tables are in Sources/PostgreSQLStore/Schema.swift.
"""

import functools
import subprocess
import tempfile
from pathlib import Path

import pytest

from postgresql import Server, wait_until
from queue_file import number
from relay import BINARY, DEADLINE, clean_environment
from ses import CREDENTIALS, REGION

UNDER_WAY = "state IN ('queued', 'sending', 'held')"


@functools.cache
def has_postgresql():
    """Whether the program is built with the store on PostgreSQL."""
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "relay.yaml"
        config.write_text("database: postgresql://127.0.0.1:1/relay\n")
        result = subprocess.run(
            [BINARY, "status", "--config", config], capture_output=True, text=True, timeout=DEADLINE, env=clean_environment())
    return "--traits PostgreSQL" not in result.stderr


@pytest.fixture
def server(tmp_path):
    if not has_postgresql():
        pytest.skip("the relay was built without PostgreSQL: swift build --traits PostgreSQL --product hiveku-relay")
    with Server(tmp_path / "server", settings={"max_connections": 200}) as server:
        yield server


def ses_settings(ses, **more):
    return {"ses.region": REGION, "ses.endpoint": ses.url, "delivery.retry_first": "1s", **more}


class Group:
    """Relays that share the server's database."""

    def __init__(self, own_relay, server, count=3, settings=None):
        self.own_relay, self.server = own_relay, server
        self.settings = {"database": server.url(), "submission.max_connections_per_client": 1000, "log.level": "notice",
                         **(settings or {})}
        self.relays = []
        for _ in range(count):
            self.join()

    def join(self):
        self.relays.append(self.own_relay(self.settings, CREDENTIALS))
        return self.relays[-1]

    def __getitem__(self, index):
        return self.relays[index]

    def nodes(self):
        """The ids of the rows in `node` of the relays that have not been declared dead, in the order in which they were made."""
        return [int(line) for line in self.server.psql("SELECT id FROM node WHERE NOT is_dead ORDER BY id").split()]

    def wait_for_parts(self, count):
        """Waits until each of so many relays knows that SES's rate is divided by their number."""
        wait_until(
            lambda: self.server.psql("SELECT count(*), min(divides_by), max(divides_by) FROM node WHERE NOT is_dead")
            == f"{count}|{count}|{count}", f"{count} relays divide the rate")

    def count(self, condition):
        """The number of deliveries for which the condition holds."""
        return int(self.server.psql(f"SELECT count(*) FROM delivery WHERE {condition}"))

    def wait_for_the_end(self, deadline=DEADLINE):
        wait_until(lambda: self.count(UNDER_WAY) == 0, lambda: "nothing is under way\n" + self.server.psql(
            "SELECT state, holder, count(*) FROM delivery GROUP BY 1, 2"), deadline)

    def subjects(self, condition="true"):
        """The subjects of the messages with a delivery for which the condition holds."""
        return self.server.psql(
            "SELECT subject FROM message JOIN delivery ON delivery.message = message.id WHERE " + condition).splitlines()

    def compare(self, ledger):
        """Asserts that each message that got a 250 is there once, under the id in the 250, and that no message is there twice."""
        rows = [line.split("|") for line in self.server.psql("SELECT subject, id FROM message").splitlines()]
        assert len({subject for subject, _ in rows}) == len(rows)
        found = {subject: int(message) for subject, message in rows}
        for message in ledger.accepted:
            assert found.get(message.subject) == number(message.id), message.subject
        assert set(found) <= {message.subject for message in ledger.sent}
