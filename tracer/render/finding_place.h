#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tracer/model/verdict.h"
#include "tracer/render/finding_scope.h"
#include "tracer/render/subject.h"

namespace stucktrace::render {

// How reports for machines name a finding, the same in each of them.

struct SourcePlace {
  std::string file;  // relative to the source root; raw bytes
  int line = 0;
  std::string function;
};
// Where in the sources the finding's threads are: of the thread to start reading at, then of those
// in its chain, the innermost frame below the source root. Libraries that lie there are left out.
std::optional<SourcePlace> source_place(const model::Report& report, const model::Finding& finding,
                                        const Subject& subject);

// Of one thread alone.
std::optional<SourcePlace> thread_place(const model::Report& report, base::Tid tid,
                                        const Subject& subject);
// Where no frame tells: line 1 of the script or program of the finding's process, or of one in its
// chain, that lies below the source root.
std::optional<SourcePlace> program_place(const model::Report& report, const model::Finding& finding,
                                         const Subject& subject);

// A line of the baseline that a run was judged by, where that lies below the source root; line 1
// where there is none.
std::optional<SourcePlace> baseline_place(const model::Comparison& comparison, std::size_t line,
                                          const Subject& subject);

// "pipe-full: P2 python3": without pids, so that the same finding has the same name in every run.
std::string finding_name(const model::Report& report, const model::Finding& finding);

// What the rule is about, one sentence; "" for a rule that is not known here.
std::string_view rule_sentence(std::string_view rule);

enum class Severity : std::uint8_t {
  kError,    // is stuck, for certain
  kWarning,  // likely, or it went on in the end
};
Severity severity_of(const Told& told);

// The finding as the text report tells it, without colours: verdict, chain, why, remedy.
std::string finding_story(const model::Report& report, const Told& told);

}  // namespace stucktrace::render
