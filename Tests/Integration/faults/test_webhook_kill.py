"""kill -9 while events are sent: each event arrives, and has the same webhook-id each time."""

import random
import signal
import time

from http_api import API, HTTP, taken
from receivers import Receiver
from relay import DEADLINE
from sizes import size

ROUNDS = size(3, 40)
MESSAGES = 40
# The longest time, in seconds, that a relay runs after it has accepted the messages.
LONGEST = 0.7
EMAIL = {"from": "from@example.com", "to": "success@simulator.amazonses.com", "subject": "Hello", "text": "It works.\n"}


def test_kill_at_any_moment_loses_no_event(own_relay):
    chance = random.Random()
    relay = own_relay({**HTTP, "webhooks.private_networks": ["127.0.0.0/8"]})
    key = relay.create_key(scopes=("email:send", "email:webhooks"), per_second=100000)
    # Every fifth request is refused, so that some calls wait for another attempt when the relay is killed.
    with Receiver(lambda request, number: 500 if number % 5 == 0 else 200) as receiver:
        with API(relay, key) as api:
            answer = api.post("/v1/email/webhooks", {"url": receiver.url(), "events": ["delivery"]})
            assert answer.status == 201, answer
        messages = []
        for _ in range(ROUNDS):
            with API(relay, key) as api:
                messages += [taken(api.send(EMAIL)) for _ in range(MESSAGES)]
            time.sleep(chance.uniform(0, LONGEST))
            relay.stop(signal.SIGKILL)
            relay.start()

        def missing():
            return set(messages) - {request.json["data"]["email_id"] for request in list(receiver.requests)}

        # A claimed call is due again after 30 s. A refused call is due after the same time.
        relay.wait_until(lambda: not missing(), "the webhook gets all events", deadline=3 * DEADLINE)
        ids = {}
        for request in list(receiver.requests):
            message = request.json["data"]["email_id"]
            assert ids.setdefault(message, (request.id, request.body)) == (request.id, request.body)
        assert len(set(ids.values())) == len(messages)
