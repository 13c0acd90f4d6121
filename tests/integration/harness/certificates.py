"""Certificates for a test, made by openssl when they are needed."""

import subprocess


def _openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)


def make_authority(folder, name):
    """A certificate authority. Returns (certificate, key)."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}",
             "-keyout", str(key), "-out", str(certificate))  # fmt: skip
    return certificate, key


def make_revocation_list(authority, path):
    """An empty one, signed by the authority."""
    config = path.with_suffix(".cnf")
    config.write_text("[ca]\ndefault_ca = it\n[it]\ndatabase = /dev/null\ndefault_md = sha256\n")
    _openssl("ca", "-gencrl", "-config", str(config), "-keyfile", str(authority[1]), "-cert", str(authority[0]), "-crldays", "2", "-out", str(path))


def make_server_certificate(folder, authority, names):
    """A certificate for `names` ("IP:127.0.0.1,DNS:localhost"), signed by the authority. Returns (certificate, key)."""
    certificate, key, request, extensions = (folder / f"server.{end}" for end in ("crt", "key", "csr", "ext"))
    extensions.write_text(f"subjectAltName={names}\n")
    _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=server",
             "-keyout", str(key), "-out", str(request))  # fmt: skip
    _openssl("x509", "-req", "-in", str(request), "-CA", str(authority[0]), "-CAkey", str(authority[1]), "-CAcreateserial", "-days", "2",
             "-extfile", str(extensions), "-out", str(certificate))  # fmt: skip
    return certificate, key
