// Calls of CacheService that wait, and those about many keys, through whole nodes inside this process.
#include <gmock/gmock.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/integration/server/cache_service_test_base.h"

namespace actioncluster {
namespace {

class CacheWaitsTest : public CacheServiceTest {
 protected:
  void SetUp() override { lock_ = Ask(one_, &Stub::Lock, R"({"key":"k","holder":"ann","expireAfter":"600s"})"); }
  void Unlock() { Ask(one_, &Stub::Unlock, R"({"key":"k","holder":"ann"})"); }

  v1::LockResponse lock_;
};

TEST_F(CacheWaitsTest, ALockIsWaitedForUntilAnotherNodesHolderGivesItUp) {
  Pending<v1::LockResponse> bob(two_, &Stub::Lock, R"({"key":"k","holder":"bob","waitFor":"60s"})");
  AwaitWaiting(two_, 1);
  Unlock();
  ASSERT_TRUE(bob.End().ok());
  EXPECT_TRUE(bob.response().acquired());
  EXPECT_GT(bob.response().token(), lock_.token());
  EXPECT_GT(bob.response().expires_at().seconds(), 0);
  EXPECT_EQ(Waiting(two_), 0U);
}

TEST_F(CacheWaitsTest, ALoadWaitsForTheLockToEnd) {
  Ask(one_, &Stub::Save, R"({"key":"k","value":1,"holder":"ann"})");
  Pending<v1::LoadResponse> load(two_, &Stub::Load, R"({"key":"k","waitForLock":"60s"})");
  AwaitWaiting(two_, 1);
  Unlock();
  ASSERT_TRUE(load.End().ok());
  EXPECT_EQ(load.response().value().number_value(), 1);
}

TEST_F(CacheWaitsTest, AnItemIsWaitedFor) {
  Pending<v1::PopResponse> pop(two_, &Stub::Pop, R"({"key":"q","waitFor":"60s"})");
  AwaitWaiting(two_, 1);
  Ask(one_, &Stub::Push, R"({"key":"q","value":7})");
  ASSERT_TRUE(pop.End().ok());
  EXPECT_EQ(pop.response().value().number_value(), 7);
}

TEST_F(CacheWaitsTest, AWaitThatIsOverIsNoErrorForLocksAndItemsAndKeyLockedForLoads) {
  const auto lock = Ask(two_, &Stub::Lock, R"({"key":"k","holder":"bob","waitFor":"0.02s"})");
  EXPECT_FALSE(lock.acquired());
  EXPECT_EQ(lock.held_by(), "ann");
  EXPECT_EQ(Ask(two_, &Stub::Pop, R"({"key":"q","waitFor":"0.02s"})").content_case(), v1::PopResponse::CONTENT_NOT_SET);
  const grpc::Status load = Fail(two_, &Stub::Load, R"({"key":"k","waitForLock":"0.02s"})");
  EXPECT_EQ(ReasonOf(load), "KEY_LOCKED");
  EXPECT_EQ(DetailOf(load, "held_by"), "ann");
}

TEST_F(CacheWaitsTest, ACallersDeadlineThatIsSoonerEndsTheWaitInTime) {
  Pending<v1::LockResponse> bob(two_, &Stub::Lock, R"({"key":"k","holder":"bob","waitFor":"3600s"})", absl::Seconds(1));
  const grpc::Status status = bob.End();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_FALSE(bob.response().acquired());
  AwaitKeys(1);  // The lock alone.
}

TEST_F(CacheWaitsTest, CallersWhoGoAwayLeaveNothingBehind) {
  {
    Pending<v1::LockResponse> bob(two_, &Stub::Lock, R"({"key":"k","holder":"bob","waitFor":"60s"})");
    Pending<v1::LoadResponse> load(two_, &Stub::Load, R"({"key":"k","waitForLock":"60s"})");
    Pending<v1::PopResponse> pop(one_, &Stub::Pop, R"({"key":"q","waitFor":"60s"})");
    AwaitWaiting(two_, 2);
    AwaitWaiting(one_, 1);
    bob.Cancel();
    load.Cancel();
    pop.Cancel();
    EXPECT_EQ(bob.End().error_code(), grpc::CANCELLED);
    EXPECT_EQ(load.End().error_code(), grpc::CANCELLED);
    EXPECT_EQ(pop.End().error_code(), grpc::CANCELLED);
  }
  AwaitWaiting(one_, 0);
  AwaitWaiting(two_, 0);
  AwaitKeys(1);  // The lock alone.
  EXPECT_EQ(two_.io().Run([this] { return two_.rooms().cache_waits.size(); }), 0U);
  // Nobody is in the way of who comes next.
  Unlock();
  EXPECT_TRUE(Ask(one_, &Stub::Lock, R"({"key":"k","holder":"eve"})").acquired());
}

TEST_F(CacheWaitsTest, ANodeThatStopsEndsItsWaitsAndTakesNoMore) {
  Pending<v1::LockResponse> bob(two_, &Stub::Lock, R"({"key":"k","holder":"bob","waitFor":"60s"})");
  AwaitWaiting(two_, 1);
  two_.io().Run([this] { two_.rooms().CloseStreams(absl::UnavailableError("stops")); });
  const grpc::Status status = bob.End();
  EXPECT_EQ(status.error_code(), grpc::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "stops");
  EXPECT_EQ(Fail(two_, &Stub::Lock, R"({"key":"k","holder":"eve","waitFor":"60s"})").error_code(), grpc::UNAVAILABLE);
  AwaitWaiting(two_, 0);
}

class CacheManyTest : public CacheServiceTest {};

TEST_F(CacheManyTest, EachKeyHasItsOwnOutcomeInTheOrderOfTheRequest) {
  Ask(one_, &Stub::Lock, R"({"key":"locked","holder":"ann"})");
  const auto saved =
      Ask(one_, &Stub::SaveMany,
          R"({"entries":[{"key":"a","value":1},{"key":""},{"key":"locked","value":1},{"key":"a","value":2},
                             {"key":"b"}]})");
  ASSERT_EQ(saved.outcomes_size(), 5);
  EXPECT_FALSE(saved.outcomes(0).has_error() || saved.outcomes(0).replaced());
  EXPECT_EQ(saved.outcomes(1).error().message(), "key must not be empty");
  EXPECT_EQ(saved.outcomes(2).error().reason(), "KEY_LOCKED");
  EXPECT_EQ(DetailOf(saved.outcomes(2).error(), "held_by"), "ann");
  EXPECT_TRUE(saved.outcomes(3).replaced());
  EXPECT_GT(saved.outcomes(3).version(), saved.outcomes(0).version());
  EXPECT_EQ(saved.outcomes(4).error().code(), grpc::INVALID_ARGUMENT);

