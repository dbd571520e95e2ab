"""The relay starts, stops and is killed, and its certificates change."""

import re
import signal
import socket
import ssl
import subprocess
import threading

from relay import DEADLINE, key_id, self_signed
from submit import send, session

MESSAGE = b"From: from@example.com\r\nSubject: kept\r\n\r\nbody\r\n"


def test_kill_right_after_250_loses_nothing(own_relay):
    relay = own_relay()
    key = relay.create_key(per_second=1_000_000)
    accepted = []
    large = MESSAGE + (b"z" * 70 + b"\r\n") * 3000
    with session(relay, key) as smtp:
        for content in [MESSAGE, large, MESSAGE]:
            code, text = send(smtp, content)
            assert code == 250
            accepted.append((re.search(r"queued as (\w+)", text)[1], content))
        assert relay.stop(signal.SIGKILL) == -signal.SIGKILL
        smtp.close()
        smtp.sock = None
        smtp.quit = lambda: None
    relay.start()
    for message_id, content in accepted:
        relay.wait_for_state(message_id, "simulated")
        assert relay.raw(message_id).endswith(content[content.index(b"\r\n\r\n"):])
    usage = relay.json("keys", "show", key_id(key))[0]
    assert usage["emails_total"] == usage["emails_today"] == 3


def test_sigterm_lets_a_transaction_end_and_then_closes(own_relay):
    relay = own_relay()
    key = relay.create_key()
    context = ssl.create_default_context(cafile=str(relay.certificate))
    with session(relay, key) as smtp:
        assert smtp.mail("from@example.com")[0] == 250
        assert smtp.rcpt("to@example.net")[0] == 250
        smtp.putcmd("DATA")
        assert smtp.getreply()[0] == 354
        status = []
        stopper = threading.Thread(target=lambda: status.append(relay.stop()))
        process = relay.process
        stopper.start()
        # The relay has stopped listening when it refuses a new connection.
        relay.wait_until(lambda: refuses(relay.ports["smtps"]), "the listener is closed")
        assert process.poll() is None
        smtp.send(MESSAGE + b".\r\n")
        code, text = smtp.getreply()
        assert code == 250, text
        message_id = re.search(rb"queued as (\w+)", text)[1].decode()
        # Then the relay closes the connection.
        assert smtp.getreply()[0] == 421
        smtp.quit = lambda: None
    stopper.join(DEADLINE)
    assert status == [0], relay.log_text()
    del context
    # The relay may have sent the message before it ended, or not. In both cases the message is there, and is sent once.
    relay.start()
    message = relay.wait_for_state(message_id, "simulated")
    assert message["deliveries"][0]["attempts"] == 1


def refuses(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE).close()
        return False
    except ConnectionRefusedError:
        return True


def test_sigterm_closes_idle_connections_at_once(own_relay):
    relay = own_relay()
    key = relay.create_key()
    with session(relay, key) as smtp:
        assert relay.stop() == 0
        code, text = smtp.getreply()
        assert code == 421 and text.startswith(b"4.3.2 ")
        smtp.quit = lambda: None


def served_certificate(relay):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", relay.ports["smtps"]), timeout=DEADLINE) as plain:
        with context.wrap_socket(plain) as secure:
            return ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True))


def test_sighup_loads_a_new_certificate_without_dropping_connections(own_relay):
    relay = own_relay()
    key = relay.create_key()
    first = relay.certificate.read_text()
    assert served_certificate(relay).strip() == first.strip()
    with session(relay, key) as smtp:
        certificate, key_file = self_signed(relay.directory, "new")
        # Each file is replaced as a whole, as certbot does it.
        key_file.replace(relay.key_file)
        certificate.replace(relay.certificate)
        relay.process.send_signal(signal.SIGHUP)
        second = relay.certificate.read_text()
        relay.wait_until(lambda: served_certificate(relay).strip() == second.strip(), "the new certificate is served")
        assert send(smtp, MESSAGE)[0] == 250
        # A file that is not a certificate changes nothing, and the log reports it.
        relay.certificate.write_text("no certificate")
        relay.process.send_signal(signal.SIGHUP)
        relay.wait_until(lambda: "certificates not reloaded" in relay.log_text(), "a log line about the failed reload")
        assert served_certificate(relay).strip() == second.strip()
        assert send(smtp, MESSAGE)[0] == 250


def test_a_changed_certificate_is_loaded_without_a_signal(own_relay):
    relay = own_relay()
    certificate, key_file = self_signed(relay.directory, "new")
    key_file.replace(relay.key_file)
    certificate.replace(relay.certificate)
    text = relay.certificate.read_text()
    relay.wait_until(lambda: served_certificate(relay).strip() == text.strip(), "the new certificate is served")


def test_rsa_and_ecdsa_certificates_are_served_side_by_side(own_relay):
    relay = own_relay(start=False)
    certificate, key = self_signed(relay.directory, "rsa", "rsa")
    relay.write_settings({
        "tls.certificate": [str(relay.certificate), str(certificate)], "tls.private_key": [str(relay.key_file), str(key)]})
    relay.start()
    for algorithms, kind in [("ECDSA+SHA256", "id-ecPublicKey"), ("RSA-PSS+SHA256", "rsaEncryption")]:
        result = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{relay.ports['smtps']}", "-sigalgs", algorithms],
            input=b"QUIT\r\n", capture_output=True, timeout=DEADLINE)
        text = subprocess.run(
            ["openssl", "x509", "-noout", "-text"], input=result.stdout, capture_output=True, check=True).stdout.decode()
        assert f"Public Key Algorithm: {kind}" in text


def test_a_port_in_use_is_reported(own_relay):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        relay = own_relay(start=False)
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        relay.write_settings({"listen": [f"smtp://{place}"]})
        result = relay.run("serve", check=False)
    assert result.returncode == 1
    assert place in result.stderr
