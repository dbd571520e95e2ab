"""Templates on the operator's page, in a browser with and without script: they are written, previewed, compared and rolled back."""

import pytest
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException

from browser import SCREENSHOTS, Page
from operator_page import PAGE, Visitor, sign_in
from relay import key_id
from wording import mentions

HTML = '<style>h1 { color: rgb(1, 2, 3); }</style><h1>Hello {{ customer.name }}</h1>\n<p><a href="{{ link }}">{{ total }}</a></p>'


@pytest.fixture
def relay(own_relay):
    return own_relay(PAGE)


@pytest.fixture(params=["script", "no script"])
def either(request, relay):
    name = "chromium" if request.param == "script" else "chromium_without_script"
    return Page(request.getfixturevalue(name), relay, has_script=request.param == "script").sign_in()


def framed(page, selector="body"):
    """The text in the preview. If the preview is replaced while it is read, raises StaleElementReferenceException."""
    try:
        page.driver.switch_to.frame(page.one("iframe.mail"))
        found = page.all(selector)
        return found[0].text if found else ""
    except WebDriverException as error:
        raise StaleElementReferenceException("the preview was replaced") from error
    finally:
        page.driver.switch_to.default_content()


def only(relay):
    template = relay.json("templates", "list")[0]
    return relay.json("templates", "show", template["id"])[0]


def write(page, **fields):
    values = {"name": "welcome", "subject": "Welcome, {{ customer.name }}", "html": HTML, "text": "Hello {{ customer.name }}",
              "variables": "- name: total\n  type: number\n  default: 0.50\n"}
    page.open("/templates").link("Write a template")
    page.send("/templates", **{**values, **fields})


def test_a_template_is_created_and_shown(either, relay):
    assert either.open("/templates").one(".empty").text
    write(either)
    either.did("template").shows("customer.name", "0.50")
    saved = only(relay)
    assert saved["html"] == HTML and saved["text"] == "Hello {{ customer.name }}" and saved["version"] == 1
    either.driver.execute_script("arguments[0].scrollIntoView()", either.one("iframe.mail"))
    either.until(lambda: framed(either, "h1") == "Hello customer name", "the template with values")
    either.open("/templates").shows("welcome", "Welcome, {{ customer.name }}", "shared")
    assert either.messages_of_the_browser() == []


def test_template_mistakes_are_located_and_the_input_is_kept(either, relay):
    write(either, html="<b>\n<script>{{ x }}</script>", subject="{{ a", variables="- nam: x", name="tpl_x")
    told = either.one(".mistake").text
    for place in ("HTML, line 2, column 9", "Subject", "Variables, line 1, column 3", "Name: "):
        assert place in told, (place, told)
    assert relay.json("templates", "list") == []
    assert either.form("/templates").find_element("name", "html").get_attribute("value") == "<b>\n<script>{{ x }}</script>"
    either.send("/templates", html="<b>x</b>", subject="a", variables="", name="welcome")
    assert only(relay)["html"] == "<b>x</b>"


def test_versions_are_compared_and_rolled_back(either, relay):
    write(either, text="one\ntwo\nthree\n")
    either.link("Edit")
    either.send("/save", text="one\n2\nthree\n", subject="Good day")
    assert only(relay)["text"] == "one\n2\nthree\n" and only(relay)["version"] == 2
    either.link("from version 1")
    shown = [part.text.strip() for part in either.all(".diff del, .diff ins")]
    assert "- two" in shown and "+ 2" in shown and "+ subject: Good day" in shown
    assert not any("three" in line for line in shown)
    either.link("Version 1")
    assert "version 1" in either.one(".important").text
    either.send("/roll-back")
    assert only(relay)["text"] == "one\ntwo\nthree\n" and only(relay)["version"] == 3
    either.send("/delete")
    assert relay.json("templates", "list") == []


