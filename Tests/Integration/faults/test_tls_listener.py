"""testssl.sh finds no serious problem in the listeners."""

import json
import shutil
import subprocess

import pytest

from authority import issue
from sizes import IS_FULL

HARMLESS = {"OK", "INFO", "LOW", "DEBUG"}
# The severity of findings that testssl.sh could not check, such as GOST.
UNKNOWN = "WARN"
# The authority of the tests has no revocation list.
ELSEWHERE = {"cert_revocation"}


@pytest.mark.skipif(not IS_FULL, reason="takes minutes")
@pytest.mark.parametrize("kind", ["smtps", "smtp"])
def test_testssl_finds_nothing_above_low(own_relay, tmp_path, kind):
    if not shutil.which("testssl"):
        pytest.skip("testssl.sh is not installed")
    relay = own_relay(start=False)
    certificate, key = issue(tmp_path, names=("localhost", "relay.example.com"))
    relay.write_settings({
        "tls.certificate": [str(certificate)], "tls.private_key": [str(key)],
        "submission.max_connections_per_client": 1000})
    relay.start()
    report = tmp_path / "report.json"
    command = ["testssl", "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1",
               "--openssl", "/usr/bin/openssl", "--add-ca", str(tmp_path / "issued.root"), "--jsonfile", str(report)]
    if kind == "smtp":
        command += ["--starttls", "smtp"]
    result = subprocess.run(
        [*command, f"localhost:{relay.ports[kind]}"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1800)
    findings = json.loads(report.read_text())
    assert sum(f["severity"] in HARMLESS for f in findings) > 50, result.stdout
    print("".join(f"{f['severity']}: {f['id']}: {f['finding']}\n" for f in findings if f["severity"] not in ("OK", "INFO")))
    harmless = HARMLESS | {UNKNOWN}
    assert [f for f in findings if f["severity"] not in harmless and f["id"] not in ELSEWHERE] == []