  const auto loaded = Ask(two_, &Stub::LoadMany, R"({"keys":["b","a","","locked","a"]})");
  ASSERT_EQ(loaded.outcomes_size(), 5);
  EXPECT_EQ(loaded.outcomes(0).error().reason(), "CACHE_KEY_NOT_FOUND");
  EXPECT_EQ(loaded.outcomes(1).entry().value().number_value(), 2);
  EXPECT_EQ(loaded.outcomes(2).error().code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(loaded.outcomes(3).error().reason(), "KEY_LOCKED");
  EXPECT_EQ(loaded.outcomes(4).entry().version(), saved.outcomes(3).version());

  const auto destroyed = Ask(two_, &Stub::DestroyMany, R"({"keys":["a","b","locked"],"holder":"bob"})");
  ASSERT_EQ(destroyed.outcomes_size(), 3);
  EXPECT_TRUE(destroyed.outcomes(0).destroyed());
  EXPECT_FALSE(destroyed.outcomes(1).destroyed() || destroyed.outcomes(1).has_error());
  EXPECT_EQ(destroyed.outcomes(2).error().reason(), "KEY_LOCKED");
}

TEST_F(CacheManyTest, AThousandGoAtOnceAndOneMoreIsTooMany) {
  v1::SaveManyRequest saves;
  v1::LoadManyRequest loads;
  for (int i = 0; i < 1000; ++i) {
    v1::SaveRequest* entry = saves.add_entries();
    entry->set_key(absl::StrCat("k", i));
    entry->mutable_value()->set_number_value(i);
    loads.add_keys(entry->key());
  }
  v1::SaveManyResponse saved;
  ASSERT_TRUE(CallWith(one_, &Stub::SaveMany, saves, &saved).ok());
  v1::LoadManyResponse loaded;
  ASSERT_TRUE(CallWith(two_, &Stub::LoadMany, loads, &loaded).ok());
  ASSERT_EQ(loaded.outcomes_size(), 1000);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(loaded.outcomes(i).entry().value().number_value(), i);
    ASSERT_EQ(loaded.outcomes(i).entry().version(), saved.outcomes(i).version());
  }
  loads.add_keys("one");
  const grpc::Status status = CallWith(two_, &Stub::LoadMany, loads, &loaded);
  EXPECT_EQ(ReasonOf(status), "LIMIT_EXCEEDED");
  EXPECT_EQ(DetailOf(status, "limit"), "cache_batch");
  EXPECT_EQ(Fail(one_, &Stub::SaveMany, "{}").error_message(), "entries must not be empty");
  EXPECT_EQ(Fail(one_, &Stub::DestroyMany, "{}").error_message(), "keys must not be empty");
}

