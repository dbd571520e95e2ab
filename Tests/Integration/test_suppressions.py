"""The list of suppressions: SES gets no message for an address on it, however the address got there.

The list can be exported and imported as CSV.
"""

import csv
import io
import threading
import urllib.parse

import pytest

from http_api import API, EMAIL, HTTP, taken
from ses import CREDENTIALS, REGION
from ses_standin import Answer, SESStandIn
from submit import submit
from test_operator_actions import Terminal
from wording import mentions

PATH = "/v1/email/suppressions"
SIMULATOR = "simulator.amazonses.com"
COLUMNS = ["address", "environment", "reason", "created_at", "message", "note"]


@pytest.fixture
def ses():
    with SESStandIn() as ses:
        yield ses


@pytest.fixture
def live(own_relay, ses):
    return own_relay({"ses.region": REGION, "ses.endpoint": ses.url, "delivery.retry_first": "1s", **HTTP}, CREDENTIALS)


@pytest.fixture
def stopped(own_relay):
    return own_relay(start=False)


def message(subject):
    return f"From: from@example.com\r\nSubject: {subject}\r\n\r\nbody\r\n".encode()


def listed(relay, *options):
    return relay.json("suppressions", "list", *options)


def handed_over(ses):
    """All recipients of all messages that SES was given, in lower case."""
    return {recipient.lower() for taken in ses.taken for recipient in taken.recipients}


def place(address):
    return f"{PATH}/{urllib.parse.quote(address, safe='')}"


# -- suppressed recipients get no mail

def test_a_suppressed_recipient_among_fifty_is_left_out(live, ses):
    key = live.create_key("live", per_second=1000)
    live.run("suppressions", "add", "to17@example.net")
    recipients = [f"to{number}@example.net" for number in range(50)]
    message_id = submit(live, key, message("fifty"), recipients)
    live.wait_for_state(message_id, "sent")
    assert sorted(ses.taken[0].recipients) == sorted(set(recipients) - {"to17@example.net"})
    assert len(ses.taken) == 1


@pytest.mark.parametrize("on_list, recipient", [
    ("Ann.Example@Example.NET", "ann.example@example.net"), ("ann@example.net", "ANN@EXAMPLE.NET"),
    ('"ann"@example.net', "ann@example.net"), ("ann@example.net", '"ann"@example.net'),
])
def test_suppressed_addresses_match_regardless_of_case(live, ses, on_list, recipient):
    live.run("suppressions", "add", on_list)
    message_id = submit(live, live.create_key("live"), message("case"), [recipient])
    live.wait_for_state(message_id, "suppressed")
    assert not ses.calls
    live.run("suppressions", "remove", on_list.upper())
    assert not listed(live)


def test_test_keys_and_live_keys_have_lists_of_their_own(live, ses):
    live.run("suppressions", "add", "a@example.net", "--environment", "test")
    live.run("suppressions", "add", "b@example.net")
    of_live, of_test = live.create_key("live"), live.create_key("test")
    for key, recipient, state in [
            (of_live, "a@example.net", "sent"), (of_test, "a@example.net", "suppressed"),
            (of_live, "b@example.net", "suppressed"), (of_test, "b@example.net", "simulated")]:
        live.wait_for_state(submit(live, key, message("both"), [recipient]), state)
    assert handed_over(ses) == {"a@example.net"}
    assert [entry["address"] for entry in listed(live, "--environment", "test")] == ["a@example.net"]


def test_an_address_suppressed_during_a_failing_call_is_not_retried(live, ses):
    added = threading.Event()
    ses.script.append(Answer(500, "InternalServiceErrorException", "No.", takes=False, after=added))
    message_id = submit(live, live.create_key("live"), message("retry"), ["a@example.net", "b@example.net"])
    live.wait_until(lambda: ses.calls, "SES is called")
    live.run("suppressions", "add", "a@example.net")
    added.set()
    live.wait_for_state(message_id, "sent")
    assert [t.recipients for t in ses.taken] == [("b@example.net",)]


