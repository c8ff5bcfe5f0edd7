// usage: zoo_signals BEHAVIOUR
//
// Hangs because nobody is left to wake the waiter: joins, condition variables, semaphores, queues,
// event descriptors.

#include <mqueue.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>

#include <barrier>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "target/zoo/zoo.h"

namespace {

// glibc refuses a join cycle of two, not of three.
void join_ring() {
  static pthread_t threads[3];
  static std::barrier<> started(4);
  const auto body = [](void* next) -> void* {
    started.arrive_and_wait();
    ::pthread_join(*static_cast<pthread_t*>(next), nullptr);
    return nullptr;
  };
  for (int at = 0; at < 3; ++at) {
    if (::pthread_create(&threads[at], nullptr, body, &threads[(at + 1) % 3]) != 0) {
      target::fail("pthread_create");
    }
  }
  started.arrive_and_wait();
  target::announce_ready();
  ::pthread_exit(nullptr);
}

struct Flag {
  std::mutex mutex;
  std::condition_variable changed;
  bool up = false;

  void await() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return up; });
  }

  void raise() {
    const std::scoped_lock lock(mutex);
    up = true;
    changed.notify_all();
  }
};

Flag never_raised;

// The handler at exit waits for a worker that died without a word.
void condition_at_exit() {
  std::thread([] {}).join();
  std::atexit([] { never_raised.await(); });
  target::announce_ready();
  std::exit(0);
}

void conditions_crossed() {
  Flag first;
  Flag second;
  std::thread other([&] {
    first.await();
    second.raise();
  });
  target::announce_ready();
  second.await();
  first.raise();
  other.join();
}

void barrier_short_of_one() {
  std::barrier meeting(3);
  std::thread one([&] { meeting.arrive_and_wait(); });
  std::thread other([&] { meeting.arrive_and_wait(); });
  std::thread([] {}).join();
  target::announce_ready();
  one.join();
  other.join();
}

// A channel of one slot whose consumer is gone; two producers and the one who joins them.
void channel_without_consumer() {
  std::mutex mutex;
  std::condition_variable room;
  int used = 0;
  const auto produce = [&] {
    for (;;) {
      std::unique_lock lock(mutex);
      room.wait(lock, [&] { return used == 0; });
      ++used;
    }
  };
  std::thread one(produce);
  std::thread other(produce);
  target::announce_ready();
  one.join();
  other.join();
}

// Tasks of a pool wait for tasks that only the same pool could run.
void nested_pool() {
  Flag inner[2];
  std::barrier both(2);
  std::thread workers[2];
  for (int at = 0; at < 2; ++at) {
    workers[at] = std::thread([&, at] {
      both.arrive_and_wait();
      inner[at].await();
      inner[1 - at].raise();
    });
  }
  target::announce_ready();
  for (std::thread& worker : workers) worker.join();
}

void promise_kept_by_nobody() {
  std::promise<int> promise;
  std::future<int> result = promise.get_future();
  target::announce_ready();
  result.wait();
}

void semaphore_taker_died() {
  auto& semaphore = zoo::shared<sem_t>();
  if (::sem_init(&semaphore, 1, 1) != 0) target::fail("sem_init");
  zoo::wait_for(zoo::child([&] { ::sem_wait(&semaphore); }));
  target::announce_ready();
  ::sem_wait(&semaphore);
}

int private_semaphores(int count) {
  const int id = ::semget(IPC_PRIVATE, count, 0600);
  if (id < 0) target::fail("semget");
  target::say("sysv sem %d", id);  // whoever runs the zoo removes it
  for (int at = 0; at < count; ++at) {
    if (::semctl(id, at, SETVAL, 1) != 0) target::fail("semctl");
  }
  return id;
}

void take(int id, int number) {
  sembuf down = {.sem_num = static_cast<unsigned short>(number), .sem_op = -1, .sem_flg = 0};
  if (::semop(id, &down, 1) != 0) target::fail("semop");
}

void sysv_taker_died() {
  const int id = private_semaphores(1);
  zoo::wait_for(zoo::child([&] { take(id, 0); }));
  target::announce_ready();
  take(id, 0);
}

void sysv_abba() {
  const int id = private_semaphores(2);
  const target::PipeEnds there = target::make_pipe();
  const target::PipeEnds back = target::make_pipe();
  zoo::child([&] {
    take(id, 1);
    zoo::write_byte(back.write_end);
    zoo::read_byte(there.read_end);
    take(id, 0);
  });
  take(id, 0);
  zoo::write_byte(there.write_end);
  zoo::read_byte(back.read_end);
  target::announce_ready();
  take(id, 1);
}

void sysv_queue_full() {
  const int id = ::msgget(IPC_PRIVATE, 0600);
  if (id < 0) target::fail("msgget");
  target::say("sysv msg %d", id);
  const pid_t sender = zoo::child([&] {
    struct {
      long type = 1;
      char text[1024] = {};
    } message;
    while (::msgsnd(id, &message, sizeof message.text, 0) == 0) {
    }
  });
  target::announce_ready();
  zoo::wait_for(sender);
}

void posix_queue_full() {
  const std::string name = "/zoo." + std::to_string(::getpid());
  const mqd_t queue = ::mq_open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600, nullptr);
  if (queue < 0) target::fail("mq_open");
  ::mq_unlink(name.c_str());
  const pid_t sender = zoo::child([&] {
    while (::mq_send(queue, "x", 1, 0) == 0) {
    }
  });
  target::announce_ready();
  zoo::wait_for(sender);
}

void eventfd_of_nobody() {
  const int event = ::eventfd(0, EFD_CLOEXEC);
  if (event < 0) target::fail("eventfd");
  eventfd_t value = 0;
  target::announce_ready();
  ::eventfd_read(event, &value);
}

// The parent waits for its child, the child for the event that the parent would signal after.
void eventfd_and_wait() {
  const int event = ::eventfd(0, EFD_CLOEXEC);
  if (event < 0) target::fail("eventfd");
  const pid_t worker = zoo::child([&] {
    eventfd_t value = 0;
    ::eventfd_read(event, &value);
  });
  target::announce_ready();
  zoo::wait_for(worker);
  ::eventfd_write(event, 1);
}

}  // namespace

int main(int argc, char** argv) {
  return zoo::run(argc, argv,
                  {{"join-ring", join_ring},
                   {"condition-at-exit", condition_at_exit},
                   {"conditions-crossed", conditions_crossed},
                   {"barrier-short-of-one", barrier_short_of_one},
                   {"channel-without-consumer", channel_without_consumer},
                   {"nested-pool", nested_pool},
                   {"promise-kept-by-nobody", promise_kept_by_nobody},
                   {"semaphore-taker-died", semaphore_taker_died},
                   {"sysv-taker-died", sysv_taker_died},
                   {"sysv-abba", sysv_abba},
                   {"sysv-queue-full", sysv_queue_full},
                   {"posix-queue-full", posix_queue_full},
                   {"eventfd-of-nobody", eventfd_of_nobody},
                   {"eventfd-and-wait", eventfd_and_wait}});
}
