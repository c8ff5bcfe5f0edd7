#pragma once

#include <functional>
#include <string>
#include <utility>

#include "tracer/base/result.h"
#include "tracer/base/unique_fd.h"
#include "tracer/model/event_source.h"
#include "tracer/record/reader.h"

namespace stucktrace::record {

// A recording that is read more than once, one message in memory at a time. It stays the same file
// whatever becomes of its name.
class EventFile final : public model::EventSource {
 public:
  // What can be read only once, a pipe, is copied first. Its contents are looked at by read() and
  // for_each() alone, so that a recording may be opened that is still being written.
  static base::Result<EventFile> open(const std::string& path);
  // `path` is its name in messages. The file can be read at any place.
  EventFile(std::string path, base::UniqueFd file)
      : path_(std::move(path)), file_(std::move(file)) {}

  // From the beginning. One reader at a time: all share one place in the file.
  base::Result<Reader> read() const;
  // A recording that is not whole is an error, at its end.
  base::Result<void> for_each(const std::function<void(const model::Event&)>& use) const override;

 private:
  std::string path_;
  base::UniqueFd file_;
};

// An empty file without a name, that goes away with its last descriptor: in $TMPDIR, else in
// /var/tmp, which is on a disk where /tmp may be memory, else in /tmp.
base::Result<base::UniqueFd> unnamed_file();

}  // namespace stucktrace::record
