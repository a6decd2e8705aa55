#include "client/cli/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace actioncluster::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class CompletionTest : public testing::Test {
 protected:
  CompletionTest() : root_("", "actioncluster") {
    root_.add_flag("--json", json_, "It's for programs");
    CLI::App* const rpc = root_.add_subcommand("rpc", "Calls");
    CLI::App* const call = rpc->add_subcommand("call", "Call a method");
    call->add_option("METHOD", method_, "Which");
    call->add_option("--node", node_, "Only there")->option_text("ID");
    call->add_option("--data-file", file_, "Bytes")->option_text("FILE");
    call->add_option("--data-dir", directory_, "A\ndirectory")->option_text("DIR");
    root_.add_subcommand("watch", "Changes");
  }

  bool json_ = false;
  std::string method_, node_, file_, directory_;
  CLI::App root_;
};

TEST_F(CompletionTest, KnowsEachPlaceWithItsSubcommandsAndOptions) {
  const std::vector<CompletionPlace> places = CompletionPlaces(root_);
  std::vector<std::string> paths;
  for (const CompletionPlace& place : places) paths.push_back(place.path);
  ASSERT_THAT(paths, ElementsAre("", "rpc", "rpc call", "watch"));
  EXPECT_THAT(places[0].subcommands, ElementsAre(std::pair("rpc", "Calls"), std::pair("watch", "Changes")));
  std::vector<std::string> options;
  for (const CompletionOption& option : places[2].options) options.push_back(option.name);
  EXPECT_THAT(options, ElementsAre("--help", "--node", "--data-file", "--data-dir"));
}

TEST_F(CompletionTest, KnowsWhatEachOptionTakes) {
  using Value = CompletionOption::Value;
  const std::vector<CompletionPlace> places = CompletionPlaces(root_);
  const auto value_of = [&](size_t place, const std::string& name) {
    const auto& options = places[place].options;
    return std::ranges::find(options, name, &CompletionOption::name)->value;
  };
  EXPECT_EQ(value_of(0, "--json"), Value::kNone);
  EXPECT_EQ(value_of(2, "--node"), Value::kText);
  EXPECT_EQ(value_of(2, "--data-file"), Value::kFile);
  EXPECT_EQ(value_of(2, "--data-dir"), Value::kDirectory);
  EXPECT_EQ(places[2].options[3].meaning, "A directory");
}

TEST_F(CompletionTest, EachShellsScriptHasEachSubcommandAndOption) {
  for (const std::string& script : {BashCompletion(root_), ZshCompletion(root_), FishCompletion(root_)}) {
    EXPECT_THAT(script, AllOf(HasSubstr("rpc call"), HasSubstr("watch"), HasSubstr("node"), HasSubstr("data-file"),
                              Not(HasSubstr("METHOD"))));
  }
}

TEST_F(CompletionTest, QuotesOfTheMeaningsAreKeptFromTheShell) {
  EXPECT_THAT(ZshCompletion(root_), HasSubstr(R"('--json:It'\''s for programs')"));
  EXPECT_THAT(FishCompletion(root_), HasSubstr(R"('It\'s for programs')"));
}

}  // namespace
}  // namespace actioncluster::cli
