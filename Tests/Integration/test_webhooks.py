"""Webhooks from outside: events of test keys go to receivers, which verify them with Standard Webhooks' own library."""

import hashlib
import hmac
import json
import re
import subprocess

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from authority import issue
from http_api import API, HTTP, taken
from receivers import BODY_WITHOUT_END, HANG, HEADER_WITHOUT_END, TRICKLE, Receiver
from relay import DEADLINE, ROOT, key_id
from wording import mentions

SETTINGS = {**HTTP, "webhooks.private_networks": ["127.0.0.0/8"]}
SCOPES = ("email:send", "email:webhooks")
EMAIL = {"from": "from@example.com", "subject": "Hello", "text": "It works.\n"}


def simulated(kind, tags=()):
    return {**EMAIL, "to": f"{kind}@simulator.amazonses.com", "tags": list(tags)}


@pytest.fixture
def site(own_relay):
    """A relay, and a client whose key may create webhooks."""
    relay = own_relay(SETTINGS)
    key = relay.create_key(scopes=SCOPES, per_second=1000)
    with API(relay, key) as api:
        yield relay, api


def create(api, receiver, **fields):
    answer = api.post("/v1/email/webhooks", {"url": receiver if isinstance(receiver, str) else receiver.url(), **fields})
    assert answer.status == 201, answer
    assert answer.fields["Location"] == f"/v1/email/webhooks/{answer.json['id']}"
    return answer.json


def deliveries(api, webhook, **query):
    suffix = "?" + "&".join(f"{n}={v}" for n, v in query.items()) if query else ""
    answer = api.get(f"/v1/email/webhooks/{webhook['id']}/deliveries{suffix}")
    assert answer.status == 200, answer
    return answer.json


def verify(request, secret):
    """Verifies both signatures, as a receiver does."""
    Webhook(secret).verify(request.body, request.headers)
    expected = hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()
    assert request.headers["X-Hiveku-Signature"] == expected


def arrived(relay, receiver, count):
    relay.wait_until(lambda: len(receiver.requests) >= count, f"{count} requests")
    return list(receiver.requests)


def test_events_arrive_signed(site):
    relay, api = site
    with Receiver() as receiver:
        webhook = create(api, receiver)
        assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{32}", webhook["signing_secret"])
        assert webhook["events"] == ["*"] and webhook["enabled"] is True and webhook["disabled_because"] is None
        message = taken(api.send(simulated("bounce", ["orders"])))
        relay.wait_until(lambda: receiver.of_type("bounce"), "the bounce")
        request = receiver.of_type("bounce")[0]
        verify(request, webhook["signing_secret"])
        with pytest.raises(WebhookVerificationError):
            Webhook(webhook["signing_secret"]).verify(request.body + b" ", request.headers)
        event = request.json
        assert event["id"] == request.id and event["id"].startswith("evt_")
        assert event["data"]["email_id"] == message and event["data"]["tags"] == ["orders"]
        assert event["data"]["bounce_type"] == "hard" and event["data"]["to"] == "bounce@simulator.amazonses.com"
        assert request.headers["Content-Type"] == "application/json"
        assert request.headers["User-Agent"].startswith("hiveku-relay/")
        relay.wait_until(
            lambda: all(d["status"] == "delivered" for d in deliveries(api, webhook)["data"]),
            "all calls are recorded as delivered")
        record = next(d for d in deliveries(api, webhook)["data"] if d["type"] == "bounce")
        assert record["event_id"] == event["id"] and record["response_status"] == 204 and record["attempts"] == 1
        assert json.loads(record["request_body"]) == event
        statistics = api.get(f"/v1/email/webhooks/{webhook['id']}").json["statistics"]
        assert statistics["success_rate_24h"] == 1 and statistics["last_success"] and statistics["last_failure"] is None
    assert webhook["signing_secret"] not in relay.log_text()


