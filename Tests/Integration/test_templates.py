"""Templates over HTTP, in a running relay with a test key: they are saved, changed, rendered and sent."""

import email
import email.policy
import random
import re

import html5lib
import pytest

from http_api import API, EMAIL, HTTP, taken
from relay import Relay, key_id

SCOPES = ("email:send", "email:batch", "email:templates")
TEMPLATES = "/v1/email/templates"
TO = "ann@example.net"
GREETING = {
    "name": "Greeting", "subject": "Hello {{ customer.name }}", "html": "<p title=\"{{customer.name}}\">{{customer.name}}</p>",
    "text": "{{customer.name}}, {{count}} {{due}}\n", "from": "Acme <a@example.com>", "reply_to": "r@example.com",
    "variables": [{"name": "count", "type": "number"}, {"name": "due", "type": "date", "default": "2026-12-01"}]}


@pytest.fixture(scope="module")
def relay(tmp_path_factory):
    relay = Relay(tmp_path_factory.mktemp("templates"), {**HTTP, "submission.max_rate_delay": "0s"}).start()
    yield relay
    assert relay.stop() == 0, relay.log_text()


@pytest.fixture(scope="module")
def key(relay):
    return relay.create_key(scopes=SCOPES, per_second=100000)


@pytest.fixture
def api(relay, key):
    with API(relay, key) as api:
        yield api


@pytest.fixture
def saved(api):
    """Saves templates. They are deleted after the test."""
    made = []

    def save(template):
        answer = api.post(TEMPLATES, {"name": f"t{random.getrandbits(60)}", **template})
        assert answer.status == 201, answer
        made.append(answer.json["id"])
        return answer.json

    yield save
    for id in made:
        assert api.request("DELETE", f"{TEMPLATES}/{id}").status in (204, 404)


def mail(relay, message_id):
    return email.message_from_bytes(relay.raw(message_id), policy=email.policy.default)


def text_of(message, kind):
    return message.get_body((kind,)).get_content().replace("\r\n", "\n")


# -- from a template to mail

def test_a_template_is_saved_rendered_and_sent(relay, api, saved):
    template = saved(GREETING)
    assert re.fullmatch(r"tpl_[0-9a-z]{20}", template["id"]) and template["version"] == 1
    # A variable that is not declared is a required string.
    assert template["variables"][-1] == {"name": "customer.name", "type": "string", "required": True}
    answer = api.send({
        "to": TO, "template_id": template["id"], "variables": {"customer": {"name": "<Ann> {{count}}"}, "count": 1.50}})
    message = relay.wait_for_state(taken(answer), "simulated")
    found = mail(relay, message["id"])
    assert (found["Subject"], found["From"], found["Reply-To"]) == ("Hello <Ann> {{count}}", "Acme <a@example.com>", "r@example.com")
    assert text_of(found, "plain") == "<Ann> {{count}}, 1.5 2026-12-01\n"
    escaped = "&lt;Ann&gt; {{count}}"
    assert text_of(found, "html").strip() == f'<p title="{escaped}">{escaped}</p>'
    reference = f"{template['id']}@1"
    assert api.message(answer.json["messageId"]).json["template"] == reference
    assert api.message(taken(api.send())).json["template"] is None


def test_numbers_are_written_as_they_are_given(relay, api, saved):
    template = saved({"text": "{{n}}", "subject": "s", "from": "a@example.com", "variables": [{"name": "n", "type": "number"}]})
    answer = api.send(f'{{"to": "{TO}", "template_id": "{template["id"]}", "variables": {{"n": 1.50E+2}}}}')
    message = relay.wait_for_state(taken(answer), "simulated")
    assert mail(relay, message["id"]).get_content().strip() == "1.50E+2"


def test_a_batch_of_emails_can_use_one_template(relay, api, saved):
    template = saved({"text": "{{n}}", "subject": "{{n}}", "from": "a@example.com"})
    emails = [{"to": TO, "template_id": template["id"], "variables": {"n": f"no {i}"}} for i in range(100)]
    emails[7]["variables"] = {}
    emails[9]["variables"] = {"n": 1}
    emails[11]["template_id"] = "tpl_00000000000000000000"
    emails[13] = EMAIL
    results = api.batch(emails).json["results"]
    assert [i for i, result in enumerate(results) if result["status"] == "failed"] == [7, 9, 11]
    assert [results[i]["error"]["code"] for i in (7, 9, 11)] == ["template-variables", "template-variables", "invalid"]
    assert results[7]["error"]["errors"][0]["pointer"] == "#/7/variables/n"
    assert results[11]["error"]["errors"][0]["pointer"] == "#/11/template_id"
    for i in (0, 42, 99):
        message = relay.wait_for_state(results[i]["messageId"], "simulated")
        assert mail(relay, message["id"])["Subject"] == f"no {i}"


