"""The HTTP API from outside: each row of the contract's tables is tested through a real connection."""

import base64
import email
import email.policy
import email.utils
import json
import re
import secrets
import socket
import stat
import struct
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from http_api import API, EMAIL, HTTP, raw, read_to_end, taken
from relay import DEADLINE, Relay, key_id
from submit import submit
from test_dialogues import unissued_key

MESSAGE = b"From: from@example.com\r\nSubject: by SMTP\r\n\r\nbody\r\n"


@pytest.fixture(scope="module")
def relay(tmp_path_factory):
    relay = Relay(tmp_path_factory.mktemp("http"), {**HTTP, "submission.max_rate_delay": "0s"}).start()
    yield relay
    assert relay.stop() == 0, relay.log_text()


@pytest.fixture(scope="module")
def key(relay):
    return relay.create_key(scopes=("email:send", "email:batch"), per_second=10000)


@pytest.fixture
def api(relay, key):
    with API(relay, key) as api:
        yield api


def parsed(relay, message_id):
    return email.message_from_bytes(relay.raw(message_id), policy=email.policy.default)


# -- sending

def test_the_first_mail(relay, api, key):
    answer = api.send()
    assert answer.json == {"messageId": answer.json["messageId"], "status": "queued"}
    assert abs(email.utils.parsedate_to_datetime(answer.fields["Date"]).timestamp() - time.time()) < 60
    assert answer.fields["Date"].endswith(" GMT")
    assert re.fullmatch(r"msg_[0-9a-z]{13}", answer.json["messageId"])
    message = relay.wait_for_state(answer.json["messageId"], "simulated")
    assert (message["key"], message["from"], message["recipients"]) == (
        key_id(key), "from@example.com", ["to@example.net"])
    found = parsed(relay, message["id"])
    assert (found["From"], found["To"], found["Subject"]) == ("from@example.com", "to@example.net", "Hello")
    assert found.get_content().replace("\r\n", "\n") == "It works.\n"
    assert f"id {message['id']} (key {key_id(key)})" in found["Received"]
    assert found["Date"] and found["Message-ID"]


def test_all_fields(relay, api):
    picture = bytes(range(256))
    answer = api.send({
        "from": '"Zoë \\"Z\\"" <zoe@example.com>', "to": ["Łukasz <a@example.net>", "b@example.net"],
        "cc": "c@example.net", "bcc": ["d@example.net"], "reply_to": "Ответ <reply@example.com>",
        "subject": "Grüße 你好 🎉", "text": "Text ü\n", "html": "<p>ü <img src='cid:pic'></p>",
        "attachments": [
            {"filename": "résumé.pdf", "content": base64.b64encode(b"%PDF").decode(), "content_type": "application/pdf"},
            {"filename": "p.png", "content": base64.b64encode(picture).decode(), "content_id": "pic"}],
        "tags": ["welcome", "näch ste"], "headers": {"List-Unsubscribe": "<https://example.com/u>", "X-Name": "Ünï"}})
    message = relay.wait_for_state(taken(answer), "simulated")
    assert message["recipients"] == ["a@example.net", "b@example.net", "c@example.net", "d@example.net"]
    assert message["tags"] == ["welcome", "näch ste"]
    raw_octets = relay.raw(message["id"])
    assert b"d@example.net" not in raw_octets
    found = email.message_from_bytes(raw_octets, policy=email.policy.default)
    assert found["From"].addresses[0].display_name == 'Zoë "Z"'
    assert [a.display_name for a in found["To"].addresses] == ["Łukasz", ""]
    assert found["Subject"] == "Grüße 你好 🎉"
    assert found["Reply-To"].addresses[0].display_name == "Ответ"
    assert found["List-Unsubscribe"] == "<https://example.com/u>" and found["X-Name"] == "Ünï"
    assert found.get_body(("plain",)).get_content().replace("\r\n", "\n") == "Text ü\n"
    assert found.get_body(("html",)).get_content().strip() == "<p>ü <img src='cid:pic'></p>"
    parts = {part.get_filename(): part for part in found.walk() if part.get_filename()}
    assert parts["résumé.pdf"].get_content() == b"%PDF"
    assert parts["p.png"].get_content() == picture and parts["p.png"]["Content-ID"] == "<pic>"


