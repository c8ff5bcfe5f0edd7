// Outputs: whole or not at all, never over what is read.

#include "tracer/cli/output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tracer/cli/distinct_files.h"

namespace stucktrace::cli {
namespace {

namespace fs = std::filesystem;

class Outputs : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "stucktrace-output-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }
  std::string path(const std::string& name) const { return (directory_ / name).string(); }
  std::string text(const std::string& name) const {
    std::ifstream file(path(name));
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  void make(const std::string& name) const { std::ofstream(path(name)) << name; }
  bool distinct(const std::string& input, const std::vector<std::string>& outputs) const {
    return check_outputs({{input, "the recording"}}, outputs).has_value();
  }
  fs::path directory_;
};

TEST_F(Outputs, AReplacedFileWasNeverHalfWritten) {
  auto out = Output::create(path("a"));
  ASSERT_TRUE(out.has_value());
  out->replace("draft");
  ASSERT_EQ(::chmod(path("a").c_str(), 0640), 0);
  std::ifstream reader(path("a"));
  out->replace("the text");
  const std::string before{std::istreambuf_iterator<char>(reader),
                           std::istreambuf_iterator<char>()};
  EXPECT_EQ(before, "draft");
  EXPECT_EQ(text("a"), "the text");
  out->write(" and more");
  EXPECT_EQ(text("a"), "the text and more");
  EXPECT_TRUE(out->check().has_value());
  struct stat about{};
  ASSERT_EQ(::stat(path("a").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 07777, 0640U);
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_), {}), 1);
}

TEST_F(Outputs, LinksStayLinks) {
  make("a");
  fs::create_symlink("a", path("soft"));
  auto soft = Output::create(path("soft"));
  ASSERT_TRUE(soft.has_value());
  soft->replace("text");
  EXPECT_TRUE(fs::is_symlink(path("soft")));
  EXPECT_EQ(text("a"), "text");
  fs::create_hard_link(path("a"), path("hard"));
  auto hard = Output::create(path("hard"));
  ASSERT_TRUE(hard.has_value());
  hard->replace("again");
  EXPECT_EQ(text("a"), "again");
}

TEST_F(Outputs, AFileThatWasMovedIsWrittenWhereItIs) {
  auto out = Output::create(path("a"));
  ASSERT_TRUE(out.has_value());
  fs::rename(path("a"), path("b"));
  out->replace("text");
  EXPECT_FALSE(fs::exists(path("a")));
  EXPECT_EQ(text("b"), "text");
}

TEST_F(Outputs, WhatIsGatheredGoesOutTogether) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  Output out(ends[1], "pipe");
  out.gather();
  out.write("a");
  out.line("b");
  pollfd readable{ends[0], POLLIN, 0};
  EXPECT_EQ(::poll(&readable, 1, 0), 0);
  out.flush();
  std::array<char, 16> bytes{};
  EXPECT_EQ(::read(ends[0], bytes.data(), bytes.size()), 3);
  EXPECT_EQ(std::string(bytes.data()), "ab\n");
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(Outputs, AreNoInputUnderAnyName) {
  make("rec");
  fs::create_symlink("rec", path("soft"));
  fs::create_hard_link(path("rec"), path("hard"));
  EXPECT_FALSE(distinct(path("rec"), {path("rec")}));
  EXPECT_FALSE(distinct(path("rec"), {"", path("./rec")}));
  EXPECT_FALSE(distinct(path("rec"), {path("soft")}));
  EXPECT_FALSE(distinct(path("rec"), {path("hard")}));
  EXPECT_TRUE(distinct(path("rec"), {path("other"), ""}));
}

TEST_F(Outputs, AreNotTwiceTheSameFile) {
  fs::create_directory(path("d"));
  fs::create_symlink("new", path("dangling"));
  EXPECT_FALSE(distinct("", {path("new"), path("./d/../new")}));
  EXPECT_FALSE(distinct("", {path("new"), path("dangling")}));
  EXPECT_TRUE(distinct("", {path("new"), path("d/new")}));
  EXPECT_TRUE(distinct("", {"/dev/null", "/dev/../dev/null"}));
}

}  // namespace
}  // namespace stucktrace::cli
