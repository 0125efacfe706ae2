#!/usr/bin/env python3
"""The rules of the house that a program can check: layering, one façade a library, what only lib/base may do, names, sizes.

    layering_test.py SOURCE_DIR [BUILD_DIR]

Before it looks at the project it breaks each rule in a tree of its own and wants to see it reported.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

# The floors of docs/ARCHITECTURE.md. A folder may use lower floors only.
FLOOR = {"base": 0, "shard": 1, "text": 1, "runtime": 1, "web": 2, "curate": 2, "tokenizer": 2, "model": 2,
         "train": 3, "decode": 3, "align": 4, "eval": 4, "scaling": 4}
FACADES = {"nlohmann/": "lib/base/json.cpp", "CLI/": "lib/base/cli.cpp"}
BASE_ONLY = re.compile(r"std::cout|(?<![\w.>])(?:std::)?(?:exit|_exit|abort|getenv|isatty|system)\s*\(")
BANNED_NAMES = {"util", "utils", "common", "helper", "helpers", "misc", "manager"}
UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
# Paths of one machine have no place in a project; the data folder beside a checkout is named in one place.
FOREIGN = re.compile(r"/wo" r"rk/|/ro" r"ot/|/ho" r"me/\w|\.\./sha" r"red")
FOREIGN_ALLOWED = {".ci/run"}
# Under set -e neither of these ends a script: a check that fails before the last &&, and a command behind "!".
LOST_CHECK = re.compile(r"^\s*(?:(?:\[|grep|cmp|test)\s.*&&(?!\s*(?:exit|return|continue|break)\b)|!\s)(?!.*\|\|)")
MAX_LINES, MAX_APP_LINES, MAX_FUNCTION_LINES, MAX_MAIN_LINES = 400, 120, 60, 90
SOURCES = {".cpp", ".hpp", ".cu", ".cuh"}


def read(path):
    return path.read_text(encoding="utf-8", errors="replace")


def without_comments_and_strings(text):
    """C++ text with comments and the inside of literals blanked, lines kept."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)

    def blank(match):
        return "\n" * match.group().count("\n") if match.group().startswith(("/", "R")) else '""'

    # An include keeps its name: it is no literal.
    return "\n".join(line for line in pattern.sub(blank, text).split("\n"))


def tracked_files(root):
    found = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], capture_output=True)
    if found.returncode == 0 and found.stdout:
        names = found.stdout.decode().split("\0")
    else:
        names = [str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()]
    skipped = ("build/", "out/", ".git/")
    return sorted(n for n in names if n and not n.startswith(skipped) and (root / n).is_file())


def library_uses(root):
    """{folder: what its USES list names} of lib/CMakeLists.txt."""
    text = re.sub(r"#[^\n]*", "", read(root / "lib/CMakeLists.txt"))
    uses = {}
    for call in re.findall(r"\bgristmill_library\(([^)]*)\)", text):
        words = call.split()
        if words[0] == "name":
            continue
        listed = words[words.index("USES") + 1:] if "USES" in words else []
        uses[words[0]] = listed[:listed.index("LINKS")] if "LINKS" in listed else listed
    return uses


def app_uses(root):
    text = re.sub(r"#[^\n]*", "", read(root / "apps/CMakeLists.txt"))
    return {w.split()[0]: w.split()[1:] for w in re.findall(r"\bgristmill_app\(([^)]*)\)", text) if w != "name"}


def closure(names, uses):
    seen, queue = set(), list(names)
    while queue:
        name = queue.pop()
        if name not in seen:
            seen.add(name)
            queue += uses.get(name, [])
    return seen


def check_floors(uses):
    for folder, used in uses.items():
        if folder not in FLOOR:
            yield f"lib/CMakeLists.txt: folder {folder} has no floor in {pathlib.Path(__file__).name}"
            continue
        for other in used:
            if FLOOR.get(other, 99) >= FLOOR[folder]:
                yield f"lib/CMakeLists.txt: {folder} (floor {FLOOR[folder]}) may not use {other}: only lower floors"


