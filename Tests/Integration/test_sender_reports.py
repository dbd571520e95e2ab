"""Reports by mail to the senders of messages that did not arrive. Python and Perl read them. And reports can't cause a loop."""

import email
import email.policy
import email.utils
import json
import signal
import subprocess

import pytest

from http_api import API, EMAIL, HTTP, taken
from relay import DEADLINE, key_id
from ses import CREDENTIALS, REGION
from ses_standin import Answer, SESStandIn, error
from submit import submit

BOUNCE = "bounce@simulator.amazonses.com"
COMPLAINT = "complaint@simulator.amazonses.com"
ON = {"bounces.from": "Bounces@relay.example.com", "bounces.for_events": True}
REJECTED = error(400, "MessageRejected", "Virus found.\r\nFinal-Recipient: rfc822; x@y")


@pytest.fixture
def ses():
    with SESStandIn() as ses:
        yield ses


@pytest.fixture
def simulated(own_relay):
    return own_relay(ON)


@pytest.fixture
def live(own_relay, ses):
    return own_relay(
        {"ses.region": REGION, "ses.endpoint": ses.url, "delivery.retry_first": "1s", **HTTP, **ON}, CREDENTIALS)


def message(subject="Invoice", fields="", sender="from@example.com"):
    return (f"From: {sender}\r\nSubject: {subject}\r\nMessage-ID: <invoice@example.com>\r\n{fields}\r\n"
            "the body\r\n").encode()


def reports(relay):
    """The messages that are reports, the newest first, with those that a client has submitted again.

    A report has a null reverse-path.
    """
    listed = relay.json("messages", "list")
    subjects = {message["subject"] for message in listed if not message["from"]} - {"quiet"}
    return [message for message in listed if message["subject"] in subjects]


def report_of(relay, ses=None, count=1):
    """The newest report that was sent, and its octets.

    With `ses`, the octets come from SES, because the relay keeps none of a live report.
    """
    found = relay.wait_until(
        lambda: [r for r in [reports(relay)] if len(r) >= count and r[0]["state"] in ("sent", "simulated")], "a report")[0]
    assert len(found) == count
    return found[0], ses.taken[-1].raw if ses else relay.raw(found[0]["id"])


def no_report(relay, key):
    """Asserts that earlier failures caused no report.

    It causes a failure that is reported: an earlier report would come before that one.
    """
    submit(relay, key, message("told"), [BOUNCE], sender="told@example.com")
    report, octets = report_of(relay)
    assert parsed(octets)["To"] == "told@example.com"


def parsed(octets):
    """The report as Python reads it. Asserts that the report and its parts have no defects."""
    found = email.message_from_bytes(octets, policy=email.policy.default)
    for part in found.walk():
        assert not part.defects, (part.get_content_type(), part.defects)
        for name, value in part.items():
            assert not getattr(value, "defects", ()), (name, value.defects)
    assert b"\n" not in octets.replace(b"\r\n", b"") and b"\r" not in octets.replace(b"\r\n", b"")
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    return found


def groups(report):
    """The fields about the message, and the fields about each recipient."""
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    status = list(report.iter_parts())[1]
    assert status.get_content_type() == "message/delivery-status"
    about, *recipients = status.get_payload()
    return about, [recipient for recipient in recipients if recipient.items()]


PERL = r"""
use Mail::DeliveryStatus::BounceParser;
use JSON::PP;
local $/;
my $bounce = Mail::DeliveryStatus::BounceParser->new(<STDIN>);
print encode_json({
    is_bounce => $bounce->is_bounce ? 1 : 0, message_id => $bounce->orig_message_id,
    reports => [map { my $r = $_; +{ map { $_ => $r->get($_) } qw(email reason std_reason status action) } } $bounce->reports],
});
"""


def by_perl(octets):
    # With LF as line end, as in a mailbox on Unix.
    result = subprocess.run(["perl", "-e", PERL], input=octets.replace(b"\r\n", b"\n"), capture_output=True, timeout=DEADLINE)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


