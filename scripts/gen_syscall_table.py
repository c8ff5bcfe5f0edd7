#!/usr/bin/env python3
"""Generate the system call tables from syscalls/*.in.

  gen_syscall_table.py            write table_<arch>.inc, x32_numbers.inc and sys_ids.inc
  gen_syscall_table.py --check    say whether those files are up to date (exit status 1 if not)
  gen_syscall_table.py --verify   compare the numbers with the kernel's own headers and the x86-64
                                  argument counts with tracefs, where they can be read

An architecture is one file syscalls/<arch>.in; the format stands at the head of x86_64.in, from
which the others take the calls they share. The ids in sys_ids.inc are the union over all of them, so
one call has one id on every architecture.
"""

import argparse
import os
import pathlib
import re
import sys

SYSCALLS = pathlib.Path(__file__).resolve().parent.parent / "syscalls"
CLASSES = ("file", "desc", "process", "network", "signal", "ipc", "memory", "time", "creds",
           "stat", "poll", "lock", "blocking")
TRAITS = {"block": "kMayBlock", "task": "kMakesTask", "fds": "kPlumbsFds",
          "noreturn": "kNeverReturns", "output": "kWritesOutput"}
MAX_ARGUMENTS = 6
# Tracefs names an event after the kernel function, not after the call.
TRACEFS_NAMES = {"newstat": "stat", "newfstat": "fstat", "newlstat": "lstat",
                 "newuname": "uname", "sendfile64": "sendfile", "umount": "umount2"}
FIRST = "x86_64"  # the table the others share with
UNISTD = {"x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
          "i386": "/usr/include/x86_64-linux-gnu/asm/unistd_32.h",
          "aarch64": "/usr/include/asm-generic/unistd.h"}
# Numbers from here on are no kernel's: the parts of calls that are many in one
# (syscalls/multiplexed.h). They may have the name of a call with a number of its own.
FIRST_PART = 1000
TRACEFS = "/sys/kernel/tracing/events/syscalls"


class Malformed(Exception):
    pass


class Row:
    def __init__(self, number, name, identity, classes, traits, args, result):
        self.number = number
        self.name = name
        self.identity = identity
        self.classes = classes
        self.traits = traits
        self.args = args
        self.result = result


def kind_name(word):
    return "k" + "".join(part.capitalize() for part in word.split("_"))


def read_kinds():
    text = (SYSCALLS / "arg_kinds.inc").read_text()
    return set(re.findall(r"STUCKTRACE_ARG_KIND\((\w+)\)", text))


def words(text, allowed, what):
    if text == "-":
        return []
    found = text.split(",")
    for word in found:
        if word not in allowed:
            raise Malformed(f"unknown {what} '{word}'")
    if len(set(found)) != len(found):
        raise Malformed(f"a {what} stands twice")
    return found


def parse_row(fields, kinds, shared):
    """A row; `shared` has the rows by identity that a short line may refer to."""
    number = int(fields[0])
    name, equals, identity = (fields[1] if len(fields) > 1 else "").partition("=")
    identity = identity if equals else name
    for word in (name, identity):
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", word):
            raise Malformed(f"bad name '{fields[1:2]}'")
    if len(fields) == 2:
        if identity not in shared:
            raise Malformed(f"{FIRST}.in has no call '{identity}' to share")
        like = shared[identity]
        return Row(number, name, identity, like.classes, like.traits, like.args, like.result)
    if len(fields) < 4:
        raise Malformed("need NUMBER NAME CLASSES TRAITS, or NUMBER NAME")
    classes = words(fields[2], CLASSES[:-1], "class")
    traits = words(fields[3], TRAITS, "trait")
    if "block" in traits:
        classes.append("blocking")
    rest = fields[4:]
    result = "raw"
    if "->" in rest:
        at = rest.index("->")
        if len(rest) != at + 2:
            raise Malformed("one kind must follow '->'")
        result = rest[at + 1]
        rest = rest[:at]
    if len(rest) > MAX_ARGUMENTS:
        raise Malformed("more than six arguments")
    args = []
    for item in rest:
        arg, colon, kind = item.partition(":")
        if not colon or not arg:
            raise Malformed(f"'{item}' is not NAME:KIND")
        args.append((arg, kind))
    for kind in [kind for _, kind in args] + [result]:
        if kind_name(kind) not in kinds:
            raise Malformed(f"unknown argument kind '{kind}'")
    return Row(number, name, identity, classes, traits, args, result)


def read_table(path, kinds, shared):
    """Rows in ascending number, and the x32 numbers."""
    rows, x32, names = {}, {}, set()
    for line_number, line in enumerate(path.read_text().splitlines(), 1):
        fields = line.split("#", 1)[0].split()
        if not fields:
            continue
        try:
            if fields[0] == "x32":
                if len(fields) != 3:
                    raise Malformed("need x32 NUMBER NAME")
                x32[int(fields[1])] = fields[2]
                continue
            row = parse_row(fields, kinds, shared)
            twice = row.name in names and row.number < FIRST_PART
            if row.number in rows or twice:
                raise Malformed(f"{row.number} {row.name} stands twice")
            rows[row.number] = row
            names.add(row.name)
        except (Malformed, ValueError) as error:
            sys.exit(f"{path}:{line_number}: {error}")
    for name in x32.values():
        if name not in names:
            sys.exit(f"{path}: x32 names the unknown call '{name}'")
    return [rows[number] for number in sorted(rows)], dict(sorted(x32.items()))


def bits(type_name, names):
    if not names:
        return "0"
    return " | ".join(f"bit({type_name}::{name})" for name in names)


