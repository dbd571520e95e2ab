"""`database_replica: required`: no mail is accepted that no standby would have."""

import pytest

from postgresql import Server
from relay import Relay
from submit import send, session


@pytest.fixture
def primary(tmp_path):
    with Server(tmp_path / "primary") as server:
        yield server


def required(tmp_path, primary):
    directory = tmp_path / "relay"
    directory.mkdir()
    return Relay(directory, {"database": primary.url(), "database_replica": "required"})


def test_without_one_the_relay_does_not_start(tmp_path, primary):
    relay = required(tmp_path, primary)
    with pytest.raises(RuntimeError, match="synchronous_standby_names"):
        relay.start()


def test_once_none_is_asked_for_nothing_is_accepted(tmp_path, primary):
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