def test_the_preview_shows_what_is_written(either, relay):
    either.open("/templates/new")
    form = either.fill("/templates", name="x", subject="Hi {{ name }}", html="<h1>{{ name }}</h1>", values='{"name": "A<b>a"}')
    if not either.has_script:
        form.find_element("css selector", "[data-preview]").click()
    either.until(lambda: framed(either, "h1") == "A<b>a" and "Hi A<b>a" in framed(either), "the preview")
    either.fill("/templates", values='{"nam": 1}')
    if not either.has_script:
        form.find_element("css selector", "[data-preview]").click()
    either.until(lambda: mentions(framed(either), '"name"', "required"), "what is missing")
    # After the previews, the form can still be sent. The preview has not navigated away from the editor.
    either.send("/templates", values="")
    assert only(relay)["html"] == "<h1>{{ name }}</h1>"
    assert either.messages_of_the_browser() == []


def test_a_script_in_a_template_does_not_run(either, relay):
    write(either, html="<script>document.title = 'ran'</script><h1 onclick=\"x\">safe</h1>")
    either.driver.execute_script("arguments[0].scrollIntoView()", either.one("iframe.mail"))
    either.until(lambda: framed(either, "h1") == "safe", "the template")
    either.driver.switch_to.frame(either.one("iframe.mail"))
    assert either.driver.execute_script("return document.title") != "ran"
    either.driver.switch_to.default_content()


def test_a_concurrent_change_is_not_overwritten_without_a_warning(either, relay, tmp_path):
    write(either)
    either.link("Edit")
    (tmp_path / "template.yaml").write_text("name: welcome\n")
    (tmp_path / "body.txt").write_text("from a file\n")
    relay.run("templates", "put", str(tmp_path))
    either.send("/save", subject="mine")
    assert "Version 2" in either.one(".mistake").text
    assert only(relay)["text"] == "from a file\n"
    either.send("/save")
    assert only(relay)["subject"] == "mine" and only(relay)["version"] == 3


def test_a_large_template_is_accepted_and_a_too_large_one_is_refused(relay):
    visitor = sign_in(relay)
    answer = visitor.post("/templates", {"name": "large", "html": "\u00e9" * (1 << 19)})
    assert answer.status == 303
    answer = visitor.post("/templates", {"name": "larger", "html": "x" * ((1 << 20) + 1)})
    assert answer.status == 422 and mentions(answer.octets, str((1 << 20) + 1), str(1 << 20))
    answer = visitor.post("/templates", {"name": "largest", "html": "x" * (8 << 20)})
    assert answer.status == 413
    assert [t["name"] for t in relay.json("templates", "list")] == ["large"]


def test_template_pages_are_accessible_in_light_dark_and_narrow_layouts(chromium, relay, tmp_path):
    for name, subject in (("welcome", "Welcome"), ("receipt", "Your receipt")):
        (tmp_path / "template.yaml").write_text(
            f"name: {name}\nsubject: \"{subject}, {{{{ customer.name }}}}\"\nfrom: Shop <shop@example.com>\n"
            "variables:\n  - name: customer.name\n  - name: total\n    type: number\n    default: 0.50\n")
        for text in ("Hello {{ customer.name }}\nYou pay {{ total }}\n", "Dear {{ customer.name }}\nYou pay {{ total }}\nBye\n"):
            (tmp_path / "body.txt").write_text(text)
            (tmp_path / "body.html").write_text(HTML + f"\n<p>{text}</p>")
            relay.run("templates", "put", str(tmp_path))
    id = relay.json("templates", "show", "welcome")[0]["id"]
    page = Page(chromium, relay).sign_in()
    for name, path in (("templates", "/templates"), ("template", f"/templates/{id}"), ("template-editor", f"/templates/{id}/edit"),
                       ("template-changes", f"/templates/{id}/changes?from=1&to=2")):
        for dark in (False, True):
            page.is_dark(dark)
            page.open(path)
            if name == "template-editor":
                page.until(lambda: "customer name" in framed(page), "the preview")
            page.picture(SCREENSHOTS / f"{name}{'-dark' if dark else ''}.png")
            assert page.violations() == []
        page.is_dark(False)
        page.is_narrow(True, 390)
        page.open(path)
        assert chromium.execute_script("return document.documentElement.scrollWidth <= innerWidth"), name
        page.picture(SCREENSHOTS / f"{name}-390.png")
        page.is_narrow(False)
    assert page.messages_of_the_browser() == []