# -- the content of a report

def test_a_bounce_of_a_test_key_leads_to_a_simulated_report(simulated):
    key = simulated.create_key("test")
    original = submit(simulated, key, message(), [BOUNCE], sender="app@example.com")
    record, octets = report_of(simulated)
    assert record["state"] == "simulated" and record["environment"] == "test" and record["key"] == key_id(key)
    shown = simulated.message(record["id"])
    assert not shown["from"] and shown["deliveries"][0]["recipients"] == ["app@example.com"]

    report = parsed(octets)
    name, address = email.utils.parseaddr(report["From"])
    assert name and address == "Bounces@relay.example.com" and report["To"] == "app@example.com"
    assert report["Subject"] and report["Subject"] == record["subject"] and report["Auto-Submitted"] == "auto-replied"
    assert report["In-Reply-To"] == report["References"] == "<invoice@example.com>"
    assert report["Message-ID"] == f"<{record['id']}.{key_id(key)}@relay.example.com>"
    assert email.utils.parsedate_to_datetime(report["Date"])
    about, (recipient,) = groups(report)
    assert about["Reporting-MTA"] == "dns; relay.example.com"
    assert about["X-Hiveku-Relay-Message-ID"] == original
    assert recipient["Final-Recipient"] == f"rfc822; {BOUNCE}" and recipient["Action"] == "failed"
    assert recipient["Status"] == "5.1.1" and recipient["Diagnostic-Code"].startswith("smtp; 550 5.1.1 ")
    text, _, header = report.iter_parts()
    words = text.get_content()
    assert BOUNCE in words and "550 5.1.1" in words and "Invoice" in words and original in words
    assert header.get_content_type() == "text/rfc822-headers"
    lines = header.get_payload()
    assert "Subject: Invoice" in lines and "Message-ID: <invoice@example.com>" in lines and "the body" not in lines


def test_another_program_reads_the_report(simulated):
    submit(simulated, simulated.create_key("test"), message(), [BOUNCE], sender="app@example.com")
    read = by_perl(report_of(simulated)[1])
    assert read["is_bounce"] and read["message_id"].strip() == "<invoice@example.com>"
    (report,) = read["reports"]
    assert report["email"] == BOUNCE and report["std_reason"] == "user_unknown" and "550 5.1.1" in report["reason"]
    assert report["status"].startswith("5.1.1") and report["action"] == "failed"


def test_all_recipients_that_failed_are_in_one_report(simulated):
    recipients = [f"bounce+{number}@simulator.amazonses.com" for number in range(60)] + ["success@simulator.amazonses.com"]
    submit(simulated, simulated.create_key("test", per_second=1000), message(), recipients, sender="app@example.com")
    record, octets = report_of(simulated)
    _, told = groups(parsed(octets))
    assert [group["Final-Recipient"] for group in told] == [f"rfc822; {recipient}" for recipient in recipients[:60]]
    assert {report["email"] for report in by_perl(octets)["reports"]} == set(recipients[:60])


def test_a_suppressed_recipient_is_reported_to_the_sender(simulated):
    key = simulated.create_key("test")
    simulated.run("suppressions", "add", "gone@example.net", "--environment", "test")
    submit(simulated, key, message(), ["gone@example.net", "here@example.net"], sender="app@example.com")
    _, octets = report_of(simulated)
    _, (recipient,) = groups(parsed(octets))
    assert recipient["Final-Recipient"] == "rfc822; gone@example.net" and recipient["Status"] == "5.7.1"
    assert "hiveku-relay suppressions remove" in next(parsed(octets).iter_parts()).get_content()
    assert by_perl(octets)["reports"][0]["email"] == "gone@example.net"


