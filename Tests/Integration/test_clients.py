"""Real clients, over both kinds of TLS: SES gets what the client sent, except for the header fields that the contract names."""

import os
import random
import re
import smtplib
import ssl
import subprocess
from email.message import EmailMessage

import pytest

from relay import DEADLINE, as_sent, clean_environment, key_id


@pytest.fixture(scope="module")
def key(relay):
    return relay.create_key(per_second=1_000_000)


@pytest.fixture(scope="module")
def context(relay):
    return ssl.create_default_context(cafile=str(relay.certificate))


def queued(text):
    """The ids in `250 … queued as …` replies."""
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    return re.findall(r"queued as ([0-9a-z]{13})", text)


def newest(relay, key):
    return relay.json("messages", "list", "--key", key_id(key), "--limit", "1")[0]


def check(relay, key, message_id, sent, recipients):
    message = relay.wait_for_state(message_id, "simulated")
    assert message["recipients"] == recipients
    assert message["key"] == key_id(key)
    as_sent(relay.raw(message_id), sent, key)


# -- smtplib: bodies of all kinds and sizes

def body_one_byte():
    return b"x"


def body_dots():
    return b".\r\n..\r\n...\r\n.hidden\r\n\r\n.\r\nend.\r\n.\r\n"


def body_eight_bit():
    return "Grüße aus Köln — ☃\r\n".encode() * 50 + bytes(range(128, 256)) + b"\r\n"


def body_no_final_line_end():
    return b"first\r\nlast without line end"


def body_long_line():
    return b"y" * 998 + b"\r\n"


