#pragma once

#include <expected>
#include <string>

namespace stucktrace::model {

// Why a fact is missing: "no ptrace permission", "vanished while being read".
struct Unknown {
  std::string because;
  bool operator==(const Unknown&) const = default;
};

// A fact, or the reason why it could not be had. Nothing is ever silently absent.
template <class T>
using Known = std::expected<T, Unknown>;

inline std::unexpected<Unknown> unknown(std::string because) {
  return std::unexpected{Unknown{std::move(because)}};
}

}  // namespace stucktrace::model
