"""The consequences of each possible end of a mail: the event, the webhook call, the suppression and the report to the sender.

A test key shows them without AWS. A live key shows them through moto's SES and SQS.
"""

import pytest

import sqs
from receivers import Receiver
from relay import key_id
from sqs import Queue, event, notification
from submit import submit

SIMULATOR = "simulator.amazonses.com"
BOUNCES = {"bounces.from": "bounces@example.com", "bounces.for_events": True, "webhooks.private_networks": ["127.0.0.0/8"]}
# For each of the simulator's addresses: the status, the events at the webhook, the reason for a suppression, and whether the sender
# gets a report.
ENDS = {
    "success": ("delivered", {"sent", "delivery"}, None, False),
    "ooto": ("delivered", {"sent", "delivery"}, None, False),
    "bounce": ("bounced", {"sent", "bounce"}, "hard_bounce", True),
    "suppressionlist": ("bounced", {"sent", "bounce"}, "hard_bounce", True),
    "complaint": ("complained", {"sent", "delivery", "complaint"}, "complaint", False),
}


def message(subject):
    return f"From: from@example.com\r\nSubject: {subject}\r\n\r\nbody\r\n".encode()


def check(relay, receiver, key, message_id, recipient, environment, end):
    status, types, reason, is_reported = end

    def statuses():
        return {entry["recipient"]: entry["status"] for entry in relay.message(message_id)["statuses"]}

    relay.wait_until(lambda: statuses() == {recipient: status}, f"{recipient} {status}")
    relay.wait_until(lambda: {r.json["type"] for r in list(receiver.requests) if r.json["data"]["to"] == recipient} == types,
                     f"{types} at the webhook")
    listed = {entry["address"]: entry["reason"] for entry in relay.json("suppressions", "list", "--environment", environment)}
    assert listed.get(recipient) == reason

    def reports():
        return [m for m in relay.json("messages", "list", "--key", key_id(key)) if m["from"] == ""]

    if is_reported:
        relay.wait_until(lambda: len(reports()) == 1, "one report")
        assert reports()[0]["recipients"] == ["from@example.com"]
    else:
        assert not reports()


@pytest.mark.parametrize("name", ENDS)
def test_every_outcome_is_simulated_for_a_test_key_without_aws(own_relay, name):
    relay = own_relay(BOUNCES)
    key = relay.create_key()
    with Receiver() as receiver:
        relay.run("webhooks", "create", "--key", key_id(key), "--url", receiver.url())
        recipient = f"{name}@{SIMULATOR}"
        message_id = submit(relay, key, message(name), [recipient])
        check(relay, receiver, key, message_id, recipient, "test", ENDS[name])


@pytest.fixture(scope="module")
def moto():
    with sqs.serving() as url:
        yield url


@pytest.mark.parametrize("kinds, end", [
    (["Delivery"], ENDS["success"]), (["Bounce"], ENDS["bounce"]), (["Complaint", "Delivery"], ENDS["complaint"]),
])
def test_every_outcome_reaches_a_live_key_through_ses_and_sqs(own_relay, moto, kinds, end):
    queue = Queue(moto, "became-" + "-".join(kinds))
    relay = own_relay({**BOUNCES, "ses.region": sqs.REGION, "ses.endpoint": moto, "feedback.queue_url": queue.url,
                       "feedback.endpoint": moto}, sqs.CREDENTIALS)
    key = relay.create_key("live")
    with Receiver() as receiver:
        relay.run("webhooks", "create", "--key", key_id(key), "--url", receiver.url())
        message_id = submit(relay, key, message("live"), ["to@example.net"])
        ses_id = relay.wait_for_state(message_id, "sent")["deliveries"][0]["ses_message_id"]
        queue.put(*(notification(event(kind, ses_id, ["to@example.net"])) for kind in kinds))
        check(relay, receiver, key, message_id, "to@example.net", "live", end)
        relay.wait_until(lambda: queue.left() == 0, "nothing left in the queue")
