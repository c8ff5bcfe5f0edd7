// usage: zoo_locks BEHAVIOUR
//
// Hangs through pthread and C++ locks.

#include <pthread.h>

#include <barrier>
#include <mutex>
#include <thread>

#include "target/zoo/zoo.h"

namespace {

void init(pthread_mutex_t& mutex, int type, bool shared, bool inherit) {
  pthread_mutexattr_t attributes;
  ::pthread_mutexattr_init(&attributes);
  ::pthread_mutexattr_settype(&attributes, type);
  if (shared) ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  if (inherit) ::pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
  ::pthread_mutex_init(&mutex, &attributes);
}

// Thread N locks mutex N, and when all have done so, the next one's.
void ring(std::vector<pthread_mutex_t>& mutexes) {
  const auto count = static_cast<std::ptrdiff_t>(mutexes.size());
  std::barrier all(count);
  std::vector<std::thread> threads;
  threads.reserve(mutexes.size());
  for (std::size_t at = 0; at < mutexes.size(); ++at) {
    threads.emplace_back([&mutexes, &all, at] {
      ::pthread_mutex_lock(&mutexes[at]);
      all.arrive_and_wait();
      ::pthread_mutex_lock(&mutexes[(at + 1) % mutexes.size()]);
    });
  }
  target::announce_ready();
  for (std::thread& thread : threads) thread.join();
}

void abba() {
  std::vector<pthread_mutex_t> mutexes(2);
  for (pthread_mutex_t& mutex : mutexes) init(mutex, PTHREAD_MUTEX_NORMAL, false, false);
  ring(mutexes);
}

void three_way() {
  std::vector<pthread_mutex_t> mutexes(3);
  for (pthread_mutex_t& mutex : mutexes) init(mutex, PTHREAD_MUTEX_NORMAL, false, false);
  ring(mutexes);
}

// The kernel refuses the last step of such a circle, and glibc then parks that thread for good.
void priority_abba() {
  std::vector<pthread_mutex_t> mutexes(2);
  for (pthread_mutex_t& mutex : mutexes) init(mutex, PTHREAD_MUTEX_NORMAL, false, true);
  ring(mutexes);
}

void recursive_abba() {
  std::vector<pthread_mutex_t> mutexes(2);
  for (pthread_mutex_t& mutex : mutexes) init(mutex, PTHREAD_MUTEX_RECURSIVE, false, false);
  ring(mutexes);
}

void std_abba() {
  std::mutex first;
  std::mutex second;
  std::barrier both(2);
  const auto take = [&](std::mutex& one, std::mutex& other) {
    const std::scoped_lock outer(one);
    both.arrive_and_wait();
    const std::scoped_lock inner(other);
  };
  std::thread one([&] { take(first, second); });
  std::thread other([&] { take(second, first); });
  target::announce_ready();
  one.join();
  other.join();
}

void twice() {
  pthread_mutex_t mutex;
  init(mutex, PTHREAD_MUTEX_NORMAL, false, false);
  ::pthread_mutex_lock(&mutex);
  target::announce_ready();
  ::pthread_mutex_lock(&mutex);
}

void owner_thread_gone() {
  pthread_mutex_t mutex;
  init(mutex, PTHREAD_MUTEX_NORMAL, false, false);
  std::thread owner([&] { ::pthread_mutex_lock(&mutex); });
  owner.join();
  target::announce_ready();
  ::pthread_mutex_lock(&mutex);
}

// Forks while another thread holds the lock; `keep` says whether that thread stays.
void fork_while_locked(bool keep) {
  pthread_mutex_t mutex;
  init(mutex, PTHREAD_MUTEX_NORMAL, false, false);
  std::barrier locked(2);
  std::barrier forked(2);
  std::thread owner([&] {
    ::pthread_mutex_lock(&mutex);
    locked.arrive_and_wait();
    forked.arrive_and_wait();
    while (keep) zoo::nap(1000);
    ::pthread_mutex_unlock(&mutex);
  });
  locked.arrive_and_wait();
  const pid_t worker = zoo::child([&] { ::pthread_mutex_lock(&mutex); });
  forked.arrive_and_wait();
  if (!keep) owner.join();
  target::announce_ready();
  zoo::wait_for(worker);
}

void fork_lost() {
  fork_while_locked(true);
}

void fork_lost_owner_gone() {
  fork_while_locked(false);
}

void shared_owner_died() {
  auto& mutex = zoo::shared<pthread_mutex_t>();
  init(mutex, PTHREAD_MUTEX_NORMAL, true, false);
  zoo::wait_for(zoo::child([&] { ::pthread_mutex_lock(&mutex); }));
  target::announce_ready();
  ::pthread_mutex_lock(&mutex);
}

struct SharedPair {
  pthread_mutex_t mutexes[2];
  pthread_barrier_t both;
};

void shared_abba() {
  auto& pair = zoo::shared<SharedPair>();
  for (pthread_mutex_t& mutex : pair.mutexes) init(mutex, PTHREAD_MUTEX_NORMAL, true, false);
  pthread_barrierattr_t attributes;
  ::pthread_barrierattr_init(&attributes);
  ::pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  ::pthread_barrier_init(&pair.both, &attributes, 2);
  const auto take = [&](int first) {
    ::pthread_mutex_lock(&pair.mutexes[first]);
    ::pthread_barrier_wait(&pair.both);
    ::pthread_mutex_lock(&pair.mutexes[1 - first]);
  };
  const pid_t other = zoo::child([&] { take(1); });
  target::announce_ready();
  take(0);
  zoo::wait_for(other);
}

void rwlock_writers() {
  pthread_rwlock_t locks[2] = {PTHREAD_RWLOCK_INITIALIZER, PTHREAD_RWLOCK_INITIALIZER};
  std::barrier both(2);
  const auto take = [&](int first) {
    ::pthread_rwlock_wrlock(&locks[first]);
    both.arrive_and_wait();
    ::pthread_rwlock_wrlock(&locks[1 - first]);
  };
  std::thread one([&] { take(0); });
  std::thread other([&] { take(1); });
  target::announce_ready();
  one.join();
  other.join();
}

void rwlock_upgrade() {
  pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
  ::pthread_rwlock_rdlock(&lock);
  target::announce_ready();
  ::pthread_rwlock_wrlock(&lock);
}

void join_under_lock() {
  pthread_mutex_t mutex;
  init(mutex, PTHREAD_MUTEX_NORMAL, false, false);
  ::pthread_mutex_lock(&mutex);
  std::thread worker([&] { ::pthread_mutex_lock(&mutex); });
  target::announce_ready();
  worker.join();
}

// A lock in one process, a full pipe to another, whose answer the lock's owner awaits.
void lock_and_pipe() {
  pthread_mutex_t mutex;
  init(mutex, PTHREAD_MUTEX_NORMAL, false, false);
  const target::PipeEnds there = target::make_pipe();
  const target::PipeEnds back = target::make_pipe();
  zoo::child([&] {
    ::close(there.write_end);
    ::close(back.read_end);
    zoo::read_byte(there.read_end);
    zoo::write_byte(back.write_end);
  });
  ::close(there.read_end);
  ::close(back.write_end);
  ::pthread_mutex_lock(&mutex);
  std::thread sender([&] {
    ::pthread_mutex_lock(&mutex);
    zoo::write_byte(there.write_end);
  });
  target::announce_ready();
  zoo::read_byte(back.read_end);
  sender.join();
}

}  // namespace

int main(int argc, char** argv) {
  return zoo::run(argc, argv,
                  {{"abba", abba},
                   {"three-way", three_way},
                   {"priority-abba", priority_abba},
                   {"recursive-abba", recursive_abba},
                   {"std-abba", std_abba},
                   {"twice", twice},
                   {"owner-thread-gone", owner_thread_gone},
                   {"fork-lost", fork_lost},
                   {"fork-lost-owner-gone", fork_lost_owner_gone},
                   {"shared-owner-died", shared_owner_died},
                   {"shared-abba", shared_abba},
                   {"rwlock-writers", rwlock_writers},
                   {"rwlock-upgrade", rwlock_upgrade},
                   {"join-under-lock", join_under_lock},
                   {"lock-and-pipe", lock_and_pipe}});
}
