"""The commands `templates` and `statistics`: templates as files, their versions, and the outcomes of messages."""

import json
import re

import pytest

from relay import key_id
from submit import submit
from wording import mentions

TEMPLATE_ID = r"tpl_[0-9a-z]{20}"
DESCRIPTION = """\
name: {name}
subject: "Welcome, {{{{ customer.name }}}}"
from: "Shop <shop@example.com>"
variables:
  - name: customer.name
  - name: order.total
    type: number
    default: 0.50
"""
HTML = '<p>Hello {{ customer.name }}, <a href="{{ link }}">{{ order.total }}</a></p>'
TEXT = "Hello {{ customer.name }}\r\n"


def write(directory, name="welcome", html=HTML, text=TEXT):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "template.yaml").write_text(DESCRIPTION.format(name=name))
    if html is not None:
        (directory / "body.html").write_bytes(html.encode())
    if text is not None:
        (directory / "body.txt").write_bytes(text.encode())
    return directory


def delete_all(relay):
    for template in relay.json("templates", "list"):
        relay.run("templates", "delete", template["id"])


@pytest.fixture(autouse=True)
def no_templates(relay):
    yield
    delete_all(relay)


def test_a_template_read_from_files_is_written_back_as_the_same_files(relay, tmp_path):
    source = write(tmp_path / "welcome")
    created = relay.run("templates", "put", str(source)).stdout
    id = re.fullmatch(rf"welcome: .*\b({TEMPLATE_ID})\n", created).group(1)
    again = relay.run("templates", "put", str(source / "template.yaml")).stdout
    assert again != created and mentions(again, "welcome: ", "version 1", id)
    shown = relay.json("templates", "show", "WELCOME")[0]
    assert shown["id"] == id and shown["html"] == HTML and shown["text"] == TEXT
    assert [v["name"] for v in shown["variables"]] == ["customer.name", "order.total", "link"]
    assert shown["variables"][1] == {"name": "order.total", "type": "number", "required": False, "default": 0.5}
    copy = tmp_path / "copy"
    relay.run("templates", "show", id, "--to", str(copy))
    assert {p.name for p in copy.iterdir()} == {"template.yaml", "body.html", "body.txt"}
    assert (copy / "body.html").read_bytes() == HTML.encode() and (copy / "body.txt").read_bytes() == TEXT.encode()
    assert relay.json("templates", "put", str(copy))[0] == {
        "id": id, "name": "welcome", "version": 1, "outcome": "unchanged"}


def test_changed_content_makes_a_version_and_a_rollback_restores_one(relay, tmp_path):
    source = write(tmp_path / "welcome")
    relay.run("templates", "put", str(source))
    (source / "body.txt").write_text("Good day {{ customer.name }}\n")
    assert "version 2" in relay.run("templates", "put", str(source)).stdout
    refused = relay.run("templates", "show", "welcome", "--version", "1", "--to", str(source), check=False)
    assert refused.returncode == 1 and "--replace" in refused.stderr
    assert (source / "body.txt").read_text() == "Good day {{ customer.name }}\n"
    assert "Version 3" in relay.run("templates", "rollback", "welcome", "--version", "1").stderr
    shown = relay.json("templates", "show", "welcome")[0]
    assert shown["version"] == 3 and shown["text"] == TEXT
    assert [v["version"] for v in shown["versions"]] == [3, 2, 1]
    assert relay.json("templates", "show", f"{shown['id']}@2")[0]["text"] == "Good day {{ customer.name }}\n"
    missing = relay.run("templates", "rollback", "welcome", "--version", "9", check=False)
    assert missing.returncode == 1 and mentions(missing.stderr, "welcome", "version 9")


def test_replacing_files_removes_a_body_that_the_template_lacks(relay, tmp_path):
    relay.run("templates", "put", str(write(tmp_path / "welcome", html=None)))
    target = write(tmp_path / "target", text="other")
    assert relay.run("templates", "show", "welcome", "--to", str(target), check=False).returncode == 1
    relay.run("templates", "show", "welcome", "--to", str(target), "--replace")
    assert {p.name for p in target.iterdir()} == {"template.yaml", "body.txt"}


def test_mistakes_in_all_files_are_reported_and_nothing_is_saved(relay, tmp_path):
    write(tmp_path / "good")
    bad = write(tmp_path / "bad", name="bad", html="<b>\n<script>{{ x }}</script>", text="{{#if x}}\n{{ y")
    (bad / "template.yaml").write_text("name: tpl_x\nsubjct: x\n")
    result = relay.run("templates", "put", str(tmp_path), check=False)
    assert result.returncode == 1
    places = re.findall(r"(template\.yaml|body\.html|body\.txt):(\d+):(\d+): ", result.stderr)
    assert places == [
        ("template.yaml", "1", "7"), ("template.yaml", "2", "1"), ("body.html", "2", "9"), ("body.txt", "1", "1"),
        ("body.txt", "2", "1")]
    assert "5 mistakes" in result.stderr
    assert relay.json("templates", "list") == []