def test_a_version_is_pinned(relay, api, saved):
    template = saved({"text": "first", "subject": "s", "from": "a@example.com"})
    path = f"{TEMPLATES}/{template['id']}"
    assert api.request("PATCH", path, {"text": "second"}).json["version"] == 2
    # A save that changes nothing makes no new version. A new name does not either.
    assert api.request("PATCH", path, {"text": "second"}).json["version"] == 2
    assert api.request("PATCH", path, {"name": template["name"] + "x"}).json["version"] == 2
    for reference, text in [(template["id"], "second"), (template["id"] + "@1", "first")]:
        message = relay.wait_for_state(taken(api.send({"to": TO, "template_id": reference})), "simulated")
        assert mail(relay, message["id"]).get_content().strip() == text
    assert api.send({"to": TO, "template_id": template["id"] + "@3"}).json["errors"][0]["pointer"] == "#/template_id"
    assert api.post(path + "/rollback", {"version": 1}).json["version"] == 3
    assert api.get(path).json["text"] == "first"
    versions = api.get(path + "/versions?limit=2").json
    assert [entry["version"] for entry in versions["data"]] == [3, 2]
    rest = api.get(path + f"/versions?cursor={versions['next_cursor']}").json
    assert [entry["version"] for entry in rest["data"]] == [1] and rest["next_cursor"] is None
    assert api.get(path + "/versions/2").json["text"] == "second"
    assert api.get(path + "/versions/4").status == 404
    refused = api.post(path + "/rollback", {"version": 4})
    assert refused.status == 422 and refused.json["errors"][0]["pointer"] == "#/version"


def test_templates_are_listed_by_name(api, saved):
    names = [f"List {letter}" for letter in "cab"]
    for name in names:
        saved({"name": name, "text": "t"})
    found, cursor = [], ""
    while cursor is not None:
        page = api.get(f"{TEMPLATES}?limit=1{cursor and '&cursor=' + cursor}").json
        found += [entry["name"] for entry in page["data"] if entry["name"] in names]
        assert all("html" not in entry for entry in page["data"])
        cursor = page["next_cursor"]
    assert found == sorted(names)
    assert api.get(TEMPLATES + "?limit=0").status == 422
    assert api.get(TEMPLATES + "?cursor=!").status == 422


def test_a_preview_is_what_is_sent(api, saved):
    template = saved(GREETING)
    path = f"{TEMPLATES}/{template['id']}/render"
    made = api.post(path, {"variables": {"customer": {"name": "A&B"}, "count": 2}})
    assert made.status == 200 and made.json == {
        "subject": "Hello A&B", "html": '<p title="A&amp;B">A&amp;B</p>', "text": "A&B, 2 2026-12-01\n",
        "from": "Acme <a@example.com>", "reply_to": ["r@example.com"]}
    refused = api.post(path, {"variables": {"customer": "x", "cuont": 2}})
    assert (refused.status, refused.code) == (422, "template-variables")
    assert [error["pointer"] for error in refused.json["errors"]] == [
        "#/variables/customer", "#/variables/cuont", "#/variables/count"]
    assert api.post(path, {"version": 2}).json["errors"][0]["pointer"] == "#/version"


def test_statistics_count_what_was_sent(relay, api, saved):
    template = saved({"text": "t", "subject": "s", "from": "a@example.com"})
    for _ in range(2):
        sent = taken(api.send({"to": TO, "template_id": template["id"], "tags": ["statistics-a"]}))
        relay.wait_for_state(sent, "simulated")
    relay.wait_until(
        lambda: api.get(f"{TEMPLATES}/{template['id']}").json["statistics"]["today"]["sent"] == 2,
        "both emails are counted")
    counts = api.get(f"{TEMPLATES}/{template['id']}").json["statistics"]
    assert counts["30_days"]["sent"] == counts["7_days"]["sent"] == 2 and counts["today"]["bounced"] == 0
    tags = {entry["tag"]: entry["statistics"] for entry in api.get("/v1/email/tags").json["data"]}
    assert tags["statistics-a"]["today"]["sent"] == 2


# -- access to templates

