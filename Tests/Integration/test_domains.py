"""Domains: for live keys they are identities of SES, for test keys they are rows of the store. DNS has their records."""

import json
import subprocess
import threading

import pytest

import names
import ses
import sqs
from http_api import API, HTTP
from relay import BINARY, DEADLINE, clean_environment, key_id
from wording import mentions

PATH = "/v1/email/domains"
SCOPES = ("email:domains",)


@pytest.fixture
def dns():
    with names.serving() as dns:
        yield dns


@pytest.fixture
def identities():
    with ses.serving() as identities:
        yield identities


def live_settings(identities):
    return {**HTTP, "ses.region": ses.REGION, "ses.endpoint": identities.url}


@pytest.fixture
def live(own_relay, identities, dns):
    relay = names.asks(own_relay(live_settings(identities), ses.CREDENTIALS, start=False), dns)
    relay.start()
    with API(relay, relay.create_key("live", SCOPES)) as api:
        yield api


@pytest.fixture
def relay(own_relay):
    return own_relay(HTTP)


def add(api, name):
    answer = api.post(PATH, {"name": name})
    assert answer.status == 201, answer
    assert answer.fields["Location"] == f"{PATH}/{answer.json['name']}"
    return answer.json


def statuses(domain):
    return [record["status"] for record in domain["records"]]


def command(relay, *arguments, dns=None, **options):
    """Runs a command like Relay.run. With `dns`, the command asks that DNS server."""
    prefix = [*dns.prefix, str(relay.directory / "resolv-of-command.conf")] if dns else []
    return subprocess.run(
        [*prefix, BINARY, "domains", *arguments, "--config", str(relay.config)], capture_output=True, text=True, timeout=DEADLINE,
        env=clean_environment(relay.environment), **options)


# -- live keys


def test_a_domain_is_added_set_up_and_verified(live, identities, dns):
    domain = add(live, "Example.COM")
    assert (domain["name"], domain["status"], domain["sending_enabled"], domain["created_at"]) == ("example.com", "pending", False, None)
    tokens = identities.identities["example.com"]["DkimAttributes"]["Tokens"]
    assert [(r["type"], r["name"], r["value"], r["required"]) for r in domain["records"]] == [
        *(("CNAME", f"{token}._domainkey.example.com", f"{token}.dkim.{ses.REGION}.amazonses.com", True) for token in tokens),
        ("TXT", "example.com", "v=spf1 include:amazonses.com ~all", False),
        ("TXT", "_dmarc.example.com", "v=DMARC1; p=none;", False)]
    assert statuses(domain) == ["missing"] * 5
    dns.set_all(domain)
    shown = live.get(f"{PATH}/example.com").json
    assert statuses(shown) == ["found"] * 5 and shown["status"] == "pending"
    identities.found("example.com")
    verified = live.post(f"{PATH}/example.com/verify").json
    assert (verified["status"], verified["sending_enabled"]) == ("verified", True)
    again = live.post(PATH, {"name": "example.com"})
    assert again.status == 200 and again.json == verified and "Location" not in again.fields


def test_found_wrong_and_unknown_dns_records_are_distinguished(live, dns):
    domain = add(live, "example.com")
    first, second, third = (record["name"] for record in domain["records"][:3])
    dns.set("CNAME", first, domain["records"][0]["value"].upper() + ".")
    dns.set("CNAME", second, "elsewhere.example")
    dns.failing.add(third)
    long = "v=spf1 include:_spf.example.net " + "ip4:192.0.2.1 " * 60 + "-all"
    dns.set("TXT", "example.com", "site-verification=abc", long)
    dns.set("TXT", "_dmarc.example.com", "v=DMARC1; p=quarantine; rua=mailto:dmarc@example.com")
    found = live.get(f"{PATH}/example.com").json["records"]
    assert [record["status"] for record in found] == ["found", "wrong", "unknown", "wrong", "found"]
    assert found[1]["found"] == ["elsewhere.example"] and found[1]["reason"] is None
    assert found[2]["found"] == [] and "DNS server" in found[2]["reason"]
    # The long record came over TCP, in several strings. The proposed value keeps all of it.
    assert found[3]["found"] == [long] and "amazonses.com" in found[3]["reason"]
    assert found[3]["value"] == long.replace("v=spf1 ", "v=spf1 include:amazonses.com ")
    dns.set("TXT", "example.com", "v=spf1 include:amazonses.com ~all", "v=spf1 -all")
    two = live.get(f"{PATH}/example.com").json["records"][3]
    assert two["status"] == "wrong" and len(two["found"]) == 2 and "2 SPF records" in two["reason"]


