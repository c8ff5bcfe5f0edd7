#!/usr/bin/env python3
"""Checks which folder may include which.

The rule is in tracer/ARCHITECTURE.md; this file is its executable form. Looks at every #include of
the product (tracer/, syscalls/, target/); tests may include what they test.
"""

import argparse
import pathlib
import re
import sys
import tempfile

# Layer -> the layers it may include besides itself.
ALLOWED = {
    "base": [],
    "syscalls": ["base"],
    "model": ["base", "syscalls"],
    "kernel": ["base", "syscalls", "model"],
    "record": ["base", "syscalls", "model"],
    "diagnose": ["base", "syscalls", "model"],
    "compare": ["base", "syscalls", "model"],
    "render": ["base", "syscalls", "model"],
    "unwind": ["base", "syscalls", "model", "kernel"],
    "engine": ["base", "syscalls", "model", "kernel", "unwind"],
    "cli": ["base", "syscalls", "model", "kernel", "record", "diagnose", "compare", "render",
            "unwind", "engine"],
    "main": ["cli"],
    "target": [],
}

# Third-party headers (a prefix of what stands between the brackets) -> where they may come in.
EVERY_LAYER = [layer for layer in ALLOWED if layer not in ("main", "target")]
THIRD_PARTY = {
    "fmt/": EVERY_LAYER,
    "CLI/": ["cli"],
    "curses.h": ["cli"],
    "nlohmann/": ["render", "cli"],
    "protozero/": ["record", "render"],
    "netlink/": ["kernel"],
    "seccomp": ["kernel"],
    "libunwind": ["unwind"],
    "elfutils/": ["unwind"],
    "libelf": ["unwind"],
    "gelf.h": ["unwind"],
    "dwarf.h": ["unwind"],
    "gtest/": [],
    "gmock/": [],
    "benchmark/": [],
}

# The same for headers of the system that a layer must not need: ptrace belongs to kernel (and to
# the patients that use it themselves), and what
# must replay without a kernel may not touch files or processes.
LIVE_LAYERS = ["base", "kernel", "unwind", "engine", "cli", "target"]
SYSTEM = {
    "sys/ptrace.h": ["kernel", "unwind", "target"],
    "linux/ptrace.h": ["kernel", "unwind"],
    "sys/wait.h": LIVE_LAYERS,
    "sys/uio.h": LIVE_LAYERS,
    "sys/socket.h": LIVE_LAYERS + ["syscalls"],  # names of its constants
    "dirent.h": LIVE_LAYERS,
    "filesystem": LIVE_LAYERS,
    "fstream": LIVE_LAYERS + ["record"],
    "unistd.h": LIVE_LAYERS + ["record"],
}

SYSTEM_FOLDERS = ("sys/", "linux/", "asm/", "asm-generic/", "arpa/", "net/", "netinet/", "bits/")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SUFFIXES = {".h", ".cc", ".inc"}


def layer_of(path):
    """The layer of a path relative to the root, or None if it is outside the layers."""
    parts = pathlib.PurePosixPath(path).parts
    if parts[0] in ("syscalls", "target"):
        return parts[0]
    if parts[0] != "tracer":
        return None
    if len(parts) == 2:
        return "main" if parts[1] == "main.cc" else None
    return parts[1]


def problem(layer, bracket, header):
    """What is wrong with this include in this layer, or None."""
    if bracket == '"':
        included = layer_of(header)
        if included is None or included not in ALLOWED:
            return "not a path from the root into a layer"
        if included == layer or included in ALLOWED[layer]:
            return None
        return "%s may include %s" % (layer, ", ".join(ALLOWED[layer]) or "no other layer")
    for table in (THIRD_PARTY, SYSTEM):
        for prefix, layers in table.items():
            exact = table is SYSTEM
            if header == prefix or (not exact and header.startswith(prefix)):
                if layer in layers:
                    return None
                return "belongs to %s" % (", ".join(layers) or "the tests")
    if "/" in header and not header.startswith(SYSTEM_FOLDERS):
        return "third-party header without a layer: name it in scripts/check_layers.py"
    return None


