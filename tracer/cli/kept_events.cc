#include "tracer/cli/kept_events.h"

#include <fcntl.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace stucktrace::cli {

base::Result<std::unique_ptr<KeptEvents>> KeptEvents::create(const std::string& recording,
                                                             const model::TraceHeader& header) {
  std::error_code bad;
  if (!recording.empty() && std::filesystem::is_regular_file(recording, bad)) {
    // One that may be written but not read is no hindrance.
    if (auto file = record::EventFile::open(recording)) {
      return std::unique_ptr<KeptEvents>{new KeptEvents{std::move(*file)}};
    }
  }
  auto file = record::unnamed_file();
  if (!file) return base::Failure{file.error()};
  base::UniqueFd end{::fcntl(file->get(), F_DUPFD_CLOEXEC, 0)};
  if (!end.valid()) {
    return base::system_error("cannot duplicate a descriptor", base::Errno::last());
  }
  const std::string name = "of the run (a temporary file)";
  auto writer = record::Writer::start(name, std::move(end), header);
  if (!writer) return base::Failure{writer.error()};
  std::unique_ptr<KeptEvents> kept{new KeptEvents{record::EventFile{name, std::move(*file)}}};
  kept->writer_ = std::move(*writer);
  return kept;
}

void KeptEvents::finish() {
  if (writer_) written_ = writer_->finish();
}

base::Result<void> KeptEvents::for_each(const std::function<void(const model::Event&)>& use) const {
  if (!written_) return written_;
  return file_.for_each(use);
}

}  // namespace stucktrace::cli
