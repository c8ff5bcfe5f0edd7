#include "tracer/unwind/python_stack.h"

#include <gtest/gtest.h>

#include "python_fakes.h"
#include "tracer/unwind/python_memory.h"
#include "tracer/unwind/python_state.h"

namespace stucktrace::unwind {
namespace {

// Frames of one version built by hand: each function has 40 bytes of code, all on `first_line`.
class PythonFrames : public testing::TestWithParam<int> {
 protected:
  bool links() const { return fake.layout.has_interpreter_frames(); }

  std::uint64_t bytes(std::string_view content) {
    const std::uint64_t object = fake.object("bytes", 48 + content.size());
    fake.space.put(fake.at(object, fake.layout.object_size), std::uint64_t{content.size()});
    fake.space.put_bytes(fake.at(object, fake.layout.bytes_data), content.data(), content.size());
    return object;
  }
  std::uint64_t code(std::string_view name, std::string_view file, int first_line,
                     std::uint64_t variables = 0) {
    const std::uint64_t object = fake.object("code", 320);
    fake.space.put(fake.at(object, fake.layout.code_name), fake.name(name));
    fake.space.put(fake.at(object, fake.layout.code_filename), fake.name(file));
    fake.space.put(fake.at(object, fake.layout.code_first_line), first_line);
    fake.space.put(fake.at(object, fake.layout.code_variables), variables);
    if (links()) {
      fake.space.put(fake.at(object, fake.layout.object_size), std::uint64_t{20});
      // Three entries of 8, 8 and 4 units, short form, one column byte each.
      fake.space.put(fake.at(object, fake.layout.code_lines),
                     bytes(std::string_view{"\x87\0\x87\0\x83\0", 6}));
    } else {
      fake.space.put(fake.at(object, fake.layout.code_instructions), bytes(std::string(40, 'x')));
      fake.space.put(fake.at(object, fake.layout.code_lines), bytes(std::string_view{"\x28\0", 2}));
    }
    return object;
  }
  std::uint64_t frame(std::uint64_t code_object, int offset, std::uint64_t previous,
                      std::uint8_t owner = 0) {
    const std::uint64_t address = fake.space.allocate(512);
    // How 3.14 marks a reference that it does not count.
    const std::uint64_t tag = GetParam() >= 14 ? 1 : 0;
    fake.space.put(fake.at(address, fake.layout.frame_code), code_object | tag);
    fake.space.put(fake.at(address, fake.layout.frame_previous), previous);
    if (links()) {
      const std::uint64_t start = fake.at(code_object, fake.layout.code_instructions);
      fake.space.put(fake.at(address, fake.layout.frame_instruction),
                     start + static_cast<std::uint64_t>(offset));
      fake.space.put(fake.at(address, fake.layout.frame_owner), owner);
    } else {
      const int unit = GetParam() == 10 ? 2 : 1;
      fake.space.put(fake.at(address, fake.layout.frame_instruction), offset / unit);
    }
    return address;
  }
  std::uint64_t thread(std::uint64_t innermost) {
    const std::uint64_t state = fake.space.allocate(512);
    if (fake.layout.cframe_frame >= 0) {
      const std::uint64_t cframe = fake.space.allocate(32);
      fake.space.put(fake.at(cframe, fake.layout.cframe_frame), innermost);
      innermost = cframe;
    }
    fake.space.put(fake.at(state, fake.layout.thread_frame), innermost);
    return state;
  }

