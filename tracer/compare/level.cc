#include "tracer/compare/level.h"

#include <array>
#include <utility>

namespace stucktrace::compare {
namespace {

constexpr std::array<std::pair<std::string_view, Level>, 3> kLevels = {
    {{"structure", Level::kStructure}, {"effects", Level::kEffects}, {"calls", Level::kCalls}}};
constexpr std::array<std::pair<std::string_view, Seen>, 2> kSeen = {
    {{"filtered", Seen::kFiltered}, {"all", Seen::kAll}}};

template <class Table, class Value>
std::string_view name_in(const Table& table, Value value) {
  for (const auto& [name, known] : table) {
    if (known == value) return name;
  }
  return {};
}

template <class Value, class Table>
std::optional<Value> value_in(const Table& table, std::string_view word) {
  for (const auto& [name, known] : table) {
    if (name == word) return known;
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Level level) {
  return name_in(kLevels, level);
}
std::optional<Level> level_of(std::string_view word) {
  return value_in<Level>(kLevels, word);
}
std::string_view to_string(Seen seen) {
  return name_in(kSeen, seen);
}
std::optional<Seen> seen_of(std::string_view word) {
  return value_in<Seen>(kSeen, word);
}

}  // namespace stucktrace::compare
