#!/usr/bin/env python3
"""Compares the options the program has with those its documents name.

Sources: --help of the program and of each command; the man page's OPTIONS; README.md; the completions
of bash, zsh and fish. An option that one has and another lacks is a complaint.
"""

import argparse
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMMANDS = ["run", "attach", "explain", "watch", "demo", "replay", "compare", "export", "syscalls", "doctor"]
LONG_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*[a-z])")


def of_program(program):
    """Long options by --help, and the commands that --help does not list."""
    texts = {}
    for command in [None] + COMMANDS:
        arguments = [program] + ([command] if command else []) + ["--help"]
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=30)
        texts[command] = done.stdout.decode(errors="replace")
        if done.returncode != 0:
            sys.exit("%s: status %d" % (" ".join(arguments), done.returncode))
    unlisted = [command for command in COMMANDS if command not in texts[None]]
    return set(LONG_OPTION.findall("\n".join(texts.values()))), unlisted


def of_man_page():
    text = (ROOT / "scripts/man/stucktrace.1").read_text().replace("\\-", "-")
    text = re.sub(r"\\f[A-Z]", "", text)
    section = text.split(".SH OPTIONS", 1)[1].split("\n.SH ", 1)[0]
    return set(LONG_OPTION.findall(section))


def of_readme():
    """The tables under "## Options": what stands elsewhere may belong to other programs."""
    text = (ROOT / "README.md").read_text()
    return set(LONG_OPTION.findall(text.split("\n## Options", 1)[1].split("\n## ", 1)[0]))


def of_completion(shell):
    text = (ROOT / "scripts/completions" / ("stucktrace." + shell)).read_text()
    if shell == "fish":
        return set(re.findall(r"^complete -c stucktrace .*? -l ([a-z-]+)", text, re.MULTILINE))
    # zsh may declare --name=- (value only after =) or {-q,--quiet}.
    return set(LONG_OPTION.findall(text)) - {"fcs-skip"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("program", help="the stucktrace binary")
    arguments = parser.parse_args()

    program, unlisted = of_program(arguments.program)
    complaints = ["--help does not list the command %s" % command for command in unlisted]
    documents = {"man page": of_man_page(), "README.md": of_readme()}
    documents.update({shell + " completion": of_completion(shell) for shell in ("bash", "zsh", "fish")})
    for name, options in documents.items():
        complaints += ["%s lacks --%s" % (name, option) for option in sorted(program - options)]
        complaints += ["%s has --%s, the program does not" % (name, option)
                       for option in sorted(options - program)]
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
