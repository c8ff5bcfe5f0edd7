// usage: thread_ring [THREADS [ROUNDS]]
//
// THREADS threads (default 4) named ring-0, ring-1 ... pass one token around through pipes, so that
// at any instant all but one wait, each for its neighbour: busy, never stuck. With ROUNDS ends
// after so many; with 0 (default) at the end of stdin. Prints "passed N" with the number of
// hand-overs.

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "target/target.h"

namespace {

struct Ring {
  std::vector<target::PipeEnds> hops;   // thread i reads hop i and writes hop i + 1
  std::uint64_t hand_overs_wanted = 0;  // 0: until `stop`
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> hand_overs = 0;
};

void run_station(Ring& ring, std::size_t place) {
  ::pthread_setname_np(::pthread_self(), ("ring-" + std::to_string(place)).c_str());
  const int next = ring.hops[(place + 1) % ring.hops.size()].write_end;
  char token = 0;
  while (::read(ring.hops[place].read_end, &token, 1) == 1) {
    const std::uint64_t passed = ++ring.hand_overs;
    if (ring.hand_overs_wanted != 0 && passed >= ring.hand_overs_wanted) ring.stop = true;
    // Read before the token leaves: whoever gets it afterwards must see the flag too.
    const bool last = ring.stop;
    target::write_all(next, &token, 1);
    if (last) return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto threads = static_cast<std::size_t>(target::number_argument(argc, argv, 1, 4, 400));
  const auto rounds = static_cast<std::uint64_t>(target::number_argument(argc, argv, 2, 0, 1e9));
  if (threads < 1) return 2;

  Ring ring;
  ring.hand_overs_wanted = rounds * threads;
  for (std::size_t i = 0; i < threads; ++i) ring.hops.push_back(target::make_pipe());
  std::vector<std::thread> stations;
  stations.reserve(threads);
  for (std::size_t i = 0; i < threads; ++i) {
    stations.emplace_back([&ring, i] { run_station(ring, i); });
  }
  target::announce_ready();
  target::write_all(ring.hops[0].write_end, "t", 1);
  if (rounds == 0) {
    target::wait_for_stdin_end();
    ring.stop = true;
  }
  for (std::thread& station : stations) station.join();
  target::say("passed %llu", static_cast<unsigned long long>(ring.hand_overs.load()));
}
