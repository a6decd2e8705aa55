#include "backplane/chat/saying_batches.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class SayingBatchesTest : public testing::Test {
 protected:
  struct Batch {
    std::string room;
    std::vector<std::string> bodies;
    SayingBatches::AllDone done;
  };

  SayingBatchesTest()
      : batches_(std::make_unique<SayingBatches>(
            [this](const std::string& room, std::vector<RoomSaying> sayings, SayingBatches::AllDone done) {
              Batch& batch = sent_.emplace_back();
              batch.room = room;
              for (RoomSaying& saying : sayings) batch.bodies.push_back(std::move(saying.content.body));
              batch.done = std::move(done);
            })) {}

  // `said` gets the body, and its offset or the code of what went wrong.
  absl::Status Add(const std::string& room, const std::string& body) {
    RoomSaying saying{.from = "x", .content = {.kind = Content::Kind::kBytes, .body = body}};
    if (absl::Status full = batches_->HasRoomFor(room, saying); !full.ok()) return full;
    batches_->Add(room, std::move(saying), [this, body](const absl::StatusOr<RoomSaid>& said) {
      said_.push_back(
          absl::StrCat(body, said.ok() ? absl::StrCat("@", said->offset) : ReasonName(ReasonOf(said.status()))));
    });
    return absl::OkStatus();
  }
  // Ends the i-th batch: offsets from `offset` on.
  void End(size_t i, uint64_t offset) {
    std::vector<absl::StatusOr<RoomSaid>> said;
    for (size_t j = 0; j < sent_[i].bodies.size(); ++j) said.push_back(RoomSaid{.receivers = 1, .offset = offset++});
    std::move(sent_[i].done)(std::move(said));
  }

  std::vector<Batch> sent_;
  std::vector<std::string> said_;
  std::unique_ptr<SayingBatches> batches_;
};

TEST_F(SayingBatchesTest, WhatComesWhileOneIsUnderWayGoesTogetherInItsOrder) {
  for (const std::string body : {"a", "b", "c"}) EXPECT_TRUE(Add("lobby", body).ok());
  ASSERT_THAT(sent_, SizeIs(1));
  EXPECT_THAT(sent_[0].bodies, ElementsAre("a"));
  End(0, 10);
  ASSERT_THAT(sent_, SizeIs(2));
  EXPECT_EQ(sent_[1].room, "lobby");
  EXPECT_THAT(sent_[1].bodies, ElementsAre("b", "c"));
  End(1, 20);
  EXPECT_THAT(said_, ElementsAre("a@10", "b@20", "c@21"));
  EXPECT_THAT(sent_, SizeIs(2));
  EXPECT_TRUE(Add("lobby", "d").ok());
  EXPECT_THAT(sent_[2].bodies, ElementsAre("d")) << "who is alone waits for nobody";
}

TEST_F(SayingBatchesTest, RoomsDoNotWaitForEachOther) {
  EXPECT_TRUE(Add("a", "1").ok());
  EXPECT_TRUE(Add("b", "2").ok());
  EXPECT_THAT(sent_, SizeIs(2));
}

TEST_F(SayingBatchesTest, ABatchHasALimitedNumberAndSize) {
  EXPECT_TRUE(Add("lobby", "first").ok());
  for (size_t i = 0; i <= SayingBatches::kMaxSayings; ++i) EXPECT_TRUE(Add("lobby", absl::StrCat(i)).ok());
  const std::string half(SayingBatches::kMaxBytes / 2, 'x');
  for (const std::string& body : {half, half, half + half + half}) EXPECT_TRUE(Add("lobby", body).ok());
  End(0, 1);
  EXPECT_THAT(sent_[1].bodies, SizeIs(SayingBatches::kMaxSayings));
  End(1, 2);
  EXPECT_THAT(sent_[2].bodies, SizeIs(2)) << "one more would be too large";
  End(2, 3);
  EXPECT_THAT(sent_[3].bodies, SizeIs(1));
  End(3, 4);
  EXPECT_THAT(sent_[4].bodies, SizeIs(1)) << "larger than a batch, and alone";
}

TEST_F(SayingBatchesTest, WhoIsOneTooManyIsTold) {
  EXPECT_TRUE(Add("lobby", "first").ok());
  for (size_t i = 0; i < SayingBatches::kMaxWaiting; ++i) ASSERT_TRUE(Add("lobby", "x").ok());
  const absl::Status full = Add("lobby", "x");
  EXPECT_EQ(ReasonOf(full), v1::ERROR_REASON_LIMIT_EXCEEDED);
  EXPECT_EQ(MetadataOf(full)["limit"], "waiting_sayings");
  EXPECT_TRUE(Add("other", "x").ok());
  End(0, 1);
  EXPECT_TRUE(Add("lobby", "x").ok());
}

TEST_F(SayingBatchesTest, WhatIsTooMuchIsTold) {
  EXPECT_TRUE(Add("lobby", "first").ok());
  const std::string quarter(SayingBatches::kMaxWaitingBytes / 4, 'x');
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Add("lobby", quarter).ok());
  EXPECT_EQ(MetadataOf(Add("lobby", "x"))["limit"], "waiting_saying_bytes");
  EXPECT_TRUE(Add("lobby", "").ok());
  End(0, 1);
  EXPECT_TRUE(Add("lobby", quarter).ok()) << "what is under way does not wait";
  EXPECT_FALSE(Add("lobby", "x").ok());
}

TEST_F(SayingBatchesTest, EachHearsOfItsOwnFailure) {
  for (const std::string body : {"a", "b"}) EXPECT_TRUE(Add("lobby", body).ok());
  std::vector<absl::StatusOr<RoomSaid>> said;
  said.push_back(MakeError(v1::ERROR_REASON_ROOM_NOT_FOUND, "gone"));
  std::move(sent_[0].done)(std::move(said));
  End(1, 5);
  EXPECT_THAT(said_, ElementsAre("aROOM_NOT_FOUND", "b@5"));
}

TEST_F(SayingBatchesTest, ItsEndEndsThoseWhoWait) {
  for (const std::string body : {"a", "b"}) EXPECT_TRUE(Add("lobby", body).ok());
  batches_.reset();
  EXPECT_THAT(said_, ElementsAre("bBACKPLANE_UNAVAILABLE"));
  End(0, 1);
  EXPECT_THAT(said_, ElementsAre("bBACKPLANE_UNAVAILABLE", "a@1"));
  EXPECT_THAT(sent_, SizeIs(1));
}

}  // namespace
}  // namespace actioncluster
