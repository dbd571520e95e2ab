"""Everybody can use the operator's page: on a phone, in dark colours, without JavaScript, with a screen reader.

The tests write pictures of the pages to `screenshots/`, for a person to look at.
"""

import re

import html5lib
import pytest

from browser import SCREENSHOTS, Page
from operator_page import PAGE, sign_in
from page_content import fill, furnish
from relay import Relay, key_id
from receivers import Receiver


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A relay whose pages have content of every kind, and the paths of the pages by name."""
    relay = Relay(tmp_path_factory.mktemp("page"), {**PAGE, "webhooks.private_networks": ["127.0.0.0/8"]})
    keys = furnish(relay)
    relay.start()
    with Receiver() as receiver:
        bounced = fill(relay, keys)
        visitor = sign_in(relay)
        revoked = relay.create_key(name="Revoked")
        answer = visitor.post(f"/keys/{key_id(revoked)}/revoke", {"confirm": "Revoked", "queued": "deliver"})
        assert answer.status == 303
        answer = visitor.post("/webhooks", {"key": key_id(keys["Web shop"]), "url": receiver.url("/a-long-path" * 8)})
        webhook = answer.fields["Location"].partition("?")[0]
        visitor.post(webhook + "/test")
        relay.wait_until(lambda: receiver.requests, "the test event")
        relay.wait_until(lambda: "answered 204" in visitor.text(webhook), "the webhook call is recorded")
        visitor.post("/suppressions", {
            "address": "a.very.long.local.part.that.goes.on.and.on@subdomain.of.a.long.domain.example.com", "environment": "live",
            "note": "They asked for it on the telephone, and again in a letter that came a week later."})
        for environment, name in (("test", "a-long-name-of-a-shop.example.com"), ("test", "bücher.example")):
            answer = visitor.post("/domains", {"environment": environment, "name": name})
            assert answer.status == 303
        yield relay, {
            "domains": "/domains?environment=test", "domains-without-ses": "/domains", "domain": answer.fields["Location"].partition("?")[0],
            "domain-gone": "/domains/test/nobody.example",
            "keys": "/keys?revoked=1", "none": "/keys?q=nothing", "new": "/keys/new", "key": f"/keys/{key_id(keys['Newsletter'])}",
            "unused": f"/keys/{key_id(keys['Old intranet'])}", "revoked": f"/keys/{key_id(revoked)}",
            "secret-gone": f"/keys/{key_id(revoked)}/secret?of=x", "messages": "/messages", "search": "/messages?q=order",
            "message": f"/messages/{bounced}", "html": f"/messages/{bounced}/html", "queue": "/queue", "suppressions": "/suppressions", "webhooks": "/webhooks",
            "webhook": webhook, "not-found": "/nothing", "gone": "/messages/0000000000000"}
        assert relay.stop() == 0


def pages(site):
    return {name: path for name, path in site[1].items() if name != "html"}


@pytest.fixture
def page(chromium, site):
    page = Page(chromium, site[0]).sign_in()
    yield page
    page.is_narrow(False)
    page.is_dark(False)


def unfold(page):
    for summary in page.all("details:not([open]) > summary"):
        summary.click()


def mistakes(page):
    """The pages that answer a form with a mistake."""
    yield "new-key-mistake", lambda: page.open("/keys/new").send("/keys", name="Name", per_second="x")
    yield "suppressions-mistake", lambda: page.open("/suppressions").send("/suppressions", address="x")
    yield "domains-mistake", lambda: page.open("/domains").send("/domains", name="x")
    yield "webhooks-mistake", lambda: page.open("/webhooks").send("/webhooks", key="x", url="http://x.example/")


def secrets(page, site):
    """Pages that show a secret."""
    yield "secret", lambda: page.open("/keys/new").send("/keys", name="Shown once")
    yield "webhook-secret", lambda: page.open("/webhooks").send("/webhooks", key=site[1]["key"][6:], url="http://127.0.0.1:9/")


def each(page, site):
    """Opens one page after the other, opens all folded parts of the page, and yields its name."""
    for name, path in pages(site).items():
        page.open(path)
        unfold(page)
        yield name
    for name, go in [*mistakes(page), *secrets(page, site)]:
        go()
        unfold(page)
        yield name
    page.send("/sign-out")
    yield "signed-out"
    page.open("/login?token=" + "A" * 43)
    yield "used-link"


def headings(page):
    return [int(level) for level in page.driver.execute_script(
        "return [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map((element) => element.tagName[1])")]


def check(page, name):
    """Rules that hold on every page."""
    levels = headings(page)
    assert levels.count(1) == 1 and levels[0] == 1, (name, levels)
    assert all(b <= a + 1 for a, b in zip(levels, levels[1:])), (name, "a heading is skipped", levels)
    unlabelled = page.driver.execute_script("""
        return [...document.querySelectorAll("input:not([type=hidden]), select, textarea")]
            .filter((field) => !field.labels.length || !field.labels[0].textContent.trim()).map((field) => field.outerHTML);
        """)
    assert unlabelled == [], (name, unlabelled)
    nameless = page.driver.execute_script("""
        return [...document.querySelectorAll("a[href], button")]
            .filter((one) => !one.textContent.trim() && !one.getAttribute("aria-label")).map((one) => one.outerHTML);
        """)
    assert nameless == [], (name, nameless)
    assert page.driver.execute_script(
        "return [...document.querySelectorAll('dt, dd')].every((one) => one.matches('dl > div > dt:first-child, dl > div > dt + dd'))"), name
    assert page.driver.execute_script("return document.documentElement.lang") == "en"
    assert len(page.driver.title) > 5


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_page_has_accessibility_violations(page, site, dark):
    page.is_dark(dark)
    wrong = []
    for name in each(page, site):
        check(page, name)
        wrong += [f"{name}: {violation}" for violation in page.violations()]
        page.picture(SCREENSHOTS / f"{name}{'-dark' if dark else ''}.png")
        background = page.driver.execute_script("return getComputedStyle(document.documentElement).backgroundColor")
        brightness = sum(map(int, re.findall(r"\d+", background)[:3])) / 3
        assert brightness < 60 if dark else brightness > 200, (name, background)
    assert wrong == [], "\n".join(wrong)
    assert [line for line in page.messages_of_the_browser() if "Content Security Policy" in line or "SEVERE" in line] == []


@pytest.mark.parametrize("width", [320, 360])
def test_pages_do_not_scroll_horizontally_on_a_narrow_screen(page, site, width):
    page.is_narrow(True, width)
    for name in each(page, site):
        found = page.driver.execute_script("""
            const width = arguments[0];
            return [document.documentElement.scrollWidth, [...document.querySelectorAll("main *, header *, footer *")].filter((one) => {
                const box = one.getBoundingClientRect();
                return box.width > 1 && !one.closest(".unseen, .skip") && (box.right > width + 0.5 || box.left < -0.5);
            }).map((one) => one.outerHTML.slice(0, 200))];
            """, width)
        assert found[0] <= width, (name, found)
        assert found[1] == [], name
        if width == 360:
            page.picture(SCREENSHOTS / f"{name}-360.png")
            small = page.driver.execute_script("""
                return [...document.querySelectorAll("button, .button, nav a, input:not([type=hidden]), select, summary")]
                    .filter((one) => one.getBoundingClientRect().height > 0 && one.type !== "checkbox" && one.type !== "radio")
                    .filter((one) => one.getBoundingClientRect().height < 24).map((one) => one.outerHTML.slice(0, 200));
                """)
            assert small == [], (name, "too small for a finger")


def test_every_page_works_without_javascript(chromium_without_script, site):
    """Without script, the pages have the same links and forms. Buttons that need a script are hidden."""
    page = Page(chromium_without_script, site[0], has_script=False).sign_in()
    for name, path in pages(site).items():
        page.open(path)
        unfold(page)
        check(page, name)
        assert not [button for button in page.all("button[data-copy]") if button.is_displayed()]
        for form in page.all("form"):
            assert form.find_elements("css selector", "button:not([disabled])"), (name, form.get_attribute("outerHTML"))


def test_every_page_is_valid_html_without_inline_code(site):
    relay, paths = site
    visitor = sign_in(relay)
    shown = {name: visitor.get(path) for name, path in pages(site).items()}
    shown["signed out"] = sign_out_page = type(visitor)(relay).get("/keys")
    assert sign_out_page.status == 401
    shown["mistake"] = visitor.post("/keys", {"name": "", "per_second": "x"})
    shown["wrong token"] = visitor.post("/keys", {"name": ""}, token="x" * 43)
    shown["foreign"] = visitor.get("/keys", {"Origin": "https://evil.example"})
    shown["host"] = visitor.get("/keys", hosts=["evil.example"])
    assert [shown[name].status for name in ("mistake", "wrong token", "foreign", "host")] == [422, 403, 403, 421]
    for name, answer in shown.items():
        assert answer.fields["Content-Type"] == "text/html; charset=utf-8", name
        # In strict mode, the parser raises each error.
        tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(answer.octets.decode())
        scripts = tree.findall(".//script")
        assert [(one.text, one.get("src", "").partition("?")[0]) for one in scripts] == [(None, "/page.js")], name
        assert not tree.findall(".//style") and not tree.findall(".//base"), name
        for element in tree.iter():
            attributes = dict(getattr(element, "attrib", {}))
            assert not [a for a in attributes if a.startswith("on") or a == "style"], (name, attributes)
            for attribute in ("href", "src", "action"):
                target = attributes.get(attribute)
                assert target is None or target.startswith(("/", "#")) and not target.startswith("//"), (name, target)
        assert len(answer.octets) < 200_000, (name, len(answer.octets))


def test_the_files_of_the_page_are_small(site):
    visitor = sign_in(site[0])
    files = re.findall(r'(?:src|href)="(/[a-z]+\.[a-z]+\?[0-9a-f]+)"', visitor.text("/keys"))
    assert len(files) == 3
    assert sum(len(visitor.get(path).octets) for path in files) < 100_000
