"""The operator's page in a browser: an operator's work, from the first key to the last message."""

import json
import re
import smtplib
import ssl
import subprocess
import threading

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from browser import Page
from operator_page import PAGE
from receivers import Receiver
from relay import DEADLINE
import names
import ses as identities_of_ses
from ses import CREDENTIALS, REGION
from ses_standin import SESStandIn, slow
from sqs import event
from sqs_standin import SQSStandIn
from submit import session, submit
from wording import mentions


@pytest.fixture
def relay(own_relay):
    return own_relay({**PAGE, "webhooks.private_networks": ["127.0.0.0/8"]})


@pytest.fixture(params=["script", "no script"])
def either(request, relay):
    """The page in a browser that runs its script, and in a browser that does not."""
    name = "chromium" if request.param == "script" else "chromium_without_script"
    return Page(request.getfixturevalue(name), relay, has_script=request.param == "script").sign_in()


@pytest.fixture
def page(chromium, relay):
    return Page(chromium, relay).sign_in()


def swaks(relay, key, recipient, subject):
    result = subprocess.run(
        ["swaks", "--server", "127.0.0.1", "--port", str(relay.ports["smtp"]), "--tls", "--auth", "PLAIN", "--auth-user", "apikey",
         "--auth-password", key, "--from", "shop@example.com", "--to", recipient, "--header", f"Subject: {subject}"],
        capture_output=True, text=True, timeout=DEADLINE)
    assert result.returncode == 0, result.stdout + result.stderr


def shown_secret(page):
    return page.all(".copy code")[0].text


def name_of(key):
    """The public id of a key."""
    return key[8:16]


def create(page, name, **fields):
    """Creates a key on the page. Returns its secret."""
    page.open("/keys/new").send("/keys", name=name, **fields)
    assert name in page.heading() and page.all(".important"), page.text()
    return shown_secret(page)


def is_taken(relay, key):
    try:
        with session(relay, key):
            return True
    except smtplib.SMTPAuthenticationError:
        return False


# -- keys


def test_a_key_is_shown_once(either, relay):
    either.link("Create a key")
    either.send("/keys", name="Web shop", per_second="2.5", domains="example.com")
    key = shown_secret(either)
    assert key.startswith("hk_test_") and is_taken(relay, key)
    lines = [code.text for code in either.all(".copy code")]
    assert any(line.startswith("swaks --server ") and key in line for line in lines)
    either.driver.refresh()
    assert "once" in either.heading() and not either.all(".copy code"), either.text()
    assert key not in either.driver.page_source
    either.driver.back()
    assert key not in either.driver.page_source
    record = relay.json("keys", "list")
    assert [(one["name"], one["domains"]) for one in record] == [("Web shop", ["example.com"])]
    either.open("/keys").shows("Web shop", "hk_test_" + name_of(key), "Limits 2.5/s", "Domains example.com")


def test_submitting_the_key_form_twice_creates_one_key(page, relay):
    page.open("/keys/new")
    form = page.fill("/keys", name="Twice")
    document = page.one("html")
    # The form is sent twice before the first answer arrives.
    page.driver.execute_script("const form = arguments[0]; form.requestSubmit(); form.requestSubmit();", form)
    page.arrives(document)
    assert is_taken(relay, shown_secret(page))
    assert [key["name"] for key in relay.json("keys", "list")] == ["Twice"]


def test_form_mistakes_are_shown_and_the_input_is_kept(either, relay):
    key = relay.create_key(name="Reports")
    either.open(f"/keys/{name_of(key)}").unfold("rules")
    either.send("/rules", name="Reports 2", per_second="many", domains="example.com\nnot a domain!", scope=["email:send", "email:batch"])
    shown = either.text()
    assert mentions(either.one(".mistake").text, "10", "0.5"), shown
    form = either.form("/rules")
    assert form.find_element(By.NAME, "per_second").get_attribute("value") == "many"
    assert form.find_element(By.NAME, "name").get_attribute("value") == "Reports 2"
    assert form.find_element(By.NAME, "domains").get_attribute("value") == "example.com\nnot a domain!"
    assert relay.json("keys", "show", name_of(key))[0]["name"] == "Reports"
    either.send("/rules", per_second="7")
    assert "domain" in either.one(".mistake").text
    either.send("/rules", domains="example.com", per_day="500", expires="2099-12-31")
    either.did("rules")
    changed = relay.json("keys", "show", name_of(key))[0]
    assert (changed["name"], changed["scopes"], changed["domains"]) == ("Reports 2", ["email:batch", "email:send"], ["example.com"])
    assert changed["expires_at"].startswith("2099-12-31T00:00:00")