@pytest.mark.parametrize("change, pointer, code", [
    ({"to": None}, "#/to", "invalid"), ({"to": []}, "#/to", "recipients"), ({"from": "x"}, "#/from", "address"),
    ({"to": ["a@b.example", "x"]}, "#/to/1", "address"), ({"to": [f"a{i}@b.example" for i in range(101)]}, "#/to", "recipients"),
    ({"subject": 1}, "#/subject", "invalid"), ({"replyTo": "a@example.com"}, "#/replyTo", "invalid"),
    ({"subject": "a\nb"}, "#/subject", "invalid"), ({"text": None, "html": None}, "#/text", "invalid"),
    ({"tags": [f"x{i}" for i in range(11)]}, "#/tags", "invalid"), ({"headers": {"Date": "x"}}, "#/headers/Date", "invalid"),
    ({"attachments": [{"filename": "a", "content": "!"}]}, "#/attachments/0/content", "invalid"),
    ({"scheduled_at": "tomorrow"}, "#/scheduled_at", "invalid"), ({"template_id": "tpl_1"}, "#/template_id", "invalid")])
def test_mistakes_in_an_email_are_reported_with_their_json_pointer(relay, api, change, pointer, code):
    email_ = {name: value for name, value in {**EMAIL, **change}.items() if value is not None}
    answer = api.send(email_)
    assert (answer.status, answer.code) == (422, code), answer
    assert pointer in [error["pointer"] for error in answer.json["errors"]], answer
    assert all(error["detail"] for error in answer.json["errors"])


def test_a_refused_attachment(own_relay):
    relay = own_relay({**HTTP, "submission.refused_attachments": ["zip"]})
    with API(relay, relay.create_key()) as api:
        answer = api.send({**EMAIL, "attachments": [{"filename": "a.zip", "content": "aGk="}]})
        assert (answer.status, answer.code) == (422, "attachment"), answer
        taken(api.send({**EMAIL, "attachments": [{"filename": "a.txt", "content": "aGk="}]}))


def test_all_mistakes_are_reported_at_once(api):
    answer = api.send({"from": "x", "to": ["y", "a@example.com"], "subjekt": "?", "text": 1})
    places = [error["pointer"] for error in answer.json["errors"]]
    assert answer.status == 422 and {"#/from", "#/to/0", "#/subjekt", "#/text"} <= set(places)
    [hint] = [error["detail"] for error in answer.json["errors"] if error["pointer"] == "#/subjekt"]
    assert "subject" in hint


@pytest.mark.parametrize("body", [
    b"", b"{", b"nope", b'{"from": "a@example.com", "from": "b@example.com"}', b"[" * 10000, b'{"a": "\xff"}',
    b'{"a": "\\ud800"}', b"{} {}", b"\xef\xbb\xbf{}"])
def test_a_body_that_is_not_json_is_refused(api, body):
    answer = api.post("/v1/email/send", body)
    assert (answer.status, answer.code) == (400, "invalid"), answer


# -- authentication

def test_no_key(relay):
    with API(relay) as api:
        answer = api.send()
    assert (answer.status, answer.code) == (401, "auth-required")
    assert answer.fields["WWW-Authenticate"] == 'Bearer realm="hiveku-relay"'


@pytest.mark.parametrize("spoil, code", [
    (lambda key: unissued_key(), "key-unknown"), (lambda key: key[:-1], "key-malformed"),
    (lambda key: "secret", "key-malformed")])
def test_a_bad_key(own_relay, spoil, code):
    relay = own_relay(HTTP)
    key = relay.create_key()
    with API(relay, spoil(key)) as api:
        answer = api.send()
    assert (answer.status, answer.code) == (401, code)
    assert answer.fields["WWW-Authenticate"] == 'Bearer realm="hiveku-relay", error="invalid_token"'
    relay.wait_for_log(f"reason={code}")
    assert key not in relay.log_text()