def test_a_tenant_has_templates_of_its_own(relay, api, saved):
    shared = saved({"text": "t", "subject": "s", "name": "Tenant"})
    tenant = relay.create_key(scopes=SCOPES, allow_domain="tenant.example")
    with API(relay, tenant) as own:
        path = f"{TEMPLATES}/{shared['id']}"
        assert own.get(TEMPLATES).json["data"] == []
        assert [own.get(path).status, own.request("PATCH", path, {"text": "x"}).status, own.request("DELETE", path).status,
                own.get(path + "/versions").status, own.get(path + "/versions/1").status, own.post(path + "/render", {}).status,
                own.post(path + "/rollback", {"version": 1}).status] == [404] * 7
        answer = own.send({"from": "a@tenant.example", "to": TO, "template_id": shared["id"]})
        assert (answer.status, answer.code, answer.json["errors"][0]["pointer"]) == (422, "invalid", "#/template_id")
        # A name is unique for each owner.
        made = own.post(TEMPLATES, {"name": "Tenant", "text": "mine", "subject": "s", "from": "a@tenant.example"})
        assert made.status == 201 and made.json["created_by"] == key_id(tenant)
        taken(own.send({"to": TO, "template_id": made.json["id"]}))
        assert api.get(f"{TEMPLATES}/{made.json['id']}").status == 404
        # The key's domains also apply to a sender that comes from a template.
        other = own.post(TEMPLATES, {"name": "Other", "text": "t", "subject": "s", "from": "a@example.com"}).json
        assert own.send({"to": TO, "template_id": other["id"]}).code == "sender-domain"
    with API(relay, relay.create_key(scopes=("email:send",))) as sender:
        assert sender.get(TEMPLATES).code == "scope"
        # To send with a template, a key only needs the scope to send.
        taken(sender.send({"from": "a@example.com", "to": TO, "template_id": shared["id"]}))


# -- bad input

def test_names_that_are_taken(api, saved):
    first = saved({"name": "Taken", "text": "t"})
    second = saved({"text": "t"})
    assert api.post(TEMPLATES, {"name": "tAKEN", "text": "t"}).code == "template-name"
    refused = api.request("PATCH", f"{TEMPLATES}/{second['id']}", {"name": "taken"})
    assert (refused.status, refused.code) == (409, "template-name")
    assert api.request("PATCH", f"{TEMPLATES}/{first['id']}", {"name": "TAKEN"}).json["name"] == "TAKEN"


@pytest.mark.parametrize("template, pointers", [
    ({}, ["#/name", "#/text"]), ({"name": "", "text": "t"}, ["#/name"]), ({"name": "tpl_x", "text": "t"}, ["#/name"]),
    ({"name": "n", "text": "{{a"}, ["#/text"]), ({"name": "n", "html": "{{#if a}}{{{b}}}{{/if}}"}, ["#/html"] * 3),
    ({"name": "n", "html": "<script>{{a}}</script>"}, ["#/html"]), ({"name": "n", "html": "<p onclick='{{a}}'>"}, ["#/html"]),
    ({"name": "n", "text": "{{a.b}} {{a}}"}, ["#/variables"]), ({"name": "n", "subject": "a\nb", "text": "t"}, ["#/subject"]),
    ({"name": "n", "text": "x" * (1 << 20) + "x"}, ["#/text"]), ({"name": "n", "text": "{{" * (1 << 19)}, ["#/text"] * 100 + ["#"]),
    ({"name": "n", "text": "{{a}}" * 1001}, ["#"]), ({"name": "n", "text": "{{" + "a." * 8 + "a}}"}, ["#/text"]),
    ({"name": "n", "text": "t", "variables": [{"name": "a"}] * 2}, ["#/variables/1/name"]),
    ({"name": "n", "text": "t", "from": "{{a}}@example.com", "reply_to": ["x"]}, ["#/from", "#/reply_to/0"]),
    ({"name": "n", "text": "t", "bdy": 1}, ["#/bdy"]), ([], ["#"]),
])
def test_all_mistakes_in_a_template_are_reported(api, template, pointers):
    answer = api.post(TEMPLATES, template)
    assert (answer.status, answer.code) == (422, "invalid"), answer
    assert [error["pointer"] for error in answer.json["errors"]] == pointers
    assert all(error["detail"][-1] in ".?" and len(error["detail"]) < 1000 for error in answer.json["errors"])


