"""Man pages and completions, made from the program's definitions. And the package's lists name every file of the tree."""

import json
import os
import re
import subprocess

import pytest

from relay import BINARY, DEADLINE, ROOT, clean_environment


def ran(*command):
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=DEADLINE, cwd=ROOT,
        env={**clean_environment(), "LC_ALL": "C.UTF-8"})
    assert result.returncode == 0, f"{command}: {result.returncode}\n{result.stdout}{result.stderr}"
    return result.stdout, result.stderr


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    directory = tmp_path_factory.mktemp("documents")
    ran("make", "documents", f"PROGRAM={BINARY}", f"DOCUMENTS={directory}")
    return directory


@pytest.fixture(scope="module")
def root():
    return json.loads(ran(BINARY, "--experimental-dump-help")[0])["command"]


def rendered(page):
    """The page as plain text, in lines so wide that no sentence is broken."""
    text = ran("mandoc", "-T", "utf8", "-O", "width=1000", page)[0]
    return re.sub(".\b", "", text)


def leaves(command, words=()):
    words += (command["commandName"],)
    below = [c for c in command.get("subcommands", []) if c["commandName"] != "help"]
    return [leaf for c in below for leaf in leaves(c, words)] if below else [(words, command)]


def test_the_man_pages_are_valid(documents):
    pages = sorted((documents / "man").iterdir())
    assert {page.name for page in pages} == {
        "hiveku-relay.1", "hiveku-relay.yaml.5",
        *(f"hiveku-relay-{name}.1" for name in ("serve", "keys", "messages", "suppressions", "webhooks", "status", "config", "doctor", "feedback", "admin", "database", "templates",
            "statistics", "domains"))}
    for page in pages:
        assert ran("mandoc", "-T", "lint", "-W", "warning", page) == ("", "")
        assert ran("groff", "-man", "-K", "utf8", "-T", "utf8", "-ww", "-z", page) == ("", ""), page


def test_every_command_and_option_is_on_its_page(documents, root):
    for words, command in leaves(root):
        text = rendered(documents / f"man/hiveku-relay-{words[1]}.1")
        # The synopsis: the command on a line of its own, with its options after it.
        synopsis = re.search(rf"^\s+{re.escape(' '.join(words))}(?=\s|$).*$", text, re.M)
        assert synopsis, words
        assert command["abstract"] in text
        described = text.split("\n" + " ".join(words) + "\n")[-1] if len(words) > 2 else text
        for argument in command["arguments"]:
            name = argument.get("preferredName", {}).get("name")
            if name in ("help", "version"):
                continue
            typed = f"--{name}" if name else argument["valueName"].upper()
            assert typed in synopsis[0], (words, typed)
            assert re.search(rf"^\s+{re.escape(typed)}\b", described, re.M), (words, typed)
            assert argument["abstract"] in described, (words, typed)


def test_commands_in_help_fit_a_terminal(root):
    """The help is wrapped at 80 columns. A wrapped command can't be pasted into a shell."""
    def discussions(command, words=()):
        words += (command["commandName"],)
        yield words, command.get("discussion") or ""
        for below in command.get("subcommands", []):
            yield from discussions(below, words)

    wide = [(words, line) for words, text in discussions(root) for line in text.splitlines()
            if line.startswith("  ") and len(line) > 80]
    assert wide == []


def test_every_setting_is_in_the_manual_with_its_default(documents):
    text = rendered(documents / "man/hiveku-relay.yaml.5")
    section, names = None, []
    for line in (ROOT / "etc/relay.yaml").read_text().splitlines():
        if heading := re.match(r"(\w+):$", line):
            section = heading[1] + "."
        if setting := re.match(r"\s*#(\w+):\s*(.*)$", line):
            name = (section or "") + setting[1]
            names.append(name)
            tag = name + (f" = {setting[2]}" if setting[2] else "")
            assert re.search(rf"^\s+{re.escape(tag)}$", text, re.M), tag
    assert len(names) > 25


def test_the_completions_can_be_read_by_their_shells(documents, root):
    for shell, file in (("bash", "bash/hiveku-relay"), ("zsh", "zsh/_hiveku-relay"), ("fish", "fish/hiveku-relay.fish")):
        assert ran(shell, "-n", documents / file) == ("", "")
        text = (documents / file).read_text()
        for words, _ in leaves(root):
            assert words[-1] in text, (shell, words)


def test_bash_completes_commands_and_options(documents):
    script = """
        source "$1"
        COMP_LINE="hiveku-relay keys re" COMP_POINT=20 COMP_WORDS=(hiveku-relay keys re) COMP_CWORD=2 COMP_TYPE=9
        _hiveku-relay hiveku-relay re keys
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    assert ran("bash", "-c", script, "bash", documents / "bash/hiveku-relay")[0].split() == ["revoke"]


def test_the_package_is_for_this_version_and_has_every_file():
    entry = re.match(r"hiveku-relay \((\S+)\) ", (ROOT / "debian/changelog").read_text())
    assert entry[1] == ran(BINARY, "--version")[0].strip()
    installed = {
        line.split()[0] for kind in ("install", "examples")
        for line in (ROOT / f"debian/hiveku-relay.{kind}").read_text().splitlines()}
    expected = {f"{folder}/{name}" for folder in ("systemd", "etc") for name in os.listdir(ROOT / folder)}
    assert expected <= installed
    for script in (ROOT / "debian").glob("*.post*"):
        ran("sh", "-n", script)


def test_the_table_of_modules_names_what_they_import():
    table = (ROOT / "ARCHITECTURE.md").read_text().split("| module | contains | imports |\n|---|---|---|\n")[1].split("\n\n")[0]
    rows = [re.fullmatch(r"\| `(\S+)` \| .+ \| (.+) \|", line).groups() for line in table.splitlines()]
    modules = {module for module, _ in rows}
    assert modules == set(os.listdir(ROOT / "Sources"))
    for module, listed in rows:
        if listed == "all":
            continue
        text = "".join(file.read_text() for file in (ROOT / "Sources" / module).rglob("*.swift"))
        imported = set(re.findall(r"^(?:\w+ )?import (\w+)$", text, re.MULTILINE)) & modules
        assert set(listed.split(", ")) & modules == imported, module
