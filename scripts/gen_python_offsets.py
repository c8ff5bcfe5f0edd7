#!/usr/bin/env python3
"""Where CPython keeps what stucktrace reads: field offsets per interpreter version.

Finds interpreters with headers (~/.pyenv/versions/*, /usr), compiles a small offsetof program
against each one's headers, and lets each interpreter check the layouts that no header shows
(dict key tables, module objects) on its own live objects.

  gen_python_offsets.py            print a table of what was found
  gen_python_offsets.py --write    rewrite tracer/unwind/python_offsets.inc
  gen_python_offsets.py --check    exit 1 if the file differs from any interpreter found here

Layouts are those of x86-64 Linux, release builds with the GIL.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

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
        ("lock_native", off("struct mirrored_lock", "native")),
        ("rlock_owner", ABSENT if py2 else off("struct mirrored_rlock", "owner")),
        ("rlock_count", ABSENT if py2 else off("struct mirrored_rlock", "count")),
        ("semlock_handle", off("struct mirrored_semlock", "handle")),
        ("semlock_owner", off("struct mirrored_semlock", "last_tid")),
        ("semlock_count", off("struct mirrored_semlock", "count")),
        ("semlock_maximum", off("struct mirrored_semlock", "maxvalue")),
    ]
    # Coroutines and what asyncio keeps its tasks in.
    generator = "PyGenObject"
    top = "stacktop" if new_frames else "f_stackdepth" if v == (3, 10) else "f_stacktop"
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
    return table


# Found by each interpreter in an object of its own: no header shows a task.
MEASURED = ("task_loop", "task_waiter", "task_coroutine", "task_name")


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
    if v[0] == 2:
        includes.append('#include "longintrepr.h"')
    mirror = (
        "struct mirrored_keys { Py_ssize_t dk_refcnt; Py_ssize_t dk_size; void* dk_lookup;"
        " Py_ssize_t dk_usable; Py_ssize_t dk_nentries; char dk_indices[]; };"
        "\nstruct mirrored_lock { PyObject head; void* native; };"
        "\nstruct mirrored_rlock { PyObject head; void* native; unsigned long owner, count; };"
        "\nstruct mirrored_semlock { PyObject head; void* handle; unsigned long last_tid;"
        " int count, maxvalue, kind; };"
    )
    body = "\n".join(
        f'  printf("{name} %ld\\n", (long)({expression}));' for name, expression in fields(v)
    )
    return "\n".join(includes + [mirror, "int main(void) {", body, "  return 0;", "}"])


# Runs inside the interpreter under test (2.7 to 3.x): compares the offsets with live objects.
VERIFY = r"""
import ctypes, json, struct, sys, threading
layout = json.loads(sys.argv[1])
def word(address):
    return struct.unpack('<Q', ctypes.string_at(address, 8))[0]
def expect(what, have, want):
    if have != want:
        raise SystemExit('%s: %#x, expected %#x' % (what, have, want))
expect('module dict', word(id(sys) + layout['module_dict']), id(vars(sys)))
key = 'stucktrace' + sys.version[:3]
value = object()
table = {1: 2, key: value}
class Sample(object):
    pass
first, second = Sample(), Sample()
first.mark = second.mark = value
def entries(owner, keys, values, general_ok=True):
    if layout['keys_log2_bytes'] >= 0:
        raw = ctypes.string_at(keys, layout['keys_indices'])
        skip = 1 << ord(raw[layout['keys_log2_bytes']:layout['keys_log2_bytes'] + 1])
        general = raw[layout['keys_kind']:layout['keys_kind'] + 1] == b'\0'
    else:
        size = word(keys + layout['keys_size'])
        skip = size * (1 if size <= 0xff else 2 if size <= 0xffff else 4)
        general = True
    at = keys + layout['keys_indices'] + skip
    width = 24 if general else 16
    for index in range(word(keys + layout['keys_count'])):
        name = word(at + index * width + width - 16)
        held = word(values + 8 * index) if values else word(at + index * width + width - 8)
        yield name, held
if layout['dict_table'] >= 0:
    at, mask = word(id(table) + layout['dict_table']), word(id(table) + layout['dict_mask'])
    found = dict((word(at + 24 * i + 8), word(at + 24 * i + 16)) for i in range(mask + 1))
    expect('2.x dict entry', found.get(id(key), 0), id(value))
else:
    found = dict(entries(table, word(id(table) + layout['dict_keys']),
                         word(id(table) + layout['dict_values'])))
    expect('dict entry', found.get(id(key), 0), id(value))
    if sys.version_info < (3, 11):
        shared = vars(second)
        base = word(id(shared) + layout['dict_values'])
        if base:
            found = dict(entries(shared, word(id(shared) + layout['dict_keys']), base))
            expect('split dict entry', list(found.values())[0], id(value))
    else:
        keys = word(id(Sample) + layout['type_shared_keys'])
        if sys.version_info < (3, 12):
            base = word(id(second) - 32)
        elif sys.version_info < (3, 13):
            base = word(id(second) - 24) + 1
        else:
            base = id(second) + 16
        found = dict(entries(second, keys, base + layout['values_items']))
        if id(value) not in found.values():
            raise SystemExit('instance values not found')
