#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>

#include "tests/unit/record/fixtures.h"
#include "tracer/record/fields_snapshot.h"

// stucktrace.proto is a document; these tests keep it true.
namespace stucktrace::record {
namespace {

std::string proto_block(const std::string& head) {
  const std::string text =
      slurp(std::string{STUCKTRACE_SOURCE_DIR} + "/tracer/record/stucktrace.proto");
  const std::size_t start = text.find("\n" + head + " {");
  EXPECT_NE(start, std::string::npos) << head;
  if (start == std::string::npos) return {};
  const std::size_t end = text.find("\n}", start);
  return text.substr(start, end - start);
}

std::map<int, std::string> numbered(const std::string& block) {
  static const std::regex kEntry{R"((\w+) = (\d+)( \[packed = false\])?;)"};
  std::map<int, std::string> result;
  for (std::sregex_iterator at{block.begin(), block.end(), kEntry}; at != std::sregex_iterator{};
       ++at) {
    EXPECT_TRUE(result.emplace(std::stoi((*at)[2]), (*at)[1]).second) << (*at)[0];
  }
  return result;
}

// Lists the numbers Fields<T> names.
struct Lister {
  std::set<int> numbers;
  void add(unsigned number) { EXPECT_TRUE(numbers.insert(static_cast<int>(number)).second); }
  void operator()(unsigned number, const auto& /*value*/) { add(number); }
  void known(unsigned number, unsigned because, const auto& /*value*/) {
    add(number);
    add(because);
  }
  template <class T>
  void alternative(unsigned number, const auto& /*value*/) {
    add(number);
  }
};

template <class T>
void expect_fields(const std::string& message, std::set<int> others = {}) {
  SCOPED_TRACE(message);
  Lister lister{std::move(others)};
  const T value{};
  Fields<T>::visit(lister, value);
  std::set<int> documented;
  for (const auto& entry : numbered(proto_block("message " + message))) {
    documented.insert(entry.first);
  }
  EXPECT_EQ(lister.numbers, documented);
}

TEST(Proto, HasTheFieldsThatAreWritten) {
  expect_fields<model::TraceHeader>("Header");
  expect_fields<model::TracedCalls>("TracedCalls");
  expect_fields<model::EventData>("Event", {1, 2, 3, 4});
  expect_fields<model::TaskSeen>("TaskSeen");
  expect_fields<model::NewTask>("NewTask");
  expect_fields<syscalls::RawCall>("RawCall");
  expect_fields<syscalls::RawResult>("RawResult");
  expect_fields<model::SyscallEnter>("SyscallEnter");
  expect_fields<model::SyscallExit>("SyscallExit");
  expect_fields<model::SignalStop>("SignalStop");
  expect_fields<model::GroupStop>("GroupStop");
  expect_fields<model::Exec>("Exec");
  expect_fields<model::TaskExit>("TaskExit");
  expect_fields<model::Detached>("Detached");
  expect_fields<model::Lost>("Lost");
  expect_fields<model::Sample>("Sample");
  expect_fields<model::Note>("Note");
  expect_fields<model::FdsSeen>("FdsSeen");
  expect_fields<model::StackSeen>("StackSeen");
  expect_fields<model::CallTimes>("CallTimes");
  expect_fields<model::ResourceId>("ResourceId");
  expect_fields<model::FdEntry>("FdEntry");
  expect_fields<model::Holder>("Holder");
  expect_fields<model::Resource>("Resource");
  expect_fields<model::OnFd>("OnFd");
  expect_fields<model::OnChildren>("OnChildren");
  expect_fields<model::OnFutex>("OnFutex");
  expect_fields<model::OnTask>("OnTask");
  expect_fields<model::OnLock>("OnLock");
  expect_fields<model::OnOutside>("OnOutside");
  expect_fields<model::OnUnknown>("OnUnknown");
  expect_fields<model::WaitOn>("WaitOn");
  expect_fields<model::Wait>("Wait");
  expect_fields<model::SyscallLine>("SyscallLine");
  expect_fields<model::Counters>("Counters");
  expect_fields<model::NativeFrame>("NativeFrame");
  expect_fields<model::PythonFrame>("PythonFrame");
  expect_fields<model::AwaitedEnd>("AwaitedEnd");
  expect_fields<model::PythonTask>("PythonTask");
  expect_fields<model::Interpreter>("Interpreter");
  expect_fields<model::Thread>("Thread");
  expect_fields<model::OutputTail>("OutputTail");
  expect_fields<model::Process>("Process");
  expect_fields<model::Snapshot>("Snapshot");
}

// "WAIT_" and "pipe-write" -> "WAIT_PIPE_WRITE".
std::string enumerator(const std::string& prefix, std::string_view word) {
  std::string name = prefix;
  for (const char c : word) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

template <class E>
std::size_t count() {
  return static_cast<std::size_t>(EnumRange<E>::kLast) + 1;
}

TEST(Proto, HasTheEnumeratorsOfTheModel) {
  const auto waits = numbered(proto_block("enum WaitKind"));
  ASSERT_EQ(waits.size(), count<model::WaitKind>());
  for (const auto& [number, name] : waits) {
    EXPECT_EQ(name, enumerator("WAIT_", to_string(static_cast<model::WaitKind>(number))));
  }
  const auto resources = numbered(proto_block("enum ResourceKind"));
  ASSERT_EQ(resources.size(), count<model::ResourceKind>());
  for (const auto& [number, name] : resources) {
    EXPECT_EQ(name, enumerator("RESOURCE_", kind_word(static_cast<model::ResourceKind>(number))));
  }
  EXPECT_EQ(numbered(proto_block("enum Abi")).size(), count<syscalls::Abi>());
  EXPECT_EQ(numbered(proto_block("enum NewTaskKind")).size(), count<model::NewTaskKind>());
  EXPECT_EQ(numbered(proto_block("enum FdMode")).size(), count<model::FdMode>());
  EXPECT_EQ(numbered(proto_block("enum WhichChildren")).size(), count<model::OnChildren::Which>());
  EXPECT_EQ(numbered(proto_block("enum FutexRole")).size(), count<model::OnFutex::Role>());
}

}  // namespace
}  // namespace stucktrace::record