def allowed_includes(name, uses, apps):
    """The folders that a file may include, or None if the rule says nothing about it."""
    parts = pathlib.PurePath(name).parts
    if parts[0] == "lib" and len(parts) > 2:
        return set(uses.get(parts[1], [])) | {parts[1]}
    if parts[0] == "apps":
        return closure(apps.get(pathlib.PurePath(name).stem, []), uses) | {"base"}
    if parts[0] == "cuda":  # beside the floors: the emulated GPU, which needs no backend, and the backend
        interpreter = parts[1] == "emulator" and parts[2] not in ("driver", "cublas", "nccl")
        return {"base", "runtime", "emulator"} if interpreter else {"base", "runtime", "emulator", "cuda"}
    if parts[0] == "tests" and len(parts) > 2 and parts[1] == "emulator":
        return {"base", "runtime", "emulator", "support"}
    if parts[0] == "tests" and len(parts) > 2 and parts[1] == "cuda":
        return {"base", "runtime", "emulator", "cuda", "support"}
    if parts[0] == "tests" and len(parts) > 2 and parts[1] in uses:
        return closure([parts[1]], uses) | {"support"}
    return None


def check_source(name, text, allowed):
    code = without_comments_and_strings(text)
    for number, line in enumerate(text.split("\n"), 1):
        include = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if not include:
            continue
        path = include.group(2)
        for prefix, facade in FACADES.items():
            if path.startswith(prefix) and name != facade:
                yield f"{name}:{number}: includes <{path}>; only {facade} may"
        beside = name.startswith("tests/") and "/" not in path  # a test folder's own header
        if allowed is not None and include.group(1) == '"' and not beside and path.split("/")[0] not in allowed:
            yield f'{name}:{number}: may not include "{path}"; allowed: {", ".join(sorted(allowed))}'
    if not name.startswith(("lib/base/", "tests/")):
        for number, line in enumerate(code.split("\n"), 1):
            for found in BASE_ONLY.findall(line):
                yield f"{name}:{number}: {found.strip()} belongs to lib/base alone"
    yield from check_sizes(name, text, code)


def check_sizes(name, text, code):
    if "do not edit" in "\n".join(text.split("\n")[:5]):  # a generated table
        return
    lines = text.count("\n")
    limit = MAX_APP_LINES if name.startswith("apps/") else MAX_LINES
    if lines > limit:
        yield f"{name}: {lines} lines, more than {limit}"
    if name.startswith("tests/"):
        return
    start, longest = None, MAX_FUNCTION_LINES
    for number, line in enumerate(code.split("\n"), 1):
        if re.match(r"[A-Za-z_].*\{$", line) and not re.match(r"(namespace|struct|class|enum|union|extern)\b", line):
            start = number
            longest = MAX_MAIN_LINES if line.startswith("int main(") else MAX_FUNCTION_LINES  # a list of options
        elif line.startswith("}"):
            if start is not None and number - start > longest and not line.startswith("};"):
                yield f"{name}:{start}: a function of {number - start} lines, more than {longest}"
            start = None


def check_any_file(name, text):
    words = set(re.split(r"[._-]", pathlib.PurePath(name).name.lower()))
    for word in sorted(words & BANNED_NAMES):
        yield f"{name}: the name says nothing ({word}); name it after what it holds"
    for number, line in enumerate(text.split("\n"), 1):
        if UNFINISHED.search(line):
            yield f"{name}:{number}: unfinished: {line.strip()[:60]}"
        if FOREIGN.search(line) and name not in FOREIGN_ALLOWED:
            yield f"{name}:{number}: a path of one machine: {line.strip()[:60]}"


def check_case(name, text):
    for number, line in enumerate(text.split("\n"), 1):
        if LOST_CHECK.search(line):
            yield f"{name}:{number}: a check whose result is lost; one command a line, or || {{ …; exit 1; }}"


def check(root):
    uses, apps = library_uses(root), app_uses(root)
    problems = list(check_floors(uses))
    for name in tracked_files(root):
        path = root / name
        if path.suffix in {".zst", ".gz", ".warc", ".bin", ".safetensors"} or b"\0" in path.read_bytes()[:4096]:
            continue
        text = read(path)
        if not name.startswith("testdata/") and name != "LICENSE":
            problems += check_any_file(name, text)
        if name.startswith("tests/") and path.suffix == ".sh":
            problems += check_case(name, text)
        if path.suffix in SOURCES:
            problems += check_source(name, text, allowed_includes(name, uses, apps))
    return problems