def test_a_failed_delivery_is_reported_to_the_sender(live, ses):
    key = live.create_key("live")
    ses.script.append(REJECTED)
    original = submit(live, key, message(), ["a@example.net"], sender="app@example.com")
    live.wait_for_state(original, "failed")
    record, octets = report_of(live, ses)
    assert record["state"] == "sent" and record["environment"] == "live"
    _, (recipient,) = groups(parsed(octets))
    assert recipient["Final-Recipient"] == "rfc822; a@example.net" and recipient["Status"] == "5.0.0"
    assert "MessageRejected" in recipient["Diagnostic-Code"] and recipient["Diagnostic-Code"].startswith("x-hiveku-relay; ")
    (sent,) = ses.taken
    # A report has the null reverse-path. So SES gets no address for reports about the report.
    assert sent.recipients == ("app@example.com",) and sent.raw == octets and sent.feedback is None
    assert by_perl(octets)["reports"][0]["email"] == "a@example.net"


def test_a_report_does_not_count_towards_a_keys_usage(live, ses):
    key = live.create_key("live", per_day=1)
    ses.script.append(REJECTED)
    submit(live, key, message(), ["a@example.net"], sender="app@example.com")
    report_of(live, ses)
    (usage,) = [record for record in live.json("keys", "list") if record["id"] == key_id(key)]
    assert usage["emails_today"] == usage["emails_total"] == 1


# -- no report

def test_no_reports_are_sent_unless_bounces_from_is_set(own_relay):
    relay = own_relay()
    key = relay.create_key("test")
    relay.wait_for_state(submit(relay, key, message(), [BOUNCE]), "simulated")
    relay.write_settings(ON)
    relay.process.send_signal(signal.SIGHUP)
    relay.wait_for_log("settings changed")
    # A failure before the change of the setting is not reported.
    submit(relay, key, message("second"), ["bounce+2@simulator.amazonses.com"])
    _, octets = report_of(relay)
    assert f"rfc822; bounce+2@simulator.amazonses.com" == groups(parsed(octets))[1][0]["Final-Recipient"]
    relay.write_settings({})
    relay.process.send_signal(signal.SIGHUP)
    relay.wait_until(lambda: relay.log_text().count("settings changed") == 2, "the settings have changed")
    relay.wait_for_state(submit(relay, key, message("third"), ["bounce+3@simulator.amazonses.com"]), "simulated")
    assert len(reports(relay)) == 1


def test_bounces_are_reported_only_if_configured(own_relay):
    relay = own_relay({"bounces.from": "bounces@example.com"})
    key = relay.create_key("test")
    relay.wait_for_state(submit(relay, key, message(), [BOUNCE]), "simulated")
    # The bounce has put the address on the list of suppressions. A suppressed recipient is always reported to the sender.
    submit(relay, key, message("second"), [BOUNCE], sender="told@example.com")
    _, octets = report_of(relay)
    report = parsed(octets)
    assert report["To"] == "told@example.com" and groups(report)[1][0]["Status"] == "5.7.1"


REPORT = ("Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
          "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nno\r\n--b--\r\n")


@pytest.mark.parametrize("sender, fields", [
    ("", ""), ("app@example.com", "Auto-Submitted: auto-generated\r\n"),
    ("app@example.com", "Auto-Submitted: auto-replied (vacation)\r\n"), ("app@example.com", "Precedence: bulk\r\n"),
    ("app@example.com", "List-Unsubscribe: <https://example.com/>\r\n"), ("app@example.com", "List-Id: <a.example.com>\r\n"),
    ("app@example.com", "X-Auto-Response-Suppress: All\r\n"), ("app@example.com", REPORT), ("", REPORT),
])
def test_bounces_of_automatic_mail_are_not_reported(simulated, sender, fields):
    key = simulated.create_key("test")
    quiet = submit(simulated, key, message("quiet", fields), ["bounce+1@simulator.amazonses.com"], sender=sender)
    simulated.wait_for_state(quiet, "simulated")
    assert simulated.message(quiet)["statuses"][0]["status"] == "bounced"
    no_report(simulated, key)


