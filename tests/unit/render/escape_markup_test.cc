#include <gtest/gtest.h>

#include "tracer/render/escape.h"

namespace stucktrace::render {
namespace {

TEST(Markup, XmlKeepsTextAndLines) {
  EXPECT_EQ(xml_text("a < b & \"c\"\n'd' → é"), "a &lt; b &amp; &quot;c&quot;\n&#39;d&#39; → é");
  EXPECT_EQ(xml_attribute("a\nb"), "a&#10;b");
}

TEST(Markup, XmlHasNoForbiddenCharacters) {
  // XML 1.0, 2.2: no control characters but tab and line ends, no surrogates, no U+FFFE, U+FFFF.
  EXPECT_EQ(xml_text(std::string_view("\x00\x01\x1b", 3)), "\\x00\\x01\\x1b");
  EXPECT_EQ(xml_text("\xff\xed\xa0\x80"), "\\xff\\xed\\xa0\\x80");
  EXPECT_EQ(xml_text("a\xef\xbf\xbe"
                     "b\xef\xbf\xbf"
                     "c"),
            "a\xef\xbf\xbd"
            "b\xef\xbf\xbd"
            "c");
  EXPECT_EQ(xml_text("]]>"), "]]&gt;");
}

TEST(Markup, MarkdownIsText) {
  EXPECT_EQ(markdown_text("*a* [b](c) <img> $x$ @you | `d`\ne"),
            "\\*a\\* \\[b\\]\\(c\\) &lt;img&gt; \\$x\\$ \\@<!-- -->you \\| \\`d\\`\\\\ne");
  EXPECT_EQ(markdown_code("plain"), "` plain `");
  EXPECT_EQ(markdown_code("a``b`c"), "``` a``b`c ```");
  EXPECT_EQ(markdown_code(""), "");
}

TEST(Markup, MarkdownLinksNothing) {
  EXPECT_EQ(markdown_text("https://x.y"), "https:<!-- -->//x.y");
  EXPECT_EQ(markdown_text("see www.x.y, WWW.x"), "see www<!-- -->.x.y, WWW<!-- -->.x");
  EXPECT_EQ(markdown_text("a@b.c"), "a\\@<!-- -->b.c");
  EXPECT_EQ(markdown_text("a: b // www w."), "a: b // www w.");
}

TEST(Markup, MarkdownBlockOutlastsWhatIsInIt) {
  EXPECT_EQ(markdown_block("a\n```\nb\x01"), "````text\na\n```\nb\\x01\n````\n");
  EXPECT_EQ(markdown_block("a\n"), "```text\na\n```\n");
}

TEST(Markup, DotStringsEndWhereTheyShould) {
  EXPECT_EQ(dot_string("a \"b\" c\\"), "\"a \\\"b\\\" c\\\\\"");
  EXPECT_EQ(dot_string("a\nb"), "\"a\\nb\"");
  EXPECT_EQ(dot_string("\x1b"), "\"\\\\x1b\"");
}

TEST(Markup, GithubCommandsStayOneLine) {
  EXPECT_EQ(github_message("50% done\n::error::x"), "50%25 done%0A::error::x");
  EXPECT_EQ(github_message("a\rb"), "a\\rb");
  EXPECT_EQ(github_property("a:b,c%\nd"), "a%3Ab%2Cc%25\\nd");
}

}  // namespace
}  // namespace stucktrace::render
