"""A broker that lets in only who has a password (SCRAM over TLS) or a certificate, beside its open listener for the test itself."""

import pathlib

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from .broker import TIMEOUT, Cluster, OwnBroker
from .certificates import make_authority, make_server_certificate
from .proxy import Proxy
from .waiting import free_port, wait_until

USER = "fetcher"
PASSWORD = "right-password-8LwQ"


class SecureBroker(OwnBroker):
    """`with_password` and `with_certificate` are its listeners as a client sees them; `certificates` holds ca.pem, other-ca.pem (that signed
    nothing), client.pem and client-key.pem. Who comes with a password comes through `proxy`."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        self.certificates = folder / "certificates"
        self.certificates.mkdir(parents=True)
        store = self._make_certificates()
        self.proxy = Proxy()
        self.proxy.target_port, certificate_port = free_port(), free_port()
        super().__init__(
            folder,
            secure_listeners={
                "PASSWORD": (self.proxy.target_port, self.proxy.port, "SASL_SSL"),
                "CERTIFICATE": (certificate_port, certificate_port, "SSL"),
            },
            properties=[
                "sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512",
                *(
                    f"listener.name.password.scram-sha-{bits}.sasl.jaas.config="
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                    for bits in (256, 512)
                ),
                "ssl.keystore.type=PEM",
                f"ssl.keystore.location={store}",
                "ssl.truststore.type=PEM",
                f"ssl.truststore.location={self.certificates / 'ca.pem'}",
                "listener.name.certificate.ssl.client.auth=required",
            ],
        )
        self.with_password = Cluster(f"127.0.0.1:{self.proxy.port}")
        self.with_certificate = Cluster(f"127.0.0.1:{certificate_port}")

    def _make_certificates(self):
        authority = make_authority(self.certificates, "ca")
        make_authority(self.certificates, "other-ca")
        certificate, key = make_server_certificate(self.certificates, authority, "IP:127.0.0.1,DNS:localhost")
        store = self.certificates / "broker-store.pem"
        store.write_text(key.read_text() + certificate.read_text())
        # Who a client is does not matter here, only who signed it.
        (self.certificates / "client.pem").write_text(certificate.read_text())
        (self.certificates / "client-key.pem").write_text(key.read_text())
        return store

    def start(self):
        super().start()
        self.set_password(PASSWORD)

    def stop(self):
        super().stop()
        self.proxy.close()

    def set_password(self, password):
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            change = UserScramCredentialUpsertion(USER, ScramCredentialInfo(mechanism, 4096), password.encode())
            self.admin.alter_user_scram_credentials([change])[USER].result(TIMEOUT)
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
            wait_until(lambda mechanism=mechanism: self._lets_in(mechanism, password), 20, f"the broker knows the password of {mechanism}")

    def _lets_in(self, mechanism, password):
        properties = {
            "bootstrap.servers": self.with_password.servers,
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.certificates / "ca.pem"),
            "sasl.mechanism": mechanism,
            "sasl.username": USER,
            "sasl.password": password,
            "log_level": 0,
        }
        try:
            return AdminClient(properties).list_topics(timeout=3) is not None
        except KafkaException:
            return False
