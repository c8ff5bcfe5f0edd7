#include "tracer/render/dot_graph.h"

#include <fmt/format.h>

#include <string_view>

#include "tracer/render/escape.h"
#include "tracer/render/wait_picture.h"
#include "tracer/render/wrap.h"

namespace stucktrace::render {
namespace {

constexpr std::size_t kColumns = 34;
constexpr std::size_t kTextLimit = 240;

// Lines of a label: boxes would grow as wide as the text otherwise.
std::string narrow(std::string_view raw) {
  std::string text = wrapped(terminal_text(raw, kTextLimit), "", "", kColumns);
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

std::string_view look(const PictureNode& node) {
  if (node.in_cycle) return "color=\"#c62828\", penwidth=2, fillcolor=\"#fdecea\"";
  if (node.stuck) return "color=\"#b26a00\", fillcolor=\"#fff6e5\"";
  return "color=\"#607d8b\", fillcolor=\"#f5f7f8\"";
}

}  // namespace

std::string dot_graph(const model::Report& report) {
  const WaitPicture picture = wait_picture(report);
  std::string out =
      "digraph stucktrace {\n"
      "  rankdir=LR;\n"
      "  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\", fontsize=11];\n"
      "  edge [fontname=\"sans-serif\", fontsize=9];\n";
  if (picture.nodes.empty()) out += "  label=\"Nothing is stuck.\";\n";
  auto node = picture.nodes.begin();
  for (const PictureProcess& process : picture.processes) {
    out += fmt::format("  subgraph cluster_{} {{\n    label={};\n", process.pid,
                       dot_string(terminal_text(process.name, kTextLimit)));
    for (; node != picture.nodes.end() && node->pid == process.pid; ++node) {
      const std::string what = node->what.empty() ? "" : "\n" + narrow(node->what);
      out += fmt::format("    t{} [label={}, {}];\n", node->tid,
                         dot_string(terminal_text(node->name, kTextLimit) + what), look(*node));
    }
    out += "  }\n";
  }
  for (const PictureEdge& edge : picture.edges) {
    out += fmt::format(
        "  t{} -> t{} [label={}{}];\n", edge.from, edge.to, dot_string(narrow(edge.why)),
        edge.in_cycle ? ", color=\"#c62828\", fontcolor=\"#c62828\", penwidth=2" : "");
  }
  std::size_t number = 0;
  for (const PictureExit& exit : picture.exits) {
    ++number;
    out += fmt::format(
        "  e{0} [label={1}, shape=plaintext, style=\"\"];\n"
        "  t{2} -> e{0} [style=dashed, color=\"#607d8b\"];\n",
        number, dot_string(terminal_text(exit.text, kTextLimit)), exit.from);
  }
  if (picture.left_out > 0) {
    out += fmt::format("  label=\"{} more threads are left out\";\n", picture.left_out);
  }
  return out + "}\n";
}

}  // namespace stucktrace::render
