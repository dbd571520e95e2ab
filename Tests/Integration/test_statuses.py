"""The status of each recipient, in the commands and over HTTP: with a test key and the simulator's addresses, without AWS."""

import pytest

from http_api import API, EMAIL, HTTP, taken
from relay import key_id
from submit import submit
from wording import mentions

SIMULATOR = "simulator.amazonses.com"


@pytest.fixture
def relay(own_relay):
    return own_relay(HTTP)


def message(subject):
    return f"From: from@example.com\r\nSubject: {subject}\r\n\r\nbody\r\n".encode()


def send(relay, key, subject, *recipients):
    message_id = submit(relay, key, message(subject), recipients)
    relay.wait_for_state(message_id, "simulated", "suppressed")
    return message_id


def test_every_recipient_has_its_status_and_events(relay):
    key = relay.create_key()
    names = ["success", "bounce+1", "complaint+1", "ooto", "suppressionlist+1"]
    shown = relay.message(send(relay, key, "all", *[f"{name}@{SIMULATOR}" for name in names], "other@example.net"))
    statuses = {entry["recipient"].split("@")[0]: entry for entry in shown["statuses"]}
    assert {name: entry["status"] for name, entry in statuses.items()} == {
        "success": "delivered", "bounce+1": "bounced", "complaint+1": "complained", "ooto": "delivered",
        "suppressionlist+1": "bounced", "other": "sent"}
    assert [event["type"] for event in statuses["complaint+1"]["events"]] == ["queued", "sent", "delivered", "complained"]
    assert "550 5.1.1" in statuses["bounce+1"]["detail"] and statuses["other"]["detail"] is None
    text = relay.run("messages", "show", shown["id"]).stdout
    assert f"bounce+1@{SIMULATOR}: bounced" in text and "complained" in text


def test_messages_are_listed_and_waited_for_by_a_recipients_status(relay):
    key = relay.create_key()
    bounced = send(relay, key, "bounces", f"bounce+a@{SIMULATOR}", "to@example.net")
    suppressed = send(relay, key, "suppressed", f"bounce+a@{SIMULATOR}")
    plain = send(relay, key, "plain", "to@example.net")

    def ids(*options):
        return [m["id"] for m in relay.json("messages", "list", *options)]

    assert ids("--status", "bounced") == [bounced]
    assert ids("--status", "suppressed", "--key", key_id(key)) == [suppressed]
    assert ids("--status", "sent") == [plain, bounced]
    assert ids("--status", "complained") == []
    assert ids("--state", "suppressed") == [suppressed]
    waited = relay.json("messages", "wait", "--key", key_id(key), "--subject", "bounces", "--status", "bounced")
    assert [m["id"] for m in waited] == [bounced]
    late = relay.run("messages", "wait", "--subject", "plain", "--status", "delivered", "--timeout", "300ms", check=False)
    assert late.returncode == 1 and mentions(late.stderr, "300ms", "1 simulated")


def test_the_api_shows_statuses_and_events_and_filters_by_status(relay):
    key = relay.create_key()
    api = API(relay, key)
    bounced = taken(api.post("/v1/email/send", {**EMAIL, "to": [f"bounce+b@{SIMULATOR}", "to@example.net"]}))
    relay.wait_for_state(bounced, "simulated")
    suppressed = taken(api.post("/v1/email/send", {**EMAIL, "to": f"bounce+b@{SIMULATOR}", "subject": "again"}))
    relay.wait_for_state(suppressed, "suppressed")
    recipients = {r["email"].split("@")[0]: r for r in api.get(f"/v1/email/messages/{bounced}").json["recipients"]}
    assert recipients["bounce+b"]["status"] == "bounced" and recipients["to"]["status"] == "sent"
    assert [event["type"] for event in recipients["bounce+b"]["events"]] == ["queued", "sent", "bounced"]
    for status, expected in [("bounced", [bounced]), ("suppressed", [suppressed]), ("delivered", []), ("sent", [bounced])]:
        page = api.get(f"/v1/email/messages?status={status}").json["data"]
        assert [m["messageId"] for m in page] == [expected_id for expected_id in expected], status
        assert all("events" not in r for m in page for r in m["recipients"])
    assert api.get("/v1/email/messages?status=bouncing").code == "invalid"


def test_usage_counts_outcomes_and_the_standing_is_shown(relay):
    key = relay.create_key()
    send(relay, key, "1", f"success@{SIMULATOR}", f"complaint+c@{SIMULATOR}", f"bounce+c@{SIMULATOR}")
    usage = relay.json("keys", "show", key_id(key))[0]
    assert {name: usage[name] for name in
            ("deliveries_30d", "bounces_30d", "hard_bounces_30d", "complaints_30d", "bounce_rate", "complaint_rate")} == {
        "deliveries_30d": 2, "bounces_30d": 1, "hard_bounces_30d": 1, "complaints_30d": 1, "bounce_rate": 1 / 3,
        "complaint_rate": 0.5}
    assert "33.33 %" in relay.run("keys", "list").stdout
    status = relay.json("status")[0]
    assert status["standing"]["test"]["complaints_30d"] == 1 and status["standing"]["live"]["bounce_rate"] is None
    assert status["suppressions"]["test"] == {"hard_bounce": 1, "complaint": 1, "manual": 0}
    text = relay.run("status").stdout
    assert mentions(text, "2 delivered", "1 bounced", "(1 ", "1 complaint", "30 days", "suppressed: 2 addresses")
