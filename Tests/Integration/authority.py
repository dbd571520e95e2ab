"""Certificates as an authority issues them: for any names and any period of validity, with the chain."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def _certificate(name, key, issuer, issuer_key, start, end, authority, names=()):
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(start).not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not authority, key_cert_sign=authority, crl_sign=False, content_commitment=False,
                key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                decipher_only=False), critical=True))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def issue(directory, names=("relay.example.com",), days=90, chain=True, name="issued"):
    """Returns the paths of a certificate and of its key. The file of the certificate also has the intermediate certificate that
    issued it, unless `chain` is false.

    The certificate expires in `days` days. A negative number means that it has expired. The root certificate, with which a client
    verifies it, is written to `<name>.root` in the same directory.
    """
    now = datetime.datetime.now(datetime.timezone.utc)
    start, end = now - datetime.timedelta(days=400), now + datetime.timedelta(days=days)
    far = now + datetime.timedelta(days=4000)
    root_key, middle_key, key = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    root = _certificate("Test Root", root_key, "Test Root", root_key, start, far, True)
    middle = _certificate("Test Intermediate", middle_key, "Test Root", root_key, start, far, True)
    own = _certificate(names[0], key, "Test Intermediate", middle_key, start, end, False, names)
    certificate, key_file = directory / f"{name}.pem", directory / f"{name}.key"
    (directory / f"{name}.root").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    parts = [own, middle] if chain else [own]
    certificate.write_bytes(b"".join(c.public_bytes(serialization.Encoding.PEM) for c in parts))
    key_file.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    key_file.chmod(0o600)
    return certificate, key_file