def test_a_mail_from_domain_needs_its_records(live, identities, dns):
    identities.verify("example.com", MailFromAttributes={
        "MailFromDomain": "bounce.example.com", "MailFromDomainStatus": "PENDING", "BehaviorOnMxFailure": "USE_DEFAULT_VALUE"})
    dns.set("MX", "bounce.example.com", f"10 feedback-smtp.{ses.REGION}.amazonses.com")
    domain = live.get(f"{PATH}/example.com").json
    records = {record["purpose"]: record for record in domain["records"]}
    # If SES names no zone, the record points to the classic zone.
    assert records["dkim"]["value"] == "c.dkim.amazonses.com"
    assert (records["mail_from"]["name"], records["mail_from"]["status"]) == ("bounce.example.com", "found")
    assert (records["spf"]["name"], records["spf"]["required"], records["spf"]["status"]) == ("bounce.example.com", True, "missing")


@pytest.mark.parametrize("state, status", [
    ("PENDING", "pending"), ("SUCCESS", "verified"), ("FAILED", "failed"), ("TEMPORARY_FAILURE", "temporary_failure"),
    ("NOT_STARTED", "not_started")])
def test_each_ses_verification_state_is_mapped_to_a_status(live, identities, state, status):
    identities.verify("example.com", verified=state == "SUCCESS", VerificationStatus=state)
    assert live.get(f"{PATH}/example.com").json["status"] == status
    assert live.get(PATH).json["data"][0]["status"] == status


def test_a_domain_name_is_the_same_in_unicode_and_punycode(live, identities):
    domain = add(live, "Bücher.example")
    assert (domain["name"], domain["unicode_name"]) == ("xn--bcher-kva.example", "bücher.example")
    assert list(identities.identities) == ["xn--bcher-kva.example"]
    assert live.get(f"{PATH}/b%C3%BCcher.example").json["name"] == "xn--bcher-kva.example"


def test_domains_are_listed_by_name_across_all_pages(live, identities):
    identities.page_size = 3
    for number in range(8):
        identities.verify(f"d{7 - number}.example")
    identities.verify("a@d0.example", IdentityType="EMAIL_ADDRESS")
    found, cursor = [], ""
    while cursor is not None:
        page = live.get(f"{PATH}?limit=3" + (f"&cursor={cursor}" if cursor else "")).json
        assert len(page["data"]) <= 3 and all("records" not in domain for domain in page["data"])
        found += [domain["name"] for domain in page["data"]]
        cursor = page["next_cursor"]
    assert found == [f"d{number}.example" for number in range(8)]


@pytest.mark.parametrize("refusal, status, code, words", [
    ((403, "AccessDeniedException", "User: arn:aws:iam::123456789012:user/relay is not authorized"), 502, "ses", "ses:CreateEmailIdentity"),
    ((429, "TooManyRequestsException", "Rate exceeded"), 502, "ses", "requests"),
    ((400, "LimitExceededException", "Too many"), 409, "domain-limit", "identities"),
    ((400, "BadRequestException", "Invalid domain name"), 422, "invalid", "Invalid domain name"),
    ((500, "InternalFailure", "x"), 502, "ses", "500"),
    ((403, "ExpiredTokenException", "The token is expired"), 502, "ses", "credentials"),
])
def test_a_refusal_by_ses_is_reported(live, identities, refusal, status, code, words):
    identities.refusals["CreateEmailIdentity"] = refusal
    answer = live.post(PATH, {"name": "example.com"})
    assert (answer.status, answer.code) == (status, code) and words in answer.json["detail"], answer
    # The answer does not show the names in the AWS account.
    assert "123456789012" not in answer.octets.decode()
    identities.refusals = {"ListEmailIdentities": refusal}
    assert live.get(PATH).status == status


def test_an_unknown_domain_is_not_found(live):
    for answer in (live.get(f"{PATH}/example.com"), live.post(f"{PATH}/example.com/verify")):
        assert (answer.status, answer.code) == (404, "not-found")


def test_when_ses_is_down_the_answer_says_so(live, identities):
    identities.refusal = (503, "ServiceUnavailableException", "down")
    assert live.get(PATH).code == "ses"
    identities.refusal = None
    assert live.get(PATH).json == {"data": [], "next_cursor": None}


