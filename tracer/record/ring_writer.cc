#include "tracer/record/ring_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "tracer/base/text.h"
#include "tracer/record/reader.h"

namespace stucktrace::record {
namespace {

base::Failure cannot(std::string_view what, const std::string& path) {
  return base::system_error(fmt::format("cannot {} {}", what, base::escape_text(path)),
                            base::Errno::last());
}

base::Result<void> move(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return cannot("rename", from);
  return {};
}

// Only what an earlier run left behind may be overwritten unasked; one that was killed may have
// left a file with nothing in it yet.
base::Result<void> clear(const std::string& path) {
  struct stat about{};
  if (::lstat(path.c_str(), &about) != 0) {
    if (errno == ENOENT) return {};
    return cannot("look at", path);
  }
  if (!S_ISREG(about.st_mode) || (about.st_size > 0 && !Reader::open(path))) {
    return base::usage_error(
        fmt::format("{} is in the way and is no recording", base::escape_text(path)),
        "record to another file");
  }
  if (::unlink(path.c_str()) != 0) return cannot("remove", path);
  return {};
}

// Events `from` to the end.
base::Result<void> copy(const std::string& path, std::uint64_t from, Writer& to) {
  auto reader = Reader::open(path);
  if (!reader) return base::Failure{reader.error()};
  for (std::uint64_t index = 0;; ++index) {
    const auto event = reader->next();
    if (!event) return base::Failure{event.error()};
    if (!*event) return {};
    if (index >= from) to.on_event(**event);
  }
}

}  // namespace

base::Result<std::unique_ptr<RingWriter>> RingWriter::create(const std::string& path,
                                                             const model::TraceHeader& header,
                                                             std::uint64_t size) {
  if (size < kSmallest) {
    return base::usage_error(fmt::format("--ring {} is too small", size),
                             fmt::format("give at least {} bytes", kSmallest));
  }
  struct stat about{};
  if (::stat(path.c_str(), &about) == 0 && !S_ISREG(about.st_mode)) {
    return base::usage_error(
        fmt::format("--ring needs a regular file, {} is none", base::escape_text(path)),
        "name another or leave --ring out");
  }
  auto writer = Writer::create(path, header);
  if (!writer) return base::Failure{writer.error()};
  std::unique_ptr<RingWriter> ring{new RingWriter{path, header, size, std::move(*writer)}};
  for (const std::string& other : {ring->earlier(), ring->next(), ring->whole()}) {
    if (auto cleared = clear(other); !cleared) return base::Failure{cleared.error()};
  }
  return ring;
}

void RingWriter::on_event(const model::Event& event) {
  if (failure() || finished_) return;
  state_.observe(event);
  writer_->on_event(event);
  ++part_events_;
  // However much there is to say at its beginning, a part takes in events.
  if (writer_->bytes() >= std::max(size_ / 2, prologue_bytes_ + size_ / 8)) turn();
}

// Once there is an earlier part, the later one says so, whenever this process may be killed: it
// takes its place when what it builds on is written.
void RingWriter::turn() {
  auto turned = writer_->finish();
  if (!turned) {
    failure_ = turned.error();
    return;
  }
  auto made = Writer::create(next(), header_);
  if (!made) {
    failure_ = made.error();
    return;
  }
  writer_ = std::move(*made);
  before_part_ += std::exchange(part_events_, 0);
  const auto state = state_.events();
  for (const model::Event& event : state) writer_->on_event(event);
  prologue_events_ = state.size() + 1;
  const model::Event lost{0, state.empty() ? header_.started : state.back().at, base::Pid{},
                          base::Tid{}, model::Lost{before_part_, "events from before (--ring)"}};
  writer_->on_event(lost);
  prologue_bytes_ = writer_->bytes();
  writer_->flush();
  if (auto placed = put_in_place(); !placed) {
    failure_ = placed.error();
    return;
  }
  turned_ = true;
}

base::Result<void> RingWriter::put_in_place() const {
  if (::renameat2(AT_FDCWD, next().c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE) == 0) {
    return move(next(), earlier());
  }
  // Not every file system can exchange. With a second name for the part that is to be the earlier
  // one there is a recording at PATH all the time.
  if (::link(path_.c_str(), whole().c_str()) != 0) {
    if (auto done = move(path_, earlier()); !done) return done;
    return move(next(), path_);
  }
  if (auto done = move(next(), path_); !done) return done;
  return move(whole(), earlier());
}

std::optional<base::Error> RingWriter::failure() const {
  return failure_ ? failure_ : writer_->failure();
}

base::Result<void> RingWriter::join() const {
  auto writer = Writer::create(whole(), header_);
  if (!writer) return base::Failure{writer.error()};
  auto done = copy(earlier(), 0, **writer);
  if (done) done = copy(path_, prologue_events_, **writer);
  if (done) done = (*writer)->finish();
  if (done) done = move(whole(), path_);
  if (!done) {
    ::unlink(whole().c_str());
    return done;
  }
  ::unlink(earlier().c_str());
  return {};
}

base::Result<void> RingWriter::finish() {
  if (std::exchange(finished_, true)) return {};
  const auto written = writer_->finish();
  if (failure_) return base::Failure{*failure_};
  if (!written || !turned_) return written;
  auto joined = join();
  if (!joined) {
    base::Error error = joined.error();
    error.hint = fmt::format("the recording is kept in two parts: {}, {}",
                             base::escape_text(earlier()), base::escape_text(path_));
    return base::Failure{std::move(error)};
  }
  return {};
}

}  // namespace stucktrace::record