def test_an_address_suppressed_before_a_retry_is_not_retried(own_relay, ses):
    relay = own_relay(
        {"ses.region": REGION, "ses.endpoint": ses.url, "delivery.retry_first": "1h", **HTTP}, CREDENTIALS)
    ses.script.append(Answer(500, "InternalServiceErrorException", "No.", takes=False))
    message_id = submit(relay, relay.create_key("live"), message("retry"), ["a@example.net"])
    relay.wait_until(lambda: relay.message(message_id)["deliveries"][0]["history"], "the first attempt")
    relay.run("suppressions", "add", "A@example.net")
    # A released message is tried at once.
    relay.run("messages", "hold", message_id)
    relay.wait_for_state(message_id, "held")
    relay.run("messages", "release", message_id)
    relay.wait_for_state(message_id, "suppressed")
    assert not ses.taken and len(ses.calls) == 1


def test_mail_flows_again_after_a_removal(live, ses):
    key = live.create_key("live")
    live.run("suppressions", "add", "a@example.net")
    live.wait_for_state(submit(live, key, message("before"), ["a@example.net"]), "suppressed")
    live.run("suppressions", "remove", "a@example.net")
    live.wait_for_state(submit(live, key, message("after"), ["a@example.net"]), "sent")
    assert [t.subject for t in ses.taken] == ["after"]


# -- reasons for an entry

@pytest.mark.parametrize("name, reason", [
    ("bounce", "hard_bounce"), ("bounce+42", "hard_bounce"), ("suppressionlist", "hard_bounce"), ("complaint", "complaint"),
    ("success", None), ("ooto", None),
])
def test_bounces_of_simulator_addresses_add_suppressions(relay, name, reason):
    address = f"{name}@{SIMULATOR}"
    key = relay.create_key()
    first = submit(relay, key, message("first"), [address])
    relay.wait_for_state(first, "simulated")
    found = listed(relay, "--search", address)
    if reason is None:
        assert not found
    else:
        assert [(e["address"], e["environment"], e["reason"], e["message"]) for e in found] == [
            (address, "test", reason, first)]
        assert found[0]["note"] or reason == "complaint"
    second = submit(relay, key, message("second"), [address.upper().replace(SIMULATOR.upper(), SIMULATOR)])
    relay.wait_for_state(second, "suppressed" if reason else "simulated")
    relay.run("suppressions", "remove", address, "--environment", "test", "--yes", check=reason is not None)


# -- commands

def test_commands(stopped):
    made = stopped.run("suppressions", "add", "b@Example.net", "a@example.net", "--note", "asked\x1b by phone")
    assert mentions(made.stderr, "2 addresses", "live") and not made.stdout
    # One of the addresses is on the list already.
    assert mentions(stopped.run("suppressions", "add", "A@example.net", "c@example.net").stderr, "1 address", "live", "1 ", "already")
    entries = listed(stopped)
    assert [e["address"] for e in entries] == ["a@example.net", "b@example.net", "c@example.net"]
    assert entries[0] == {
        "address": "a@example.net", "environment": "live", "reason": "manual", "message": None,
        "note": "asked\x1b by phone", "created_at": entries[0]["created_at"]}
    text = stopped.run("suppressions", "list", "--limit", "2").stdout
    assert "a@example.net" in text and "c@example.net" not in text and "\x1b" not in text
    assert [e["address"] for e in listed(stopped, "--search", "B@")] == ["b@example.net"]
    assert not listed(stopped, "--reason", "complaint")
    removed = stopped.json("suppressions", "remove", "B@EXAMPLE.NET", "c@example.net")
    assert [e["address"] for e in removed] == ["b@example.net", "c@example.net"]
    failed = stopped.run("suppressions", "remove", "a@example.net", "b@example.net", check=False)
    assert failed.returncode == 1 and mentions(failed.stderr, "b@example.net", "not", "live")
    assert [e["address"] for e in listed(stopped)] == ["a@example.net"]


@pytest.mark.parametrize("arguments", [
    ["add"], ["add", "nobody"], ["add", "ü@example.net"], ["add", "a@example.net", "b@"], ["add", "a@b.c", "--note", "x" * 501],
    ["add", "a@b.c", "--environment", "prod"], ["list", "--limit", "0"], ["list", "--reason", "bounce"], ["remove"], ["import"],
])
def test_wrong_usage(stopped, arguments):
    assert stopped.run("suppressions", *arguments, check=False).returncode == 64
    assert not listed(stopped)


