// usage: java Locks.java BEHAVIOUR
//
// Programs whose locks are known: each prints "ready" when its threads are where they will stay.
// Threads are named for what they do; the kernel shows the first 15 characters of it.

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;

public class Locks {
  interface Body {
    void run() throws Exception;
  }

  public static void main(String[] arguments) throws Exception {
    switch (arguments[0]) {
      case "monitors" -> cross(Locks::enter, new Object(), new Object());
      case "inflated" -> cross(Locks::enter, inflated(), inflated());
      case "reentrant" -> cross(Locks::lock, new ReentrantLock(), new ReentrantLock(true));
      case "read-write" -> readWrite();
      case "mixed" -> mixed();
      case "timed" -> cross(Locks::tryLong, new ReentrantLock(), new ReentrantLock());
      case "queue" -> queue();
      case "anonymous" -> anonymous();
      case "busy" -> busy();
      default -> throw new IllegalArgumentException(arguments[0]);
    }
  }

  // -- locks taken crosswise

  interface Taking {
    void take(Object lock, Body inside) throws Exception;
  }

  static void enter(Object lock, Body inside) throws Exception {
    synchronized (lock) {
      inside.run();
    }
  }

  static void lock(Object lock, Body inside) throws Exception {
    ((Lock) lock).lock();
    inside.run();
  }

  static void tryLong(Object lock, Body inside) throws Exception {
    if (((Lock) lock).tryLock(1, TimeUnit.HOURS)) inside.run();
  }

  // A lock object that has had a waiter keeps its monitor.
  static Object inflated() throws Exception {
    Object lock = new Object();
    synchronized (lock) {
      lock.wait(1);
    }
    return lock;
  }

  static void cross(Taking taking, Object first, Object second) throws Exception {
    CyclicBarrier both = new CyclicBarrier(2);
    start("one", () -> nest(taking, first, second, both));
    start("other", () -> nest(taking, second, first, both));
    ready();
  }

  static void nest(Taking taking, Object outer, Object inner, CyclicBarrier both) throws Exception {
    taking.take(outer, () -> {
      both.await();
      taking.take(inner, () -> System.out.println("never"));
    });
  }

  static void readWrite() throws Exception {
    var first = new ReentrantReadWriteLock();
    var second = new ReentrantReadWriteLock();
    CyclicBarrier both = new CyclicBarrier(2);
    start("one", () -> {
      first.writeLock().lock();
      both.await();
      second.readLock().lock();
    });
    start("other", () -> {
      second.writeLock().lock();
      both.await();
      first.writeLock().lock();
    });
    ready();
  }

  static void mixed() throws Exception {
    Object monitor = new Object();
    Lock lock = new ReentrantLock();
    CyclicBarrier both = new CyclicBarrier(2);
    start("one", () -> enter(monitor, () -> {
      both.await();
      lock.lock();
    }));
    start("other", () -> {
      lock.lock();
      both.await();
      enter(monitor, () -> {});
    });
    ready();
  }

  // -- no deadlock

  // All wait for one who sleeps.
  static void queue() throws Exception {
    Object monitor = new Object();
    Lock lock = new ReentrantLock();
    CountDownLatch held = new CountDownLatch(1);
    start("holder", () -> enter(monitor, () -> {
      lock.lock();
      held.countDown();
      Thread.sleep(TimeUnit.HOURS.toMillis(1));
    }));
    held.await();
    for (int i = 0; i < 3; ++i) {
      start("enters" + i, () -> enter(monitor, () -> {}));
      start("locks" + i, lock::lock);
    }
    ready();
  }

  // Waits that no thread's lock is the reason for.
  static void anonymous() throws Exception {
    Semaphore semaphore = new Semaphore(0);
    CountDownLatch latch = new CountDownLatch(1);
    ReentrantLock lock = new ReentrantLock();
    var condition = lock.newCondition();
    Object monitor = new Object();
    start("acquires", semaphore::acquire);
    start("counts", latch::await);
    start("conditions", () -> {
      lock.lock();
      condition.await();
    });
    start("waits", () -> enter(monitor, monitor::wait));
    var read = new ReentrantReadWriteLock();
    read.readLock().lock();
    start("writes", () -> read.writeLock().lock());
    var pool = Executors.newFixedThreadPool(2);
    pool.submit(() -> {}).get();
    ready(Locks::stay);
  }

  // Two locks of each kind for a crowd of threads that never rest, one of each kind for ever with
  // its holder, who does not rest either; garbage for the collector, which moves the lot.
  static void busy() throws Exception {
    Object heldMonitor = new Object();
    Lock heldLock = new ReentrantLock();
    CountDownLatch held = new CountDownLatch(1);
    start("holder", () -> enter(heldMonitor, () -> {
      heldLock.lock();
      held.countDown();
      for (long turn = 0;; ++turn) {
        churn(turn);
        if (turn % 64 == 0) Thread.sleep(1);
      }
    }));
    held.await();
    for (int i = 0; i < 4; ++i) {
      start("enters" + i, () -> enter(heldMonitor, () -> {}));
      start("locks" + i, heldLock::lock);
    }
    Object outerMonitor = new Object();
    Object innerMonitor = new Object();
    Lock outerLock = new ReentrantLock();
    Lock innerLock = new ReentrantLock();
    for (int i = 0; i < 6; ++i) {
      start("crowd" + i, () -> {
        for (long turn = 0;; ++turn) {
          final long number = turn;
          enter(outerMonitor, () -> enter(innerMonitor, () -> churn(number)));
          outerLock.lock();
          innerLock.lock();
          churn(number);
          innerLock.unlock();
          outerLock.unlock();
          if (turn % 4096 == 0) System.gc();
        }
      });
    }
    System.out.println("ready");
    stay();
  }

  static volatile Object sink;

  static void churn(long turn) {
    Object[] kept = new Object[16];
    for (int i = 0; i < kept.length; ++i) kept[i] = new long[(int) (turn % 64) + i];
    sink = kept;
  }

  // --

  static void stay() throws Exception {
    new CountDownLatch(1).await();
  }

  static final List<Thread> threads = new ArrayList<>();

  static void start(String name, Body body) {
    Thread thread = new Thread(() -> {
      try {
        body.run();
      } catch (Exception error) {
        throw new IllegalStateException(error);
      }
    }, name);
    thread.setDaemon(true);
    threads.add(thread);
    thread.start();
  }

  static void ready() throws Exception {
    ready(() -> threads.get(0).join());
  }

  // Says so when every thread has come to rest.
  static void ready(Body then) throws Exception {
    for (Thread thread : threads) {
      for (;;) {
        Thread.State state = thread.getState();
        boolean waits = state == Thread.State.WAITING || state == Thread.State.TIMED_WAITING;
        if (state == Thread.State.BLOCKED || (waits && !isAtBarrier(thread))) break;
        Thread.onSpinWait();
      }
    }
    System.out.println("ready");
    then.run();
  }

  static boolean isAtBarrier(Thread thread) {
    for (StackTraceElement frame : thread.getStackTrace()) {
      if (frame.getClassName().equals(CyclicBarrier.class.getName())) return true;
    }
    return false;
  }
}
