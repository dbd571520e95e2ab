"""The reason that an application shows when the relay closes the connection. Python's smtplib drops the reply that closes it."""

import base64
import smtplib
import ssl

import pytest

from relay import DEADLINE
from test_dialogues import unissued_key


def connect(relay):
    context = ssl.create_default_context(cafile=str(relay.certificate))
    smtp = smtplib.SMTP_SSL("localhost", relay.ports["smtps"], timeout=DEADLINE, context=context)
    smtp.ehlo()
    return smtp


def test_a_throttled_client_shows_the_throttle_reason(own_relay):
    relay = own_relay()
    key = relay.create_key()
    for _ in range(2):
        with connect(relay) as smtp:
            for _ in range(5):
                guess = base64.b64encode(f"\0apikey\0{unissued_key()}".encode()).decode()
                assert smtp.docmd("AUTH", f"PLAIN {guess}")[0] == 535
    with pytest.raises(smtplib.SMTPAuthenticationError, match=r"\[auth-throttled\]") as error:
        connect(relay).login("apikey", key)
    assert error.value.smtp_code in (421, 454)


def test_the_last_reason_is_shown_after_too_many_errors(own_relay):
    relay = own_relay()
    key = relay.create_key(scopes=())
    smtp = connect(relay)
    for _ in range(9):
        assert smtp.docmd("BOGUS")[0] == 500
    with pytest.raises(smtplib.SMTPAuthenticationError) as error:
        smtp.login("apikey", key)
    assert b"[scope]" in error.value.smtp_error or error.value.smtp_error.startswith(b"4.7.0 ")