def test_the_readmes_verifier_in_node(site):
    """The code for receivers accepts what the relay sends, and nothing else."""
    relay, api = site
    code = re.search(r"```js\n(const crypto.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    code += """
        const given = JSON.parse(require("node:fs").readFileSync(0));
        console.log(JSON.stringify(given.map((one) => verify(one.secret, one.headers, one.body))));
    """
    with Receiver() as receiver:
        webhook = create(api, receiver)
        new = api.post(f"/v1/email/webhooks/{webhook['id']}/rotate-secret").json["signing_secret"]
        api.post(f"/v1/email/webhooks/{webhook['id']}/test")
        request = arrived(relay, receiver, 1)[0]
    good = {"secret": webhook["signing_secret"], "headers": {k.lower(): v for k, v in request.headers.items()},
            "body": request.body.decode()}
    cases = [
        good, {**good, "secret": new}, {**good, "body": good["body"] + " "}, {**good, "secret": "whsec_" + "A" * 32},
        {**good, "headers": {**good["headers"], "webhook-timestamp": "1700000000"}},
        {**good, "headers": {**good["headers"], "webhook-id": "evt_other"}},
    ]
    result = subprocess.run(
        ["node", "-e", code], input=json.dumps(cases), capture_output=True, text=True, timeout=DEADLINE)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == [True, True, False, False, False, False]


def test_filters_by_event_and_tag(site):
    relay, api = site
    with Receiver() as bounces, Receiver() as tagged, Receiver() as all_of_them:
        create(api, bounces, events=["bounce"])
        create(api, tagged, tags=["orders", "news"])
        create(api, all_of_them)
        for kind, tags in [("bounce", []), ("success", ["orders", "x"]), ("complaint", ["y"])]:
            taken(api.send(simulated(kind, tags)))
        relay.wait_until(
            lambda: {r.json["type"] for r in all_of_them.requests} >= {"sent", "delivery", "bounce", "complaint"},
            "all kinds of events arrive")
        relay.wait_until(lambda: tagged.of_type("delivery") and bounces.requests, "both filtered webhooks get an event")
        assert {r.json["type"] for r in bounces.requests} == {"bounce"}
        assert all("orders" in r.json["data"]["tags"] for r in tagged.requests)


def test_a_key_sees_only_its_own_webhooks(site):
    relay, api = site
    with Receiver() as receiver:
        webhook = create(api, receiver)
        path = f"/v1/email/webhooks/{webhook['id']}"
        with API(relay, relay.create_key(scopes=SCOPES)) as other:
            assert other.get("/v1/email/webhooks").json == {"data": [], "next_cursor": None}
            for method, suffix in [("GET", ""), ("DELETE", ""), ("POST", "/test"), ("POST", "/rotate-secret"),
                                   ("GET", "/deliveries")]:
                answer = other.request(method, path + suffix)
                assert answer.status == 404 and answer.code == "not-found", (method, suffix)
            assert other.request("PATCH", path, {"enabled": False}).status == 404
            taken(other.send(simulated("success")))
        with API(relay, relay.create_key()) as without:
            assert without.get("/v1/email/webhooks").status == 403
        taken(api.send(simulated("bounce")))
        relay.wait_until(lambda: receiver.of_type("bounce"), "the bounce of its own key arrives")
        assert not receiver.of_type("delivery")


def test_a_webhook_is_changed_and_deleted(site):
    _, api = site
    webhook = create(api, "https://app.example.com/hook", events=["bounce"], tags=["a"], enabled=False)
    path = f"/v1/email/webhooks/{webhook['id']}"
    answer = api.request("PATCH", path, {"events": ["*"], "tags": [], "enabled": True, "url": "https://b.example.com/x?y=z"})
    assert answer.status == 200, answer
    assert answer.json["events"] == ["*"] and answer.json["tags"] == [] and answer.json["enabled"] is True
    assert "signing_secret" not in answer.json and answer.json["url"] == "https://b.example.com/x?y=z"
    assert api.request("PATCH", path, {"tags": None}).json == answer.json
    assert [w["id"] for w in api.get("/v1/email/webhooks").json["data"]] == [webhook["id"]]
    answer = api.request("DELETE", path)
    assert answer.status == 204 and answer.octets == b""
    assert api.get(path).status == 404 and api.request("DELETE", path).status == 404


@pytest.mark.parametrize("fields, pointer, parts", [
    ({}, "#/url", ["required"]),
    ({"url": 5}, "#/url", ["a number"]),
    ({"url": "http://app.example.com/", "x": 1}, "#/x", ['"x"', "not known"]),
    ({"url": "http://1.1.1.1/"}, "#/url", ["https://"]),
    ({"url": "https://user:pw@app.example.com/"}, "#/url", ["user name"]),
    ({"url": "https://app.example.com/#x"}, "#/url", ["fragment"]),
    ({"url": "https://10.0.0.1/"}, "#/url", ["public", "webhooks.private_networks"]),
    ({"url": "https://169.254.169.254/latest"}, "#/url", ["public", "webhooks.private_networks"]),
    ({"url": "https://[::1]/"}, "#/url", ["public", "webhooks.private_networks"]),
    ({"url": "https://[::ffff:10.0.0.1]/"}, "#/url", ["public", "webhooks.private_networks"]),
    ({"url": "https://[64:ff9b::10.0.0.1]/"}, "#/url", ["public", "webhooks.private_networks"]),
    ({"url": "https://2130706433/"}, "#/url", ["IPv4", "decimal"]),
    ({"url": "https://0x7f.1/"}, "#/url", ["IPv4", "decimal"]),
    ({"url": "https://0177.0.0.1/"}, "#/url", ["IPv4", "decimal"]),
    ({"url": "ftp://app.example.com/"}, "#/url", ["https://"]),
    ({"url": "https://a.example/", "events": []}, "#/events", ["empty"]),
    ({"url": "https://a.example/", "events": "bounce"}, "#/events", ["array"]),
    ({"url": "https://a.example/", "events": ["bounced"]}, "#/events/0", ['"bounced"', '"bounce"']),
    ({"url": "https://a.example/", "events": ["bounce", "open"]}, "#/events/1", ['"open"', "track"]),
    ({"url": "https://a.example/", "events": ["click"]}, "#/events/0", ['"click"', "track"]),
    ({"url": "https://a.example/", "tags": ["a\n"]}, "#/tags/0", ["control character"]),
    ({"url": "https://a.example/", "enabled": "yes"}, "#/enabled", ["true", "false"]),
    ({"url": "https://a.example/", "event": ["bounce"]}, "#/event", ['"event"', '"events"']),
    ({"url": "https://a.example/", "secret": "x"}, "#/secret", ["signing_secret"]),
])
def test_mistakes_in_a_webhook_are_reported_with_their_json_pointer(site, fields, pointer, parts):
    _, api = site
    answer = api.post("/v1/email/webhooks", fields)
    assert answer.status == 422 and answer.code == "invalid", answer
    told = {error["pointer"]: error["detail"] for error in answer.json["errors"]}
    assert mentions(told[pointer], *parts), told


def test_limits(site):
    _, api = site
    for number in range(20):
        webhook = create(api, f"https://app{number}.example.com/")
    answer = api.post("/v1/email/webhooks", {"url": "https://one-more.example.com/"})
    assert answer.status == 409 and answer.code == "webhook-limit"
    assert api.request("DELETE", f"/v1/email/webhooks/{webhook['id']}").status == 204
    create(api, "https://one-more.example.com/")
    assert api.post("/v1/email/webhooks", b" " * 70000).status == 413
    assert api.post("/v1/email/webhooks", "{", Content_Type="application/json").status == 400
    assert api.post("/v1/email/webhooks", "{}", Content_Type="text/plain").status == 415


def test_a_test_event_and_its_record(site):
    relay, api = site
    with Receiver(lambda request, number: (500 if number == 1 else 200, {}, b"what went \x1b wrong")) as receiver:
        webhook = create(api, receiver, events=["bounce"])
        answer = api.post(f"/v1/email/webhooks/{webhook['id']}/test")
        assert answer.status == 202 and answer.json["type"] == "test", answer
        request = arrived(relay, receiver, 1)[0]
        verify(request, webhook["signing_secret"])
        assert request.id == answer.json["event_id"] and request.json["type"] == "test"
        record = relay.wait_until(
            lambda: next((d for d in deliveries(api, webhook)["data"] if d["response_status"] == 500), None),
            "the call is recorded")
        assert record["status"] == "waiting" and record["attempts"] == 1 and record["next_attempt_at"]
        assert record["response_body"] == "what went   wrong"
        shown = api.get(f"/v1/email/webhooks/{webhook['id']}").json["statistics"]
        assert shown["last_failure"]["response_status"] == 500 and shown["waiting"] == 1
        relay.wait_for_log("webhook fails")
        assert api.request("PATCH", f"/v1/email/webhooks/{webhook['id']}", {"enabled": False}).status == 200
        refused = api.post(f"/v1/email/webhooks/{webhook['id']}/test")
        assert refused.status == 409 and refused.code == "webhook-state"


def test_deliveries_come_in_pages(site):
    relay, api = site
    with Receiver() as receiver:
        webhook = create(api, receiver)
        for _ in range(5):
            assert api.post(f"/v1/email/webhooks/{webhook['id']}/test").status == 202
        arrived(relay, receiver, 5)
        first = deliveries(api, webhook, limit=3)
        second = deliveries(api, webhook, limit=3, cursor=first["next_cursor"])
        assert [len(first["data"]), len(second["data"]), second["next_cursor"]] == [3, 2, None]
        ids = [int(d["id"]) for d in first["data"] + second["data"]]
        assert ids == sorted(ids, reverse=True) and len(set(ids)) == 5
        for query in ["limit=0", "limit=101", "cursor=x", "cursor=-1", "limit=1&limit=2", "x=1", "cursor=%zz"]:
            answer = api.get(f"/v1/email/webhooks/{webhook['id']}/deliveries?{query}")
            assert answer.status == 422, query


def test_after_a_rotation_both_secrets_verify(site):
    relay, api = site
    with Receiver() as receiver:
        webhook = create(api, receiver)
        answer = api.post(f"/v1/email/webhooks/{webhook['id']}/rotate-secret")
        assert answer.status == 200 and answer.json["previous_secret_until"]
        new = answer.json["signing_secret"]
        assert new != webhook["signing_secret"]
        api.post(f"/v1/email/webhooks/{webhook['id']}/test")
        request = arrived(relay, receiver, 1)[0]
        assert len(request.headers["webhook-signature"].split(" ")) == 2
        verify(request, new)
        Webhook(webhook["signing_secret"]).verify(request.body, request.headers)


def test_410_disables_a_webhook_until_it_is_enabled_again(site):
    relay, api = site
    with Receiver(lambda request, number: 410 if number == 1 else 200) as receiver:
        webhook = create(api, receiver)
        path = f"/v1/email/webhooks/{webhook['id']}"
        api.post(path + "/test")
        shown = relay.wait_until(
            lambda: (w := api.get(path).json) and not w["enabled"] and w, "the webhook is disabled")
        assert "410" in shown["disabled_because"]
        relay.wait_for_log("webhook disabled")
        taken(api.send(simulated("bounce")))
        assert relay.json("webhooks", "list")[0]["enabled"] is False
        relay.run("webhooks", "enable", webhook["id"])
        assert api.get(path).json["disabled_because"] is None
        api.post(path + "/test")
        arrived(relay, receiver, 2)
        assert not receiver.of_type("bounce")


def test_a_redirect_is_not_followed(site):
    relay, api = site
    with Receiver() as elsewhere, Receiver(lambda *_: (302, {"Location": elsewhere.url()}, b"")) as receiver:
        webhook = create(api, receiver)
        api.post(f"/v1/email/webhooks/{webhook['id']}/test")
        relay.wait_until(lambda: deliveries(api, webhook)["data"][0]["response_status"] == 302, "the call is recorded")
        assert elsewhere.requests == []


def test_retry_after_is_honored(site):
    relay, api = site
    with Receiver(lambda *_: (503, {"Retry-After": "7200"}, b"")) as receiver:
        webhook = create(api, receiver)
        api.post(f"/v1/email/webhooks/{webhook['id']}/test")
        record = relay.wait_until(
            lambda: (d := deliveries(api, webhook)["data"][0])["response_status"] == 503 and d, "the call is recorded")
        assert record["next_attempt_at"][:13] > record["last_attempt_at"][:13]


def test_private_addresses_are_not_called_by_default(own_relay):
    """This holds for names too, because the address to which a name resolves decides."""
    relay = own_relay(HTTP)
    with API(relay, relay.create_key(scopes=SCOPES)) as api, Receiver() as receiver:
        for url in [receiver.url(), receiver.url(scheme="https"), receiver.url(scheme="http", host="localhost")]:
            assert api.post("/v1/email/webhooks", {"url": url}).status == 422
        webhook = create(api, receiver.url(scheme="https", host="localhost"))
        api.post(f"/v1/email/webhooks/{webhook['id']}/test")
        record = relay.wait_until(
            lambda: (d := deliveries(api, webhook)["data"][0])["attempts"] == 1 and d, "the call is recorded")
        assert "public" in record["error"] and record["response_status"] is record["response_body"] is None
        assert "127." not in record["error"]
        assert receiver.connections == 0
        # After a reload, the new setting allows private addresses.
        relay.write_settings(SETTINGS)
        relay.process.send_signal(1)
        relay.wait_for_log("settings changed")
        create(api, receiver.url())


def test_a_receivers_certificate_must_match_its_host_name(tmp_path, own_relay):
    """The relay trusts the certificates of the system. So it runs in a mount namespace with other certificates."""
    tls = issue(tmp_path, names=("localhost",))
    relay = own_relay(SETTINGS, start=False)
    relay.prefix = ["unshare", "--map-root-user", "--mount", "sh", "-c",
                    f"mount --bind {tmp_path}/issued.root /etc/ssl/certs/ca-certificates.crt && exec \"$@\"", "sh"]
    relay.start()
    with API(relay, relay.create_key(scopes=SCOPES)) as api, Receiver(tls=tls) as receiver:
        good = create(api, receiver.url(scheme="https", host="localhost"))
        api.post(f"/v1/email/webhooks/{good['id']}/test")
        verify(arrived(relay, receiver, 1)[0], good["signing_secret"])
        other = create(api, receiver.url(scheme="https"))
        api.post(f"/v1/email/webhooks/{other['id']}/test")
        record = relay.wait_until(
            lambda: (d := deliveries(api, other)["data"][0])["attempts"] == 1 and d, "the call is recorded")
        assert "TLS failed" in record["error"] or "ertificate" in record["error"], record
        assert len(receiver.requests) == 1


def test_a_slow_or_hanging_receiver_does_not_delay_the_others(site):
    relay, api = site
    with Receiver(lambda *_: HANG) as hanging, Receiver(lambda *_: TRICKLE) as trickling, Receiver() as good:
        for receiver in (hanging, trickling, good):
            create(api, receiver, events=["delivery"])
        messages = [taken(api.send(simulated("success"))) for _ in range(50)]
        arrived(relay, good, 50)
        assert {r.json["data"]["email_id"] for r in good.requests} == set(messages)
        for message in messages:
            relay.wait_for_state(message, "simulated")
        # Each receiver has at most four calls at a time.
        assert len(hanging.requests) <= 4 and len(trickling.requests) <= 4
        webhook = next(w for w in api.get("/v1/email/webhooks").json["data"] if w["url"] == trickling.url())
        record = relay.wait_until(
            lambda: next((d for d in deliveries(api, webhook, limit=100)["data"] if d["attempts"] == 1), None),
            "the slow call is cut off")
        assert "15 s" in record["error"]


def test_hanging_receivers_do_not_block_others_on_the_same_host(own_relay):
    """Webhooks of several keys often go to one host: a gateway, or a service that receives webhooks for others."""
    relay = own_relay(SETTINGS)
    clients = [API(relay, relay.create_key(scopes=SCOPES, per_second=1000)) for _ in range(2)]
    with Receiver(lambda request, _: HANG if "hang" in request.path else 204) as receiver:
        with clients[0] as hanging, clients[1] as good:
            for number in range(8):
                create(hanging, receiver.url() + f"-hang-{number}", events=["delivery"])
            webhook = create(good, receiver, events=["delivery"])
            for _ in range(5):
                taken(hanging.send(simulated("success")))
            relay.wait_until(lambda: len(receiver.requests) >= 32, "four calls of each hanging webhook arrive")
            sent = {taken(good.send(simulated("success"))) for _ in range(30)}

            def heard():
                return {r.json["data"]["email_id"] for r in list(receiver.requests) if "hang" not in r.path}

            relay.wait_until(lambda: heard() >= sent, "all events arrive at the webhook that answers")

            def on_record():
                found = deliveries(good, webhook, limit=100)["data"]
                return found if all(d["status"] == "delivered" for d in found) else None

            assert {d["attempts"] for d in relay.wait_until(on_record, "all calls are recorded as delivered")} == {1}


@pytest.mark.parametrize("kind", [HEADER_WITHOUT_END, BODY_WITHOUT_END])
def test_an_answer_without_end_is_cut_off(site, kind):
    relay, api = site
    with Receiver(lambda *_: kind) as receiver:
        webhook = create(api, receiver)
        api.post(f"/v1/email/webhooks/{webhook['id']}/test")
        record = relay.wait_until(
            lambda: (d := deliveries(api, webhook)["data"][0])["attempts"] == 1 and d, "the call is recorded")
        assert len(record["response_body"] or record["error"]) <= 1024 and record["duration_ms"] < 15000
        assert record["response_status"] == (500 if kind == BODY_WITHOUT_END else None)
        # The octets in the buffers of the sockets count as sent too.
        assert receiver.octets < 16 << 20


def test_commands(own_relay):
    relay = own_relay(SETTINGS)
    key = key_id(relay.create_key(scopes=("email:send",)))
    assert "webhooks create" in relay.run("webhooks", "list").stderr
    with Receiver() as receiver:
        made = relay.run("webhooks", "create", "--key", key, "--url", receiver.url(), "--event", "bounce", "--tag", "a")
        secret = made.stdout.strip()
        assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{32}", secret)
        shown = relay.json("webhooks", "list", "--key", key)[0]
        assert shown["events"] == ["bounce"] and shown["tags"] == ["a"] and shown["key"] == key
        webhook = shown["id"]
        assert webhook in made.stderr
        relay.run("webhooks", "test", webhook)
        verify(arrived(relay, receiver, 1)[0], secret)
        relay.wait_until(
            lambda: relay.json("webhooks", "deliveries", webhook)[0]["status"] == "delivered", "the call is recorded")
        text = relay.run("webhooks", "show", webhook).stdout
        assert mentions(text, "100 % of 1 event", "204") and secret not in text
        assert relay.json("webhooks", "show", webhook)[0]["statistics"]["delivered_24h"] == 1
        new = relay.run("webhooks", "rotate", webhook).stdout.strip()
        assert new != secret and new.startswith("whsec_")
        relay.run("webhooks", "disable", webhook)
        assert relay.run("webhooks", "test", webhook, check=False).returncode == 1
        assert "DISABLED" in relay.run("webhooks", "list").stdout
        relay.run("webhooks", "enable", webhook)
        relay.run("webhooks", "delete", webhook)
        assert relay.run("webhooks", "show", webhook, check=False).returncode == 1
    for wrong in [["--url", "http://1.1.1.1/"], ["--url", "https://10.0.0.1/"]]:
        assert relay.run("webhooks", "create", "--key", key, *wrong, check=False).returncode == 1
    for wrong in [["--url", "nonsense"], ["--url", "https://a.example/", "--event", "open"],
                  ["--url", "https://0x7f.1/"], ["--url", "https://a.example/", "--tag", ""]]:
        assert relay.run("webhooks", "create", "--key", key, *wrong, check=False).returncode == 64, wrong
    assert relay.run("webhooks", "create", "--key", "AbCd0123", "--url", "https://a.example/", check=False).returncode == 1


def test_webhook_calls_are_counted_in_the_metrics(own_relay, tmp_path):
    relay = own_relay({**SETTINGS, "metrics.listen": f"unix:{tmp_path}/metrics.sock"})
    key = relay.create_key(scopes=SCOPES)
    with API(relay, key) as api, Receiver(lambda request, number: 410 if number == 2 else 200) as receiver:
        webhook = create(api, receiver)
        for number in (1, 2):
            api.post(f"/v1/email/webhooks/{webhook['id']}/test")
            arrived(relay, receiver, number)
        relay.wait_for_log("webhook disabled")

        def page():
            return subprocess.run(
                ["curl", "-s", "--unix-socket", f"{tmp_path}/metrics.sock", "http://localhost/metrics"],
                capture_output=True, text=True, timeout=DEADLINE).stdout

        relay.wait_until(lambda: "\nhiveku_relay_webhooks_disabled 1\n" in page(), "one webhook counts as disabled")
        text = page()
        for line in ['hiveku_relay_webhook_calls_total{outcome="delivered"} 1',
                     'hiveku_relay_webhook_calls_total{outcome="gone"} 1', "hiveku_relay_webhooks_disabled_total 1",
                     "hiveku_relay_webhook_calls_waiting 0", "hiveku_relay_webhook_call_seconds_count 2"]:
            assert line in text, text