def test_both_secrets_work_after_a_rotation_with_grace(either, relay):
    old = create(either, "Rotated")
    either.link("Open the key's page")
    either.unfold("rotate")
    either.send("/rotate", grace="3600")
    assert re.search(r"old secret.*\d\d:\d\d UTC", either.text()), either.text()
    new = shown_secret(either)
    assert new != old and is_taken(relay, old) and is_taken(relay, new)
    either.open(f"/keys/{name_of(old)}").unfold("rotate")
    either.send("/rotate", grace="0")
    newest = shown_secret(either)
    assert [is_taken(relay, key) for key in (old, new, newest)] == [False, False, True]


def test_a_key_is_revoked_when_its_name_is_typed_and_a_connected_client_is_refused(either, relay):
    key = create(either, "Old printer")
    context = ssl.create_default_context(cafile=str(relay.certificate))
    with smtplib.SMTP_SSL("localhost", relay.ports["smtps"], timeout=DEADLINE, context=context) as client:
        client.login("apikey", key)
        assert client.mail("printer@example.com")[0] == 250 and client.rset()[0] == 250
        either.open(f"/keys/{name_of(key)}").unfold("revoke")
        form = either.fill("/revoke", confirm="old printer", queued="hold")
        button = form.find_element(By.TAG_NAME, "button")
        if either.has_script:
            assert not button.is_enabled()
        else:
            either.press(button)
            assert "name" in either.one(".mistake").text
        assert is_taken(relay, key)
        either.send("/revoke", confirm="Old printer")
        either.did("revoked").shows("revoked")
        with pytest.raises(smtplib.SMTPException):
            client.sendmail("printer@example.com", ["to@example.net"], "Subject: late\r\n\r\nlate\r\n")
    assert not is_taken(relay, key)
    assert not either.all("form[action$='/rules'], form[action$='/test']")


def test_the_relay_checks_the_typed_name_itself_before_it_revokes_a_key(page, relay):
    """The script only disables the button. The relay itself compares the name."""
    key = create(page, "Guarded")
    page.open(f"/keys/{name_of(key)}").unfold("revoke")
    form = page.fill("/revoke", confirm="something else")
    document = page.one("html")
    page.driver.execute_script("arguments[0].submit()", form)
    page.arrives(document)
    assert "name" in page.one(".mistake").text
    assert is_taken(relay, key)


# -- messages


def test_a_new_message_appears_and_can_be_searched(page, relay):
    key = create(page, "Shop")
    assert page.open("/messages").one(".empty").text
    swaks(relay, key, "anna@customers.example", "Ihre Rechnung Nr. 4711")
    page.comes("Ihre Rechnung Nr. 4711", "anna@customers.example", "simulated")
    swaks(relay, key, "bob@customers.example", "Something else")
    page.comes("Something else")
    for words in ("anna@customers.example", "rechnung", "4711", "anna"):
        page.send('/messages', q=words)
        page.shows("Ihre Rechnung Nr. 4711")
        assert "Something else" not in page.text(), words
    assert "match" in page.send("/messages", q="nobody@example.org").one(".empty").text
    page.send("/messages", q="", key=name_of(key)).shows("Something else", "Ihre Rechnung")
    message = relay.json("messages", "list")[-1]["id"]
    page.send("/messages", q=message, key="")
    assert page.path == f"/messages/{message}"
    page.shows("This is a test mailing")


def test_new_events_of_a_message_appear_without_a_reload(chromium, own_relay):
    taken = threading.Event()
    with SESStandIn() as ses, SQSStandIn() as queue:
        ses.answer = slow(taken)
        relay = own_relay({
            **PAGE, "ses.region": REGION, "ses.endpoint": ses.url, "feedback.queue_url": queue.queue_url,
            "feedback.endpoint": queue.url}, CREDENTIALS)
        page = Page(chromium, relay).sign_in()
        key = create(page, "Live shop", environment="live")
        message = submit(relay, key, b"From: shop@example.com\r\nSubject: Your order\r\n\r\nThanks.\r\n",
                         ["good@example.net", "gone@example.net"], "shop@example.com")
        page.open(f"/messages/{message}").comes("sending")
        taken.set()
        page.comes("feedback.queue_url")
        sent = relay.wait_for_state(message, "sent")["deliveries"][0]["ses_message_id"]
        queue.send(json.dumps(event("Delivery", sent, ["good@example.net"])))
        page.comes("delivered", "2026-11-24 14:33:17")
        queue.send(json.dumps(event("Bounce", sent, ["gone@example.net"])))
        page.comes("bounced", "mailbox", "550 5.1.1 user unknown")
        page.link("list of suppressions")
        page.shows("gone@example.net", "hard bounce")
        page.open("/messages").shows("bounced\ndelivered")