def test_revoked_and_expired(relay):
    key = relay.create_key(per_second=1000)
    with API(relay, key) as api:
        taken(api.send())
        relay.run("keys", "update", key_id(key), "--expires-in", "1s")
        answer = relay.wait_until(
            lambda: next((a for a in [api.send()] if a.status != 200), None), "the key has expired")
        assert (answer.status, answer.code) == (401, "key-expired")
        relay.run("keys", "revoke", key_id(key))
        for request in [api.send, lambda: api.get("/v1/email/messages")]:
            answer = request()
            assert (answer.status, answer.code) == (401, "key-revoked")


@pytest.mark.parametrize("scopes, path, missing", [
    ((), "send", "email:send"), (("email:batch",), "send", "email:send"), (("email:send",), "batch", "email:batch")])
def test_a_missing_scope(relay, scopes, path, missing):
    with API(relay, relay.create_key(scopes=scopes)) as api:
        answer = api.post(f"/v1/email/{path}", EMAIL)
    assert (answer.status, answer.code) == (403, "scope")
    assert answer.fields["WWW-Authenticate"] == (
        f'Bearer realm="hiveku-relay", error="insufficient_scope", scope="{missing}"')


def test_a_network_that_is_not_allowed(relay):
    with API(relay, relay.create_key(allow_network="192.0.2.0/24")) as api:
        answer = api.send()
    assert (answer.status, answer.code) == (403, "network")


def test_a_domain_that_is_not_allowed(relay):
    with API(relay, relay.create_key(allow_domain="example.org")) as api:
        answer = api.send()
        assert (answer.status, answer.code) == (403, "sender-domain")


def test_key_guesses_over_http_count_towards_the_smtp_throttle(own_relay):
    relay = own_relay(HTTP)
    key = relay.create_key()
    with API(relay, unissued_key()) as api:
        codes = []
        while "auth-throttled" not in codes:
            answer = api.send()
            codes.append(answer.code)
            assert len(codes) < 100
            if answer.fields["Connection"] == "close":
                api.close()
    assert answer.status == 429 and int(answer.fields["Retry-After"]) > 0
    assert answer.fields["Connection"] == "close"
    with pytest.raises(Exception, match=r"\[auth-throttled\]"):
        submit(relay, key, MESSAGE)


# -- HTTP

def test_paths_and_methods(api):
    assert (api.get("/").status, api.get("/v1/nope").code) == (404, "not-found")
    answer = api.get("/v1/email/send")
    assert (answer.status, answer.code, answer.fields["Allow"]) == (405, "method-not-allowed", "POST")
    answer = api.request("HEAD", "/v1/email/messages")
    assert answer.status == 200 and answer.octets == b"" and int(answer.fields["Content-Length"]) > 0


@pytest.mark.parametrize("fields", [
    {"Content_Type": "text/plain"}, {"Content_Type": "application/x-www-form-urlencoded"}, {"Content_Encoding": "gzip"}])
def test_unsupported_content_types_are_refused(relay, key, fields):
    with API(relay, key) as api:
        answer = api.send(**fields)
    assert (answer.status, answer.code) == (415, "unsupported-media-type")


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON"])
def test_supported_content_types_are_accepted(api, kind):
    taken(api.send(Content_Type=kind))


def test_100_continue_is_sent_only_after_key_and_length_are_accepted(relay, key):
    body = json.dumps(EMAIL).encode()
    head = ("POST /v1/email/send HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
            "Content-Length: {}\r\nAuthorization: Bearer {}\r\n\r\n")
    with raw(relay) as connection:
        connection.sendall(head.format(len(body), key).encode())
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
    for length, bad in [(len(body), unissued_key()), (10**9, key)]:
        with raw(relay) as connection:
            connection.sendall(head.format(length, bad).encode())
            answer = read_to_end(connection)
            assert answer.startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 413 ")) and b"\r\nConnection: close\r\n" in answer