ident = threading.current_thread().ident
digits = 0
if not (layout['int_value'] >= 0 and type(ident) is int):
    tag = word(id(ident) + layout['long_size'])
    count = tag >> 3 if sys.version_info >= (3, 12) else tag
    for index in range(count):
        at = id(ident) + layout['long_digits'] + 4 * index
        digits |= struct.unpack('<I', ctypes.string_at(at, 4))[0] << (30 * index)
else:
    digits = word(id(ident) + layout['int_value'])
expect('integer', digits, ident)
def half(address):
    return struct.unpack('<i', ctypes.string_at(address, 4))[0]
lock = threading.Lock()
native = word(id(lock) + layout['lock_native'])
expect('free lock', half(native), 1)
lock.acquire()
expect('locked lock', half(native), 0)
exit = lock.__exit__
expect('self of a builtin method', word(id(exit) + layout['builtin_self']), id(lock))
definition = word(id(exit) + layout['builtin_definition'])
expect('name of a builtin method', ctypes.string_at(word(definition)), b'__exit__')
if layout['rlock_owner'] >= 0:
    lock = threading.RLock()
    lock.acquire(), lock.acquire()
    native = word(id(lock) + layout['lock_native'])
    expect('locked recursive lock', half(native), 0)
    expect('owner of a recursive lock', word(id(lock) + layout['rlock_owner']), ident)
    expect('count of a recursive lock', word(id(lock) + layout['rlock_count']), 2)
import multiprocessing
lock = multiprocessing.Lock()._semlock
lock.acquire()
expect('semaphore', word(id(lock) + layout['semlock_handle']), lock.handle)
expect('owner of a semaphore', word(id(lock) + layout['semlock_owner']), ident)
expect('count of a semaphore', half(id(lock) + layout['semlock_count']), 1)
expect('maximum of a semaphore', half(id(lock) + layout['semlock_maximum']), 1)
print('verified')
"""

# Runs inside the interpreter, 3.7 or later: prints where a task of asyncio keeps what it has.
MEASURE = r"""
import asyncio, ctypes, json, struct, weakref
async def sleeper(future):
    await future
async def main():
    loop = asyncio.get_event_loop()
    future = loop.create_future()
    task = loop.create_task(sleeper(future))
    name = 'named for this'
    if hasattr(task, 'set_name'):
        task.set_name(name)
    await asyncio.sleep(0)
    size = type(task).__basicsize__ // 8
    words = struct.unpack('<%dQ' % size, ctypes.string_at(id(task), 8 * size))
    def where(value):
        found = [8 * index for index, word in enumerate(words) if word == id(value)]
        if len(found) != 1:
            raise SystemExit('a task has %r at %s' % (value, found))
        return found[0]
    print(json.dumps({
        'task_loop': where(loop), 'task_waiter': where(future),
        'task_coroutine': where(task._coro),
        'task_name': where(name) if hasattr(task, 'set_name') else -1}))
    import asyncio.tasks as tasks
    known = getattr(tasks, '_scheduled_tasks', None)
    known = tasks._all_tasks if known is None else known
    if type(known) is not weakref.WeakSet or task not in known or type(known.data) is not set:
        raise SystemExit('tasks are kept in another way')
    if tasks._current_tasks.get(loop) is None:
        raise SystemExit('the current task is kept in another way')
    future.set_result(None)
    await task
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
loop.close()
"""


def interpreters():
    """(binary, include directories) of every interpreter with headers found on this machine."""
    found = []
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
            [binary, "-c", MEASURE], stdout=subprocess.PIPE, stderr=subprocess.PIPE
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
    options = parser.parse_args()
    layouts, names = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        for binary, includes in interpreters():
            version, micro, layout = measure(binary, includes, pathlib.Path(scratch))
            name = f"{version[0]}.{version[1]}.{micro}"
            if version in layouts and layouts[version] != layout:
                raise SystemExit(f"{name} and {names[version]} have different layouts")
            layouts[version], names[version] = layout, name
    if not layouts:
        print("no interpreter with headers found", file=sys.stderr)
        return 0 if options.check else 1
    if options.write:
        OUTPUT.write_text(render(layouts))
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
    width = max(len(name) for name, _ in fields((3, 13)))
    print(" " * width, *(f"{names[v]:>8}" for v in versions))
    for name in [name for name, _ in fields((3, 13))] + list(MEASURED):
        print(f"{name:<{width}}", *(f"{layouts[v][name]:>8}" for v in versions))
    return 0


if __name__ == "__main__":
    sys.exit(main())
