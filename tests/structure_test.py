"""What review forgets: who may include what, how long a file may be, whether each test is built, whether the READMEs name files that exist.

Prints one line per offence and fails. Run by ctest; needs nothing but Python.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("engine", "processors", "admin")
MOST_LINES = {".h": 150, ".cc": 400}

# An include that only these files may have.
ONLY_IN = {
    r"librdkafka/": r"engine/(kafka_(client\.h|handles\.h|client\.cc|source\.cc|admin\.cc)|demo_broker\.cc)",
    r"httplib\.h": r"(admin/http_\w+\.(h|cc)|processors/http_connection\.cc)",
    r"SQLiteCpp/": r"admin/sqlite_store\.(h|cc)",
    r"libpq-fe\.h|pqxx/": r"admin/postgres_\w+\.(h|cc)|processors/database_connection\.cc",
    r"valijson/": r"admin/schema_validator\.cc",
    r"nlohmann/": r"(admin|processors)/.*",
}
# Folder -> folders whose headers it must not see.
NEVER = {"engine": ("admin/", "processors/"), "processors": ("admin/",)}


def sources():
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).glob("*")):
            if path.suffix in MOST_LINES:
                yield path.relative_to(ROOT).as_posix(), path.read_text().splitlines()


def offences_in(name, lines):
    most = MOST_LINES[pathlib.Path(name).suffix]
    if len(lines) > most:
        yield f"{name}: {len(lines)} lines, at most {most}"
    if name.endswith(".h") and "#pragma once" not in lines:
        yield f"{name}: no #pragma once"
    for number, line in enumerate(lines, 1):
        included = re.match(r'#include [<"]([^>"]+)', line)
        if included:
            for what, where in ONLY_IN.items():
                if re.match(what, included[1]) and not re.fullmatch(where, name):
                    yield f"{name}:{number}: must not include {included[1]}"
            for forbidden in NEVER.get(name.split("/")[0], ()):
                if included[1].startswith(forbidden):
                    yield f"{name}:{number}: {name.split('/')[0]} must not depend on {included[1]}"
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            yield f"{name}:{number}: unfinished business belongs into an issue"


def names_given_twice(files):
    """Types of one name in two headers: all are in one namespace, so the linker would take the members of one for those of the other."""
    seen = {}
    for name, lines in files:
        for kind in (re.match(r"(?:struct|class|enum class) (\w+)[^;]*\{", line) for line in lines if name.endswith(".h")):
            if kind and seen.setdefault(kind[1], name) != name:
                yield f"{name}: {kind[1]} is a type of {seen[kind[1]]} too"


def tests_not_built():
    for path in sorted((ROOT / "tests/unit").glob("*/*_test.cc")):
        if path.name not in re.findall(r"[\w.]+", (path.parent / "CMakeLists.txt").read_text()):
            yield f"{path.relative_to(ROOT).as_posix()}: no CMakeLists.txt names it"


def offences_in_readme(path):
    name = path.relative_to(ROOT)
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        if not (path.parent / target).exists():
            yield f"{name}: names {target}, which does not exist"
    for target in re.findall(r"`((?:scripts|tests|perf|engine|processors|admin)/[\w./-]+)`", path.read_text()):
        if not (ROOT / target).exists():
            yield f"{name}: names {target}, which does not exist"


def main():
    offences = [o for name, lines in sources() for o in offences_in(name, lines)]
    offences += names_given_twice(sources())
    offences += tests_not_built()
    for path in ROOT.glob("*/README.md"):
        offences += offences_in_readme(path)
    offences += offences_in_readme(ROOT / "README.md")
    for line in offences:
        print(line)
    print(f"{len(offences)} offences")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
