#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/diagnose/history.h"
#include "tracer/model/snapshot.h"
#include "tracer/model/verdict.h"

namespace stucktrace::diagnose {

struct Settings {
  // A wait must have lasted this long where a verdict rests on time (not for `proven`).
  base::Nanoseconds stuck_after = std::chrono::seconds(1);
  // More completion phrases, regular expressions; one that does not compile is left out
  // (AnnouncePhrases::compile tells beforehand).
  std::vector<std::string> announce;
};

// Who waits for whom, and what of it is a fault. Pure: the same inputs give the same answer, on any
// machine. `before` and `now` are two looks at the same processes, a settle time apart; when they
// were taken at the same instant there is only one look, and nothing is more than likely. `history`
// may be null (nothing was traced).
model::Diagnosis diagnose(const model::Snapshot& before, const model::Snapshot& now,
                          const History* history, const Settings& settings);

}  // namespace stucktrace::diagnose