def check(root):
    """All violations under root as "file:line: text", sorted."""
    violations = []
    for top in ("tracer", "syscalls", "target"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in SUFFIXES or not path.is_file():
                continue
            relative = path.relative_to(root).as_posix()
            layer = layer_of(relative)
            if layer not in ALLOWED:
                violations.append("%s:1: a folder without a rule: name it in scripts/check_layers.py"
                                  % relative)
                continue
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                match = INCLUDE.match(line)
                wrong = match and problem(layer, match.group(1), match.group(2))
                if wrong:
                    violations.append("%s:%d: %s: %s" % (relative, number, match.group(2), wrong))
    return violations


# file, its text, part of the complaint it must cause (None: it is right)
EXAMPLES = [
    ("tracer/base/a.h", '#include "syscalls/table.h"', "base may include no other layer"),
    ("tracer/base/b.h", "#include <fmt/format.h>\n#include <vector>\n#include <sys/types.h>", None),
    ("syscalls/a.cc", '#include "tracer/base/ids.h"\n#include "syscalls/table.h"', None),
    ("syscalls/b.cc", '#include "tracer/kernel/procfs.h"', "syscalls may include base"),
    ("syscalls/c.cc", "#include <sys/ptrace.h>", "belongs to kernel"),
    ("tracer/model/a.h", '#include "tracer/diagnose/rule.h"', "model may include"),
    ("tracer/diagnose/rules/a.cc", '#include "tracer/diagnose/rule.h"', None),
    ("tracer/diagnose/rules/b.cc", '#include "tracer/kernel/procfs.h"', "diagnose may include"),
    ("tracer/diagnose/rules/c.cc", "#include <fstream>", "belongs to"),
    ("tracer/render/a.cc", '#include "tracer/engine/loop.h"', "render may include"),
    ("tracer/render/b.cc", "#include <nlohmann/json.hpp>", None),
    ("tracer/record/a.cc", '#include "tracer/render/json.h"', "record may include"),
    ("tracer/record/b.cc", "  #  include <CLI/CLI.hpp>", "belongs to cli"),
    ("tracer/kernel/a.cc", '#include "tracer/unwind/stacks.h"', "kernel may include"),
    ("tracer/kernel/b.cc", "#include <libunwind-ptrace.h>", "belongs to unwind"),
    ("tracer/unwind/a.cc", '#include "tracer/kernel/procfs.h"\n#include <libunwind.h>', None),
    ("tracer/unwind/b.cc", '#include "tracer/diagnose/rule.h"', "unwind may include"),
    ("tracer/engine/a.cc", '#include "tracer/render/text.h"', "engine may include"),
    ("tracer/engine/b.cc", '#include "tracer/unwind/stacks.h"', None),
    ("tracer/engine/c.cc", "#include <boost/asio.hpp>", "without a layer"),
    ("tracer/cli/a.cc", '#include "tracer/render/text.h"\n#include <CLI/CLI.hpp>', None),
    ("tracer/cli/b.cc", '#include "text.h"', "not a path from the root"),
    ("tracer/cli/c.cc", '#include "tests/support/builders.h"', "not a path from the root"),
    ("tracer/cli/d.cc", "#include <gtest/gtest.h>", "belongs to the tests"),
    ("tracer/main.cc", '#include "tracer/engine/loop.h"', "main may include cli"),
    ("tracer/extra/a.cc", "", "a folder without a rule"),
    ("target/a.cc", '#include "target/target.h"\n#include <sys/wait.h>', None),
    ("target/b.cc", '#include "tracer/base/ids.h"', "target may include no other layer"),
    ("target/c.cc", "#include <fmt/format.h>", "belongs to"),
]


def self_test():
    """Each example alone in a tree causes exactly its own complaint."""
    failures = []
    for name, text, expected in EXAMPLES:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True)
            path.write_text(text + "\n")
            found = check(pathlib.Path(folder))
        if expected is None:
            right = not found
        else:
            right = len(found) == 1 and found[0].startswith(name + ":") and expected in found[0]
        if not right:
            failures.append("%s: expected %r, got %r" % (name, expected, found))
    for layer, allowed in ALLOWED.items():
        for other in allowed:
            if layer in ALLOWED[other]:
                failures.append("%s and %s may include each other" % (layer, other))
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--root", type=pathlib.Path, help="tree to check (default: this one)",
                        default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--self-test", action="store_true",
                        help="check the checker on made-up violations")
    arguments = parser.parse_args()
    complaints = self_test() if arguments.self_test else check(arguments.root)
    for complaint in complaints:
        print(complaint)
    if complaints:
        print("%d violation(s)" % len(complaints), file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
