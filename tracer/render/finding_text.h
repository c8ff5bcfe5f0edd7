#pragma once

#include <cstddef>
#include <string>

#include "tracer/model/verdict.h"

namespace stucktrace::render {

// Sentences of the diagnosis are long on purpose; only hostile lengths are cut.
inline constexpr std::size_t kSentenceLimit = 2000;

// Words around what the diagnosis says; nothing is concluded here. All safe for a terminal.

// "STUCK (proven)", "STUCK until its time-out, at most 4.2 s", "LIKELY STUCK";
// "LEFT BEHIND" where no thread is stuck.
std::string certainty_words(const model::Finding& finding);
// certainty_words and the headline.
std::string verdict_sentence(const model::Finding& finding);
// "who what · on · for 4.9 s".
std::string link_sentence(const model::ChainLink& link);
// "WAS STUCK for 4.9 s, until P1 read the pipe (fd 3)"; only for a resolved record.
std::string resolved_words(const model::FindingRecord& record);

}  // namespace stucktrace::render