def test_a_body_that_is_too_large_is_refused_before_it_is_read(relay, key):
    with raw(relay) as connection:
        connection.sendall((
            "POST /v1/email/send HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n"
            f"Authorization: Bearer {key}\r\n\r\n").encode())
        assert b"413 " in read_to_end(connection)
    with API(relay, key) as api:
        answer = api.send({**EMAIL, "text": "x" * (28 << 20)})
        assert (answer.status, answer.code) == (413, "size")


def test_a_large_message_goes_through(relay, api):
    content = bytes(range(256)) * 4096 * 10
    answer = api.send({**EMAIL, "attachments": [{"filename": "a.bin", "content": base64.b64encode(content).decode()}]})
    message = relay.wait_for_state(taken(answer), "simulated")
    [part] = parsed(relay, message["id"]).iter_attachments()
    assert part.get_content() == content


# -- batch

def test_a_batch(relay, api):
    answer = api.batch([{**EMAIL, "subject": f"No. {i}"} for i in range(3)])
    assert answer.status == 200
    ids = [result["messageId"] for result in answer.json["results"]]
    assert [result["status"] for result in answer.json["results"]] == ["queued"] * 3 and len(set(ids)) == 3
    assert [relay.wait_for_state(i, "simulated")["subject"] for i in ids] == ["No. 0", "No. 1", "No. 2"]
    assert api.batch({"emails": [EMAIL]}).json["results"][0]["status"] == "queued"


def test_one_bad_email_does_not_stop_the_others(relay, api):
    answer = api.batch([EMAIL, {**EMAIL, "to": "nobody"}, EMAIL])
    first, bad, last = answer.json["results"]
    assert answer.status == 200 and first["status"] == last["status"] == "queued"
    assert bad["status"] == "failed" and bad["error"]["code"] == "address" and bad["error"]["status"] == 422
    assert [error["pointer"] for error in bad["error"]["errors"]] == ["#/1/to"]


@pytest.mark.parametrize("body", [[], {}, {"emails": []}, {"emails": 1}, "x", [EMAIL] * 101])
def test_batches_of_the_wrong_shape(api, body):
    answer = api.batch(json.dumps(body))
    assert (answer.status, answer.code) == (422, "invalid")


def test_the_rate_limits_accept_a_batch_as_a_whole_or_not_at_all(relay):
    key = relay.create_key(scopes=("email:send", "email:batch"), per_second=1000, per_day=5)
    with API(relay, key) as api:
        assert api.batch([EMAIL] * 3).status == 200
        answer = api.batch([EMAIL] * 3)
        assert (answer.status, answer.code) == (429, "rate-day") and int(answer.fields["Retry-After"]) > 0
        assert api.batch([EMAIL] * 2).status == 200
    assert len(relay.json("messages", "list", "--key", key_id(key))) == 5


# -- limits

def test_a_request_above_the_rate_per_second_is_refused(relay):
    key = relay.create_key(per_second=0.001, burst=2)
    with API(relay, key) as api:
        for left in (1, 0):
            answer = api.send()
            assert answer.status == 200
            assert answer.fields["RateLimit-Policy"] == '"second";q=1;w=1000'
            assert answer.fields["RateLimit"].startswith(f'"second";r={left};'), answer.fields["RateLimit"]
        answer = api.send()
        assert (answer.status, answer.code) == (429, "rate-second")
        assert int(answer.fields["Retry-After"]) >= 1
        assert answer.fields["RateLimit"].startswith('"second";r=0;t=')


def test_a_request_above_the_daily_cap_is_refused(relay):
    key = relay.create_key(per_day=2, per_second=100)
    with API(relay, key) as api:
        answer = api.send()
        assert answer.fields["RateLimit-Policy"] == '"second";q=100;w=1, "day";q=2;w=86400'
        assert re.search(r', "day";r=1;t=\d+$', answer.fields["RateLimit"])
        taken(api.send())
        answer = api.send()
        assert (answer.status, answer.code) == (429, "rate-day")
        assert 0 < int(answer.fields["Retry-After"]) <= 86400
        answer = api.send({**EMAIL, "to": ["a@example.net", "b@example.net", "c@example.net"]})
        assert (answer.status, answer.code) == (422, "rate-day") and "Retry-After" not in answer.fields