def test_a_complaint_is_removed_only_when_that_is_confirmed(stopped):
    def put_back():
        stopped.run("suppressions", "import", "-", "--reason", "complaint", input="a@example.net\n")
    put_back()
    refused = stopped.run("suppressions", "remove", "a@example.net", check=False, input="y\n")
    assert refused.returncode == 1 and "--yes" in refused.stderr and len(listed(stopped)) == 1
    for answer, status, left in [("n\n", 1, 1), ("\n", 1, 1), ("y\n", 0, 0)]:
        terminal = Terminal(stopped, "suppressions", "remove", "a@example.net")
        terminal.wait_for("[y/N]")
        assert mentions(terminal.text, "a@example.net", "complained", "[y/N]")
        terminal.type(answer)
        assert terminal.end() == status and len(listed(stopped)) == left
    put_back()
    stopped.run("suppressions", "remove", "a@example.net", "--yes")
    assert not listed(stopped)


# -- import and export

def test_an_export_is_valid_csv_and_can_be_imported_again(own_relay):
    notes = {
        "a@example.net": '550 5.1.1 "nobody", sorry', "=cmd@example.net": "=1+1", "+b@example.net": "@x", "-c@example.net": "ü",
        '"d,d"@example.net': "two\nlines", "'-e@example.net": "'"}
    first, second = own_relay(start=False), own_relay(start=False)
    text = io.StringIO()
    # This writer protects no cell against formulas. It only adds an apostrophe to the address that begins with one, as the
    # export does.
    csv.writer(text).writerows(
        [("address", "note"), *((f"'{a}" if a[0] == "'" else a, note) for a, note in notes.items())])
    first.run("suppressions", "import", "-", input=text.getvalue())
    before = listed(first)
    assert {e["address"]: e["note"] for e in before} == notes
    exported = first.run("suppressions", "export").stdout
    rows = list(csv.reader(io.StringIO(exported, newline="")))
    assert rows[0] == COLUMNS and len(rows) == len(notes) + 1
    # No cell begins with a character that makes a spreadsheet run a formula.
    assert not [cell for row in rows for cell in row if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
    assert [row[0] for row in rows[1:] if row[5].removeprefix("'") in ("ü", "two\nlines")] == [
        '"d,d"@example.net', "'-c@example.net"]
    done = second.json("suppressions", "import", "-", input=exported)
    assert done == [{"read": 6, "added": 6, "already_listed": 0, "invalid": 0}]
    assert listed(second) == before
    assert second.json("suppressions", "import", "-", input=exported)[0]["already_listed"] == 6


@pytest.mark.parametrize("text, expected", [
    ("a@example.net\r\nb@example.net", [("a@example.net", "live", "manual"), ("b@example.net", "live", "manual")]),
    ("\ufeffEmail,Reason\na@example.net,hard_bounce\n", [("a@example.net", "live", "hard_bounce")]),
    ("note,address,environment\nn,a@example.net,test\n", [("a@example.net", "test", "manual")]),
    ("email,status,created\na@example.net,550,2020-02-02T02:02:02Z\n", [("a@example.net", "live", "manual")]),
])
def test_imports_accept_several_csv_layouts(stopped, tmp_path, text, expected):
    file = tmp_path / "list.csv"
    file.write_text(text)
    stopped.run("suppressions", "import", file)
    assert [(e["address"], e["environment"], e["reason"]) for e in listed(stopped)] == expected


def test_import_options_supply_what_the_file_leaves_out(stopped, tmp_path):
    file = tmp_path / "list.csv"
    file.write_text("email,state,origin\na@example.net,1,2\n")
    done = stopped.run("suppressions", "import", file, "--environment", "test", "--reason", "hard_bounce")
    assert "ignored: state, origin" in done.stderr and "Imported 1 address." in done.stderr
    assert [(e["environment"], e["reason"]) for e in listed(stopped)] == [("test", "hard_bounce")]
    # The more serious reason is kept.
    stopped.run("suppressions", "import", file, "--environment", "test", "--reason", "complaint")
    stopped.run("suppressions", "import", file, "--environment", "test", "--reason", "manual")
    assert [e["reason"] for e in listed(stopped)] == ["complaint"]


def test_nothing_is_imported_unless_all_lines_are_right(stopped):
    lines = ["address,reason,created_at", "a@example.net,manual,", "nobody,manual,", "b@example.net,spam,",
             "c@example.net,manual,yesterday", '"d@example.net"x,manual,', "e@example.net,manual,,,", "f@example.net"]
    text = "\n".join(lines) + "\n"
    refused = stopped.run("suppressions", "import", "-", input=text, check=False)
    assert refused.returncode == 1 and not refused.stdout
    told = [line for line in refused.stderr.splitlines() if line.startswith("line ")]
    assert [line.split(":")[0] for line in told] == [f"line {number}" for number in (3, 4, 5, 6, 7)]
    assert not listed(stopped)
    done = stopped.run("suppressions", "import", "-", "--skip-invalid", "--json", input=text)
    assert '"invalid":5' in done.stdout and '"added":2' in done.stdout
    assert [e["address"] for e in listed(stopped)] == ["a@example.net", "f@example.net"]


def test_import_mistakes_are_reported_up_to_a_limit(stopped):
    refused = stopped.run("suppressions", "import", "-", input="nobody\n" * 5000, check=False)
    assert refused.returncode == 1 and "4,900" in refused.stderr
    assert refused.stderr.count("line ") == 100


def test_an_open_quote_is_never_skipped(stopped):
    text = 'a@example.net\n"b@example.net\n' + "c@example.net\n" * 5000
    refused = stopped.run("suppressions", "import", "-", "--skip-invalid", input=text, check=False)
    assert refused.returncode == 1 and mentions(refused.stderr, "line 2: ", "quote", "closed")
    assert not listed(stopped)


def test_importing_a_missing_file_is_an_error(stopped, tmp_path):
    for path in [tmp_path / "none.csv", tmp_path]:
        refused = stopped.run("suppressions", "import", path, check=False)
        assert refused.returncode == 1 and str(path) in refused.stderr


def test_a_hundred_thousand_addresses_are_imported_and_exported(own_relay, tmp_path):
    relay = own_relay()
    key = relay.create_key()
    file = tmp_path / "list.csv"
    file.write_text("".join(f"User{number}@example{number % 100}.net\n" for number in range(100_000)))
    assert relay.json("suppressions", "import", file, "--environment", "test") == [
        {"read": 100_000, "added": 100_000, "already_listed": 0, "invalid": 0}]
    exported = relay.run("suppressions", "export").stdout
    rows = list(csv.DictReader(io.StringIO(exported, newline="")))
    assert len(rows) == len({row["address"] for row in rows}) == 100_000
    assert rows == sorted(rows, key=lambda row: row["address"].lower())
    relay.wait_for_state(submit(relay, key, message("x"), ["user4711@EXAMPLE11.net"]), "suppressed")
    assert relay.json("suppressions", "import", "-", input=exported)[0]["already_listed"] == 100_000


# -- over HTTP

@pytest.fixture
def api(own_relay):
    relay = own_relay(HTTP)
    with API(relay, relay.create_key(per_second=1000)) as api:
        api.relay = relay
        yield api


def test_an_entry_over_http(api):
    created = api.post(PATH, {"email": "Ann+X@Example.net", "note": "asked"})
    assert created.status == 201, created
    assert created.json == {
        "email": "Ann+X@example.net", "reason": "manual", "created_at": created.json["created_at"], "messageId": None,
        "note": "asked"}
    where = created.fields["Location"]
    assert api.get(where).json == created.json
    assert api.get(place("ann+x@EXAMPLE.NET")).json == created.json
    assert api.get(f"{PATH}/ann+x@example.net").json == created.json
    again = api.post(PATH, {"email": "ann+x@example.net", "reason": "manual", "note": "another"})
    assert again.status == 200 and again.json == created.json and "Location" not in again.fields
    weightier = api.post(PATH, {"email": "ann+x@example.net", "reason": "hard_bounce"})
    assert weightier.status == 200 and weightier.json["reason"] == "hard_bounce"
    assert weightier.json["created_at"] == created.json["created_at"]
    message_id = taken(api.send({**EMAIL, "to": "ANN+x@example.net"}))
    api.relay.wait_for_state(message_id[4:], "suppressed")
    removed = api.request("DELETE", place("ANN+X@example.net"))
    assert removed.status == 204 and removed.octets == b""
    for answer in [api.get(where), api.request("DELETE", where)]:
        assert answer.status == 404 and answer.code == "not-found"


def test_a_complaint_over_http(api):
    address = f"complaint@{SIMULATOR}"
    message_id = taken(api.send({**EMAIL, "to": address}))
    entry = api.relay.wait_until(
        lambda: (a := api.get(place(address))).status == 200 and a.json, "the address is suppressed")
    assert entry["reason"] == "complaint" and entry["messageId"] == message_id
    for query in ["", "?confirm=false"]:
        refused = api.request("DELETE", place(address) + query)
        assert refused.status == 409 and refused.code == "complaint" and "confirm=true" in refused.json["detail"]
    assert api.request("DELETE", place(address) + "?confirm=yes").status == 422
    assert api.request("DELETE", place(address) + "?confirm=true").status == 204
    assert api.get(place(address)).status == 404


def test_pages_over_http(api):
    addresses = sorted(f"user{number}?&=/~@example.net" for number in range(25))
    text = "address,environment,reason\n" + "".join(
        f"{a},test,{'hard_bounce' if n % 2 else 'manual'}\n" for n, a in enumerate(addresses))
    api.relay.run("suppressions", "import", "-", input=text)
    api.relay.run("suppressions", "add", "live@example.net")
    found, cursor = [], None
    while True:
        page = api.get(f"{PATH}?limit=10" + (f"&cursor={cursor}" if cursor else "")).json
        found += [entry["email"] for entry in page["data"]]
        if not (cursor := page["next_cursor"]):
            break
        assert len(page["data"]) == 10
    assert found == addresses
    assert len(api.get(f"{PATH}?reason=hard_bounce").json["data"]) == 12
    assert [e["email"] for e in api.get(f"{PATH}?search=USER7%3F").json["data"]] == ["user7?&=/~@example.net"]
    assert api.get(place("live@example.net")).status == 404
    assert api.get(place("user7?&=/~@example.net")).status == 200


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "cursor=!", "reason=spam", "search=", "page=2", "limit=1&limit=2", "%"])
def test_queries_that_are_wrong(api, query):
    answer = api.get(f"{PATH}?{query}")
    assert answer.status == 422 and answer.code == "invalid"


