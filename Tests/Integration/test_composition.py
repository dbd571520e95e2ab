"""Programs that read mail find in a composed message exactly what the application gave."""

import base64
import hashlib
import json
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
READERS = Path(__file__).resolve().parent / "message_readers"
JAVA = "/usr/share/java/javax.mail.jar:/usr/share/java/javax.activation.jar"
COMMANDS = {
    "python": [sys.executable, READERS / "read.py"],
    "java": ["java", "-Xmx1g", "-cp", JAVA, READERS / "Read.java"],
    "go": ["go", "run", READERS / "read.go"],
    "ruby": ["ruby", READERS / "read.rb"],
}
SCRIPTS = [
    "Ελληνικά", "Русский текст", "עברית", "العربية", "فارسی", "हिन्दी", "বাংলা", "ਪੰਜਾਬੀ", "ગુજરાતી", "தமிழ்", "తెలుగు", "ಕನ್ನಡ", "മലയാളം",
    "සිංහල", "ไทย", "ລາວ", "བོད་ཡིག", "မြန်မာ", "ខ្មែរ", "ქართული", "Հայերեն", "አማርኛ", "中文", "繁體中文", "日本語テキスト", "한국어", "ᏣᎳᎩ", "ᐃᓄᒃᑎᑐᑦ",
    "монгол", "ᠮᠣᠩᠭᠣᠯ", "ދިވެހި", "ܣܘܪܝܝܐ", "ⵜⴰⵎⴰⵣⵉⵖⵜ", "Tiếng Việt", "Türkçe İı", "Íslenska þð", "👩‍👩‍👧‍👦🏳️‍🌈", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "𐍈𐌰", "e\u0301\u0327", "ﷺ",
]
# Texts that a program that reads mail could take for syntax, or for something encoded.
AWKWARD = [
    "a, b; c: d", "a (b) [c] <d>", 'a "b" c', "a\\b", "a@b.example", "a  b", "=?utf-8?q?x?=", "=?", "?=", "=41", "%41", "a=b&c=%20",
    "'a'", "a*0*=x", "_a_b_", "a. b.", "Dr. J. O'Neil-Smith, Jr.", "ü, (b) <c@d.example>", 'ü "x" \\', "ü =?utf-8?q?x?= ü", "a =? ü ?= b",
    "x" * 70 + " ü", "ü" * 30 + " " + "x" * 80 + " ü",
]


def compose(emails):
    """For each email, the answer and the octets of the composed message."""
    lines = "\n".join(json.dumps(email) for email in emails)
    done = subprocess.run([ROOT / ".build/debug/compose-probe"], input=lines.encode(), capture_output=True, check=True)
    output, at, found = done.stdout, 0, []
    for _ in emails:
        end = output.index(b"\n", at)
        answer = json.loads(output[at:end])
        at = end + 1 + answer.get("size", 0)
        found.append((answer, output[end + 1 : at]))
    assert at == len(output)
    return found


def messages(emails):
    found = compose(emails)
    assert [answer["defects"] for answer, _ in found if "defects" in answer] == []
    for _, octets in found:
        assert all(len(line) <= 998 for line in octets.split(b"\r\n"))
        assert octets.replace(b"\r\n", b"").translate(None, bytes(range(0x20, 0x7F)) + b"\t") == b""
    return [octets for _, octets in found]


def read(reader, octets):
    source = b"".join(struct.pack(">I", len(message)) + message for message in octets)
    done = subprocess.run(COMMANDS[reader], input=source, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-2000:]
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def email(**values):
    return {"from": "app@shop.example", "to": ["u@x.example"], "subject": "Hello", "text": "Hi\n"} | values