def test_a_hanging_ses_blocks_few_requests_and_they_time_out(own_relay, identities):
    relay = own_relay(live_settings(identities), ses.CREDENTIALS)
    key = relay.create_key("live", SCOPES)
    identities.gate = threading.Event()
    answers = []

    def ask():
        with API(relay, key) as api:
            answers.append(api.get(PATH))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    try:
        # Requests beyond the limit get an answer at once: the client is to come back later.
        relay.wait_until(lambda: len(answers) >= 4, "four requests are refused")
        assert {(answer.status, answer.code) for answer in answers[:4]} == {(503, "busy")}
        assert all(int(answer.fields["Retry-After"]) >= 1 for answer in answers[:4])
        # Test keys get an answer nevertheless, because they do not use SES.
        with API(relay, relay.create_key("test", SCOPES)) as api:
            assert api.get(PATH).status == 200
        # The relay gives up the other requests after 10 s.
        relay.wait_until(lambda: len(answers) == 12, "all requests are answered")
        assert sorted(answer.code for answer in answers) == ["busy"] * 4 + ["ses"] * 8
    finally:
        identities.gate.set()
        for thread in threads:
            thread.join(DEADLINE)


def test_without_a_region_live_domains_are_refused(relay):
    with API(relay, relay.create_key("live", SCOPES)) as api:
        answer = api.get(PATH)
        assert (answer.status, answer.code) == (502, "ses") and "ses.region" in answer.json["detail"]


def test_moto_accepts_the_ses_calls_for_domains(own_relay):
    """Tests the shapes of the calls with a server that other people wrote."""
    with sqs.serving() as url:
        relay = own_relay({**HTTP, "ses.region": ses.REGION, "ses.endpoint": url}, ses.CREDENTIALS)
        result = command(relay, "add", "shop.example", "--zone")
        assert result.returncode == 0, result.stderr
        assert 'TXT "v=spf1 include:amazonses.com ~all"' in result.stdout
        with API(relay, relay.create_key("live", SCOPES)) as api:
            names_ = [domain["name"] for domain in api.get(PATH).json["data"]]
            assert names_ == ["example.com", "shop.example"]


# -- test keys


def test_a_simulated_domain_needs_neither_ses_nor_dns(relay):
    with API(relay, relay.create_key("test", SCOPES)) as api:
        domain = add(api, "example.com")
        assert domain["status"] == "pending" and domain["created_at"] and statuses(domain) == ["missing"] * 5
        assert all(record["value"].endswith(".dkim.simulated.invalid") for record in domain["records"][:3])
        assert api.get(f"{PATH}/example.com").json == domain
        verified = api.post(f"{PATH}/example.com/verify").json
        assert verified["status"] == "verified" and verified["sending_enabled"] and statuses(verified) == ["found"] * 5
        assert api.post(PATH, {"name": "EXAMPLE.com"}).status == 200
        assert [one["name"] for one in api.get(PATH).json["data"]] == ["example.com"]
        assert api.get(f"{PATH}/other.example").code == "not-found"


def test_a_key_can_only_see_add_and_verify_domains_on_its_allowlist(relay):
    everyone = relay.create_key("test", SCOPES)
    tenant = relay.create_key("test", SCOPES, allow_domain=["mine.example", "*.shop.example"])
    with API(relay, everyone) as api:
        for name in ("mine.example", "a.shop.example", "other.example"):
            add(api, name)
    with API(relay, tenant) as api:
        assert [one["name"] for one in api.get(PATH).json["data"]] == ["a.shop.example", "mine.example"]
        assert add(api, "b.shop.example")["status"] == "pending"
        answers = [
            api.get(f"{PATH}/{name}") for name in ("other.example", "nobody.example")] + [
            api.post(f"{PATH}/{name}/verify") for name in ("other.example", "nobody.example")] + [
            api.post(PATH, {"name": name}) for name in ("other.example", "nobody.example", "shop.example")]
        assert {(answer.status, answer.code) for answer in answers} == {(403, "sender-domain")}
        # The answer does not show whether another tenant has the domain.
        assert answers[0].json["detail"].replace("other.example", "nobody.example") == answers[1].json["detail"]
    with API(relay, everyone) as api:
        assert api.get(f"{PATH}/nobody.example").status == 404


def test_other_scopes_are_not_enough(relay):
    with API(relay, relay.create_key("test", ("email:send", "email:batch", "email:webhooks"))) as api:
        assert [(a.status, a.code) for a in (api.get(PATH), api.post(PATH, {"name": "example.com"}))] == [(403, "scope")] * 2


