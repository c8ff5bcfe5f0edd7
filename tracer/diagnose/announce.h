#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/base/result.h"
#include "tracer/model/verdict.h"

namespace stucktrace::diagnose {

// What a line must say to announce that the program is through with its work. Built-in phrases as
// whole words, case-insensitive ("All done! Goodbye!", "25 passed in 0.3s", "Shutting down"), never
// their negations or progress ("not done", "90% done", "almost done"); plus the user's regular
// expressions (ECMAScript, case-insensitive, anywhere in the line). Copying is cheap.
class AnnouncePhrases {
 public:
  AnnouncePhrases();
  // kUsage with the expression and its fault.
  static base::Result<AnnouncePhrases> compile(const std::vector<std::string>& expressions);
  // Raw bytes of one line without its end; only the first kMaxLine bytes are looked at.
  bool match(std::string_view line) const;

 private:
  struct Compiled;
  std::shared_ptr<const Compiled> compiled_;
};

constexpr std::size_t kMaxLine = 4096;

// The state machine over what one process writes to its output streams. The last meaningful line
// (one with a letter or digit) of any stream counts, finished or not; later work retracts it. Lines
// are hostile and bounded: of a longer one the first kMaxLine bytes are kept.
class AnnounceDetector {
 public:
  explicit AnnounceDetector(AnnouncePhrases phrases = {});

  // Bytes written to descriptor `fd` at `at`.
  void write(int fd, std::string_view bytes, base::Instant at);
  // Something was written to `fd` that is not known in full: the last line is then unknown too.
  void lost_output(int fd);
  // The process went on working (read input, started a child, became another program).
  void retract();

  // The announcement that stands now.
  std::optional<model::Announcement> current() const;

 private:
  struct Stream {
    std::string line;
    base::Instant at;
  };
  void end_line(int fd, Stream& stream);

  // The last meaningful line that was ended. What it says is asked for rarely, a line may come at
  // any rate: it is matched when somebody wants to know.
  struct Ended {
    std::string line;
    int fd = -1;
    base::Instant at;
  };
  std::optional<model::Announcement> announced() const;

  AnnouncePhrases phrases_;
  std::map<int, Stream> streams_;
  std::optional<Ended> ended_;
};

}  // namespace stucktrace::diagnose
