#include "backplane/membership/offer.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class OfferTest : public testing::Test {
 protected:
  // Notes who heard, and what.
  Offer::Done Hears(std::string who) {
    return [this, who](const absl::Status& status) { heard_.push_back(who + (status.ok() ? " ok" : " failed")); };
  }
  void Answer(std::vector<Offer::Done> waiting, const absl::Status& status) {
    for (Offer::Done& done : waiting) std::move(done)(status);
  }

  Offer offer_;
  std::vector<std::string> heard_;
};

TEST_F(OfferTest, MethodsAreSortedAndEachOnce) {
  offer_.SetMethods({"b", "a", "b"}, Hears("x"));
  internal::v1::NodeRecord record;
  record.add_methods("old");
  offer_.Fill(&record);
  EXPECT_THAT(record.methods(), ElementsAre("a", "b"));
  EXPECT_FALSE(record.draining());
}

TEST_F(OfferTest, AWriteAnswersThoseWhoCameBeforeItBeganAndNobodyElse) {
  offer_.SetMethods({"a"}, Hears("first"));
  offer_.SetDraining(true, Hears("second"));
  const uint64_t begun = offer_.revision();
  offer_.SetMethods({"b"}, Hears("third"));
  offer_.Written(begun);
  Answer(offer_.TakeWaiting(begun), absl::OkStatus());
  EXPECT_THAT(heard_, ElementsAre("first ok", "second ok"));
  EXPECT_TRUE(offer_.dirty());
}

TEST_F(OfferTest, WhatFailedToBeWrittenIsStillWanted) {
  offer_.SetDraining(true, Hears("x"));
  Answer(offer_.TakeWaiting(), absl::UnavailableError("away"));
  EXPECT_THAT(heard_, ElementsAre("x failed"));
  EXPECT_TRUE(offer_.dirty());
  offer_.Written(offer_.revision());
  EXPECT_FALSE(offer_.dirty());
  EXPECT_THAT(offer_.TakeWaiting(), IsEmpty());
}

TEST_F(OfferTest, ALateAnswerToAnEarlierWriteDoesNotMakeALaterOneUnwritten) {
  offer_.SetDraining(true, Hears("x"));
  const uint64_t earlier = offer_.revision();
  offer_.SetDraining(false, Hears("y"));
  offer_.Written(offer_.revision());
  offer_.Written(earlier);
  EXPECT_FALSE(offer_.dirty());
}

TEST_F(OfferTest, NothingIsWantedAtFirst) { EXPECT_FALSE(offer_.dirty()); }

}  // namespace
}  // namespace actioncluster
