#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "tests/live/same_as_native.h"

// Pid namespaces, credentials, personalities and core dumps (target/namespaces.cc,
// target/identity.cc).

namespace stucktrace::test {
namespace {

class NamespacesTest : public TransparencyTest {};
INSTANTIATE_TEST_SUITE_P(Modes, NamespacesTest, testing::ValuesIn(kTransparentModes), mode_name);

TEST_P(NamespacesTest, AFamilyWithAProcessOneOfItsOwn) {
  same_as_native({"namespaces", "family"});
}

TEST_P(NamespacesTest, AProcessOneThatCrashesEnds) {
  same_as_native({"namespaces", "crash"});
}

TEST_P(NamespacesTest, AProcessOneIsSparedTheSignalsItIsOwed) {
  same_as_native({"namespaces", "signals"});
}

TEST_P(NamespacesTest, ItsEndIsItsNamespacesEnd) {
  same_as_native({"namespaces", "ends"});
}

TEST_P(NamespacesTest, ASetuidProgramGetsItsIdentity) {
  same_as_native({"identity", "setuid"});
}

TEST_P(NamespacesTest, PrivilegesCanBeGivenUp) {
  same_as_native({"identity", "drop"});
}

TEST_P(NamespacesTest, PersonalitiesAreKept) {
  same_as_native({"identity", "personality"});
}

TEST_P(NamespacesTest, LimitsStrikeAsTheyShould) {
  same_as_native({"identity", "limits"});
}

TEST_P(NamespacesTest, ACrashLeavesItsCore) {
  const auto directory =
      std::filesystem::temp_directory_path() / fmt::format("stucktrace-core-{}", ::getpid());
  std::filesystem::create_directory(directory);
  same_as_native({"identity", "core", directory.string()});
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace stucktrace::test