def test_http_and_smtp_share_the_daily_cap_of_a_key(relay):
    key = relay.create_key(per_day=3, per_second=100)
    submit(relay, key, MESSAGE)
    with API(relay, key) as api:
        taken(api.send())
        taken(api.send())
        assert api.send().code == "rate-day"
    with pytest.raises(AssertionError, match="rate-day"):
        submit(relay, key, MESSAGE)


# -- idempotency

@pytest.mark.parametrize("where", ["field", "bare", "quoted"])
def test_a_repeated_request_gets_the_first_answer(relay, api, where):
    key = f"order-{where}"

    def send(change={}):
        if where == "field":
            return api.send({**EMAIL, **change, "idempotency_key": key})
        return api.send({**EMAIL, **change}, Idempotency_Key=key if where == "bare" else f'"{key}"')

    first, again = send(), send()
    assert taken(first) == taken(again) and first.json == again.json
    assert "Idempotent-Replayed" not in first.fields and again.fields["Idempotent-Replayed"] == "true"
    answer = send({"subject": "another"})
    assert (answer.status, answer.code) == (422, "idempotency-mismatch")


def test_the_idempotency_keys_in_header_and_body_must_match(api):
    taken(api.send({**EMAIL, "idempotency_key": "both"}, Idempotency_Key="both"))
    answer = api.send({**EMAIL, "idempotency_key": "both"}, Idempotency_Key="other")
    assert (answer.status, answer.code) == (400, "invalid")


def test_concurrent_requests_with_one_idempotency_key_are_sent_once(relay, key):
    def send(_):
        with API(relay, key) as api:
            return taken(api.send(Idempotency_Key="at once"))

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(send, range(8)))) == 1


def test_a_batch_is_idempotent_as_a_whole(relay, api):
    emails = [EMAIL, {**EMAIL, "to": "nobody"}, {**EMAIL, "subject": "second"}]
    first, again = (api.batch(emails, Idempotency_Key="batch 1") for _ in range(2))
    assert first.json == again.json and again.fields["Idempotent-Replayed"] == "true"
    answer = api.batch(emails[:1], Idempotency_Key="batch 1")
    assert (answer.status, answer.code) == (422, "idempotency-mismatch")


@pytest.mark.parametrize("first, second", [
    ([EMAIL, EMAIL], [EMAIL, EMAIL, EMAIL]), ([EMAIL, {**EMAIL, "to": "x"}], [{**EMAIL, "to": "x"}, EMAIL]),
    (EMAIL, [EMAIL]), ([EMAIL], EMAIL)], ids=["longer", "other order", "send then batch", "batch then send"])
def test_an_idempotency_key_is_for_one_request(relay, first, second):
    key = relay.create_key(scopes=("email:send", "email:batch"), per_second=1000)
    with API(relay, key) as api:
        def post(body):
            return api.post("/v1/email/batch" if isinstance(body, list) else "/v1/email/send", body, Idempotency_Key="one")

        assert post(first).status == 200
        before = len(relay.json("messages", "list", "--key", key_id(key)))
        answer = post(second)
        assert (answer.status, answer.code) == (422, "idempotency-mismatch")
        assert len(relay.json("messages", "list", "--key", key_id(key))) == before


def test_an_idempotency_mismatch_of_one_email_does_not_fail_the_batch(api):
    taken(api.send({**EMAIL, "idempotency_key": "own"}))
    answer = api.batch([{**EMAIL, "subject": "other", "idempotency_key": "own"}, {**EMAIL, "to": "nobody"}])
    assert answer.status == 200
    assert [result["error"]["code"] for result in answer.json["results"]] == ["idempotency-mismatch", "address"]


