#include "tracer/unwind/known_walks.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace stucktrace::unwind {
namespace {

// What a walk does with an address may depend on its alignment, but not beyond that of a page.
constexpr std::uint64_t kPage = 4096;
constexpr std::size_t kMaxPlaces = 1024;
constexpr std::size_t kMaxWalksOfOne = 32;
constexpr std::size_t kMaxWords = 4096;

}  // namespace

bool KnownWalks::same(const Known& known, const StackCopy& copy) {
  const std::uint64_t moved = copy.stack_pointer - known.stack_pointer;
  if (copy.program_counter != known.program_counter || moved % kPage != 0 ||
      copy.frame_pointer.has_value() != known.has_frame_pointer) {
    return false;
  }
  const auto holds = [&](const Word& word, std::uint64_t value) {
    return value == (word.on_stack ? word.value + moved : word.value);
  };
  if (known.frame_pointer && !holds(*known.frame_pointer, *copy.frame_pointer)) return false;
  return std::ranges::all_of(known.words, [&](const Word& word) {
    const std::uint64_t inside = copy.stack_pointer + word.offset - copy.start;
    std::uint64_t value = 0;
    if (inside >= copy.bytes.size() || copy.bytes.size() - inside < sizeof value) return false;
    std::memcpy(&value, copy.bytes.data() + inside, sizeof value);
    return holds(word, value);
  });
}

const Walk* KnownWalks::find(const StackCopy& copy) {
  const auto at = walks_.find(copy.program_counter);
  if (at == walks_.end()) return nullptr;
  std::vector<Known>& here = at->second;
  const auto found =
      std::ranges::find_if(here, [&](const Known& known) { return same(known, copy); });
  if (found == here.end()) return nullptr;
  std::rotate(here.begin(), found, found + 1);
  return &here.front().walk;
}

void KnownWalks::begin() {
  repeatable_ = true;
  frame_pointer_read_ = false;
  words_.clear();
}

void KnownWalks::read_word(const StackCopy& copy, std::uint64_t address, std::uint64_t value) {
  if (words_.size() == kMaxWords) repeatable_ = false;
  if (!repeatable_) return;
  words_.push_back({address - copy.stack_pointer, value, copy.holds(value)});
}

void KnownWalks::end(const StackCopy& copy, const Walk& walk) {
  if (!repeatable_ || !walk.note.empty() || walk.unknown_code) return;
  // Code on the stack itself would be at another address in another stack.
  if (std::ranges::any_of(walk.frames,
                          [&](const CodeAddress& frame) { return copy.holds(frame.pc); })) {
    return;
  }
  Known known{
      copy.stack_pointer, copy.program_counter, copy.frame_pointer.has_value(), {}, words_, walk};
  if (frame_pointer_read_ && copy.frame_pointer) {
    known.frame_pointer = Word{0, *copy.frame_pointer, copy.holds(*copy.frame_pointer)};
  }
  if (walks_.size() >= kMaxPlaces && !walks_.contains(copy.program_counter)) walks_.clear();
  std::vector<Known>& here = walks_[copy.program_counter];
  if (here.size() == kMaxWalksOfOne) here.pop_back();
  here.insert(here.begin(), std::move(known));
}

}  // namespace stucktrace::unwind