def banner(source):
    return f"// Generated by scripts/gen_syscall_table.py from {source}; do not edit.\n"


def render_rows(rows, source):
    out = [banner(source)]
    for row in rows:
        args = ", ".join(f'ArgSpec{{"{name}", ArgKind::{kind_name(kind)}}}'
                         for name, kind in row.args)
        classes = bits("CallClass", [kind_name(c) for c in row.classes])
        traits = bits("Trait", [TRAITS[t] for t in row.traits])
        out.append(f'row({row.number}, Sys::{row.identity}, "{row.name}", {classes}, {traits}, '
                   f'ArgKind::{kind_name(row.result)}, {{{args}}}),\n')
    return "".join(out)


def read_tables():
    """Architecture -> (rows, x32 numbers); the one the others share with comes first."""
    kinds = read_kinds()
    tables = {FIRST: read_table(SYSCALLS / f"{FIRST}.in", kinds, {})}
    shared = {row.identity: row for row in tables[FIRST][0]}
    for path in sorted(SYSCALLS.glob("*.in")):
        if path.stem != FIRST:
            tables[path.stem] = read_table(path, kinds, shared)
    return tables


def generate():
    """Path -> text of every generated file."""
    files, names = {}, set()
    for architecture, (rows, x32) in read_tables().items():
        path = SYSCALLS / f"{architecture}.in"
        names.update(row.identity for row in rows)
        source = f"syscalls/{path.name}"
        files[SYSCALLS / f"table_{path.stem}.inc"] = render_rows(rows, source)
        if x32:
            files[SYSCALLS / "x32_numbers.inc"] = banner(source) + "".join(
                f"{{{number}, Sys::{name}}},\n" for number, name in x32.items())
    files[SYSCALLS / "sys_ids.inc"] = "".join(f"STUCKTRACE_SYS({name})\n"
                                              for name in sorted(names))
    return files


def check(files):
    stale = [path for path, text in files.items()
             if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"{path.name} is not what its .in file says; run gen_syscall_table.py")
    return 1 if stale else 0


def unistd_numbers(path):
    """Name -> number. asm-generic's names of calls that differ with the width of a word are those
    of the 64-bit kernel."""
    text = path.read_text()
    numbers = {name: int(number) for name, number in
               re.findall(r"^#define __NR_(\w+) (\d+)$", text, re.M)}
    widths = {name: int(number) for name, number in
              re.findall(r"^#define __NR3264_(\w+) (\d+)$", text, re.M)}
    if not widths:
        return numbers
    wide = text.rsplit("#if __BITS_PER_LONG == 64", 1)[-1].split("#else")[0]
    for name, width in re.findall(r"^#define __NR_(\w+) __NR3264_(\w+)$", wide, re.M):
        if width in widths:
            numbers[name] = widths[width]
    # Marks that are no calls, what only 32-bit kernels have, and another architecture's form.
    no_calls = r"syscalls|arch_specific_syscall|sync_file_range2|\w+time64"
    return {name: number for name, number in numbers.items() if not re.fullmatch(no_calls, name)}


def tracefs_counts(directory):
    counts = {}
    for event in directory.glob("sys_enter_*"):
        text = (event / "format").read_text()
        # The first 16 bytes of an event are its header and the number.
        offsets = [int(o) for o in re.findall(r"^\tfield:.*?;\toffset:(\d+);", text, re.M)]
        name = event.name[len("sys_enter_"):]
        counts[TRACEFS_NAMES.get(name, name)] = sum(1 for o in offsets if o >= 16)
    return counts


def verify(unistd, tracefs):
    tables = read_tables()
    problems, compared = [], []
    for architecture, path in unistd.items():
        if not path.is_file():
            continue
        by_name = {row.name: row for row in tables[architecture][0] if row.number < FIRST_PART}
        numbers = unistd_numbers(path)
        compared.append(f"{len(numbers)} numbers of {path}")
        for name, number in numbers.items():
            row = by_name.get(name)
            if row is None or row.number != number:
                problems.append(f"{name}: {path} says {number}, "
                                f"{architecture}.in {row.number if row else 'nothing'}")
    if tracefs.is_dir() and os.access(tracefs, os.R_OK | os.X_OK):
        by_name = {row.name: row for row in tables[FIRST][0]}
        counts = tracefs_counts(tracefs)
        compared.append(f"{len(counts)} argument counts of {tracefs}")
        for name, count in counts.items():
            row = by_name.get(name)
            if row is None:
                problems.append(f"{name}: this kernel has it, {FIRST}.in has not")
            elif len(row.args) != count:
                problems.append(f"{name}: the kernel takes {count} arguments, "
                                f"{FIRST}.in {len(row.args)}")
    for line in sorted(problems):
        print(line)
    print("compared " + (", ".join(compared) or "nothing: no source is readable"))
    return 1 if problems else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare, write nothing")
    parser.add_argument("--verify", action="store_true", help="compare with the kernel's account")
    parser.add_argument("--unistd", action="append", default=[], metavar="ARCH=FILE",
                        help="another header than the one installed")
    parser.add_argument("--tracefs", type=pathlib.Path, default=pathlib.Path(TRACEFS),
                        metavar="DIR", help="directory with sys_enter_*/format")
    options = parser.parse_args()
    status = 0
    if options.verify:
        named = dict(item.split("=", 1) for item in options.unistd)
        unistd = {arch: pathlib.Path(path) for arch, path in (UNISTD | named).items()}
        status = verify(unistd, options.tracefs)
    files = generate()
    if options.check:
        status = max(status, check(files))
    elif not options.verify:
        for path, text in files.items():
            if not path.exists() or path.read_text() != text:
                path.write_text(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