  FakePython fake{3, GetParam()};
  PythonObjects objects{fake.space, fake.layout};
  PythonStacks stacks{objects};
};
INSTANTIATE_TEST_SUITE_P(Minor, PythonFrames, testing::Range(6, 16));

class PythonFrames311 : public PythonFrames {};
INSTANTIATE_TEST_SUITE_P(Minor, PythonFrames311, testing::Range(11, 16));

TEST_P(PythonFrames, InnermostFirstWithNamesFilesAndLines) {
  const auto outer = code("run", "/lib/threading.py", 860);
  const auto inner = code("_feed", "/lib/multiprocessing/queues.py", 240);
  const std::uint64_t state = thread(frame(inner, 20, frame(outer, 38, 0)));
  const auto chain = stacks.chain(state);
  ASSERT_TRUE(chain);
  const auto frames = stacks.describe(*chain);
  ASSERT_TRUE(frames);
  ASSERT_EQ(frames->size(), 2u);
  EXPECT_EQ((*frames)[0].function, "_feed");
  EXPECT_EQ((*frames)[0].file, "/lib/multiprocessing/queues.py");
  EXPECT_EQ((*frames)[0].line, 240);
  EXPECT_EQ((*frames)[1].function, "run");
  EXPECT_EQ((*frames)[1].line, 860);
}

TEST_P(PythonFrames, OtherCodeInTheSamePlaceIsReadAnew) {
  const auto place = code("first", "/lib/one.py", 10);
  const std::uint64_t state = thread(frame(place, 20, 0));
  const auto chain = stacks.chain(state);
  ASSERT_TRUE(chain);
  ASSERT_EQ(stacks.describe(*chain)->front().function, "first");

  fake.space.put(fake.at(place, fake.layout.code_name), fake.name("second"));
  fake.space.put(fake.at(place, fake.layout.code_filename), fake.name("/lib/two.py"));
  fake.space.put(fake.at(place, fake.layout.code_first_line), 20);
  stacks.forget();
  const auto frames = stacks.describe(*chain);
  ASSERT_TRUE(frames);
  EXPECT_EQ(frames->front().function, "second");
  EXPECT_EQ(frames->front().file, "/lib/two.py");
  EXPECT_EQ(frames->front().line, 20);
}

TEST_P(PythonFrames, AnotherTypeInTheSamePlaceIsReadAnew) {
  const auto place = code("first", "/lib/one.py", 10);
  ASSERT_TRUE(objects.is_a(place, "code"));
  constexpr std::string_view kOther = "list";
  const std::uint64_t text = fake.space.allocate(kOther.size() + 1);
  fake.space.put_bytes(text, kOther.data(), kOther.size());
  fake.space.put(fake.at(fake.type("code"), fake.layout.type_name), text);
  objects.forget_types();
  EXPECT_TRUE(objects.is_a(place, "list"));
  EXPECT_FALSE(stacks.chain(thread(frame(place, 20, 0))));
}

TEST_P(PythonFrames, ThreadWithoutFramesIsNoError) {
  const auto chain = stacks.chain(thread(0));
  ASSERT_TRUE(chain);
  EXPECT_TRUE(chain->empty());
}

TEST_P(PythonFrames311, EntryFramesOfTheInterpreterAreLeftOut) {
  const auto one = code("one", "a.py", 1);
  const std::uint64_t entry = frame(fake.object("NoneType", 16), 0, frame(one, 2, 0), 3);
  const auto chain = stacks.chain(thread(frame(one, 4, entry)));
  ASSERT_TRUE(chain);
  EXPECT_EQ(chain->size(), 2u);
  // An owner that no version has: this is not a frame.
  EXPECT_FALSE(stacks.chain(thread(frame(one, 4, 0, 77))));
}

TEST(PythonFrames314, ASmallIntegerIsNoObjectAndNoCode) {
  const PythonLayout layout = FakePython(3, 14).layout;
  EXPECT_EQ(layout.untagged(0x7000), 0x7000U);
  EXPECT_EQ(layout.untagged(0x7001), 0x7000U);
  EXPECT_EQ(layout.untagged(0x7003), 0U);
  EXPECT_EQ(FakePython(3, 13).layout.untagged(0x7001), 0x7001U);
}

TEST_P(PythonFrames311, OwnersBeyondTheLastAreNoFrames) {
  const auto one = code("one", "a.py", 1);
  for (const int owner : {4, 5, 200}) {
    const std::uint64_t entry =
        frame(fake.object("NoneType", 16), 0, frame(one, 2, 0), static_cast<std::uint8_t>(owner));
    const bool known = GetParam() == 14 && owner == 4;
    EXPECT_EQ(stacks.chain(thread(frame(one, 4, entry))).has_value(), known) << owner;
  }
}

TEST_P(PythonFrames, CycleOrWrongPointerGivesNoStack) {
  const auto one = code("one", "a.py", 1);
  const std::uint64_t first = frame(one, 2, 0);
  const std::uint64_t second = frame(one, 2, first);
  fake.space.put(fake.at(first, fake.layout.frame_previous), second);
  EXPECT_FALSE(stacks.chain(thread(second)));
  EXPECT_FALSE(stacks.chain(thread(frame(one, 2, 0xdead0000))));
  EXPECT_FALSE(stacks.chain(thread(frame(fake.object("list", 320), 2, 0))));
}

TEST_P(PythonFrames, InstructionOutsideTheCodeGivesNoStack) {
  const auto one = code("one", "a.py", 1);
  const auto chain = stacks.chain(thread(frame(one, 400, 0)));
  EXPECT_FALSE(chain && stacks.describe(*chain));
}

TEST_P(PythonFrames, DeepStacksKeepTheInnermostFrames) {
  const auto one = code("one", "a.py", 1);
  std::uint64_t at = 0;
  for (int depth = 0; depth < 900; ++depth) at = frame(one, 2, at);
  const auto chain = stacks.chain(thread(at));
  ASSERT_TRUE(chain);
  EXPECT_EQ(chain->size(), kMaxPythonFrames);
  EXPECT_EQ(chain->front().frame, at);
}

TEST_P(PythonFrames, DeadlineOfAKnownWait) {
  const std::uint64_t names = fake.object("tuple", 64);
  fake.space.put(fake.at(names, fake.layout.object_size), std::uint64_t{2});
  fake.space.put(fake.at(names, fake.layout.tuple_items), fake.name("timeout"));
  fake.space.put(fake.at(names, fake.layout.tuple_items) + 8, fake.name("deadline"));
  const auto wait = code("wait", "/x/multiprocessing/connection.py", 900, names);
  const std::uint64_t waiting = frame(wait, 2, 0);
  const auto chain = stacks.chain(thread(waiting));
  ASSERT_TRUE(chain);
  EXPECT_EQ(stacks.deadline(*chain), std::nullopt) << "local not assigned";
  const std::uint64_t value = fake.object("float", 24);
  fake.space.put(fake.at(value, fake.layout.float_value), 1234.5);
  fake.space.put(fake.at(waiting, fake.layout.frame_locals) + 8, value);
  EXPECT_EQ(stacks.deadline(*chain), 1234.5);
  fake.space.put(fake.at(value, fake.layout.float_value), std::numeric_limits<double>::infinity());
  EXPECT_EQ(stacks.deadline(*chain), std::nullopt);
  const auto other = code("wait", "/x/mine.py", 900, names);
  const auto not_known = stacks.chain(thread(frame(other, 2, 0)));
  ASSERT_TRUE(not_known);
  EXPECT_EQ(stacks.deadline(*not_known), std::nullopt);
}

TEST(PythonThreads, MatchedThroughTheThreadDescriptor) {
  FakeSpace space;
  const auto descriptor = [&](int offset, std::int32_t tid) {
    const std::uint64_t address = space.allocate(2304);
    space.put(address + static_cast<std::uint64_t>(offset), tid);
    return address;
  };
  const std::map<std::int32_t, base::Tid> live = {{100, base::Tid{5100}}, {101, base::Tid{5101}}};
  const auto match = [&](std::vector<PythonThreadState> states) {
    return match_python_threads(space, states, live);
  };
  using Expected = std::vector<std::optional<base::Tid>>;
  PythonThreadState native;
  native.native_id = 101;
  EXPECT_EQ(match({native}), (Expected{base::Tid{5101}}));
  PythonThreadState main, other, gone;
  main.ident = descriptor(720, 100);
  other.ident = descriptor(720, 101);
  gone.ident = descriptor(720, 999);
  EXPECT_EQ(match({main, other, gone}), (Expected{base::Tid{5100}, base::Tid{5101}, std::nullopt}));
  // Another C library's place for it.
  main.ident = descriptor(48, 100);
  other.ident = descriptor(48, 101);
  EXPECT_EQ(match({other, main}), (Expected{base::Tid{5101}, base::Tid{5100}}));
  gone.ident = 0;
  EXPECT_EQ(match({gone, gone}), (Expected{base::Tid{}, base::Tid{}})) << "no way to tell";
}

}  // namespace
}  // namespace stucktrace::unwind