def test_repeated_emails_in_a_batch_do_not_count_towards_the_cap(relay):
    key = relay.create_key(scopes=("email:send", "email:batch"), per_second=1000, per_day=4)
    emails = [{**EMAIL, "subject": f"No. {i}", "idempotency_key": f"own {i}"} for i in range(5)]
    with API(relay, key) as api:
        first = [result["messageId"] for result in api.batch(emails[:3]).json["results"]]
        second = [result["messageId"] for result in api.batch(emails[:4]).json["results"]]
        assert second[:3] == first and len(set(second)) == 4
        assert api.batch(emails).code == "rate-day"
    assert len(relay.json("messages", "list", "--key", key_id(key))) == 4


def test_a_repeated_request_does_not_use_the_rate_limit(relay):
    key = relay.create_key(scopes=("email:send", "email:batch"), per_second=0.001, burst=3)
    with API(relay, key) as api:
        batch, one = api.batch([EMAIL] * 2, Idempotency_Key="b"), api.send(Idempotency_Key="s")
        assert api.send().code == "rate-second"
        for first, again in [(batch, api.batch([EMAIL] * 2, Idempotency_Key="b")), (one, api.send(Idempotency_Key="s"))]:
            assert again.status == 200 and again.json == first.json and again.fields["Idempotent-Replayed"] == "true"
        assert api.send({**EMAIL, "subject": "other"}, Idempotency_Key="s").code == "idempotency-mismatch"


def test_a_repeat_of_a_scheduled_request_gets_the_first_answer(relay, api):
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    first = api.send({**EMAIL, "scheduled_at": at}, Idempotency_Key="later")
    assert first.json["status"] == "scheduled"
    relay.wait_for_state(taken(first), "simulated")
    assert api.send({**EMAIL, "scheduled_at": at}, Idempotency_Key="later").json == first.json


# -- later

def test_a_scheduled_message_can_be_cancelled(relay, api):
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    answer = api.send({**EMAIL, "scheduled_at": at})
    assert answer.json["status"] == "scheduled"
    message_id = taken(answer)
    found = api.message(message_id).json
    assert found["status"] == "scheduled" and found["scheduled_at"].startswith(at[:-1])
    assert found["recipients"][0]["status"] == "scheduled"
    assert message_id[4:] in [m["id"] for m in relay.json("messages", "list", "--scheduled")]
    answer = api.post(f"/v1/email/messages/{message_id}/cancel")
    assert answer.status == 200 and answer.json == {"messageId": message_id, "status": "cancelled"}
    assert api.message(message_id).json["status"] == "cancelled"
    assert api.post(f"/v1/email/messages/{message_id}/cancel").status == 200
    assert relay.message(message_id)["state"] == "cancelled"
    relay.wait_for_log(f"cancelled client=127.0.0.1 key={api.key[8:16]} message={message_id[4:]}")


def test_a_sent_message_cannot_be_cancelled(relay, api):
    message_id = taken(api.send())
    relay.wait_for_state(message_id, "simulated")
    answer = api.post(f"/v1/email/messages/{message_id}/cancel")
    assert (answer.status, answer.code) == (409, "conflict")


def test_a_message_scheduled_in_the_past_is_sent_at_once(relay, api):
    answer = api.send({**EMAIL, "scheduled_at": "2020-01-01T00:00:00Z"})
    assert answer.json["status"] == "queued"
    relay.wait_for_state(taken(answer), "simulated")


# -- records

