#include "tracer/unwind/python_greenlets.h"

#include <algorithm>

#include "tracer/unwind/python_memory.h"
#include "tracer/unwind/python_state.h"

namespace stucktrace::unwind {
namespace {

// More objects than are looked at are many hundred megabytes of them.
constexpr std::size_t kMaxObjects = 1'000'000;
constexpr std::size_t kMaxTypes = 1 << 16;
constexpr std::size_t kMaxFramesOfAll = 20'000;  // with their texts this is what a look may hold
constexpr std::size_t kLists = 4;                // three generations, and what is frozen
constexpr std::size_t kCollectorSize = 256;
constexpr std::uint64_t kObjectHead = 16;
// Of the structure behind the object (greenlet 2.0 and later): less than any version's size, so
// that nothing of a neighbour's is seen.
constexpr std::size_t kStateSize = 112;

// The collector keeps flags in the low bits of its links.
constexpr std::uint64_t without_flags(std::uint64_t link) {
  return link & ~std::uint64_t{3};
}

std::uint64_t plus(std::uint64_t address, int offset) {
  return address + static_cast<std::uint64_t>(offset);
}

}  // namespace

PythonGreenlets::PythonGreenlets(const PythonObjects& objects, PythonStacks& stacks,
                                 std::uint64_t interpreter)
    : objects_(objects), stacks_(stacks), layout_(objects.layout()), interpreter_(interpreter) {
  if (layout_.interp_gc < 0) return;
  const std::uint64_t module = python_module(objects_, interpreter, "greenlet");
  const std::uint64_t type = module == 0 ? 0 : objects_.item(module, "greenlet");
  if (type == 0 || objects_.name_of_type(type) != "greenlet.greenlet") return;
  constexpr std::uint64_t kLargest = 512;
  size_ = read_word(objects_.memory(), plus(type, layout_.type_basic_size));
  if (size_ > kObjectHead && size_ <= kLargest && size_ % 8 == 0) type_ = type;
}

bool PythonGreenlets::is_greenlet_type(std::uint64_t type) {
  if (const auto known = types_.find(type); known != types_.end()) return known->second;
  constexpr int kMaxBases = 16;
  bool is = false;
  std::uint64_t at = type;
  for (int depth = 0; at != 0 && !is && depth < kMaxBases; ++depth) {
    is = at == type_;
    at = read_word(objects_.memory(), plus(at, layout_.type_base));
  }
  if (types_.size() < kMaxTypes) types_.emplace(type, is);
  return is;
}

std::vector<std::uint64_t> PythonGreenlets::list_heads() const {
  struct Node {
    std::uint64_t next = 0, previous = 0;
  };
  const std::uint64_t start = plus(interpreter_, layout_.interp_gc);
  const auto data = RemoteRecord::read(objects_.memory(), start, kCollectorSize, sizeof(Node));
  std::vector<std::uint64_t> heads;
  if (!data) return heads;
  // 3.13.18 has them at addresses that are multiples of four.
  for (std::size_t at = 0; at + sizeof(Node) <= data->bytes().size(); at += 4) {
    const std::uint64_t head = start + at;
    const auto node = data->at<Node>(static_cast<int>(at));
    const std::uint64_t next = without_flags(node.next), previous = without_flags(node.previous);
    const bool is_empty = next == head && previous == head;
    const auto points_back = [&](std::uint64_t address, std::uint64_t field) {
      std::uint64_t link = 0;
      return plausible_pointer(address) &&
             objects_.memory().read_value(base::RemoteAddr{address + field}, link) &&
             without_flags(link) == head;
    };
    if (is_empty || (points_back(next, 8) && points_back(previous, 0))) heads.push_back(head);
  }
  return heads;
}

bool PythonGreenlets::each_tracked(std::uint64_t head, std::size_t& left,
                                   const std::function<bool(std::uint64_t, std::uint64_t)>& visit) {
  struct Tracked {
    std::uint64_t next = 0, previous = 0;
    std::uint64_t references = 0, type = 0;
  };
  std::uint64_t before = head, first = 0;
  if (!objects_.memory().read_value(base::RemoteAddr{head}, first)) return false;
  std::uint64_t at = without_flags(first);
  while (at != head) {
    Tracked tracked;
    // One that does not point back has just been moved, or is none.
    const bool sound = plausible_pointer(at) && left > 0 &&
                       objects_.memory().read_value(base::RemoteAddr{at}, tracked) &&
                       without_flags(tracked.previous) == before;
    if (!sound || !visit(at + kObjectHead, tracked.type)) return false;
    --left;
    before = at;
    at = without_flags(tracked.next);
  }
  return true;
}

std::uint64_t PythonGreenlets::frame_object(std::uint64_t greenlet) const {
  const auto object = RemoteRecord::read(objects_.memory(), greenlet, size_);
  if (!object) return 0;
  const auto find = [&](const RemoteRecord& record, std::size_t from) -> std::uint64_t {
    for (std::size_t at = from; at + 8 <= record.bytes().size(); at += 8) {
      const std::uint64_t word = record.word(static_cast<int>(at));
      if (plausible_pointer(word) && objects_.is_a(word, "frame")) return word;
    }
    return 0;
  };
  // Up to greenlet 1.1 in the object itself, later in what its last word points to.
  if (const std::uint64_t frame = find(*object, kObjectHead); frame != 0) return frame;
  const std::uint64_t state = object->word(static_cast<int>(size_) - 8);
  const auto behind = RemoteRecord::read(objects_.memory(), state, kStateSize);
  return behind ? find(*behind, 0) : 0;
}

std::optional<PythonGreenletState> PythonGreenlets::read_at(std::uint64_t address) {
  const auto head = RemoteRecord::read(objects_.memory(), address, kObjectHead);
  if (type_ == 0 || !head || !is_greenlet_type(head->word(layout_.object_type))) {
    return std::nullopt;
  }
  std::uint64_t frame = frame_object(address);
  if (frame != 0 && layout_.frame_object_frame >= 0) {
    frame = read_word(objects_.memory(), plus(frame, layout_.frame_object_frame));
  }
  const auto chain = frame == 0 ? std::nullopt : stacks_.suspended(frame);
  auto frames = chain && !chain->empty() ? stacks_.describe(*chain) : std::nullopt;
  if (!frames) return std::nullopt;
  PythonGreenletState state;
  state.address = address;
  state.task.kind = model::PythonTask::Kind::kGreenlet;
  const std::string& type = objects_.name_of_type(head->word(layout_.object_type));
  state.task.name = type.substr(type.rfind('.') + 1);
  state.task.coroutine = frames->back().function;
  state.task.frames = std::move(*frames);
  return state;
}

PythonGreenlets::All PythonGreenlets::read() {
  All all;
  if (type_ == 0) return all;
  std::size_t left = kMaxObjects, frames = 0;
  types_.clear();
  const auto add = [&](std::uint64_t object, std::uint64_t type) {
    if (!is_greenlet_type(type)) return true;
    if (all.greenlets.size() >= kMaxPythonTasks || frames >= kMaxFramesOfAll) {
      if (frame_object(object) != 0) ++all.more;
    } else if (auto state = read_at(object)) {
      frames += state->task.frames.size();
      all.greenlets.push_back(std::move(*state));
    }
    return true;
  };
  const auto heads = list_heads();
  all.complete = heads.size() == kLists;
  for (const std::uint64_t head : heads) {
    if (!each_tracked(head, left, add)) all.complete = false;
  }
  return all;
}

}  // namespace stucktrace::unwind
