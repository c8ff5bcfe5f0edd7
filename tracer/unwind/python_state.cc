#include "tracer/unwind/python_state.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_set>

#include "tracer/unwind/python_memory.h"

namespace stucktrace::unwind {
namespace {

std::uint64_t plus(std::uint64_t address, int offset) {
  return address + static_cast<std::uint64_t>(offset);
}

base::Failure unsupported(std::string what) {
  base::Error error;
  error.kind = base::ErrorKind::kUnsupported;
  error.operation = std::move(what);
  return base::Failure{std::move(error)};
}

// sys.version as the interpreter once composed it in a static buffer.
std::optional<PythonVersion> scan_for_version(const syscalls::RemoteMemory& memory,
                                              std::span<const PythonImage> images) {
  constexpr std::size_t kBlock = 64 * 1024, kOverlap = 256;
  constexpr std::uint64_t kMost = 16u << 20;
  std::vector<std::byte> block(kBlock);
  for (const PythonImage& image : images) {
    for (const PythonRange& range : image.writable) {
      const std::uint64_t size = std::min(range.size, kMost);
      for (std::uint64_t at = 0; at < size; at += kBlock - kOverlap) {
        const std::size_t want =
            static_cast<std::size_t>(std::min<std::uint64_t>(kBlock, size - at));
        const auto out = std::span{block}.first(want);
        const std::size_t got = memory.read(base::RemoteAddr{range.start + at}, out);
        if (const auto found = find_python_version_text(out.first(got))) return found;
        if (got < want) break;
      }
    }
  }
  return std::nullopt;
}

std::optional<PythonVersion> find_version(const syscalls::RemoteMemory& memory,
                                          std::span<const PythonImage> images) {
  for (const PythonImage& image : images) {
    std::uint32_t hex = 0;
    if (image.version == 0 || !memory.read_value(base::RemoteAddr{image.version}, hex)) continue;
    if (auto version = python_version_from_hex(hex)) return version;
  }
  if (auto version = scan_for_version(memory, images)) return version;
  for (const PythonImage& image : images) {
    if (auto version = python_version_from_path(image.path)) return version;
  }
  return std::nullopt;
}

std::uint64_t runtime_of(std::span<const PythonImage> images) {
  for (const PythonImage& image : images) {
    if (image.runtime != 0) return image.runtime;
  }
  return 0;
}

// Its first thread points back at it; `strict` (nothing but a guess led here): and it holds the
// modules.
bool is_interpreter(const PythonObjects& objects, std::uint64_t address, bool strict) {
  const auto& memory = objects.memory();
  const PythonLayout& layout = objects.layout();
  if (!plausible_pointer(address)) return false;
  const std::uint64_t thread = read_word(memory, plus(address, layout.interp_threads));
  if (thread == 0 || read_word(memory, plus(thread, layout.thread_interp)) != address) return false;
  if (!strict) return true;
  return objects.is_a(read_word(memory, plus(address, layout.interp_modules)), "dict");
}

std::uint64_t search_interpreter(const PythonObjects& objects, const PythonMappings& mappings) {
  constexpr std::uint64_t kMost = 4u << 20;
  std::unordered_set<std::uint64_t> tried;
  const auto in_heap = [&](std::uint64_t address) {
    return std::ranges::any_of(mappings.heap, [&](const PythonRange& range) {
      return address >= range.start && address - range.start < range.size;
    });
  };
  std::vector<PythonRange> variables;
  for (const PythonImage& image : mappings.images) {
    variables.insert(variables.end(), image.writable.begin(), image.writable.end());
  }
  for (const PythonRange& range : variables) {
    std::vector<std::uint64_t> words(std::min(range.size, kMost) / sizeof(std::uint64_t));
    const std::uint64_t start = (range.start + 7) & ~std::uint64_t{7};
    const std::size_t got =
        objects.memory().read(base::RemoteAddr{start}, std::as_writable_bytes(std::span{words}));
    words.resize(got / sizeof(std::uint64_t));
    for (const std::uint64_t word : words) {
      if (!plausible_pointer(word) || !in_heap(word) || !tried.insert(word).second) continue;
      if (is_interpreter(objects, word, true)) return word;
    }
  }
  return 0;
}

// Head of the list of interpreters.
std::uint64_t first_interpreter(const PythonObjects& objects, const PythonMappings& mappings) {
  const std::vector<PythonImage>& images = mappings.images;
  const auto& memory = objects.memory();
  const PythonLayout& layout = objects.layout();
  const auto accept = [&](std::uint64_t head) { return is_interpreter(objects, head, false); };
  if (layout.runtime_interpreters >= 0) {
    const std::uint64_t runtime = runtime_of(images);
    if (runtime == 0) return 0;
    const std::uint64_t head = read_word(memory, plus(runtime, layout.runtime_interpreters));
    return accept(head) ? head : 0;
  }
  for (const PythonImage& image : images) {
    if (image.interpreters == 0) continue;
    if (const std::uint64_t head = read_word(memory, image.interpreters); accept(head)) return head;
  }
  for (const PythonImage& image : images) {
    const std::uint64_t variable = interpreters_from_code(memory, image.interpreters_fn);
    if (const std::uint64_t head = read_word(memory, variable); accept(head)) return head;
  }
  // Null whenever no thread holds the GIL, as in every process that only waits.
  for (const PythonImage& image : images) {
    const std::uint64_t thread = read_word(memory, image.current_thread);
    if (thread == 0) continue;
    const std::uint64_t head = read_word(memory, plus(thread, layout.thread_interp));
    if (accept(head)) return head;
  }
  return search_interpreter(objects, mappings);
}

}  // namespace

base::Result<PythonBuild> identify_python(const syscalls::RemoteMemory& memory,
                                          std::span<const PythonImage> images) {
  for (const PythonImage& image : images) {
    if (image.machine != EM_X86_64)
      return unsupported("CPython on another machine type than x86-64");
  }
  if (const std::uint64_t runtime = runtime_of(images); runtime != 0) {
    std::array<std::byte, kPythonDebugOffsetsSize> head;
    const std::size_t got = memory.read(base::RemoteAddr{runtime}, head);
    const auto published = parse_python_debug_offsets(std::span{head}.first(got));
    const auto version = published ? python_version_from_hex(published->hex_version) : std::nullopt;
    if (version) {
      if (published->free_threaded) {
        return unsupported(fmt::format("CPython {} without GIL: layout not known", version->text));
      }
      if (!published->layout) {
        return unsupported(fmt::format("CPython {}: layout not known", version->text));
      }
      PythonBuild build{*version, *published->layout};
      std::array<std::byte, kAsyncioDebugOffsetsSize> section{};
      const std::uint64_t asyncio = images.front().asyncio;
      if (asyncio != 0 && memory.read(base::RemoteAddr{asyncio}, section) == section.size()) {
        take_asyncio_offsets(section, build.layout);
      }
      return build;
    }
  }
  const auto version = find_version(memory, images);
  if (!version) return unsupported("CPython of a version that cannot be told");
  const PythonLayout* layout = find_python_layout(version->major, version->minor);
  if (layout == nullptr) {
    return unsupported(fmt::format("CPython {}: layout not known", version->text));
  }
  return PythonBuild{*version, *layout};
}

std::vector<std::uint64_t> find_interpreters(const PythonObjects& objects,
                                             const PythonMappings& mappings) {
  std::vector<std::uint64_t> result;
  std::uint64_t at = first_interpreter(objects, mappings);
  while (at != 0 && result.size() < kMaxPythonInterpreters) {
    if (std::ranges::find(result, at) != result.end()) break;
    // A sub-interpreter may have no thread at the moment: what is in the list is in the list.
    result.push_back(at);
    at = read_word(objects.memory(), plus(at, objects.layout().interp_next));
  }
  return result;
}

std::optional<std::uint64_t> python_gil_holder(const PythonObjects& objects,
                                               std::span<const PythonImage> images,
                                               std::uint64_t interpreter) {
  const auto& memory = objects.memory();
  const PythonLayout& layout = objects.layout();
  const auto word = [&](std::uint64_t address) -> std::optional<std::uint64_t> {
    std::uint64_t value = 0;
    if (!memory.read_value(base::RemoteAddr{address}, value)) return std::nullopt;
    return value;
  };
  if (layout.runtime_interpreters < 0) {
    for (const PythonImage& image : images) {
      if (image.current_thread != 0) return word(image.current_thread);
    }
    return std::nullopt;
  }
  std::uint64_t base = runtime_of(images);
  int holder = layout.runtime_gil_holder, locked = layout.runtime_gil_locked;
  if (layout.interp_gil >= 0) {
    base = read_word(memory, plus(interpreter, layout.interp_gil));
    holder = layout.gil_holder;
    locked = layout.gil_locked;
  }
  std::int32_t is_locked = 0;
  if (base == 0 || holder < 0 || locked < 0) return std::nullopt;
  if (!memory.read_value(base::RemoteAddr{plus(base, locked)}, is_locked)) return std::nullopt;
  // -1: not made yet.
  return is_locked == 1 ? word(plus(base, holder)) : std::optional<std::uint64_t>{0};
}

std::vector<PythonThreadState> list_python_threads(const PythonObjects& objects,
                                                   std::span<const PythonImage> images,
                                                   std::uint64_t interpreter) {
  const PythonLayout& layout = objects.layout();
  const std::uint64_t holder = python_gil_holder(objects, images, interpreter).value_or(0);
  const int last_field = std::max(
      {layout.thread_next, layout.thread_interp, layout.thread_ident, layout.thread_native_id});
  std::vector<PythonThreadState> threads;
  std::unordered_set<std::uint64_t> seen;
  std::uint64_t at = read_word(objects.memory(), plus(interpreter, layout.interp_threads));
  while (at != 0 && threads.size() < kMaxPythonThreads && seen.insert(at).second) {
    const auto copy =
        RemoteRecord::read(objects.memory(), at, static_cast<std::size_t>(last_field) + 8);
    if (!copy || copy->word(layout.thread_interp) != interpreter) break;
    PythonThreadState state;
    state.address = at;
    state.ident = copy->word(layout.thread_ident);
    state.native_id = copy->word(layout.thread_native_id);
    state.holds_gil = at == holder;
    threads.push_back(state);
    at = copy->word(layout.thread_next);
  }
  return threads;
}

namespace {
std::optional<bool> is_set(const syscalls::RemoteMemory& memory, std::uint64_t address) {
  std::uint64_t word = 0;
  if (!memory.read_value(base::RemoteAddr{address}, word)) return std::nullopt;
  return word != 0;
}
}  // namespace

std::optional<bool> is_finalizing(const PythonObjects& objects,
                                  std::span<const PythonImage> images) {
  const PythonLayout& layout = objects.layout();
  if (layout.runtime_finalizing >= 0) {
    const std::uint64_t runtime = runtime_of(images);
    if (runtime == 0) return std::nullopt;
    return is_set(objects.memory(), plus(runtime, layout.runtime_finalizing));
  }
  for (const PythonImage& image : images) {
    if (image.finalizing != 0) return is_set(objects.memory(), image.finalizing);
  }
  return std::nullopt;
}

std::uint64_t python_module(const PythonObjects& objects, std::uint64_t interpreter,
                            std::string_view name) {
  const PythonLayout& layout = objects.layout();
  const auto& memory = objects.memory();
  const std::uint64_t modules = read_word(memory, plus(interpreter, layout.interp_modules));
  const std::uint64_t module = objects.item(modules, name);
  if (!objects.is_a(module, "module")) return 0;
  return read_word(memory, plus(module, layout.module_dict));
}

std::map<std::uint64_t, std::string> python_thread_names(const PythonObjects& objects,
                                                         std::uint64_t interpreter) {
  const PythonLayout& layout = objects.layout();
  std::map<std::uint64_t, std::string> names;
  const std::uint64_t dict = python_module(objects, interpreter, "threading");
  if (dict == 0) return names;
  const std::string_view attribute = layout.major < 3 ? "_Thread__name" : "_name";
  objects.each_item(objects.item(dict, "_active"), [&](std::uint64_t key, std::uint64_t thread) {
    const auto ident = objects.integer(key);
    if (!ident) return true;
    auto name = objects.text(objects.attribute(thread, attribute));
    if (name) names.insert_or_assign(*ident, std::move(*name));
    return names.size() < kMaxPythonThreads;
  });
  return names;
}

std::vector<std::optional<base::Tid>> match_python_threads(
    const syscalls::RemoteMemory& memory, std::span<const PythonThreadState> threads,
    const std::map<std::int32_t, base::Tid>& live) {
  // glibc on x86-64 keeps the tid of a thread 720 bytes into its descriptor; another C library
  // keeps it somewhere in the first 2 KiB.
  constexpr std::size_t kSearched = 2048, kWord = 4, kGlibc = 720 / kWord;
  using Words = std::array<std::int32_t, kSearched / kWord>;
  const auto find_live = [&](std::uint64_t id) -> std::optional<base::Tid> {
    const bool possible = id != 0 && id <= INT32_MAX;
    const auto found = possible ? live.find(static_cast<std::int32_t>(id)) : live.end();
    return found == live.end() ? std::nullopt : std::optional{found->second};
  };
  const std::int32_t lowest = live.empty() ? 1 : live.begin()->first;
  const std::int32_t highest = live.empty() ? 0 : live.rbegin()->first;
  std::vector<std::optional<base::Tid>> result(threads.size());
  std::vector<Words> descriptors(threads.size());
  std::vector<std::size_t> hits(kSearched / kWord);
  for (std::size_t index = 0; index < threads.size(); ++index) {
    Words& words = descriptors[index];
    words.fill(0);
    result[index] = find_live(threads[index].native_id);
    if (result[index] || !plausible_pointer(threads[index].ident)) continue;
    memory.read(base::RemoteAddr{threads[index].ident}, std::as_writable_bytes(std::span{words}));
    for (std::size_t slot = 0; slot < words.size(); ++slot) {
      const std::int32_t word = words[slot];
      if (word >= lowest && word <= highest && live.contains(word)) ++hits[slot];
    }
  }
  // The slot that names live threads most often; glibc's where that is as good as any.
  auto best = static_cast<std::size_t>(std::ranges::max_element(hits) - hits.begin());
  if (hits[kGlibc] == hits[best]) best = kGlibc;
  bool any = false;
  for (std::size_t index = 0; index < threads.size(); ++index) {
    if (!result[index]) {
      result[index] = find_live(static_cast<std::uint32_t>(descriptors[index][best]));
    }
    any = any || result[index].has_value();
  }
  // Nobody could be matched: this C library keeps the tid elsewhere; all threads stay, unnamed.
  if (!any) std::ranges::fill(result, base::Tid{});
  return result;
}

}  // namespace stucktrace::unwind
