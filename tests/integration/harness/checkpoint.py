"""An independent reader of file_sink's checkpoints: two slots after one block, each a line of JSON with a CRC-32C over its other bytes."""

import dataclasses
import json
import os

BLOCK = 4096


def _crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


@dataclasses.dataclass
class Checkpoint:
    length: int
    rotations: int
    rotating_to: str
    positions: dict  # group -> topic -> partition -> next offset

    def next_offsets(self, group, topic):
        return self.positions.get(group, {}).get(topic, {})


def _decode(slot):
    if not slot.startswith(b'{"crc32c":"') or crc32c(slot[:11] + b"00000000" + slot[19:]) != int(slot[11:19], 16):
        return None
    return json.loads(slot)


def _positions(groups):
    return {
        group: {
            topic: {int(partition): offset for by_partition in ids.values() for partition, offset in by_partition.items() if offset >= 0}
            for topic, ids in topics.items()
        }
        for group, topics in groups.items()
    }


def path_of(data_file):
    return f"{data_file}.checkpoint"


def read(data_file):
    """The newest intact slot beside `data_file`; None where there is no checkpoint."""
    try:
        with open(path_of(data_file), "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return None
    half = (len(data) - BLOCK) // 2
    states = [state for state in (_decode(data[BLOCK + i * half : BLOCK + (i + 1) * half]) for i in range(2)) if state]
    if not states:
        raise AssertionError(f"no intact slot in {path_of(data_file)}")
    newest = max(states, key=lambda state: state["sequence"])
    return Checkpoint(newest["length_bytes"], newest["rotations"], newest["rotating_to"], _positions(newest["positions"]))


def size_of(data_file):
    try:
        return os.stat(data_file).st_size
    except FileNotFoundError:
        return 0