TEST_F(CacheManyTest, WhatMakesTheAnswerTooLargeIsToBeLoadedByItself) {
  v1::SaveRequest request;
  request.set_data(std::string(size_t{1} << 20, 'x'));
  v1::SaveResponse saved;
  for (const char* const key : {"a", "b", "c", "d", "e"}) {
    request.set_key(key);
    ASSERT_TRUE(CallWith(one_, &Stub::Save, request, &saved).ok());
  }
  request.set_key("f");
  request.set_data("small");
  ASSERT_TRUE(CallWith(one_, &Stub::Save, request, &saved).ok());
  auto loaded = Ask(one_, &Stub::LoadMany, R"({"keys":["a","b","c","d","e","f"]})");
  EXPECT_LE(loaded.ByteSizeLong(), (size_t{4} << 20) + 1024);
  for (const int position : {0, 1, 2, 5}) EXPECT_TRUE(loaded.outcomes(position).has_entry()) << position;
  EXPECT_EQ(loaded.outcomes(4).error().reason(), "LIMIT_EXCEEDED");
  EXPECT_EQ(DetailOf(loaded.outcomes(4).error(), "limit"), "answer_bytes");
  // One of the largest values is an answer.
  request.set_key("a");
  request.set_data(std::string(size_t{4} << 20, 'y'));
  ASSERT_TRUE(CallWith(one_, &Stub::Save, request, &saved).ok());
  loaded = Ask(one_, &Stub::LoadMany, R"({"keys":["a","f"]})");
  EXPECT_EQ(loaded.outcomes(0).entry().data().size(), size_t{4} << 20);
}

TEST_F(CacheManyTest, MissingKeysHoweverLongDoNotMakeTheAnswerTooLargeForAClient) {
  v1::SaveRequest request;
  request.set_data(std::string(1'370'000, 'x'));
  v1::SaveResponse saved;
  v1::LoadManyRequest loads;
  for (int i = 0; i < 997; ++i) loads.add_keys(absl::StrCat(std::string(1021, 'k'), i));
  for (const char* const key : {"a", "b", "c"}) {
    request.set_key(key);
    ASSERT_TRUE(CallWith(one_, &Stub::Save, request, &saved).ok());
    loads.add_keys(key);
  }
  v1::LoadManyResponse loaded;
  ASSERT_TRUE(CallWith(one_, &Stub::LoadMany, loads, &loaded).ok());
  EXPECT_LE(loaded.ByteSizeLong(), size_t{4} << 20);
  EXPECT_EQ(DetailOf(loaded.outcomes(996).error(), "key"), loads.keys(996));
  EXPECT_TRUE(loaded.outcomes(997).has_entry());
  EXPECT_TRUE(loaded.outcomes(998).has_entry());
  EXPECT_EQ(loaded.outcomes(999).error().reason(), "LIMIT_EXCEEDED");
  // The values first: there is no room for what the errors say more.
  loads.clear_keys();
  for (const char* const key : {"a", "b"}) loads.add_keys(key);
  for (int i = 0; i < 998; ++i) loads.add_keys(absl::StrCat(std::string(1021, 'k'), i));
  request.set_data(std::string(2'000'000, 'x'));
  for (const char* const key : {"a", "b"}) {
    request.set_key(key);
    ASSERT_TRUE(CallWith(one_, &Stub::Save, request, &saved).ok());
  }
  ASSERT_TRUE(CallWith(one_, &Stub::LoadMany, loads, &loaded).ok());
  EXPECT_LE(loaded.ByteSizeLong(), size_t{4} << 20);
  EXPECT_TRUE(loaded.outcomes(0).has_entry());
  EXPECT_TRUE(loaded.outcomes(1).has_entry());
  for (int i = 2; i < 1000; ++i) EXPECT_EQ(loaded.outcomes(i).error().reason(), "CACHE_KEY_NOT_FOUND");
}

TEST_F(CacheManyTest, WhenTheAnswerIsFullNothingMoreIsFetched) {
  v1::SaveRequest request;
  request.set_key("k");
  request.set_data(std::string(size_t{1} << 20, 'x'));
  v1::SaveResponse saved;
  ASSERT_TRUE(CallWith(one_, &Stub::Save, request, &saved).ok());
  v1::LoadManyRequest loads;
  for (int i = 0; i < 200; ++i) loads.add_keys("k");
  redis_.Command({"CONFIG", "RESETSTAT"});
  v1::LoadManyResponse loaded;
  ASSERT_TRUE(CallWith(one_, &Stub::LoadMany, loads, &loaded).ok());
  ASSERT_EQ(loaded.outcomes_size(), 200);
  EXPECT_TRUE(loaded.outcomes(2).has_entry());
  for (int i = 3; i < 200; ++i) EXPECT_EQ(loaded.outcomes(i).error().reason(), "LIMIT_EXCEEDED");
  const redis::Reply reply = redis_.Command({"INFO", "commandstats"});
  const std::string stats(reply.view().String().value());
  // A few are under way until it is seen that they are large.
  EXPECT_THAT(stats, testing::ContainsRegex("cmdstat_mget:calls=([0-9]|1[0-9]),"));
}

}  // namespace
}  // namespace actioncluster