def test_two_templates_with_the_same_name_are_refused(relay, tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b", name="Welcome")
    result = relay.run("templates", "put", str(tmp_path), check=False)
    assert result.returncode == 1 and "same name" in result.stderr and str(tmp_path / "a") in result.stderr


@pytest.mark.parametrize("path, parts", [("nowhere", ["no file"]), ("", ["template.yaml"]), ("x.txt", ["YAML", "JSON"])])
def test_a_path_without_a_template_is_refused(relay, tmp_path, path, parts):
    (tmp_path / "x.txt").write_text("x")
    result = relay.run("templates", "put", str(tmp_path / path), check=False)
    assert result.returncode == 1 and str(tmp_path / path) in result.stderr and mentions(result.stderr, *parts)


def test_one_file_may_hold_all_of_a_template(relay, tmp_path):
    (tmp_path / "order.json").write_text(json.dumps({"name": "Order", "text": "{{n}}"}))
    (tmp_path / "body.html").write_text("of another template")
    relay.run("templates", "put", str(tmp_path / "order.json"))
    assert relay.json("templates", "show", "Order")[0]["html"] is None
    (tmp_path / "order.json").write_text(json.dumps({"name": "ORDER", "text": "{{n}}"}))
    assert mentions(relay.run("templates", "put", str(tmp_path / "order.json")).stdout, "ORDER: ", "Order", "ORDER")


def test_templates_are_rendered_and_all_mistakes_in_values_are_reported(relay, tmp_path):
    relay.run("templates", "put", str(write(tmp_path / "welcome")))
    values = {"customer": {"name": "A<b>"}, "link": "https://example.com/?a&b"}
    (tmp_path / "values.json").write_text(json.dumps(values))
    for given in (json.dumps(values), str(tmp_path / "values.json")):
        rendered = relay.json("templates", "render", "welcome", "--variables", given)[0]
        assert rendered["subject"] == "Welcome, A<b>"
        assert rendered["html"] == '<p>Hello A&lt;b&gt;, <a href="https://example.com/?a&amp;b">0.50</a></p>'
    assert relay.run("templates", "render", "welcome", "--variables", "-", "--part", "text", input=json.dumps(values)).stdout \
        == "Hello A<b>\n"
    result = relay.run(
        "templates", "render", "welcome", "--variables", '{"customer": {"nam": "x"}, "order": {"total": "x"}}', check=False)
    assert result.returncode == 1 and result.stdout == ""
    assert {line.split(":")[0] for line in result.stderr.splitlines()} == {
        "customer.nam", "order.total", "customer.name", "link"}
    broken = relay.run("templates", "render", "welcome", "--variables", '{"a": }', check=False)
    assert broken.returncode == 1 and "line 1, column 7" in broken.stderr


def test_a_key_with_a_domain_allowlist_has_templates_of_its_own(relay, tmp_path):
    key = key_id(relay.run(
        "keys", "create", "--name", "tenant", "--environment", "test", "--scope", "email:send", "--allow-domain",
        "example.com").stdout.strip())
    source = write(tmp_path / "welcome")
    relay.run("templates", "put", str(source), "--key", key)
    assert relay.run("templates", "show", "welcome", check=False).returncode == 1
    assert relay.json("templates", "show", "welcome", "--key", key)[0]["key"] == key
    relay.run("templates", "put", str(source))
    assert [t["key"] for t in relay.json("templates", "list")] == [None, key]
    assert len(relay.json("templates", "list", "--key", key)) == 1


def test_a_template_that_is_deleted_is_gone(relay, tmp_path):
    relay.run("templates", "put", str(write(tmp_path / "welcome")))
    template = relay.json("templates", "show", "welcome")[0]["id"]
    assert mentions(relay.run("templates", "delete", "welcome").stderr, "welcome", template)
    result = relay.run("templates", "show", "welcome", check=False)
    assert result.returncode == 1 and mentions(result.stderr, "no template", "welcome")


def test_statistics_count_message_outcomes_by_tag(relay):
    key = relay.create_key(environment="test")
    assert relay.json("statistics", "--by", "tag", "--key", key_id(key)) == []
    nothing = relay.run("statistics", "--by", "tag", "--key", key_id(key))
    assert "tag" in nothing.stderr and nothing.stdout == ""
    submit(
        relay, key, b"Hiveku-Tags: counted\r\nFrom: from@example.com\r\nSubject: x\r\n\r\nbody\r\n",
        recipients=["success@simulator.amazonses.com", "bounce@simulator.amazonses.com"])

    def counts():
        found = relay.json("statistics", "--by", "tag", "--key", key_id(key))
        return found and found[0]["statistics"]["today"]

    expected = {"sent": 2, "delivered": 1, "bounced": 1, "complained": 0}
    relay.wait_until(lambda: counts() == expected, "the message is counted")
    found = relay.json("statistics", "--by", "tag", "--key", key_id(key))
    assert found == [{"tag": "counted", "name": None, "statistics": dict.fromkeys(["today", "7_days", "30_days"], expected)}]
    table = relay.run("statistics", "--by", "tag", "--key", key_id(key), "--period", "today").stdout.splitlines()
    assert table[0].split() == ["TAG", "SENT", "DELIVERED", "BOUNCED", "COMPLAINED"]
    assert table[1].split() == ["counted", "2", "1", "1", "0"]
    assert relay.json("statistics", "--by", "tag", "--environment", "live") == []
    assert relay.json("statistics", "--by", "template") == []