def quoted(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def mailbox(text):
    match = re.fullmatch(r'(?:"((?:\\.|[^"\\])*)"|([^<"]*?)) ?<(.*)>', text)
    if match is None:
        return ["", text]
    name = re.sub(r"\\(.)", r"\1", match[1]) if match[1] is not None else match[2]
    return [name, match[3]]


def text_hash(text):
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    if lines and not lines.endswith("\n"):
        lines += "\n"
    return hashlib.sha256(lines.replace("\n", "\r\n").encode()).hexdigest()


def leaf(types, sha256, disposition="", filename="", id=""):
    return {"types": types, "disposition": disposition, "filename": filename, "id": id, "sha256": sha256}


def expected_parts(email):
    inline = [file for file in email.get("attachments", []) if "contentID" in file and "html" in email]
    others = [file for file in email.get("attachments", []) if file not in inline]
    around = "multipart/mixed " if others else ""

    def attached(file, around):
        return leaf(
            around + file["contentType"],
            hashlib.sha256(base64.b64decode(file["content"])).hexdigest(),
            "inline" if "contentID" in file else "attachment",
            file["filename"],
            f"<{file['contentID']}>" if "contentID" in file else "",
        )

    parts = []
    body = around + ("multipart/alternative " if "text" in email and "html" in email else "")
    if "text" in email:
        parts.append(leaf(body + "text/plain", text_hash(email["text"])))
    if "html" in email:
        related = body + ("multipart/related " if inline else "")
        parts.append(leaf(related + "text/html", text_hash(email["html"])))
        parts += [attached(file, related) for file in inline]
    return parts + [attached(file, around) for file in others]


def expected(email):
    return {
        "subject": email["subject"],
        "note": next((h["value"] for h in email.get("headers", []) if h["name"] == "X-Note"), ""),
        "from": [mailbox(email["from"])],
        "to": [mailbox(text) for text in email["to"]],
        "cc": [mailbox(text) for text in email.get("cc", [])],
        "reply_to": [mailbox(text) for text in email.get("replyTo", [])],
        "parts": expected_parts(email),
    }


def file(filename, content=b"abc", content_type="application/pdf", **more):
    return {"filename": filename, "contentType": content_type, "content": base64.b64encode(content).decode(), **more}


def note(value):
    return [{"name": "X-Note", "value": value}]


def emails():
    """Emails, each with a name."""
    for script in SCRIPTS:
        yield f"script {script}", email(**{
            "from": f"{script} <app@shop.example>",
            "to": [f"{script} {script} <u@x.example>", f"{quoted(script + ', ' + script)} <v@x.example>"],
            "cc": [f"{script * 12} <w@x.example>"],
            "replyTo": [f"ascii {script} <r@x.example>"],
            "subject": f"{script} and {script * 20} ascii {script}",
            "text": f"{script}\n" * 3,
            "html": f"<p>{script}</p>",
            "headers": note(f"{script} b {script * 9}"),
            "attachments": [file(f"{script}.pdf"), file(f"{script * 4}.pdf", contentID="logo@x")],
        })
    for text in AWKWARD:
        name = text if "=?" not in text else "x"
        yield f"awkward {text[:30]}", email(**{
            "from": f"{quoted(name)} <app@shop.example>",
            "to": [f"{quoted(name)} <u@x.example>", "v@x.example"],
            "subject": text,
            "text": f"{text}\n{text} \n",
            "headers": note(text if not text.startswith("=?utf-8") else "x"),
            "attachments": [file(name.replace("\\", "") + ".pdf")],
        })
    yield "100 recipients", email(
        to=[f"{'Empfänger' if n % 2 else 'Name, of'.replace(',', '')} {n} <u{n}@x.example>" for n in range(100)],
        cc=[f"u{n}@y.example" for n in range(100)],
    )
    yield "empty", email(subject="", text="", html="", attachments=[file("empty.pdf", b"")])
    yield "html only", email(html="<b>x</b>", subject="x") | {"text": "x"}
    yield "line ends", email(text="a\rb\nc\r\nd\r\r\ne\n\nf", html="\r\n\r\n.\r\n..\r\n--=_1_\r\nFrom x\r\n")
    yield "long lines", email(text="x" * 5000 + " \n" + "é" * 5000, html=("y " * 4000))
    yield "huge subject", email(subject="wörd " * 680 + "end", headers=note("wörd " * 1300 + "end"))
    yield "huge ASCII subject", email(subject="word " * 800 + "end", headers=note("word " * 1600 + "end"))
    yield "subject without a blank", email(subject="x" * 3000)
    yield "long name", email(to=[f"{'ä' * 320} <u@x.example>", f"{quoted('b, ' * 106)} <v@x.example>".replace('b, "', 'b"')])
    yield "long file names", email(attachments=[file("ä" * 120 + ".pdf"), file("b" * 250 + ".pdf"), file("日" * 80 + ".pdf")])
    yield "structure", email(
        html='<img src="cid:a"><img src="cid:b@x.example">',
        attachments=[
            file("1.pdf"), file("a.png", b"\x89PNG", "image/png", contentID="a"), file("2.pdf", bytes(range(256)) * 100),
            file("b.png", b"\0", "image/png", contentID="b@x.example"),
        ],
    )
    yield "inline without html", email(attachments=[file("a.png", b"\x89PNG", "image/png", contentID="a")])
    yield "text of all controls", email(text="".join(map(chr, [*range(1, 0x20), 0x7F, 0x85, 0x2028])) + "x")
    yield "text in base64", email(text="日本語\n" * 30000, html="Привет" * 20000)


EMAILS = dict(emails())
LARGE = email(attachments=[file("large.pdf", hashlib.sha512(b"x").digest() * (20 * 1024 * 1024 // 64)), file("empty.pdf", b"")])


@pytest.fixture(scope="module")
def composed():
    return messages(list(EMAILS.values()))


def with_single_blanks(value):
    """`value` with names in which several spaces are one space, as some programs read them."""
    if isinstance(value, dict):
        return value | {
            field: [[re.sub(" +", " ", name), address] for name, address in value[field]]
            for field in ("from", "to", "cc", "reply_to")
        }
    return value


@pytest.mark.parametrize("reader", COMMANDS)
def test_mail_parsers_find_exactly_what_the_application_gave(composed, reader):
    found = read(reader, composed)
    assert len(found) == len(EMAILS)
    wrong = {}
    for (name, given), reading in zip(EMAILS.items(), found):
        want, reading = with_single_blanks(expected(given)), with_single_blanks(reading)
        differences = {key: (reading[key], want[key]) for key in want if reading[key] != want[key]}
        if differences:
            wrong[name] = differences
    assert not wrong, json.dumps(wrong, ensure_ascii=False, indent=1)[:6000]


@pytest.mark.parametrize("reader", COMMANDS)
def test_mail_parsers_find_large_and_empty_attachments(reader):
    assert read(reader, messages([LARGE])) == [expected(LARGE)]


@pytest.mark.parametrize("character", ["\r\n", "\r", "\n", "\0", "\r\n ", "\r\n\r\n", "\u0085", "\u2028"])
def test_no_value_can_inject_a_header_field(character):
    bait = f"a{character}Bcc: evil@x.example"
    tried = {
        "from": email(**{"from": f"{bait} <app@shop.example>"}),
        "to": email(to=[f"{quoted(bait)} <u@x.example>"]),
        "address": email(to=[f"u@x.example{character}"]),
        "cc": email(cc=[f"{bait} <u@x.example>"]),
        "replyTo": email(replyTo=[f"<u@x.example{character}>"]),
        "subject": email(subject=bait),
        "header name": email(headers=[{"name": bait, "value": "x"}]),
        "header value": email(headers=note(bait)),
        "filename": email(attachments=[file(bait)]),
        "content type": email(attachments=[file("a", content_type=f"text/plain{character}")]),
        "parameter": email(attachments=[file("a", content_type=f'text/plain; a="{bait}"')]),
        "content id": email(attachments=[file("a", contentID=bait)]),
    }
    for name, (answer, octets) in zip(tried, compose(list(tried.values()))):
        assert answer.get("defects"), name
        assert octets == b""
