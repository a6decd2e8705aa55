#include "backplane/membership/directory_reader.h"

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using internal::v1::DirectoryChange;
using internal::v1::NodeRecord;
using testing::ElementsAre;
using testing::IsEmpty;

NodeRecord RecordOf(const std::string& id) {
  NodeRecord node;
  node.set_id(id);
  node.set_boot_id("boot of " + id);
  return node;
}

// Keeps the questions until the test answers them.
class HandSource : public MembershipSource {
 public:
  void ReadState(Completion<State> done) override { states.push_back(std::move(done)); }
  void Read(Completion<Contents> done) override { reads.push_back(std::move(done)); }

  void AnswerState(int64_t generation) {
    Answer<State>(states, State{.generation = generation, .grace_until = absl::InfinitePast()});
  }
  void AnswerRead(int64_t generation, const std::vector<std::string>& names) {
    Contents contents;
    contents.state.generation = generation;
    for (const std::string& name : names) contents.nodes.push_back({RecordOf(name), {}, absl::InfiniteFuture()});
    Answer<Contents>(reads, std::move(contents));
  }
  template <class T>
  static void Answer(std::deque<Completion<T>>& questions, absl::StatusOr<T> answer) {
    ASSERT_FALSE(questions.empty());
    Completion<T> done = std::move(questions.front());
    questions.pop_front();
    std::move(done)(std::move(answer));
  }

  std::deque<Completion<State>> states;
  std::deque<Completion<Contents>> reads;
};

class DirectoryReaderTest : public testing::Test {
 protected:
  DirectoryReaderTest() {
    reader_ = std::make_shared<DirectoryReader>(source_, directory_, [this](const std::vector<NodeEvent>& events) {
      told_ += static_cast<int>(events.size());
    });
  }

  DirectoryReader::Done Hears(const std::string& who) {
    return
        [this, who](const absl::Status& status) { heard_.push_back(absl::StrCat(who, status.ok() ? "" : " failed")); };
  }
  // Another announces that a node joined.
  void Announced(int64_t generation, const std::string& name) {
    DirectoryChange change;
    change.set_kind(DirectoryChange::KIND_JOINED);
    change.set_generation(generation);
    *change.mutable_node() = RecordOf(name);
    std::vector<NodeEvent> events;
    EXPECT_EQ(directory_.Apply(change, &events), Directory::Applied::kYes);
  }
  std::vector<std::string> Known() {
    std::vector<std::string> names;
    for (const auto& [name, node] : directory_.nodes()) names.push_back(name);
    return names;
  }

  std::vector<std::string> heard_;
  int told_ = 0;
  HandSource source_;
  Directory directory_;
  std::shared_ptr<DirectoryReader> reader_;
};

TEST_F(DirectoryReaderTest, ReadsOnlyIfTheGenerationIsAnother) {
  directory_.Replace(5, {RecordOf("a")});
  reader_->Check(Hears("x"));
  EXPECT_THAT(heard_, IsEmpty());
  source_.AnswerState(5);
  EXPECT_THAT(heard_, ElementsAre("x"));
  EXPECT_THAT(source_.reads, IsEmpty());
  reader_->Check(Hears("y"));
  source_.AnswerState(6);
  EXPECT_THAT(heard_, ElementsAre("x"));
  source_.AnswerRead(6, {"a", "b"});
  EXPECT_THAT(heard_, ElementsAre("x", "y"));
  EXPECT_THAT(Known(), ElementsAre("a", "b"));
  EXPECT_EQ(told_, 1);
}

TEST_F(DirectoryReaderTest, ReadsTheSameGenerationAgainWhenToldTo) {
  directory_.Replace(5, {RecordOf("a")});
  reader_->Read(Hears("x"));
  EXPECT_THAT(source_.states, IsEmpty());
  source_.AnswerRead(5, {"b"});
  EXPECT_THAT(Known(), ElementsAre("b"));
  EXPECT_THAT(heard_, ElementsAre("x"));
}

TEST_F(DirectoryReaderTest, ThoseWhoComeWhileAQuestionIsUnderWayShareTheNext) {
  directory_.Replace(5, {});
  reader_->Check(Hears("first"));
  reader_->Check(Hears("second"));
  reader_->Read(Hears("third"));
  EXPECT_EQ(source_.states.size(), 1u);
  source_.AnswerState(5);
  EXPECT_THAT(heard_, ElementsAre("first"));
  EXPECT_THAT(source_.states, IsEmpty());
  source_.AnswerRead(6, {"a"});
  EXPECT_THAT(heard_, ElementsAre("first", "second", "third"));
  EXPECT_THAT(source_.states, IsEmpty());
  EXPECT_THAT(source_.reads, IsEmpty());
}

TEST_F(DirectoryReaderTest, AnAnswerThatAnnouncementsOvertookIsNotUsed) {
  directory_.Replace(5, {RecordOf("a")});
  reader_->Read(Hears("x"));
  Announced(6, "b");
  Announced(7, "c");
  source_.AnswerRead(6, {"a", "b"});
  EXPECT_EQ(directory_.generation(), 7);
  EXPECT_THAT(Known(), ElementsAre("a", "b", "c"));
  EXPECT_THAT(heard_, ElementsAre("x"));
  reader_->Check(Hears("y"));
  Announced(8, "d");
  source_.AnswerState(7);
  EXPECT_THAT(heard_, ElementsAre("x", "y"));
  EXPECT_THAT(source_.reads, IsEmpty());
}

TEST_F(DirectoryReaderTest, AnAnswerFromBeforeWhatWasKnownMeansThatRedisLostSomething) {
  directory_.Replace(5, {RecordOf("a"), RecordOf("b")});
  reader_->Check(Hears("x"));
  source_.AnswerState(4);
  source_.AnswerRead(4, {"a"});
  EXPECT_EQ(directory_.generation(), 4);
  EXPECT_THAT(Known(), ElementsAre("a"));
  EXPECT_THAT(heard_, ElementsAre("x"));
}

TEST_F(DirectoryReaderTest, AFailureIsToldAndChangesNothing) {
  directory_.Replace(5, {RecordOf("a")});
  reader_->Check(Hears("x"));
  reader_->Check(Hears("y"));
  HandSource::Answer<MembershipSource::State>(source_.states, absl::UnavailableError("away"));
  source_.AnswerState(6);
  HandSource::Answer<MembershipSource::Contents>(source_.reads, absl::UnavailableError("away"));
  EXPECT_THAT(heard_, ElementsAre("x failed", "y failed"));
  EXPECT_THAT(Known(), ElementsAre("a"));
  EXPECT_EQ(directory_.generation(), 5);
}

TEST_F(DirectoryReaderTest, OneThatAsksAgainWhenAnsweredIsAnsweredAgain) {
  directory_.Replace(5, {});
  reader_->Check([this](const absl::Status&) { reader_->Check(Hears("again")); });
  source_.AnswerState(5);
  source_.AnswerState(5);
  EXPECT_THAT(heard_, ElementsAre("again"));
}

TEST_F(DirectoryReaderTest, ThoseWhoWaitWhenItIsDestroyedAreAnsweredAndLateAnswersDropped) {
  reader_->Read(Hears("x"));
  reader_->Check(Hears("y"));
  reader_.reset();
  EXPECT_THAT(heard_, ElementsAre("x failed", "y failed"));
  source_.AnswerRead(1, {"a"});
  EXPECT_THAT(heard_, ElementsAre("x failed", "y failed"));
  EXPECT_EQ(directory_.generation(), -1);
}

}  // namespace
}  // namespace actioncluster