def test_template_mistakes_are_reported_by_line_and_column(api):
    answer = api.post(TEMPLATES, {"name": "n", "html": "<p>\n  {{a b}}"})
    told = answer.json["errors"][0]["detail"]
    assert told.startswith("Line 2, column 3: ") and "name" in told and "placeholder" in told


def test_a_template_of_one_megabyte_is_accepted_and_sent(relay, api, saved):
    html = "<p>" + "x" * ((1 << 20) - 13) + "{{a}}</p>"
    template = saved({"subject": "s", "html": html, "from": "a@example.com"})
    assert api.get(f"{TEMPLATES}/{template['id']}").json["html"] == html
    results = api.batch([{"to": TO, "template_id": template["id"], "variables": {"a": "<"}}] * 3).json["results"]
    assert [result["status"] for result in results] == ["queued"] * 3
    # This is more than one request may compose. The last emails are refused, and the first ones are sent.
    results = api.batch([{"to": TO, "template_id": template["id"], "variables": {"a": "<"}}] * 100).json["results"]
    assert results[0]["status"] == "queued" and results[-1]["error"]["code"] == "size"


def test_a_mail_that_would_be_too_large_is_refused_before_rendering(relay, api, saved):
    template = saved({"subject": "s", "text": "{{a}}" * 1000, "from": "a@example.com"})
    answer = api.send({"to": TO, "template_id": template["id"], "variables": {"a": "x" * 1_000_000}})
    assert (answer.status, answer.code) == (413, "size")
    answer = api.post(f"{TEMPLATES}/{template['id']}/render", {"variables": {"a": "x" * 1_000_000}})
    assert (answer.status, answer.code) == (413, "size")
    assert api.request("PATCH", f"{TEMPLATES}/{template['id']}", "x" * (9 << 20)).code == "size"
    taken(api.send())


def test_line_ends_do_not_get_into_a_subject(relay, api, saved):
    template = saved({"subject": "{{a}}", "text": "{{a}}", "from": "a@example.com"})
    value = "one\r\nBcc: x@example.com\u2028two\x85three"
    message = relay.wait_for_state(
        taken(api.send({"to": TO, "template_id": template["id"], "variables": {"a": value}})), "simulated")
    found = mail(relay, message["id"])
    assert found["Subject"] == "one Bcc: x@example.com two three" and found["Bcc"] is None
    assert message["recipients"] == [TO]


@pytest.mark.parametrize("change, pointer, code", [
    ({"html": "<p>"}, "#/html", "invalid"), ({"template_id": "x"}, "#/template_id", "invalid"),
    ({"template_id": None}, "#/variables", "invalid"), ({"variables": []}, "#/variables", "template-variables"),
    ({"variables": None}, "#/variables/a", "template-variables"), ({"variables": {"a": None}}, "#/variables/a", "template-variables"),
    ({"variables": {"a": "1", "b": 2}}, "#/variables/b", "template-variables"),
    ({"variables": {"a": {"b": {}}}}, "#/variables/a", "template-variables"),
    ({"variables": {"a": "x\0"}}, "#/variables/a", "template-variables"),
    ({"variables": {"a": "x" * 5000}, "subject": None}, "#/variables", "invalid")])
def test_a_bad_request_with_a_template(api, saved, change, pointer, code):
    template = saved({"subject": "{{a}}", "text": "{{a}}"})
    request = {"to": TO, "from": "a@example.com", "subject": "s", "template_id": template["id"], "variables": {"a": "1"}, **change}
    answer = api.send({name: value for name, value in request.items() if value is not None})
    assert (answer.status, answer.code) == (422, code), answer
    assert pointer in [error["pointer"] for error in answer.json["errors"]], answer


def test_the_same_request_twice_is_sent_once(api, saved):
    template = saved({"subject": "s", "text": "{{a}}", "from": "a@example.com"})
    request = {"to": TO, "template_id": template["id"], "variables": {"a": "1"}, "idempotency_key": template["id"]}
    first = api.send(request)
    # A newer version does not change a message that was sent.
    api.request("PATCH", f"{TEMPLATES}/{template['id']}", {"text": "{{a}}!"})
    again = api.send(request)
    assert taken(first) == taken(again) and again.fields["Idempotent-Replayed"] == "true"
    assert api.send({**request, "variables": {"a": "2"}}).code == "idempotency-mismatch"


def test_a_batch_may_use_at_most_20_templates(api):
    emails = [{"to": TO, "template_id": f"tpl_{i:020d}"} for i in range(21)]
    assert api.batch(emails).code == "invalid"
    assert all(result["status"] == "failed" for result in api.batch(emails[:20]).json["results"])


