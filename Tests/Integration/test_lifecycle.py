"""Starting, stopping, dying, and certificates that change."""

import re
import signal
import socket
import ssl
import subprocess
import threading

from relay import DEADLINE, clean_environment, key_id, self_signed
from submit import send, session, submit

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
        # It has stopped listening when a new connection is refused.
        relay.wait_until(lambda: refuses(relay.ports["smtps"]), "the door shut")
        assert process.poll() is None
        smtp.send(MESSAGE + b".\r\n")
        code, text = smtp.getreply()
        assert code == 250, text
        message_id = re.search(rb"queued as (\w+)", text)[1].decode()
        # Then the server says good-bye by itself.
        assert smtp.getreply()[0] == 421
        smtp.quit = lambda: None
    stopper.join(DEADLINE)
    assert status == [0], relay.log_text()
    del context
    # Whether it was still sent before the end or not: it is there, and it is sent once.
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
        assert code == 421 and b"shutting down" in text
        smtp.quit = lambda: None


def served_certificate(relay):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", relay.ports["smtps"]), timeout=DEADLINE) as plain:
        with context.wrap_socket(plain) as secure:
            return ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True))


def test_sighup_takes_a_new_certificate_without_dropping_anyone(own_relay):
    relay = own_relay()
    key = relay.create_key()
    first = relay.certificate.read_text()
    assert served_certificate(relay).strip() == first.strip()
    with session(relay, key) as smtp:
        certificate, key_file = self_signed(relay.directory, "new")
        # As certbot does: each file is replaced as a whole.
        key_file.replace(relay.key_file)
        certificate.replace(relay.certificate)
        relay.process.send_signal(signal.SIGHUP)
        second = relay.certificate.read_text()
        relay.wait_until(lambda: served_certificate(relay).strip() == second.strip(), "the new certificate")
        assert send(smtp, MESSAGE)[0] == 250
        # One that is no good changes nothing, and the log says so.
        relay.certificate.write_text("no certificate")
        relay.process.send_signal(signal.SIGHUP)
        relay.wait_until(lambda: "certificates not reloaded" in relay.log_text(), "a word in the log")
        assert served_certificate(relay).strip() == second.strip()
        assert send(smtp, MESSAGE)[0] == 250


def test_a_changed_file_is_noticed_without_a_signal(own_relay):
    relay = own_relay()
    certificate, key_file = self_signed(relay.directory, "new")
    key_file.replace(relay.key_file)
    certificate.replace(relay.certificate)
    text = relay.certificate.read_text()
    relay.wait_until(lambda: served_certificate(relay).strip() == text.strip(), "the new certificate")


def test_rsa_beside_ecdsa(own_relay):
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


def test_readiness_and_status_are_told_to_systemd(own_relay, tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(DEADLINE)
        relay = own_relay(environment={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1000000"})
        assert manager.recv(1000) == b"READY=1"
        assert manager.recv(1000) == b"STATUS=0 deliveries waiting\nWATCHDOG=1"
        assert manager.recv(1000) == b"STATUS=0 deliveries waiting\nWATCHDOG=1"
        assert relay.stop() == 0
        while (last := manager.recv(1000)).startswith(b"STATUS"):
            pass
        assert last == b"STOPPING=1"


def test_inherited_sockets(own_relay):
    """As systemd's .socket units pass them on."""
    relay = own_relay(start=False)
    relay.write_settings({"listen": ["systemd"]})
    listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in ["smtp", "smtps"]}
    import os

    descriptors = [listener.fileno() for listener in listeners.values()]

    # LISTEN_PID must be the relay's own, which is known only behind the fork: a shell sets it and becomes the relay.
    from relay import BINARY
    for listener in listeners.values():
        os.set_inheritable(listener.fileno(), True)
    script = (f'exec {descriptors[0]}<&{descriptors[0]} 3<&{descriptors[0]} 4<&{descriptors[1]}; '
              'LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=smtp:smtps exec "$@"')
    process = subprocess.Popen(
        ["bash", "-c", script, "bash", BINARY, "serve", "--config", str(relay.config)], pass_fds=descriptors,
        env=clean_environment(), stderr=subprocess.PIPE, text=True)
    try:
        relay.ports = {name: listener.getsockname()[1] for name, listener in listeners.items()}
        key = relay.create_key()
        assert submit(relay, key, MESSAGE)
    finally:
        process.terminate()
        assert process.wait(DEADLINE) == 0, process.stderr.read()
        for listener in listeners.values():
            listener.close()


def test_a_port_in_use_is_said(own_relay):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        relay = own_relay(start=False)
        relay.write_settings({"listen": [f"smtp://127.0.0.1:{taken.getsockname()[1]}"]})
        result = relay.run("serve", check=False)
    assert result.returncode == 1
    assert "can't listen on 127.0.0.1" in result.stderr
