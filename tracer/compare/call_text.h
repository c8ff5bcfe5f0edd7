#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "syscalls/table.h"
#include "tracer/compare/normalise.h"
#include "tracer/model/timeline.h"

namespace stucktrace::compare {

// Texts out of a call's arguments. Pure; what cannot be read is empty.

// The raw bytes of a path argument by its name in the table; nullopt if the call has none of that
// name or it was not kept.
std::optional<std::string> path_argument(const model::Call& call, std::string_view name);

// "for writing", "for writing (creates, truncates)", "for appending (creates)" for an open call;
// empty if it only reads.
std::string writing_text(const model::Call& call);

// "unlinks", "renames", "makes directory" ...; empty for calls that change no name in the file
// system.
std::string_view path_verb(syscalls::Sys call);

// `unix "/run/x"`, "inet 127.0.0.1:80" of a connect or bind; ports the kernel picks are "<port>".
// Empty for families that name no peer (netlink).
std::string address_text(const model::Call& call, const Normaliser& normalise);

}  // namespace stucktrace::compare
