#include "tracer/cli/command_lookup.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace stucktrace::cli {
namespace {

namespace fs = std::filesystem;

class CommandLookup : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "stucktrace-lookup-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    fs::create_directory(directory_ / "first");
    fs::create_directory(directory_ / "second");
    path_ = (directory_ / "first").string() + ":" + (directory_ / "second").string();
  }
  void TearDown() override { fs::remove_all(directory_); }
  void make(const fs::path& path, mode_t mode) {
    std::ofstream(directory_ / path) << "#!/bin/sh\n";
    ::chmod((directory_ / path).c_str(), mode);
  }
  fs::path directory_;
  std::string path_;
};

TEST_F(CommandLookup, TakesTheFirstExecutableOnThePath) {
  make("first/tool", 0644);
  make("second/tool", 0755);
  EXPECT_EQ(find_command("tool", path_).value(), (directory_ / "second/tool").string());
}

TEST_F(CommandLookup, TellsFoundButUnusableFromMissing) {
  make("first/tool", 0644);
  EXPECT_EQ(find_command("tool", path_).error().kind, base::ErrorKind::kDenied);
  EXPECT_EQ(find_command("other", path_).error().kind, base::ErrorKind::kGone);
  EXPECT_EQ(find_command("", path_).error().kind, base::ErrorKind::kGone);
}

TEST_F(CommandLookup, ANameWithASlashIsAPath) {
  make("first/tool", 0755);
  const std::string whole = (directory_ / "first/tool").string();
  EXPECT_EQ(find_command(whole, "").value(), whole);
  EXPECT_EQ(find_command(directory_.string(), path_).error().kind, base::ErrorKind::kDenied);
  EXPECT_EQ(find_command(whole + "/below", path_).error().kind, base::ErrorKind::kGone);
}

}  // namespace
}  // namespace stucktrace::cli
