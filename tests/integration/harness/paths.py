"""Where the build's programs are. KAFKA_FETCHER_BINARY names the server; everything else lies beside it."""

import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = pathlib.Path(os.environ.get("KAFKA_FETCHER_BINARY", ROOT / "build/release/kafka-fetcher")).resolve()
TOOLS = pathlib.Path(os.environ.get("KAFKA_FETCHER_TOOLS", BINARY.parent / "tests/tools")).resolve()
TESTING_BINARY = TOOLS / "kafka-fetcher-testing"
PRODUCER = TOOLS / "record_producer"
CHECKER = TOOLS / "record_checker"
KAFKA_SCRIPT = ROOT / "scripts/kafka"
POSTGRES_SCRIPT = ROOT / "scripts/postgres"