def body_megabytes(size):
    generator = random.Random(size)
    line = bytes(generator.choice(b"abcdefghijklmnopqrstuvwxyz .") for _ in range(76)) + b"\r\n"
    return line * (size // len(line))


BODIES = {
    "empty": b"", "one byte": body_one_byte(), "dots": body_dots(), "8-bit": body_eight_bit(),
    "no final line end": body_no_final_line_end(), "998 octets": body_long_line(),
    "100 KB": body_megabytes(100_000), "129 KiB, just spooled": body_megabytes(129 * 1024),
    "25 MB": body_megabytes(25_000_000),
}


@pytest.mark.parametrize("kind", ["smtp", "smtps"])
@pytest.mark.parametrize("name", BODIES)
def test_smtplib_bodies(relay, key, context, kind, name):
    body = BODIES[name]
    head = b"From: from@example.com\r\nTo: to@example.net\r\nSubject: " + name.encode() + b"\r\n"
    sent = head + b"\r\n" + body
    with client(relay, context, kind) as smtp:
        smtp.login("apikey", key)
        smtp.mail("from@example.com", [f"size={len(sent)}", "body=8bitmime"])
        smtp.rcpt("to@example.net")
        # `smtp.data` is not used, because it changes line ends.
        smtp.putcmd("DATA")
        assert smtp.getreply()[0] == 354
        stuffed = re.sub(rb"(?m)^\.", b"..", sent)
        smtp.send(stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        code, text = smtp.getreply()
    assert code == 250, text
    expected = sent if sent.endswith(b"\r\n") else sent + b"\r\n"
    check(relay, key, queued(text)[0], expected, ["to@example.net"])


def client(relay, context, kind):
    if kind == "smtps":
        return smtplib.SMTP_SSL("localhost", relay.ports["smtps"], timeout=DEADLINE, context=context)
    smtp = smtplib.SMTP("localhost", relay.ports["smtp"], timeout=DEADLINE)
    smtp.starttls(context=context)
    return smtp


@pytest.mark.parametrize("mechanism", ["plain", "login"])
@pytest.mark.parametrize("kind", ["smtp", "smtps"])
def test_smtplib_mechanisms_and_attachments(relay, key, context, kind, mechanism):
    message = EmailMessage()
    message["From"] = '"Müller, Büro" <büro@xn--mller-kva.example>'.replace("büro@", "buero@")
    message["To"] = ", ".join(f"Person {i} <p{i}@example.net>" for i in range(30))
    message["Subject"] = "Ümlaute und ein Anhang"
    message.set_content("Siehe Anhang.\n.\nMit Punkt.\n")
    message.add_attachment(random.Random(1).randbytes(200_000), maintype="application", subtype="pdf", filename="a.pdf")
    message.add_attachment("From: other@evil.example\n\nnested\n", subtype="plain", filename="mail.txt")
    sent = message.as_bytes(policy=message.policy.clone(linesep="\r\n"))
    recipients = [f"p{i}@example.net" for i in range(30)]
    with client(relay, context, kind) as smtp:
        smtp.user, smtp.password = "apikey", key
        smtp.ehlo()
        smtp.auth(mechanism, smtp.auth_plain if mechanism == "plain" else smtp.auth_login)
        code, text = smtp.mail("from@example.com"), None
        for recipient in recipients:
            assert smtp.rcpt(recipient)[0] == 250
        code, text = smtp.data(sent)
    assert code == 250
    check(relay, key, queued(text)[0], sent, recipients)


# -- other clients

MESSAGE = (
    "From: Shop <from@example.com>\r\nTo: to@example.net\r\nBcc: secret@example.net,\r\n more@example.net\r\n"
    "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-SES-CONFIGURATION-SET: not-yours\r\nReturn-Path: <x@example.com>\r\n"
    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    "\r\nHällo\r\n.\r\n..dots\r\n\r\nend\r\n").encode()


@pytest.fixture
def message_file(tmp_path):
    path = tmp_path / "message.eml"
    path.write_bytes(MESSAGE)
    return path


def run(command, relay, input=None, environment=None, check=True):
    result = subprocess.run(
        [str(c) for c in command], input=input, capture_output=True, timeout=DEADLINE,
        env=clean_environment({"SSL_CERT_FILE": str(relay.certificate), **(environment or {})}))
    output = result.stdout + result.stderr
    if check:
        assert result.returncode == 0, output.decode("utf-8", "replace")
    return output


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("kind", ["smtp", "smtps"])
def test_swaks(relay, key, message_file, kind, mechanism):
    tls = ["--tls"] if kind == "smtp" else ["--tls-on-connect"]
    output = run(
        ["swaks", "--server", "127.0.0.1", "--port", relay.ports[kind], *tls, "--auth", mechanism, "--auth-user",
         "apikey", "--auth-password", key, "--from", "from@example.com", "--to", "to@example.net,cc@example.net",
         "--data", f"@{message_file}"], relay)
    # swaks turns the file's line ends into CRLF and changes nothing else. It ends the data with an empty line of its own.
    message_id = queued(output)[0]
    received = relay.wait_for_state(message_id, "simulated")
    assert received["recipients"] == ["to@example.net", "cc@example.net"]
    raw = relay.raw(message_id)
    assert raw.count(b"\r\n") == raw.count(b"\n")
    as_sent(raw, MESSAGE if raw.endswith(b"end\r\n") else MESSAGE + b"\r\n", key)


@pytest.mark.parametrize("kind", ["smtp", "smtps"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_curl(relay, key, message_file, kind, mechanism):
    run(
        ["curl", "--silent", "--show-error", "--fail", f"{kind}://localhost:{relay.ports[kind]}", "--ssl-reqd",
         "--cacert", relay.certificate, "--user", f"apikey:{key}", "--login-options", f"AUTH={mechanism}", "--mail-from",
         "from@example.com", "--mail-rcpt", "to@example.net", "--upload-file", message_file], relay)
    message = newest(relay, key)
    check(relay, key, message["id"], MESSAGE, ["to@example.net"])


@pytest.mark.parametrize("kind", ["smtp", "smtps"])
@pytest.mark.parametrize("mechanism", ["plain", "login"])
def test_msmtp(relay, key, tmp_path, kind, mechanism):
    config = tmp_path / "msmtprc"
    config.write_text(
        f"account default\nhost localhost\nport {relay.ports[kind]}\nfrom from@example.com\nuser apikey\n"
        f"password {key}\nauth {mechanism}\ntls on\ntls_starttls {'on' if kind == 'smtp' else 'off'}\n"
        f"tls_trust_file {relay.certificate}\nset_date_header off\nset_msgid_header off\nset_from_header off\n")
    config.chmod(0o600)
    # msmtp removes Bcc itself, and turns LF into CRLF.
    run(["msmtp", "-C", config, "to@example.net", "bcc@example.net"], relay, input=MESSAGE.replace(b"\r\n", b"\n"))
    message = newest(relay, key)
    check(relay, key, message["id"], MESSAGE, ["to@example.net", "bcc@example.net"])


@pytest.mark.parametrize("kind", ["smtp", "smtps"])
def test_s_nail(relay, key, tmp_path, kind):
    """s-nail composes the message itself. Its verbose log shows what it sends."""
    attachment = tmp_path / "attachment.bin"
    attachment.write_bytes(random.Random(2).randbytes(5000))
    home = tmp_path / "home"
    home.mkdir()
    output = run(
        ["s-nail", "-:/", "-vv", "-S", "v15-compat", "-S", f"mta={kind}://apikey:{key}@localhost:{relay.ports[kind]}",
         *(["-S", "smtp-use-starttls"] if kind == "smtp" else []), "-S", "smtp-auth=plain", "-S", "from=from@example.com",
         "-S", "sendwait", "-S", "ttycharset=utf-8", "-S", f"tls-ca-file={relay.certificate}", "-S",
         "tls-ca-no-defaults", "-s", "Hällo von s-nail", "-a", attachment, "to@example.net"],
        relay, input="Zeile eins ü\n.punkt\n\nende\n".encode(), environment={"HOME": str(home), "LC_ALL": "C.UTF-8"})
    message_id = newest(relay, key)["id"]
    message = relay.wait_for_state(message_id, "simulated")
    assert message["recipients"] == ["to@example.net"]
    assert message["subject"] == "Hällo von s-nail"
    said = [m[1] for m in re.finditer(r"(?m)^s-nail: >>> (?!SERVER: )(.*)$", output.decode())]
    sent = "".join(line + "\r\n" for line in said[said.index("DATA") + 1 : -2])
    assert said[-2:] == [".", "QUIT"]
    as_sent(relay.raw(message_id), re.sub(r"(?m)^\.\.", ".", sent).encode(), key)


@pytest.mark.parametrize("kind", ["smtp", "smtps"])
def test_git_send_email(relay, key, tmp_path, kind):
    """git composes the header, and prints each line of it. The body comes from the patch."""
    patch = tmp_path / "0001.patch"
    patch.write_text(
        "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n"
        "From: Dev <dev@example.com>\nDate: Mon, 23 Nov 2026 10:00:00 +0000\nSubject: [PATCH] dots\n\n"
        "Body\n.\n..x\n---\n a | 1 +\n\ndiff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -0,0 +1 @@\n+.\n-- \n2.39\n")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\n\tname = Dev\n\temail = dev@example.com\n")
    output = run(
        ["git", "send-email", "--smtp-server", "localhost", "--smtp-server-port", relay.ports[kind],
         "--smtp-encryption", "tls" if kind == "smtp" else "ssl", "--smtp-user", "apikey", "--smtp-pass", key,
         "--smtp-ssl-cert-path", relay.certificate, "--smtp-debug=1", "--smtp-auth", "PLAIN", "--confirm=never",
         "--suppress-cc=all", "--to", "a@example.net", "--cc", "b@example.net", patch],
        relay, environment={"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"})
    message_id = queued(output)[0]
    message = relay.wait_for_state(message_id, "simulated")
    assert message["recipients"] == ["a@example.net", "b@example.net"]
    # The debugging output has no empty lines, so the header ends before the first line of the body.
    lines = [m[1].rstrip("\r") for m in re.finditer(r"(?m)^Net::SMTP\S*=GLOB\S*>>> (.*)$", output.decode())]
    head = lines[lines.index("DATA") + 1 : lines.index("Body")]
    body = patch.read_text().partition("\n\n")[2]
    as_sent(relay.raw(message_id), ("\n".join(head) + "\n\n" + body).replace("\n", "\r\n").encode(), key)