def test_a_bounce_is_explained_in_words(either, relay):
    key = create(either, "Bouncing")
    message = submit(relay, key, b"From: shop@example.com\r\nSubject: To nobody\r\n\r\nx\r\n", ["bounce@simulator.amazonses.com"])
    relay.wait_until(lambda: relay.json("suppressions", "list"), "the address is suppressed")
    either.open(f"/messages/{message}")
    either.shows("bounced", "mailbox", "list of suppressions")


def test_a_test_message_is_sent_from_the_page(either, relay):
    key = relay.create_key(name="Tried", allow_domain="example.org")
    either.open(f"/keys/{name_of(key)}").unfold("test")
    either.send("/test", to="you@example.net", **{"from": "me@elsewhere.example"})
    assert either.one("details#test").get_attribute("open")
    assert "elsewhere.example" in either.one(".mistake").text
    assert either.form("/test").find_element(By.NAME, "from").get_attribute("value") == "me@elsewhere.example"
    assert either.form("/test").find_element(By.NAME, "to").get_attribute("value") == "you@example.net"
    either.send("/test", **{"from": "test@example.org"})
    assert "Hiveku Relay" in either.heading()
    either.did("sent").shows("you@example.net")
    # These facts are in the content of the message.
    assert mentions(either.text(), "relay.example.com", name_of(key))
    if either.has_script:
        either.comes("simulated")


# -- suppressions, webhooks, the queue, the session, the keyboard


def test_addresses_are_suppressed_and_taken_off_the_list(either, relay):
    assert either.open("/suppressions").one(".empty").text
    either.send("/suppressions", address="not an address")
    assert either.one(".mistake").is_displayed()
    either.send("/suppressions", address="no@example.net", note="asked by phone")
    either.did("added").shows("no@example.net", "person", "asked by phone")
    assert [entry["address"] for entry in relay.json("suppressions", "list")] == ["no@example.net"]
    either.send("/suppressions/remove").did("removed")
    assert relay.json("suppressions", "list") == []


def test_removing_an_address_with_a_complaint_requires_confirmation(either, relay):
    key = create(either, "Newsletter")
    submit(relay, key, b"From: shop@example.com\r\n\r\nx\r\n", ["complaint@simulator.amazonses.com"])
    relay.wait_until(lambda: relay.json("suppressions", "list"), "the address is suppressed")
    either.open("/suppressions").shows("complaint")
    either.send("/suppressions/remove").shows("complained")
    assert relay.json("suppressions", "list")
    either.link("Back")
    either.send("/suppressions/remove", even_complaint="1").did("removed")


def test_a_webhook_from_creation_to_deletion(either, relay):
    key = create(either, "Hooked")
    with Receiver() as receiver:
        assert either.open("/webhooks").one(".empty").text
        either.send("/webhooks", key=name_of(key), url="ftp://example.com/")
        assert "URL" in either.one(".mistake").text
        either.send("/webhooks", url=receiver.url(), event=["bounce", "delivered"])
        secret = shown_secret(either)
        assert secret.startswith("whsec_")
        either.driver.refresh()
        assert secret not in either.driver.page_source
        either.send("/test").did("tested")
        relay.wait_until(lambda: receiver.requests, "the test event")
        if either.has_script:
            either.comes("answered 204")
        else:
            relay.wait_until(lambda: "answered 204" in either.open(either.path).text(), "the page shows the call")
        either.send("/disable").did("webhook").shows("disabled")
        either.send("/enable").shows("enabled")
        assert either.send("/delete").did("deleted").one(".empty").text


def test_the_queue_says_why_a_lane_is_held(either, relay):
    either.open("/queue").shows("Live mail", "Test mail")
    key = create(either, "Live", environment="live")
    message = submit(relay, key, b"From: shop@example.com\r\nSubject: Waits\r\n\r\nx\r\n")
    relay.wait_until(lambda: any(lane["held"] for lane in relay.json("status")[0]["lanes"]), "the live lane is held")
    either.open("/queue").shows("held", "ses.region", "queued")
    either.link("queued")
    either.shows("Waits")
    either.open(f"/messages/{message}").send("/hold").did("performed").shows("held", "released")
    either.send("/release").shows("queued")
    either.send("/drop").shows("dropped: ")


def test_a_session_ends(either, relay):
    either.send("/sign-out")
    either.shows("hiveku-relay admin login")
    assert not either.all("form")
    either.open("/messages").shows("hiveku-relay admin login")
    assert not either.all("form")


