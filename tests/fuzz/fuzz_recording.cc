#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tracer/record/codec.h"
#include "tracer/record/reader.h"

// Hostile recordings: once as whole files through the reader, once as one event message, which gets
// the fuzzer past the framing. Build with -fsanitize=fuzzer,address,undefined.
namespace stucktrace {
namespace {

void read_file(const std::uint8_t* data, std::size_t size) {
  const base::UniqueFd file{::memfd_create("fuzz_recording", MFD_CLOEXEC)};
  if (!file.valid()) return;
  // The preamble is given: guessing it teaches the fuzzer nothing.
  std::string bytes;
  record::append_preamble(bytes);
  bytes.append(reinterpret_cast<const char*>(data), size);
  for (std::string_view rest{bytes}; !rest.empty();) {
    const ssize_t written = ::write(file.get(), rest.data(), rest.size());
    if (written <= 0) return;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  const auto recording = record::read_recording(fmt::format("/proc/self/fd/{}", file.get()));
  if (!recording) return;
  // Whatever was read can be written and read again.
  record::EventEncoder encoder{recording->header.started};
  std::string frames;
  for (const auto& event : recording->events) encoder.append(event, frames);
}

void read_message(const std::uint8_t* data, std::size_t size) {
  record::EventDecoder decoder{base::Instant{}};
  const auto event = decoder.decode({reinterpret_cast<const char*>(data), size});
  if (!event || !*event) return;
  record::EventEncoder encoder{base::Instant{}};
  std::string frame;
  encoder.append(**event, frame);
}

}  // namespace
}  // namespace stucktrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  stucktrace::read_file(data, size);
  stucktrace::read_message(data, size);
  return 0;
}
