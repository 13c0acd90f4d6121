"""Records as no client library sends them: a timestamp of 0 or none at all, names of headers that are no UTF-8. One batch for each record,
written by hand (record batch v2, Produce request v3)."""

import socket
import struct

from .checkpoint import crc32c

PRODUCE, PRODUCE_VERSION = 0, 3
EARLIEST_TIMESTAMP = -1  # what Kafka calls "no timestamp"


def _varint(number):
    number = (number << 1) ^ (number >> 63)  # zigzag
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def _sized(data):
    return _varint(-1) if data is None else _varint(len(data)) + data


def _string(text):
    return struct.pack(">h", len(text)) + text.encode()


def _batch(value, key, headers, timestamp):
    record = b"\0" + _varint(0) + _varint(0) + _sized(key) + _sized(value) + _varint(len(headers))
    record += b"".join(_sized(name) + _sized(content) for name, content in headers)
    record = _varint(len(record)) + record
    body = struct.pack(">hiqqqhii", 0, 0, timestamp, timestamp, -1, -1, -1, 1) + record
    return struct.pack(">qiibI", 0, 4 + 1 + 4 + len(body), -1, 2, crc32c(body)) + body


def produce(cluster, topic, records, partition=0):
    """Sends (value, key, [(name, value)], timestamp in ms) one after the other; names and values are bytes or None."""
    with socket.create_connection((cluster.host, cluster.port), timeout=15) as connection:
        for number, record in enumerate(records):
            batch = _batch(*record)
            request = struct.pack(">hhi", PRODUCE, PRODUCE_VERSION, number) + _string("raw")
            request += struct.pack(">hhii", -1, -1, 10_000, 1) + _string(topic) + struct.pack(">iii", 1, partition, len(batch)) + batch
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as answers:
                answer = answers.read(struct.unpack(">i", answers.read(4))[0])
            (error,) = struct.unpack(">h", answer[4 + 4 + 2 + len(topic) + 4 + 4 :][:2])
            assert error == 0, f"record {number} was refused with error {error}"