def test_a_report_that_bounces_is_not_reported(simulated):
    key = simulated.create_key("test")
    submit(simulated, key, message(), [BOUNCE], sender="bounce+sender@simulator.amazonses.com")
    record, octets = report_of(simulated)
    assert simulated.message(record["id"])["statuses"][0]["status"] == "bounced"
    # A gateway that forwards everything may submit the report again, unchanged. This causes no other report.
    for sender in ("", "app@example.com"):
        again = submit(simulated, key, octets, ["bounce+again@simulator.amazonses.com"], sender=sender)
        simulated.wait_for_state(again, "simulated", "suppressed")
    submit(simulated, key, message("told"), ["bounce+told@simulator.amazonses.com"], sender="told@example.com")
    told = simulated.wait_until(
        lambda: [r for r in reports(simulated) if simulated.message(r["id"])["deliveries"][0]["recipients"] == ["told@example.com"]],
        "the report that is due")
    assert len(told) == 1
    # The report that is due, the first one, and the two that were submitted again.
    assert len(reports(simulated)) == 4


def test_a_complaint_causes_no_report(simulated):
    key = simulated.create_key("test")
    simulated.wait_for_state(submit(simulated, key, message(), [COMPLAINT]), "simulated")
    no_report(simulated, key)


@pytest.mark.parametrize("sender", ["root@printer", "app@host.local", "app@[192.0.2.1]"])
def test_no_report_is_sent_to_an_unreachable_sender(simulated, sender):
    key = simulated.create_key("test")
    submit(simulated, key, message(), [BOUNCE], sender=sender)
    simulated.wait_for_log("failures can't be reported to the envelope sender")
    assert not reports(simulated)


def test_a_message_dropped_by_an_operator_is_not_reported(own_relay, ses):
    ses.answer = error(500, "InternalServiceErrorException")
    relay = own_relay({"ses.region": REGION, "ses.endpoint": ses.url, "delivery.retry_first": "1h", **ON}, CREDENTIALS)
    key = relay.create_key("live")
    dropped = submit(relay, key, message(), ["a@example.net"], sender="app@example.com")
    relay.wait_until(lambda: relay.message(dropped)["deliveries"][0]["history"], "the first attempt")
    relay.run("messages", "drop", dropped)
    relay.wait_for_state(dropped, "failed")
    no_report(relay, relay.create_key("test"))


# -- after a kill, over HTTP, and in doctor

def test_a_report_that_is_due_survives_a_kill(own_relay, ses):
    relay = own_relay({"ses.region": REGION, "ses.endpoint": ses.url, **ON}, CREDENTIALS)
    key = relay.create_key("live", per_second=1000)
    ses.answer = REJECTED
    failed = [submit(relay, key, message(f"n{number}"), ["a@example.net"], sender="app@example.com") for number in range(5)]
    for message_id in failed:
        relay.wait_for_state(message_id, "failed")
    relay.stop(signal.SIGKILL)
    ses.answer = Answer()
    relay.start()
    relay.wait_until(
        lambda: [r for r in [reports(relay)] if len(r) >= 5 and all(m["state"] == "sent" for m in r)], "the reports")
    about = [groups(parsed(sent.raw))[0]["X-Hiveku-Relay-Message-ID"] for sent in ses.taken]
    assert sorted(about) == sorted(failed)


def test_the_from_address_of_an_http_message_gets_the_report(live, ses):
    ses.script.append(REJECTED)
    with API(live, live.create_key("live")) as api:
        assert taken(api.send())
    _, octets = report_of(live, ses)
    assert parsed(octets)["To"] == EMAIL["from"]


def test_doctor_says_whether_senders_get_reports(own_relay):
    def found(relay):
        checks = json.loads(relay.run("doctor", "--json", check=False).stdout)["checks"]
        return [(check["outcome"], check["found"]) for check in checks if check["name"] == "bounces"]

    (outcome, words), = found(own_relay(start=False))
    assert outcome == "ok" and "bounces.from" in words
    (outcome, words), (warning, _) = found(own_relay(ON, start=False))
    assert outcome == "ok" and "Bounces@relay.example.com" in words and warning == "warning"