def test_a_key_is_created_with_the_keyboard_alone(page, relay):
    def active():
        return page.driver.switch_to.active_element

    def press(*keys):
        active().send_keys(*keys)

    def tab_to(is_it, what):
        for _ in range(60):
            press(Keys.TAB)
            element = active()
            style = page.driver.execute_script(
                "const style = getComputedStyle(document.activeElement); return [style.outlineStyle, style.outlineWidth]")
            assert style[0] != "none" and style[1] != "0px", ("no visible focus", element.get_attribute("outerHTML"))
            if is_it(element):
                return element
        raise AssertionError(f"no way to {what} by the tab key")

    page.open("/keys")
    press(Keys.TAB)
    assert active().text == "Skip to the content" and active().is_displayed() and active().location["x"] >= 0
    press(Keys.ENTER)
    document = page.one("html")
    tab_to(lambda element: element.text == "Create a key", "the link")
    press(Keys.ENTER)
    page.arrives(document)
    tab_to(lambda element: element.get_attribute("name") == "name", "the name")
    press("By keyboard")
    tab_to(lambda element: element.get_attribute("name") == "environment", "the environment")
    press(Keys.ARROW_DOWN)
    press(Keys.ARROW_UP)
    tab_to(lambda element: element.get_attribute("value") == "email:batch", "a scope")
    press(Keys.SPACE)
    tab_to(lambda element: element.text == "Create the key", "the button")
    document = page.one("html")
    press(Keys.ENTER)
    page.arrives(document)
    assert is_taken(relay, shown_secret(page))
    record = relay.json("keys", "list")[0]
    assert (record["name"], record["environment"], record["scopes"]) == ("By keyboard", "test", ["email:batch", "email:send"])
    button = tab_to(lambda element: element.get_attribute("data-copy") is not None, "the button that copies")
    press(Keys.SPACE)
    page.until(lambda: button.text in ("Copied", "Selected"), "the word on the button")


# -- domains


def test_a_domain_is_set_up_on_the_page(chromium, own_relay):
    with identities_of_ses.serving() as identities, names.serving() as dns:
        relay = names.asks(own_relay(
            {**PAGE, "ses.region": REGION, "ses.endpoint": identities.url}, CREDENTIALS, start=False), dns)
        relay.start()
        page = Page(chromium, relay).sign_in()
        page.link("Domains")
        assert "live" in page.one(".empty").text
        page.send("/domains", name="a@example.com", environment="live")
        assert mentions(page.one(".mistake").text, "address", "example.com")
        page.send("/domains", name="bücher.example", environment="live")
        page.did("domain").shows("bücher.example", "xn--bcher-kva.example", "pending", "missing")
        copied = [code.text for code in page.all(".card .copy code")]
        tokens = identities.identities["xn--bcher-kva.example"]["DkimAttributes"]["Tokens"]
        assert copied[:2] == [f"{tokens[0]}._domainkey.xn--bcher-kva.example", f"{tokens[0]}.dkim.{REGION}.amazonses.com"]
        assert len(copied) == 10
        # The zone gets what the buttons copy, as a person would do it.
        chromium.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]})
        button = page.all(".card button[data-copy]")[1]
        button.click()
        page.until(lambda: button.text == "Copied", "the copy")
        value = chromium.execute_async_script("navigator.clipboard.readText().then(arguments[arguments.length - 1])")
        assert value == copied[1]
        for name, value in zip(copied[::2], copied[1::2]):
            dns.set("TXT" if value.startswith("v=") else "CNAME", name, value)
        dns.set("TXT", "_dmarc.xn--bcher-kva.example", "v=DMARC1; p=<b>often</b>")
        identities.found("xn--bcher-kva.example")
        page.send("/verify")
        page.did("checked").shows("verified", "found", "wrong", "v=DMARC1; p=<b>often</b>", "p=none")
        assert len([badge for badge in page.all(".card .badge") if badge.text == "found"]) == 4
        page.link("Domains")
        page.shows("bücher.example", "verified")
        # If SES refuses a domain, the page shows why, and the form keeps its values.
        identities.refusals["CreateEmailIdentity"] = (403, "AccessDeniedException", "no")
        page.send("/domains", name="other.example", environment="live")
        assert "ses:CreateEmailIdentity" in page.one(".mistake").text
        assert page.form("/domains").find_element(By.NAME, "name").get_attribute("value") == "other.example"


def test_a_simulated_domain_on_the_page(either):
    either.open("/domains")
    # If no region is set, the page first shows the domains of test keys.
    assert "test" in either.one(".empty").text
    either.open("/domains?environment=live")
    assert "ses.region" in either.one(".mistake").text
    either.send("/domains", name="example.com", environment="test")
    either.shows("example.com", "TEST", "pending", "simulated")
    either.send("/verify")
    either.shows("verified")
    assert "missing" not in either.text()
