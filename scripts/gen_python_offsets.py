#!/usr/bin/env python3
"""Where CPython keeps what stucktrace reads: field offsets per interpreter version.

Finds interpreters with headers (~/.pyenv/versions/*, /usr), compiles a small offsetof program
against each one's headers, and lets each interpreter check the layouts that no header shows
(dict key tables, module objects) on its own live objects.

  gen_python_offsets.py            print a table of what was found
  gen_python_offsets.py --write    rewrite tracer/unwind/python_offsets.inc; versions that are not
                                   found keep their rows
  gen_python_offsets.py --check    exit 1 if the file differs from any interpreter found here

An interpreter elsewhere is named by --interpreter, with the folders of its Python.h and pyconfig.h
(--interpreter PROGRAM,INCLUDE,INCLUDE); the program may be a script that runs it in another root.

Layouts are those of x86-64 Linux, release builds with the GIL.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from python_layout_checks import MEASURE, VERIFY

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "tracer" / "unwind" / "python_offsets.inc"
ABSENT = "-1"


def off(struct, member):
    return f"(long)offsetof({struct}, {member})"


def fields(v):
    """Field name -> C expression for version v = (major, minor); ABSENT where there is none."""
    py2 = v[0] == 2
    new_frames = v >= (3, 11)
    runtime = v >= (3, 7)
    gil_in_runtime = runtime and v < (3, 12)
    gil_in_interp = v >= (3, 12)
    frame = "_PyInterpreterFrame" if new_frames else "PyFrameObject"
    interp, tstate = "PyInterpreterState", "PyThreadState"
    table = [
        ("runtime_interpreters", off("_PyRuntimeState", "interpreters.head") if runtime else ABSENT),
        (
            "runtime_finalizing",
            off("_PyRuntimeState", "finalizing" if v <= (3, 8) else "_finalizing")
            if runtime
            else ABSENT,
        ),
        (
            "runtime_gil_holder",
            off("_PyRuntimeState", "ceval.gil.last_holder") if gil_in_runtime else ABSENT,
        ),
        (
            "runtime_gil_locked",
            off("_PyRuntimeState", "ceval.gil.locked") if gil_in_runtime else ABSENT,
        ),
        ("interp_next", off(interp, "next")),
        ("interp_threads", off(interp, "threads.head" if v >= (3, 11) else "tstate_head")),
        ("interp_modules", off(interp, "imports.modules" if v >= (3, 12) else "modules")),
        ("interp_gil", off(interp, "ceval.gil") if gil_in_interp else ABSENT),
        ("gil_holder", off("struct _gil_runtime_state", "last_holder") if gil_in_interp else ABSENT),
        ("gil_locked", off("struct _gil_runtime_state", "locked") if gil_in_interp else ABSENT),
        ("thread_next", off(tstate, "next")),
        ("thread_interp", off(tstate, "interp")),
        (
            "thread_frame",
            off(
                tstate,
                "current_frame" if v >= (3, 13) else "cframe" if new_frames else "frame",
            ),
        ),
        ("thread_ident", off(tstate, "thread_id")),
        ("thread_native_id", off(tstate, "native_thread_id") if v >= (3, 11) else ABSENT),
        (
            "cframe_frame",
            off("_PyCFrame", "current_frame") if (3, 11) <= v <= (3, 12) else ABSENT,
        ),
        ("frame_previous", off(frame, "previous" if new_frames else "f_back")),
        ("frame_code", off(frame, "f_executable" if v >= (3, 13) else "f_code")),
        (
            "frame_instruction",
            off(
                frame,
                "instr_ptr" if v >= (3, 13) else "prev_instr" if new_frames else "f_lasti",
            ),
        ),
        ("frame_locals", off(frame, "localsplus" if new_frames else "f_localsplus")),
        ("frame_owner", off(frame, "owner") if new_frames else ABSENT),
        ("code_name", off("PyCodeObject", "co_name")),
        ("code_filename", off("PyCodeObject", "co_filename")),
        ("code_first_line", off("PyCodeObject", "co_firstlineno")),
        ("code_lines", off("PyCodeObject", "co_linetable" if v >= (3, 10) else "co_lnotab")),
        (
            "code_variables",
            off("PyCodeObject", "co_localsplusnames" if new_frames else "co_varnames"),
        ),
        (
            "code_instructions",
            off("PyCodeObject", "co_code_adaptive" if new_frames else "co_code"),
        ),
        ("object_type", off("PyObject", "ob_type")),
        ("object_size", off("PyVarObject", "ob_size")),
        ("type_name", off("PyTypeObject", "tp_name")),
        ("type_flags", off("PyTypeObject", "tp_flags")),
        ("type_basic_size", off("PyTypeObject", "tp_basicsize")),
        ("type_dict_offset", off("PyTypeObject", "tp_dictoffset")),
        ("type_shared_keys", ABSENT if py2 else off("PyHeapTypeObject", "ht_cached_keys")),
        ("tuple_items", off("PyTupleObject", "ob_item")),
        ("bytes_data", off("PyStringObject" if py2 else "PyBytesObject", "ob_sval")),
        ("float_value", off("PyFloatObject", "ob_fval")),
        (
            "long_size",
            off("PyLongObject", "long_value.lv_tag")
            if v >= (3, 12)
            else off("PyVarObject", "ob_size"),
        ),
        (
            "long_digits",
            off("PyLongObject", "long_value.ob_digit")
            if v >= (3, 12)
            else off("struct _longobject", "ob_digit"),
        ),
        ("int_value", off("PyIntObject", "ob_ival") if py2 else ABSENT),
        ("text_length", off("PyUnicodeObject" if py2 else "PyASCIIObject", "length")),
        ("text_state", ABSENT if py2 else off("PyASCIIObject", "state")),
        ("text_ascii_data", ABSENT if py2 else "(long)sizeof(PyASCIIObject)"),
        ("text_compact_data", ABSENT if py2 else "(long)sizeof(PyCompactUnicodeObject)"),
        ("text_pointer", off("PyUnicodeObject", "str" if py2 else "data.any")),
        ("dict_keys", ABSENT if py2 else off("PyDictObject", "ma_keys")),
        ("dict_values", ABSENT if py2 else off("PyDictObject", "ma_values")),
        ("dict_mask", off("PyDictObject", "ma_mask") if py2 else ABSENT),
        ("dict_table", off("PyDictObject", "ma_table") if py2 else ABSENT),
    ]
    # 3.6 to 3.10 do not install the header of the key table; the interpreter verifies this mirror.
    keys = "struct _dictkeysobject" if new_frames else "struct mirrored_keys"
    table += [
        ("keys_size", off(keys, "dk_size") if not new_frames and not py2 else ABSENT),
        ("keys_log2_bytes", off(keys, "dk_log2_index_bytes") if new_frames else ABSENT),
        ("keys_kind", off(keys, "dk_kind") if new_frames else ABSENT),
        ("keys_count", ABSENT if py2 else off(keys, "dk_nentries")),
        ("keys_indices", ABSENT if py2 else off(keys, "dk_indices")),
        ("values_items", off("struct _dictvalues", "values") if new_frames else ABSENT),
        ("module_dict", "(long)sizeof(PyObject)"),
    ]
    # What a thread holds: open blocks of its frames, bound methods on their value stacks, locks.
    blocks = not new_frames
    owner, count = ("mutex.thread", "mutex.level") if v >= (3, 14) else ("owner", "count")
    table += [
        ("frame_value_stack", off(frame, "f_valuestack") if blocks else ABSENT),
        ("frame_block_count", off(frame, "f_iblock") if blocks else ABSENT),
        ("frame_blocks", off(frame, "f_blockstack") if blocks else ABSENT),
        ("code_names", off("PyCodeObject", "co_names")),
        ("code_stack_size", off("PyCodeObject", "co_stacksize")),
        ("code_local_count", off("PyCodeObject", "co_nlocalsplus") if new_frames else ABSENT),
        ("code_exceptions", off("PyCodeObject", "co_exceptiontable") if new_frames else ABSENT),
        ("builtin_definition", off("PyCFunctionObject", "m_ml")),
        ("builtin_self", off("PyCFunctionObject", "m_self")),
        ("method_function", off("PyMethodObject", "im_func")),
        ("method_self", off("PyMethodObject", "im_self")),
        ("function_code", off("PyFunctionObject", "func_code")),
        # No header shows these; the interpreter verifies the mirrors.
        ("lock_native", ABSENT if v >= (3, 14) else off("struct mirrored_lock", "native")),
        # Later releases of 3.13 have it, too, in an object that is smaller for it.
        ("lock_mutex", off("struct mirrored_lock", "native") if v >= (3, 13) else ABSENT),
        ("rlock_owner", ABSENT if py2 else off("struct mirrored_rlock", owner)),
        ("rlock_count", ABSENT if py2 else off("struct mirrored_rlock", count)),
        ("semlock_handle", off("struct mirrored_semlock", "handle")),
        ("semlock_owner", off("struct mirrored_semlock", "last_tid")),
        ("semlock_count", off("struct mirrored_semlock", "count")),
        ("semlock_maximum", off("struct mirrored_semlock", "maxvalue")),
    ]
    # Coroutines and what asyncio keeps its tasks in.
    generator = "PyGenObject"
    top = "stackpointer" if v >= (3, 14) else "stacktop" if new_frames else "f_stackdepth" if v == (3, 10) else "f_stacktop"
    table += [
        ("frame_is_entry", off(frame, "is_entry") if v == (3, 11) else ABSENT),
        ("type_base", off("PyTypeObject", "tp_base")),
        ("set_mask", off("PySetObject", "mask")),
        ("set_table", off("PySetObject", "table")),
        ("weakref_object", off("PyWeakReference", "wr_object")),
        ("generator_frame", off(generator, "gi_iframe" if new_frames else "gi_frame")),
        ("generator_state", off(generator, "gi_frame_state") if new_frames else ABSENT),
        ("generator_qualname", ABSENT if py2 else off(generator, "gi_qualname")),
        ("frame_stack_top", off(frame, top)),
    ]
    # 3.14: the bound method of a block is kept as a function and an object; locks are one byte;
    # tasks are in a list of the thread that made them.
    new_locks = v >= (3, 14)
    thread = "_PyThreadStateImpl"
    table += [
        ("descriptor_name", off("PyDescrObject", "d_name") if new_locks else ABSENT),
        ("handle_native", "(long)sizeof(PyObject)" if v >= (3, 13) else ABSENT),
        ("thread_tasks", off(thread, "asyncio_tasks_head") if new_locks else ABSENT),
        ("thread_current_task", off(thread, "asyncio_running_task") if new_locks else ABSENT),
        ("interp_tasks", off(interp, "asyncio_tasks_head") if new_locks else ABSENT),
    ]
    # Greenlets are found among all objects that the collector knows, by interpreter from 3.9 on; each
    # keeps the frame object that it was suspended in.
    collects = v >= (3, 9)
    table += [
        ("interp_gc", off(interp, "gc") if collects else ABSENT),
        ("frame_object_frame", off("PyFrameObject", "f_frame") if new_frames else ABSENT),
    ]
    return table


# Found by each interpreter in an object of its own: no header shows a task, nor what a thread
# that sleeps for a lock of 3.14 has beside the word that it sleeps on.
MEASURED = ("task_loop", "task_waiter", "task_coroutine", "task_name", "task_node", "parked_back")


def program(v):
    includes = ["#define PY_SSIZE_T_CLEAN"]
    if v >= (3, 7):
        includes.append("#define Py_BUILD_CORE 1")
    includes += ["#include <stddef.h>", "#include <stdio.h>", '#include "Python.h"']
    if v < (3, 11):
        includes += ['#include "frameobject.h"', '#include "structmember.h"']
    if (2, 7) <= v <= (3, 10):
        includes.append('#include "code.h"' if v < (3, 9) else "")
    if v[0] == 3:
        includes.append('#include "longintrepr.h"' if v < (3, 11) else "")
    if v == (3, 7):
        includes.append('#include "internal/pystate.h"')
    if v >= (3, 8):
        includes.append('#include "internal/pycore_pystate.h"')
    if v >= (3, 9):
        includes += ['#include "internal/pycore_interp.h"', '#include "internal/pycore_runtime.h"']
    if v >= (3, 11):
        includes += ['#include "internal/pycore_frame.h"', '#include "internal/pycore_dict.h"']
    if v >= (3, 14):
        includes += [
            '#include "internal/pycore_interpframe.h"',
            '#include "internal/pycore_tstate.h"',
        ]
    if v[0] == 2:
        includes.append('#include "longintrepr.h"')
    rlock = "void* native; unsigned long owner, count;"
    if v >= (3, 14):
        rlock = "_PyRecursiveMutex mutex;"
    mirror = (
        "struct mirrored_keys { Py_ssize_t dk_refcnt; Py_ssize_t dk_size; void* dk_lookup;"
        " Py_ssize_t dk_usable; Py_ssize_t dk_nentries; char dk_indices[]; };"
        "\nstruct mirrored_lock { PyObject head; void* native; };"
        f"\nstruct mirrored_rlock {{ PyObject head; {rlock} }};"
        "\nstruct mirrored_semlock { PyObject head; void* handle; unsigned long last_tid;"
        " int count, maxvalue, kind; };"
    )
    body = "\n".join(
        f'  printf("{name} %ld\\n", (long)({expression}));' for name, expression in fields(v)
    )
    return "\n".join(includes + [mirror, "int main(void) {", body, "  return 0;", "}"])


def interpreters(named):
    """(binary, include directories) of every interpreter with headers found on this machine."""
    found = []
    for one in named:
        binary, *includes = one.split(",")
        found.append((pathlib.Path(binary), includes))
    versions = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv"))
    for home in sorted((versions / "versions").glob("*")):
        includes = sorted((home / "include").glob("python*"))
        binary = home / "bin" / "python"
        if binary.exists() and includes:
            found.append((binary, includes))
    for binary in sorted(pathlib.Path("/usr/bin").glob("python[23].*[0-9]")):
        include = pathlib.Path("/usr/include") / binary.name
        if (include / "Python.h").exists() and (include / "internal").exists():
            found.append((binary, [include]))
    return found


def measure(binary, includes, scratch):
    answer = subprocess.run(
        [binary, "-c", "import sys; print('%d %d %d' % sys.version_info[:3])"],
        stdout=subprocess.PIPE,
        check=True,
    )
    major, minor, micro = map(int, answer.stdout.split())
    version = (major, minor)
    source = scratch / f"offsets_{major}_{minor}.c"
    source.write_text(program(version))
    target = source.with_suffix("")
    command = ["cc", "-std=gnu11", "-w", str(source), "-o", str(target)]
    for include in includes:
        command += [f"-I{include}", f"-I{include}/internal"]
    subprocess.run(command, check=True)
    lines = subprocess.run([target], stdout=subprocess.PIPE, check=True).stdout.decode().split("\n")
    layout = {name: int(value) for name, value in (line.split() for line in lines if line)}
    layout.update((name, -1) for name in MEASURED)
    if version >= (3, 7):
        measured = subprocess.run(
            [binary, "-c", MEASURE, json.dumps(layout)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        if measured.returncode != 0:
            raise SystemExit(f"{binary}: {measured.stderr.decode().strip()}")
        layout.update(json.loads(measured.stdout))
    verify = subprocess.run(
        [binary, "-c", VERIFY, json.dumps(layout)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    if verify.returncode != 0:
        raise SystemExit(f"{binary}: {verify.stderr.decode().strip()}")
    return version, micro, layout


def written():
    """What the table holds."""
    layouts = {}
    for block in OUTPUT.read_text().split("{.")[1:]:
        row = {
            name: int(value)
            for name, value in re.findall(r"(\w+) = (-?\d+)", block)
        }
        layouts[row.pop("major"), row.pop("minor")] = row
    return layouts


def render(layouts):
    lines = [
        "// Written by scripts/gen_python_offsets.py from the headers of each version and checked",
        "// against its live objects; -1 = the version has no such field. x86-64, GIL builds.",
    ]
    for version in sorted(layouts):
        lines.append(f"{{.major = {version[0]},\n .minor = {version[1]},")
        lines += [f" .{name} = {value}," for name, value in layouts[version].items()]
        lines[-1] = lines[-1][:-1] + "},"
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--write", action="store_true", help="rewrite the table")
    group.add_argument("--check", action="store_true", help="compare the table with what is here")
    parser.add_argument(
        "--interpreter",
        metavar="PROGRAM,INCLUDE...",
        action="append",
        default=[],
        help="one more interpreter, and where its headers are",
    )
    options = parser.parse_args()
    layouts, names = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        for binary, includes in interpreters(options.interpreter):
            version, micro, layout = measure(binary, includes, pathlib.Path(scratch))
            name = f"{version[0]}.{version[1]}.{micro}"
            if version in layouts and layouts[version] != layout:
                raise SystemExit(f"{name} and {names[version]} have different layouts")
            layouts[version], names[version] = layout, name
    if not layouts:
        print("no interpreter with headers found", file=sys.stderr)
        return 0 if options.check else 1
    if options.write:
        OUTPUT.write_text(render(written() | layouts))
        return 0
    if options.check:
        have = OUTPUT.read_text()
        for version, layout in layouts.items():
            block = render({version: layout}).split("\n", 2)[2]
            if block not in have:
                print(f"{OUTPUT.name}: {names[version]} differs", file=sys.stderr)
                return 1
        return 0
    versions = sorted(layouts)
    width = max(len(name) for name, _ in fields((3, 14)))
    print(" " * width, *(f"{names[v]:>8}" for v in versions))
    for name in [name for name, _ in fields((3, 14))] + list(MEASURED):
        print(f"{name:<{width}}", *(f"{layouts[v][name]:>8}" for v in versions))
    return 0


if __name__ == "__main__":
    sys.exit(main())
