"""Sends messages with smtplib, without a change of any octet."""

import contextlib
import re
import smtplib
import ssl

from relay import DEADLINE


@contextlib.contextmanager
def session(relay, key, kind="smtps"):
    """An authenticated connection."""
    context = ssl.create_default_context(cafile=str(relay.certificate))
    if kind == "smtps":
        smtp = smtplib.SMTP_SSL("localhost", relay.ports["smtps"], timeout=DEADLINE, context=context)
    else:
        smtp = smtplib.SMTP("localhost", relay.ports["smtp"], timeout=DEADLINE)
        smtp.starttls(context=context)
    try:
        smtp.login("apikey", key)
        yield smtp
        smtp.quit()
    finally:
        smtp.close()


def send(smtp, content, recipients=("to@example.net",), sender="from@example.com"):
    """Sends a message. Returns the reply to the end of data, as (code, text).

    If an earlier command was refused, it returns that reply. `content` has CRLF line ends and is sent unchanged.
    """
    for code, text in [smtp.mail(sender)] + [smtp.rcpt(recipient) for recipient in recipients]:
        if code != 250:
            return code, text.decode()
    smtp.putcmd("DATA")
    code, text = smtp.getreply()
    if code != 354:
        return code, text.decode()
    stuffed = re.sub(rb"(?m)^\.", b"..", content)
    smtp.send(stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n")
    code, text = smtp.getreply()
    return code, text.decode()


def submit(relay, key, content, recipients=("to@example.net",), sender="from@example.com"):
    """Sends one message and returns its id."""
    with session(relay, key) as smtp:
        code, text = send(smtp, content, recipients, sender)
    assert code == 250, (code, text)
    return re.search(r"queued as ([0-9a-z]{13})", text)[1]
