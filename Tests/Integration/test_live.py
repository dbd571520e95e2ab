"""Live keys: the relay sends the message to SES. In these tests, moto's SES v2 server takes the place of SES."""

import json
import os
import subprocess
import sys
import urllib.request

import pytest

from relay import DEADLINE, as_sent, clean_environment, free_port, key_id
from submit import submit

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true"}


def call(method, url, body=None):
    request = urllib.request.Request(
        url, method=method, data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json",
                 # moto reads the region and the service from the signature's scope. It does not verify the signature.
                 "Authorization": "AWS4-HMAC-SHA256 Credential=testing/20260101/eu-west-1/ses/aws4_request, "
                                  "SignedHeaders=host, Signature=0"})
    with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
        text = answer.read()
        return json.loads(text) if text else None


@pytest.fixture(scope="module")
def moto():
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean_environment())
    url = f"http://127.0.0.1:{port}"
    try:
        import time
        end = time.monotonic() + DEADLINE
        while True:
            try:
                call("GET", f"{url}/moto-api/data.json")
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < end, "moto's server did not start"
                time.sleep(0.05)
        call("POST", f"{url}/v2/email/identities", {"EmailIdentity": "example.com"})
        yield url
    finally:
        process.terminate()
        process.wait(DEADLINE)


def sent(moto):
    """The messages that moto's SES has accepted, in their order."""
    data = call("GET", f"{moto}/moto-api/data.json")
    return data.get("ses", {}).get("RawMessage", [])


@pytest.fixture
def live(own_relay, moto):
    return own_relay({"ses.region": "eu-west-1", "ses.endpoint": moto}, CREDENTIALS)


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_live_message_reaches_ses(live, moto, size):
    key = live.create_key("live")
    content = (b"From: from@example.com\r\nTo: to@example.net\r\nBcc: hidden@example.net\r\nSubject: live\r\n\r\n"
               + "Grüße\r\n.\r\n".encode() + (b"y" * 70 + b"\r\n") * (size // 72))
    recipients = ["to@example.net", "hidden@example.net"]
    before = len(sent(moto))
    message_id = submit(live, key, content, recipients)
    message = live.wait_for_state(message_id, "sent")
    delivery = message["deliveries"][0]
    assert delivery["ses_message_id"] and delivery["attempts"] == 1 and not delivery["maybe_duplicate"]
    taken = sent(moto)[before:]
    assert len(taken) == 1
    # moto adds the addresses in To to the recipients that it was given.
    assert taken[0]["destinations"] == [*recipients, "to@example.net"]
    as_sent(taken[0]["raw_data"].encode(), content, key)
    # The relay deletes the content of a message when it is sent.
    assert live.run("messages", "show", message_id, "--raw", check=False).returncode == 1


def test_more_than_50_recipients_become_several_deliveries(live, moto):
    key = live.create_key("live", per_second=1000)
    before = len(sent(moto))
    recipients = [f"r{i}@example.net" for i in range(100)]
    message_id = submit(live, key, b"From: from@example.com\r\n\r\nmany\r\n", recipients)
    message = live.wait_for_state(message_id, "sent")
    assert [len(d["recipients"]) for d in message["deliveries"]] == [50, 50]
    assert len(sent(moto)) - before == 2


def test_a_message_rejected_by_ses_fails_with_a_reason(live):
    key = live.create_key("live")
    message_id = submit(live, key, b"From: from@elsewhere.example\r\n\r\nno\r\n")
    message = live.wait_for_state(message_id, "failed")
    assert "MessageRejected" in message["deliveries"][0]["reason"]
    assert live.raw(message_id).endswith(b"no\r\n")


def test_without_a_region_live_messages_wait_and_test_messages_do_not(own_relay):
    relay = own_relay()
    live, test = relay.create_key("live"), relay.create_key("test")
    waiting = submit(relay, live, b"From: from@example.com\r\n\r\nwait\r\n")
    going = submit(relay, test, b"From: from@example.com\r\n\r\ngo\r\n")
    relay.wait_for_state(going, "simulated")
    status = relay.wait_until(
        lambda: next((lane for s in relay.json("status") for lane in s["lanes"] if lane["held"]), None),
        "the live lane is held")
    assert status["lane"] == "live" and "ses.region" in status["held_because"]
    assert relay.message(waiting)["state"] in ("queued", "sending")
    assert relay.message(waiting)["deliveries"][0]["attempts"] == 0
    assert "HELD" in relay.run("status").stdout