@pytest.mark.parametrize("body, code, pointer, parts", [
    ({}, "invalid", "#/email", ["required"]), ({"email": "nobody"}, "address", "#/email", ["@"]),
    ({"email": ["a@example.net"]}, "invalid", "#/email", ["an array"]),
    ({"email": "a@example.net", "reason": "hard bounce"}, "invalid", "#/reason", ['"hard_bounce"']),
    ({"email": "a@example.net", "note": "a\u0000b"}, "invalid", "#/note", ["control"]),
    ({"email": "a@example.net", "comment": "x"}, "invalid", "#/comment", ['"comment"', '"note"']),
])
def test_bodies_that_are_wrong(api, body, code, pointer, parts):
    answer = api.post(PATH, body)
    assert answer.status == 422 and answer.code == code, answer
    assert mentions({error["pointer"]: error["detail"] for error in answer.json["errors"]}[pointer], *parts)
    assert not listed(api.relay)


def test_refusals_over_http(api):
    assert api.post(PATH, "{").status == 400
    assert api.post(PATH, "{}", Content_Type="text/plain").status == 415
    assert api.post(PATH, b" " * 70_000).status == 413
    answer = api.request("PUT", PATH, {})
    assert answer.status == 405 and answer.fields["Allow"] == "GET, HEAD, POST"
    with API(api.relay, api.relay.create_key(scopes=("email:webhooks",))) as other:
        for method, path in [("GET", PATH), ("POST", PATH), ("GET", place("a@b.c")), ("DELETE", place("a@b.c"))]:
            assert other.request(method, path, {} if method == "POST" else None).status == 403
    assert not listed(api.relay)


def test_changes_are_logged_without_addresses(api):
    api.post(PATH, {"email": "secret.name@example.net"})
    api.request("DELETE", place("secret.name@example.net"))
    api.relay.wait_for_log("suppression added", "suppression removed")
    assert "secret.name" not in api.relay.log_text()