# -- values stay in their places: html5lib checks this

# <frameset> is left out: in it, HTML parsers drop all text except blanks.
PIECES = [
    "<p>", "</p>", '<a href="', "<a href='", '">', "'>", '<p title="', "<p style='", "<title>", "</title>", "<!--", "-->",
    "<style>", "</style>", "<svg>", "</svg>", "<", ">", '"', "'", "&", "{{a}}", "{{a}}", "{{b}}", "text", "é", "\r\n",
    "https://a.example/", "java", ":", "<textarea>", "</textarea>", "=", " ", "<noscript>", "</noscript>", "<select>", "<b x=y>",
    "<script>", "</script>", "<table><tr><td>", "</table>", "<!DOCTYPE html>", "<plaintext>", "<math>", "<![CDATA[", "]]>", "<xmp>",
    "<iframe src='", "<p onclick='", "&colon;", "&#58;", "/", "<img src='", "</select>", "<template>"]
VALUES = [
    "<script>a</script>", '"><img src=x onerror=a>', "' onclick='a", "-->", "</title><b>", "</textarea>", "</style>", "&lt;", "&#58;",
    "javascript:a", "colon;a", "script:a", "\n", "é", "]]>", "`", "=", "/", "", " ", "a", "https://a.example/?a=b&c", ":a", "title ",
    "script", "!--", "onclick=a"]


def tree(node, values):
    """A document as nested tuples, with a mark for each value in texts and attributes."""
    def marked(text):
        for mark, value in values:
            text = text.replace(value, mark)
        return text

    children, text = [], ""
    for child in node.childNodes:
        # html5lib may make several nodes of one piece of text.
        if child.nodeType == child.TEXT_NODE:
            text += child.data
            continue
        children.append(marked(text))
        text = ""
        if child.nodeType == child.ELEMENT_NODE:
            attributes = sorted((name, marked(value)) for name, value in child.attributes.items())
            children.append((child.tagName, attributes, tree(child, values)))
        elif child.nodeType == child.COMMENT_NODE:
            children.append(("!", child.data))
        else:
            children.append((child.nodeType, child.nodeName))
    return [*children, marked(text)]


def scripts(node):
    """URLs of attributes that a browser would run or read as script."""
    found = []
    for child in node.getElementsByTagName("*"):
        for name, value in child.attributes.items():
            plain = re.sub(r"[\t\r\n]", "", value).lstrip("".join(map(chr, range(33)))).lower()
            if name in ("href", "src", "action") and plain.startswith(("javascript:", "data:", "vbscript:")):
                found.append(value)
    return found


def parse(html, scripting):
    return html5lib.HTMLParser(tree=html5lib.getTreeBuilder("dom")).parse(html, scripting=scripting)


def test_no_value_can_change_the_html_structure(api, saved):
    """html5lib finds the same elements and attributes in the mail, whatever the values are."""
    generator = random.Random(19)
    checked = 0
    for _ in range(1500):
        html = "".join(generator.choice(PIECES) for _ in range(generator.randint(1, 9)))
        if "{{" not in html:
            continue
        answer = api.post(TEMPLATES, {"name": "property", "html": html, "variables": [{"name": "a"}, {"name": "b"}]})
        if answer.status != 201:
            assert answer.status == 422, answer
            continue
        path = f"{TEMPLATES}/{answer.json['id']}"
        try:
            plain = api.post(path + "/render", {"variables": {"a": "valueA", "b": "valueB"}}).json["html"]
            for _ in range(4):
                # Marks around a value show where it ends. In some places the value must come first, so each value
                # is also tried without marks.
                values = {name: generator.choice(VALUES) for name in "ab"}
                framed = {name: f"s{name}{value}e{name}" for name, value in values.items()}
                for given in [values, framed]:
                    made = api.post(path + "/render", {"variables": given})
                    if made.status == 422:
                        continue
                    checked += 1
                    for scripting in (False, True):
                        document = parse(made.json["html"], scripting)
                        assert not scripts(document), (html, given)
                        if given is framed:
                            marks = [(f"value{name.upper()}", value) for name, value in framed.items()]
                            wanted = [(mark, mark) for mark, _ in marks]
                            assert tree(document, marks) == tree(parse(plain, scripting), wanted), (html, given)
        finally:
            assert api.request("DELETE", path).status == 204
    assert checked > 1000