def test_a_key_lists_only_its_own_messages(relay):
    key, other = (relay.create_key(per_second=1000) for _ in range(2))
    with API(relay, key) as api, API(relay, other) as stranger:
        ids = [taken(api.send({**EMAIL, "subject": f"No. {i}", "tags": [f"t{i % 2}"]})) for i in range(5)]
        foreign = taken(stranger.send())
        for message_id in ids:
            relay.wait_for_state(message_id, "simulated")
        page = api.get("/v1/email/messages?limit=2").json
        assert [m["messageId"] for m in page["data"]] == ids[:2:-1]
        seen = [m["messageId"] for m in page["data"]]
        while page["next_cursor"]:
            page = api.get(f"/v1/email/messages?limit=2&cursor={page['next_cursor']}").json
            seen += [m["messageId"] for m in page["data"]]
        assert seen == ids[::-1]
        tagged = api.get("/v1/email/messages?tag=t1").json["data"]
        assert [m["messageId"] for m in tagged] == [ids[3], ids[1]]
        assert len(api.get("/v1/email/messages?status=sent").json["data"]) == 5
        assert api.get("/v1/email/messages?status=failed").json == {"data": [], "next_cursor": None}
        since = relay.message(ids[4])["accepted_at"]
        assert [m["messageId"] for m in api.get(f"/v1/email/messages?since={since}").json["data"]][-1] == ids[4]
        one = api.message(ids[0]).json
        # test_statuses.py tests the events.
        found = [{name: value for name, value in r.items() if name != "events"} for r in one["recipients"]]
        assert found == [{"email": "to@example.net", "status": "sent", "at": one["recipients"][0]["at"],
                          "detail": None}]
        assert (one["from"], one["subject"], one["tags"]) == ("from@example.com", "No. 0", ["t0"])
        # An id is found with and without its prefix. Another key's ids are not found.
        assert api.message(ids[0][4:]).json == one
        for path in [foreign, "msg_0000000000000"]:
            assert (api.message(path).status, api.message(path).code) == (404, "not-found")
        assert api.post(f"/v1/email/messages/{foreign}/cancel").status == 404


def test_messages_can_be_listed_by_a_tag_with_a_space(api):
    message_id = taken(api.send({**EMAIL, "tags": ["a b+c"]}))
    for query in ["tag=a+b%2Bc", "tag=a%20b%2bc", "&tag=a+b%2Bc&"]:
        assert api.get(f"/v1/email/messages?{query}").json["data"][0]["messageId"] == message_id


def test_each_recipient_has_its_own_status_and_detail(relay, api):
    simulator = "simulator.amazonses.com"
    # Addresses that bounce or complain stay on the environment's list of suppressions. With a label, each test has addresses of
    # its own.
    label = secrets.token_hex(4)
    message_id = taken(api.send({**EMAIL, "to": [f"{mailbox}+{label}@{simulator}" for mailbox in ["success", "bounce", "complaint"]]}))
    relay.wait_for_state(message_id, "simulated")
    good, bounce, complaint = api.message(message_id).json["recipients"]
    assert [good["status"], bounce["status"], complaint["status"]] == ["delivered", "bounced", "complained"]
    assert "250" in good["detail"] and "550 5.1.1" in bounce["detail"] and "abuse" in complaint["detail"]


@pytest.mark.parametrize("path", ["/v1/email/messages?KEY=1&KEY=1", "/v1/email/messages?&&" + "a&" * 5000])
def test_queries_that_are_hostile(relay, api, path):
    answer = api.get(path.replace("KEY", api.key))
    assert answer.status == 422 and len(answer.octets) < 4096 and api.key.encode() not in answer.octets
    assert api.key not in relay.log_text()


def test_a_key_in_the_wrong_place_is_neither_echoed_nor_logged(relay, api):
    for body in [f'{{"{api.key}": 1}}', f'{{"{api.key}": 1, "{api.key}": 2}}', json.dumps({**EMAIL, "headers": {api.key: "x\r"}})]:
        assert api.key.encode() not in api.send(body).octets
    assert api.key not in relay.log_text()


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=x", "status=x", "since=yesterday", "color=red",
                                   "limit=1&limit=2", "tag=%zz", "tag=%ff", "tag=", "tag=" + "x" * 257])
def test_queries_that_are_wrong(api, query):
    answer = api.get(f"/v1/email/messages?{query}")
    assert (answer.status, answer.code) == (422, "invalid")


# -- behind a proxy, and without TLS