GOOD = {
    "lib/CMakeLists.txt": "gristmill_library(base LINKS x)\ngristmill_library(shard USES base LINKS y)\n"
                          "gristmill_library(text USES base)\ngristmill_library(web USES base shard text)\n",
    "apps/CMakeLists.txt": "gristmill_app(cat shard)\n",
    "lib/base/json.cpp": "#include <nlohmann/json.hpp>\nint main() { exit(1); }\n",
    "lib/web/page.cpp": '#include "shard/reader.hpp"\n// exit( in a comment, getenv("x")\nauto s = "abort(";\nrun.exit(1);\n',
    "apps/cat.cpp": '#include "shard/reader.hpp"\n#include "base/cli.hpp"\n',
    "tests/cli/cat/a.sh": "[ -e a ] && [ -e b ] || { echo no; exit 1; }\n[ -e c ] && exit 1\nif [ -e d ] && ! cmp a b; then exit 1; fi\n",
    "cuda/emulator/block.cpp": '#include "base/rng.hpp"\n#include "emulator/warp.hpp"\n#include "runtime/backend.hpp"\n',
    "cuda/norms.cpp": '#include "cuda/backend.hpp"\n',
}
BAD = [  # a file, its content, and what must be said about it
    ("lib/CMakeLists.txt", "gristmill_library(base)\ngristmill_library(shard USES base text)\ngristmill_library(text USES base)\n",
     "may not use text"),
    ("lib/CMakeLists.txt", "gristmill_library(base USES shard)\ngristmill_library(shard USES base)\n", "may not use shard"),
    ("lib/CMakeLists.txt", "gristmill_library(attic USES base)\n", "no floor"),
    ("lib/shard/a.cpp", '#include "web/page.hpp"\n', "may not include"),
    ("lib/text/a.hpp", '#  include "shard/reader.hpp"\n', "may not include"),
    ("apps/cat.cpp", '#include "web/page.hpp"\n', "may not include"),
    ("tests/shard/a_test.cpp", '#include "web/page.hpp"\n', "may not include"),
    ("cuda/emulator/a.cpp", '#include "model/transformer.hpp"\n', "may not include"),
    ("cuda/emulator/block.cpp", '#include "cuda/backend.hpp"\n', "may not include"),
    ("lib/web/a.cpp", '#include "emulator/launch.hpp"\n', "may not include"),
    ("lib/runtime/a.cpp", '#include "cuda/backend.hpp"\n', "may not include"),
    ("lib/web/a.cpp", "#include <nlohmann/json_fwd.hpp>\n", "only lib/base/json.cpp"),
    ("lib/base/a.cpp", "#include <CLI/CLI.hpp>\n", "only lib/base/cli.cpp"),
    ("lib/web/a.cpp", "void f() { std::cout << 1; }\n", "std::cout"),
    ("lib/web/a.cpp", "/* x */ void f() { std::exit(1); }\n", "exit("),
    ("lib/web/a.cpp", "void f() { abort (); }\n", "abort"),
    ("apps/cat.cpp", 'auto x = getenv("X");\n', "getenv("),
    ("apps/cat.cpp", "bool x = ::isatty(1);\n", "isatty("),
    ("tests/cli/cat/b.sh", "[ $code -eq 1 ] && grep -q x err\n", "result is lost"),
    ("tests/cli/cat/b.sh", "  cmp a b && cmp c d\n", "result is lost"),
    ("tests/cli/cat/b.sh", "! cmp a b\n", "result is lost"),
    ("lib/web/page_utils.hpp", "", "says nothing"),
    ("lib/web/a.cpp", "\n" * 401, "more than 400"),
    ("apps/cat.cpp", "\n" * 121, "more than 120"),
    ("lib/web/a.cpp", "int f(int x) {\n" + "  ++x;\n" * 60 + "}\n", "a function of"),
    ("lib/web/a.cpp", "// TO" "DO later\n", "unfinished"),
    ("scripts/x", "cd /wo" "rk/main\n", "one machine"),
    ("docs/x.md", "see ../sha" "red/x\n", "one machine"),
]


def self_test():
    for bad in [None] + BAD:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            files = dict(GOOD)
            if bad:
                files[bad[0]] = bad[1]
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            problems = check(root)
            if bad is None and problems:
                return f"a good tree is reported: {problems}"
            if bad is not None and not any(bad[2] in problem for problem in problems):
                return f"not reported: {bad[0]} with {bad[1][:60]!r} (said: {problems})"
    return None


def main():
    broken = self_test()
    if broken:
        print("the test itself is broken:", broken)
        return 1
    problems = check(pathlib.Path(sys.argv[1]).resolve())
    print("\n".join(problems) if problems else "every rule holds")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
