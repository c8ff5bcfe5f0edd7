// usage: java Zoo.java BEHAVIOUR
//
// Hangs and healthy look-alikes of Java programs.

import java.net.InetAddress;
import java.net.ServerSocket;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.Executors;

public class Zoo {
  public static void main(String[] arguments) throws Exception {
    switch (arguments[0]) {
      case "monitors" -> monitors();
      case "wait-for" -> waitFor();
      case "idle-server" -> idleServer();
      case "idle-executor" -> idleExecutor();
      default -> throw new IllegalArgumentException(arguments[0]);
    }
  }

  static void monitors() throws Exception {
    Object first = new Object();
    Object second = new Object();
    CyclicBarrier both = new CyclicBarrier(2);
    Thread one = new Thread(() -> take(first, second, both));
    Thread other = new Thread(() -> take(second, first, both));
    one.start();
    other.start();
    ready();
    one.join();
    other.join();
  }

  static void take(Object outer, Object inner, CyclicBarrier both) {
    synchronized (outer) {
      try {
        both.await();
      } catch (Exception error) {
        throw new IllegalStateException(error);
      }
      synchronized (inner) {
        ready();
      }
    }
  }

  // Nobody reads the child's output.
  static void waitFor() throws Exception {
    Process child = new ProcessBuilder("head", "-c", "999999", "/dev/zero").start();
    ready();
    child.waitFor();
  }

  // -- healthy

  static void idleServer() throws Exception {
    ServerSocket listener = new ServerSocket(0, 5, InetAddress.getLoopbackAddress());
    ready();
    listener.accept();
  }

  static void idleExecutor() throws Exception {
    var pool = Executors.newFixedThreadPool(2);
    pool.submit(() -> {}).get();
    pool.submit(() -> {}).get();
    ready();
    System.in.read();
  }

  static void ready() {
    System.out.println("ready");
    System.out.flush();
  }
}
