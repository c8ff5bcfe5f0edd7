#include "tracer/compare/path_text.h"

#include <algorithm>
#include <array>

#include "tracer/base/text.h"

namespace stucktrace::compare {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool is_random(char c) {
  return is_digit(c) || is_lower(c) || is_upper(c);
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f');
}

std::size_t run_of(std::string_view text, std::size_t at, bool (*belongs)(char)) {
  std::size_t end = at;
  while (end < text.size() && belongs(text[end])) ++end;
  return end - at;
}

// mkstemp(3) and its like: at least so many letters and digits.
constexpr std::size_t kShortestRandom = 6;

// "tmp_obj_x8Yz1Q": what follows "tmp", and words between it and the random part.
std::string after_tmp(std::string_view name) {
  const std::size_t at = name.find("tmp");
  if (at == std::string_view::npos) return {};
  std::size_t start = at + 3;
  // Words that belong to the fixed part end with a separator.
  for (std::size_t i = start; i < name.size(); ++i) {
    if (name[i] == '_' || name[i] == '-' || name[i] == '.') {
      if (run_of(name, i + 1, is_random) >= kShortestRandom) start = i + 1;
    } else if (!is_random(name[i])) {
      break;
    }
  }
  const std::size_t length = run_of(name, start, is_random);
  // Python's names have '_' inside: tmp1x_9ab3k.
  if (length >= kShortestRandom) {
    return std::string{name.substr(0, start)} + "<temp>" + std::string{name.substr(start + length)};
  }
  const std::size_t loose = run_of(name, at + 3, [](char c) { return is_random(c) || c == '_'; });
  if (loose == 8) {
    return std::string{name.substr(0, at + 3)} + "<temp>" +
           std::string{name.substr(at + 3 + loose)};
  }
  return {};
}

// "cc0GpK1R.o" of GNU compilers.
std::string after_cc(std::string_view name) {
  constexpr std::size_t kLength = 6;
  if (!name.starts_with("cc") || run_of(name, 2, is_random) != kLength) return {};
  const std::string_view rest = name.substr(2 + kLength);
  if (!rest.empty() && rest.front() != '.') return {};
  return "cc<temp>" + std::string{rest};
}

// "report.Xy9kLm": a last part that is no word.
std::string after_dot(std::string_view name) {
  const std::size_t dot = name.find_last_of("._-");
  if (dot == std::string_view::npos) return {};
  const std::string_view last = name.substr(dot + 1);
  if (last.size() < kShortestRandom || run_of(last, 0, is_random) != last.size()) return {};
  const bool digits = std::ranges::any_of(last, is_digit);
  const bool lower = std::ranges::any_of(last, is_lower);
  const bool upper = std::ranges::any_of(last.substr(1), is_upper);
  if (!lower || !upper) return {};
  if (!digits && last.size() != kShortestRandom && last.size() != 10) return {};
  return std::string{name.substr(0, dot + 1)} + "<temp>";
}

// "t8fXy2Q": what git writes to learn about the file system.
bool is_trial_of_git(std::string_view name, std::string_view before) {
  constexpr std::size_t kLength = 7;
  return before.ends_with(".git/") && name.size() == kLength && name.starts_with('t') &&
         run_of(name, 0, is_random) == kLength;
}

// Names made of a hash: "pack-9b0c...".
std::string without_hashes(std::string_view name) {
  constexpr std::size_t kShortestHash = 16;
  std::string out;
  for (std::size_t at = 0; at < name.size();) {
    const std::size_t length = run_of(name, at, is_hex);
    if (length >= kShortestHash) {
      out += "<hash>";
    } else {
      out += name.substr(at, std::max<std::size_t>(length, 1));
    }
    at += std::max<std::size_t>(length, 1);
  }
  return out;
}

std::string component(std::string_view name) {
  if (name.contains('<')) return std::string{name};  // was dealt with
  for (const auto rule : {after_tmp, after_cc, after_dot}) {
    if (std::string text = rule(name); !text.empty()) return text;
  }
  return without_hashes(name);
}

}  // namespace

std::string path_text(std::string_view path, const Normaliser& normalise) {
  const std::string text = normalise(path);
  std::string out;
  for (const std::string_view part : base::split(text, '/')) {
    if (!out.empty() || part.data() != text.data()) out += '/';
    const std::string name = is_trial_of_git(part, out) ? "t<temp>" : component(part);
    // Git's objects: the first two digits of a hash are a directory.
    if (name == "<hash>" && out.size() >= 3 && out.back() == '/' && is_hex(out[out.size() - 2]) &&
        is_hex(out[out.size() - 3]) && (out.size() == 3 || out[out.size() - 4] == '/')) {
      out.erase(out.size() - 3);
      out += "<hash>/";
    }
    out += name;
  }
  return out;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char next = at + 1 < text.size() ? text[at + 1] : '\0';
    const bool escape = text[at] == '\\' && std::string_view{"ntrx"}.contains(next);
    if (text[at] == '"' || (text[at] == '\\' && !escape)) out += '\\';
    out += text[at];
  }
  return out + '"';
}

bool is_runtime_path(std::string_view path) {
  if (path.contains('\0')) path = path.substr(0, path.find('\0'));
  constexpr std::array<std::string_view, 6> kPlaces = {
      "/proc/", "/sys/", "/run/systemd/", "/var/run/nscd/", "/run/nscd/", "/dev/pts/"};
  if (std::ranges::any_of(kPlaces, [&](auto place) { return path.starts_with(place); })) {
    return true;
  }
  // Shared memory is made by programs.
  if (path.starts_with("/dev/") && !path.starts_with("/dev/shm/")) return true;
  return path.contains("__pycache__") || path.ends_with(".pyc");
}

std::string program_name(std::string_view exe, const Normaliser& normalise) {
  std::string name = normalise(exe);
  name.erase(0, name.rfind('/') + 1);
  // A prefix that says for which machine: "x86_64-linux-gnu-".
  constexpr std::string_view kTriplet = "-linux-gnu-";
  if (const std::size_t at = name.find(kTriplet); at != std::string::npos) {
    name.erase(0, at + kTriplet.size());
  }
  // A version: "-12", ".11".
  for (;;) {
    std::size_t end = name.size();
    while (end > 0 && is_digit(name[end - 1])) --end;
    if (end < 2 || end == name.size() || (name[end - 1] != '.' && name[end - 1] != '-')) break;
    name.erase(end - 1);
  }
  return name;
}

}  // namespace stucktrace::compare
