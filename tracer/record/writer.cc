#include "tracer/record/writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "tracer/base/text.h"

namespace stucktrace::record {
namespace {

constexpr std::size_t kFlushAt = std::size_t{64} << 10U;
// A big sample may stretch the buffer; beyond this the memory is given back.
constexpr std::size_t kKeepCapacity = std::size_t{1} << 20U;

base::Failure cannot_write(const std::string& path, base::Errno code) {
  return base::system_error(fmt::format("cannot write recording {}", base::escape_text(path)),
                            code);
}

}  // namespace

base::Result<std::unique_ptr<Writer>> Writer::create(const std::string& path,
                                                     const model::TraceHeader& header) {
  if (path == "-") {
    return base::usage_error("a recording cannot go to standard output", "name a file");
  }
  base::UniqueFd file{
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, S_IRUSR | S_IWUSR)};
  if (!file.valid()) return cannot_write(path, base::Errno::last());
  return start(path, std::move(file), header);
}

base::Result<std::unique_ptr<Writer>> Writer::start(const std::string& path, base::UniqueFd file,
                                                    const model::TraceHeader& header) {
  std::unique_ptr<Writer> writer{new Writer{path, std::move(file), header.started}};
  append_preamble(writer->buffer_);
  append_header(header, writer->buffer_);
  writer->flush();
  if (writer->failure_) return base::Failure{*writer->failure_};
  return writer;
}

Writer::~Writer() {
  flush();
}

void Writer::on_event(const model::Event& event) {
  if (!file_.valid()) return;
  if (!encoder_.append(event, buffer_)) {
    model::Event lost{event.sequence, event.at, event.pid, event.tid,
                      model::Lost{1, "an event too large to be recorded"}};
    encoder_.append(lost, buffer_);
  }
  ++events_;
  if (buffer_.size() > kFlushAt) flush();
}

void Writer::flush() {
  std::string_view rest{buffer_};
  while (file_.valid() && !rest.empty()) {
    const ssize_t written = ::write(file_.get(), rest.data(), rest.size());
    if (written >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(written));
      written_ += static_cast<std::uint64_t>(written);
      continue;
    }
    const base::Errno code = base::Errno::last();
    if (code != base::Errno{EINTR}) fail(code);
  }
  buffer_.clear();
  if (buffer_.capacity() > kKeepCapacity) buffer_ = std::string{};
}

base::Result<void> Writer::finish() {
  if (file_.valid()) {
    append_end(events_, buffer_);
    flush();
  }
  // Some file systems report a full disk only here (close(2): NFS, quotas).
  if (file_.valid() && ::close(file_.release()) != 0) {
    const base::Errno code = base::Errno::last();
    if (code != base::Errno{EINTR}) fail(code);
  }
  if (failure_) return base::Failure{*failure_};
  return {};
}

void Writer::fail(base::Errno code) {
  failure_ = cannot_write(path_, code).error();
  file_.reset();
}

}  // namespace stucktrace::record
