"""What an interpreter runs for gen_python_offsets.py, to look at its own objects."""

# Runs inside the interpreter under test (2.7 to 3.x): compares the offsets with live objects.
VERIFY = r"""
import ctypes, gc, json, struct, sys, threading
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
            base = id(second) + word(id(Sample) + layout['type_basic_size'])
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
new_locks = layout['lock_native'] < 0
small_locks = new_locks or sys.version_info >= (3, 13) and type(threading.Lock()).__basicsize__ == 24
def state(lock):
    plain = type(lock) is type(threading.Lock())
    if new_locks or plain and small_locks:
        return 1 - ord(ctypes.string_at(id(lock) + layout['lock_mutex'], 1))
    return half(word(id(lock) + layout['lock_native']))
lock = threading.Lock()
expect('free lock', state(lock), 1)
lock.acquire()
expect('locked lock', state(lock), 0)
if new_locks:
    name = type(lock).__dict__['__exit__']
    expect('name of a method', word(id(name) + layout['descriptor_name']), id(name.__name__))
exit = lock.__exit__
expect('self of a builtin method', word(id(exit) + layout['builtin_self']), id(lock))
definition = word(id(exit) + layout['builtin_definition'])
expect('name of a builtin method', ctypes.string_at(word(definition)), b'__exit__')
if layout['rlock_owner'] >= 0:
    lock = threading.RLock()
    lock.acquire(), lock.acquire()
    expect('locked recursive lock', state(lock), 0)
    expect('owner of a recursive lock', word(id(lock) + layout['rlock_owner']), ident)
    again = 1 if new_locks else 0  # 3.14 counts from the second time on
    expect('count of a recursive lock', word(id(lock) + layout['rlock_count']) + again, 2)
import multiprocessing
lock = multiprocessing.Lock()._semlock
lock.acquire()
expect('semaphore', word(id(lock) + layout['semlock_handle']), lock.handle)
expect('owner of a semaphore', word(id(lock) + layout['semlock_owner']), ident)
expect('count of a semaphore', half(id(lock) + layout['semlock_count']), 1)
expect('maximum of a semaphore', half(id(lock) + layout['semlock_maximum']), 1)
if layout['interp_gc'] >= 0:
    sample = Sample()
    state = ctypes.pythonapi.PyInterpreterState_Get
    state.restype = ctypes.c_void_p
    def tracked():
        # The heads of the lists are what both neighbours point to, wherever a release has them.
        found = set()
        for head in range(state() + layout['interp_gc'], state() + layout['interp_gc'] + 240, 4):
            first, last = word(head) & ~3, word(head + 8) & ~3
            if min(first, last) < 4096 or max(first, last) >= 1 << 47 or (first | last) % 4:
                continue
            if not (first == last == head) and (first % 8 or last % 8 or not known(first)):
                continue
            if word(first + 8) & ~3 != head or word(last) & ~3 != head:
                continue
            while first != head:
                found.add(first + 16)
                first = word(first) & ~3
        return found
    with open('/proc/self/maps') as maps:
        areas = [[int(end, 16) for end in line.split()[0].split('-')] for line in maps
                 if line.split()[1].startswith('rw')]
    def known(address):
        return any(start <= address < end - 16 for start, end in areas)
    if id(sample) not in tracked():
        raise SystemExit('an object is not in the lists of the collector')
    gc.freeze()
    if id(sample) not in tracked():
        raise SystemExit('a frozen object is not in the lists of the collector')
if layout['frame_object_frame'] >= 0:
    frame = sys._getframe()
    inner = word(id(frame) + layout['frame_object_frame'])
    expect('frame of a frame object', word(inner + layout['frame_code']) & ~3, id(frame.f_code))
print('verified')
"""

# Runs inside the interpreter, 3.7 or later: prints where a task of asyncio keeps what it has, and
# where a thread that waits has the address of what it waits for.
MEASURE = r"""
import asyncio, ctypes, json, os, struct, sys, threading, time, weakref
layout = json.loads(sys.argv[1])
def word(address):
    return struct.unpack('<Q', ctypes.string_at(address, 8))[0]
def expect(what, have, want):
    if have != want:
        raise SystemExit('%s: %#x, expected %#x' % (what, have, want))
def parked_back(thread, first, size):
    # How far before the word that the thread sleeps on an address within an object stands.
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with open('/proc/self/task/%d/syscall' % thread.native_id) as file:
            call = file.read().split()
        if call[0] == '202':
            at = int(call[1], 16)
            for back in range(8, 65, 8):
                if first <= word(at - back) < first + size:
                    return back
        time.sleep(0.001)
    raise SystemExit('a thread that waits does not have the address of what it waits for')
def parking():
    lock = threading.Lock()
    lock.acquire()
    def sleep():
        lock.acquire()
    waiter = threading.Thread(target=sleep, daemon=True)
    waiter.start()
    joiner = threading.Thread(target=waiter.join, daemon=True)
    joiner.start()
    handle = getattr(waiter, '_os_thread_handle', None) or waiter._handle
    back = parked_back(joiner, word(id(handle) + layout['handle_native']), 64)
    if type(lock).__basicsize__ == 24:
        there = parked_back(waiter, id(lock) + layout['lock_mutex'], 1)
        expect('what a thread waits for', there, back)
    lock.release()
    joiner.join()
    return back
def listed(task):
    # The task's node in the list of its thread's tasks.
    size = type(task).__basicsize__
    state = ctypes.pythonapi.PyThreadState_Get
    state.restype = ctypes.c_void_p
    head = state() + layout['thread_tasks']
    node = word(head)
    found = []
    while node != head:
        expect('list of tasks', word(word(node) + 8), node)
        if id(task) <= node < id(task) + size:
            found.append(node - id(task))
        node = word(node)
    if len(found) != 1:
        raise SystemExit('a task is in the list of its thread at %s' % found)
    interp = ctypes.pythonapi.PyInterpreterState_Get
    interp.restype = ctypes.c_void_p
    head = interp() + layout['interp_tasks']
    expect('list of tasks without thread', word(head), head)
    expect('current task', word(state() + layout['thread_current_task']),
           id(asyncio.current_task()))
    return found[0]
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
    result = {
        'task_loop': where(loop), 'task_waiter': where(future),
        'task_coroutine': where(task.get_coro() if hasattr(task, 'get_coro') else task._coro),
        'task_name': where(name) if hasattr(task, 'set_name') else -1}
    import asyncio.tasks as tasks
    if sys.version_info >= (3, 13):
        result.update(parked_back=parking())
    if sys.version_info >= (3, 14):
        result.update(task_node=listed(task))
        task = tasks._PyTask(sleeper(future))
    print(json.dumps(result))
    known = getattr(tasks, '_scheduled_tasks', None)
    known = tasks._all_tasks if known is None else known
    if type(known) is not weakref.WeakSet or task not in known or type(known.data) is not set:
        raise SystemExit('tasks are kept in another way')
    if sys.version_info < (3, 14) and tasks._current_tasks.get(loop) is None:
        raise SystemExit('the current task is kept in another way')
    future.set_result(None)
    await task
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
loop.close()
"""
