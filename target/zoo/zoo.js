// usage: zoo.js BEHAVIOUR
//
// Hangs and healthy look-alikes of Node programs.

const childProcess = require('child_process');
const http = require('http');

const ready = () => require('fs').writeSync(1, 'ready\n');

const behaviours = {
  // Nobody reads the child's output, and its end is awaited.
  'stdout-paused': () => {
    const child = childProcess.spawn('head', ['-c', '99999999', '/dev/zero']);
    child.stdout.pause();
    child.on('exit', () => child.stdout.resume());
    ready();
  },
  // The request can only be answered by the loop that waits for it.
  'self-request': () => {
    const server = http.createServer((request, response) => response.end('hello'));
    server.listen(0, '127.0.0.1', () => {
      const script = `require('http').get('http://127.0.0.1:${server.address().port}/')`;
      ready();
      childProcess.execFileSync(process.execPath, ['-e', script], {stdio: 'ignore'});
    });
  },
  // No other thread has this memory.
  'atomics': () => {
    ready();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  },

  // -- healthy
  'idle-server': () => http.createServer(() => {}).listen(0, '127.0.0.1', ready),
  'idle-worker': () => {
    const {Worker} = require('worker_threads');
    const worker = new Worker("require('worker_threads').parentPort.on('message', () => {})",
                              {eval: true});
    worker.on('online', ready);
    process.stdin.resume();
  },
  'idle-child': () => {
    childProcess.spawn('cat', [], {stdio: ['pipe', 'pipe', 'inherit']});
    http.createServer(() => {}).listen(0, '127.0.0.1', ready);
  },
};

behaviours[process.argv[2]]();