def test_the_client_behind_a_proxy(own_relay):
    relay = own_relay({**HTTP, "http.trusted_proxies": ["127.0.0.2"]})
    key = relay.create_key(allow_network="198.51.100.0/24", per_second=1000)
    with API(relay, key, secure=False, source="127.0.0.2") as proxy, API(relay, key, secure=False) as client:
        message_id = taken(proxy.send(X_Forwarded_For="198.51.100.7"))
        assert b"from [198.51.100.7] ([198.51.100.7])" in relay.raw(message_id)
        # The proxy adds the client's address after the text that the client wrote, so only the last address counts.
        answer = proxy.send(X_Forwarded_For="198.51.100.7, 203.0.113.9")
        assert (answer.status, answer.code) == (403, "network") and "203.0.113.9" in answer.json["detail"]
        assert proxy.send().code == "network"
        answer = proxy.send(X_Forwarded_For="unknown")
        assert (answer.status, answer.code) == (400, "bad-request")
        # In a request from any other address, the field has no effect.
        assert client.send(X_Forwarded_For="198.51.100.7").code == "network"
    relay.wait_for_log("client=203.0.113.9")


@pytest.fixture
def public_address():
    """An address of this machine that is not a loopback address."""
    address = "198.51.100.201"
    command = ["ip", "address", "add", f"{address}/32", "dev", "lo"]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("needs permission to add an address to this machine")
    yield address
    subprocess.run(["ip", "address", "del", f"{address}/32", "dev", "lo"], check=True)


def test_clear_text_http_is_only_for_this_machine_and_trusted_proxies(own_relay, public_address):
    def answers(settings):
        relay = own_relay({**HTTP, **settings}, start=False)
        relay.write_settings({**HTTP, **settings})
        relay.start()
        key = relay.create_key()
        with socket.create_connection((public_address, relay.ports["open"]), DEADLINE, (public_address, 0)) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n")
            return relay, key, read_to_end(connection)

    listen = ["http://127.0.0.1:0", "https://127.0.0.1:0"]
    relay, _, octets = answers({"http.listen": [*listen, f"http://{public_address}:0"],
                                "http.trusted_proxies": ["203.0.113.0/24"]})
    assert octets == b""
    relay.wait_for_log(f"client={public_address}", "http.trusted_proxies")
    _, _, octets = answers({"http.listen": [*listen, f"http://{public_address}:0"],
                            "http.trusted_proxies": [public_address]})
    assert octets.startswith(b"HTTP/1.1 404 ")


def test_a_request_whose_client_has_reset_the_connection_is_refused(own_relay):
    """If a connection is reset before the relay asks for its address, it has no address. Such a request must be refused."""
    relay = own_relay(HTTP)
    key = relay.create_key(allow_network="127.0.0.1/32", per_second=1000)
    body = json.dumps(EMAIL)
    request = (f"POST /v1/email/send HTTP/1.1\r\nHost: relay\r\nAuthorization: Bearer {key}\r\n"
               f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", relay.ports["http"]), DEADLINE, ("127.0.0.5", 0)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(request)
    with API(relay, key, source="127.0.0.5") as api:
        assert api.send().code == "network"
    assert relay.json("messages", "list", "--key", key_id(key)) == []


def test_a_unix_socket(own_relay):
    relay = own_relay(start=False)
    path = relay.directory / "http.sock"
    relay.write_settings({"http.listen": [f"unix:{path}"], "http.trusted_proxies": ["127.0.0.1"]})
    relay.start()
    # A program that connects to the socket counts as 127.0.0.1, and may name its client.
    key = relay.create_key(allow_network=["127.0.0.1", "192.0.2.7"])
    relay.wait_until(path.exists, "the socket exists")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660

    def send(*fields):
        command = [
            "curl", "--silent", "--unix-socket", path, "http://relay/v1/email/send", "-H", f"Authorization: Bearer {key}",
            "-H", "Content-Type: application/json", "-d", json.dumps(EMAIL)]
        for field in fields:
            command += ["-H", field]
        return json.loads(subprocess.run(command, capture_output=True, timeout=DEADLINE).stdout)

    assert send()["status"] == "queued"
    assert send("X-Forwarded-For: 192.0.2.7")["status"] == "queued"
    assert send("X-Forwarded-For: 192.0.2.8")["code"] == "network"
    assert relay.stop() == 0
    assert not path.exists()