def test_an_invalid_domain_name_is_reported_with_its_json_pointer(relay):
    with API(relay, relay.create_key("test", SCOPES)) as api:
        for body, pointer in [
                ({"name": "a@example.com"}, "#/name"), ({"name": "example"}, "#/name"), ({}, "#/name"), ({"name": 7}, "#/name"),
                ({"name": "example.com", "zone": "x"}, "#/zone")]:
            answer = api.post(PATH, body)
            assert (answer.status, answer.code) == (422, "invalid"), answer
            assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
        assert api.post(PATH, b"{").status == 400
        assert api.post(PATH, b"x" * 70_000).code == "size"
        for query in ("limit=0", "cursor=", "cursor=a%20b", "x=1"):
            assert api.get(f"{PATH}?{query}").code == "invalid"


def test_a_domain_that_is_added_is_in_the_log(relay):
    key = relay.create_key("test", SCOPES)
    with API(relay, key) as api:
        add(api, "example.com")
        api.post(PATH, {"name": "example.com"})
    relay.stop()
    lines = [line for line in relay.log_text().splitlines() if "domain added" in line]
    assert len(lines) == 1 and "domain=example.com" in lines[0] and f"key={key_id(key)}" in lines[0]


# -- commands


def test_the_commands_set_a_domain_up(own_relay, identities, dns):
    relay = own_relay(live_settings(identities), ses.CREDENTIALS, start=False)
    added = command(relay, "add", "bücher.example", dns=dns)
    assert added.returncode == 0 and "bücher.example (xn--bcher-kva.example)" in added.stderr, added.stderr
    assert added.stdout.count("missing") == 5 and mentions(added.stdout, "bücher.example", "pending", "not")
    zone = command(relay, "show", "xn--bcher-kva.example", "--zone", dns=dns)
    assert zone.stderr == "" and len(zone.stdout.splitlines()) == 5
    for line in zone.stdout.splitlines():
        owner, _, type_, value = line.split(" ", 3)
        assert owner.endswith("xn--bcher-kva.example.")
        dns.set(type_, owner[:-1], value.strip('"').removesuffix("."))
    waiting = command(relay, "verify", "bücher.example", dns=dns)
    assert waiting.returncode == 1 and waiting.stdout.count("found") == 5
    identities.found("xn--bcher-kva.example")
    assert command(relay, "verify", "bücher.example", dns=dns).returncode == 0
    again = command(relay, "add", "bücher.example", "--json", dns=dns)
    assert again.returncode == 0 and mentions(again.stderr, "bücher.example (xn--bcher-kva.example)", "already")
    assert json.loads(again.stdout)["status"] == "verified"
    listed = command(relay, "list", "--json", dns=dns)
    assert [json.loads(line)["name"] for line in listed.stdout.splitlines()] == ["xn--bcher-kva.example"]
    assert "bücher.example (xn--bcher-kva.example)  verified  yes" in command(relay, "list").stdout


def test_the_commands_tell_what_is_wrong(own_relay, identities):
    relay = own_relay(live_settings(identities), ses.CREDENTIALS, start=False)
    identities.refusals["CreateEmailIdentity"] = (403, "AccessDeniedException", "no")
    for arguments, status, parts in [
            (["add", "example.com"], 1, ["ses:CreateEmailIdentity", "IAM"]),
            (["show", "example.com"], 1, ["no such domain", "live", "domains list --environment live"]),
            (["add", "a@example.com"], 64, ["address", "example.com"]),
            (["add", "example.com", "--zone", "--json"], 64, ["--zone", "--json"]),
            (["list", "--environment", "prod"], 64, ["prod"])]:
        result = command(relay, *arguments)
        # Only the message counts, not the line about the command's usage.
        told = result.stderr.partition("Usage:")[0]
        assert (result.returncode, result.stdout) == (status, "") and mentions(told, *parts), result
    relay.write_settings(HTTP)
    assert "ses.region" in command(relay, "list").stderr


def test_the_commands_and_the_api_have_the_same_simulated_domains(relay):
    assert command(relay, "add", "example.com", "--environment", "test").returncode == 0
    with API(relay, relay.create_key("test", SCOPES)) as api:
        assert api.get(f"{PATH}/example.com").json["status"] == "pending"
        assert command(relay, "verify", "example.com", "--environment", "test").returncode == 0
        assert api.get(f"{PATH}/example.com").json["status"] == "verified"
