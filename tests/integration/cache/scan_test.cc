#include "backplane/cache/cache_scan.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "backplane/cache/cache_restorer.h"
#include "backplane/scripts/scripts.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/loop_thread.h"
#include "tests/fakes/redis_server.h"
#include "tests/fakes/waiter.h"
#include "tests/integration/cache/cache_client.h"

// Walks, and what writes everything back; on a single Redis and on a cluster of one.
namespace actioncluster {
namespace {

using Kind = Keys::CacheKind;
using Outcome = CacheRestorer::Outcome;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAreArray;

class ScanTest : public testing::TestWithParam<bool> {
 protected:
  ScanTest() {
    thread_.Run([&] {
      redis::LinkOptions options;
      options.endpoint = redis_.endpoint();
      client_ = std::make_unique<redis::Client>(thread_.loop(), options, scripts::All());
      client_->OnState([states = states_](const absl::Status& state) { states.Add(state); });
      scan_ = std::make_unique<CacheScan>(*client_, keys_);
      store_ = std::make_unique<CacheStore>(*client_, keys_, 1000, [](const CacheLineRef&, auto) {});
      restorer_ = std::make_unique<CacheRestorer>(
          *client_, keys_, [this](const CacheLineRef& line, const std::vector<CacheWaiter>& waiters) {
            for (const CacheWaiter& waiter : waiters) turns_.Add(absl::StrCat(line.key, " ", waiter.number));
          });
    });
    EXPECT_TRUE(states_.NextThat([](const absl::Status& state) { return state.ok(); }).ok());
  }
  ~ScanTest() override {
    thread_.Run([&] { client_.reset(); });
  }

  // What the callback hears that `start` is given.
  template <class T, class Start>
  absl::StatusOr<T> Ask(Start start) {
    const fakes::Waiter<absl::StatusOr<T>> waiter;
    thread_.Run([&] { start(waiter.Callback()); });
    return waiter.Next();
  }

  void Save(const std::string& key, const std::string& body = "x") {
    SaveOptions options;
    options.key = key;
    options.content = {.kind = CacheContent::Kind::kBytes, .body = body};
    ASSERT_TRUE(Ask<SaveOutcome>([&](auto done) { store_->Save(options, std::move(done)); }).ok());
  }
  void Push(const std::string& key, const std::string& item) {
    const PushOptions options = {.key = key, .item = CacheClient::Item(item), .request_id = ""};
    ASSERT_TRUE(Ask<int64_t>([&](auto done) { store_->Push(options, std::move(done)); }).ok());
  }
  std::vector<std::string> Walk(Kind kind, const std::string& prefix = "") {
    std::vector<std::string> all;
    for (CacheScan::Cursor cursor; !cursor.done;) {
      auto page = Ask<CacheScan::Page>([&](auto done) { scan_->Next(kind, prefix, cursor, std::move(done)); });
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok()) break;
      all.insert(all.end(), page->keys.begin(), page->keys.end());
      cursor = page->next;
    }
    return all;
  }
  std::vector<std::string> Items(const std::string& key) {
    const auto found = Ask<CacheScan::Items>([&](auto done) { scan_->ReadItems(key, 0, 1000, std::move(done)); });
    std::vector<std::string> bodies;
    for (const CacheContent& item : found->items) bodies.push_back(item.body);
    return bodies;
  }

  static CacheRestorer::Entry Value(const std::string& key, const std::string& body) {
    return {.key = key,
            .what = CacheRestorer::Value{.content = CacheClient::Item(body), .created_at = {}, .expires_at = {}}};
  }
  static CacheRestorer::Entry Part(const std::string& key, int64_t offset, bool last,
                                   const std::vector<std::string>& items, int64_t first_entry = 0) {
    CacheRestorer::ListPart part = {.offset = offset, .last = last, .first_entry = first_entry, .items = {}};
    for (const std::string& item : items) part.items.push_back(CacheClient::Item(item));
    return {.key = key, .what = std::move(part)};
  }
  std::vector<Outcome> Write(const CacheRestorer::Restore& restore, const std::vector<CacheRestorer::Entry>& entries) {
    auto outcomes = Ask<std::vector<Outcome>>(
        [&](auto done) { restorer_->Write(restore, standings_[restore.call], entries, std::move(done)); });
    EXPECT_TRUE(outcomes.ok()) << outcomes.status();
    return outcomes.ok() ? *outcomes : std::vector<Outcome>();
  }
  // How many entries are written; what the call may is kept for its writes.
  template <class Start>
  absl::StatusOr<int64_t> Step(const CacheRestorer::Restore& restore, Start start) {
    const auto standing = Ask<CacheRestorer::Standing>(start);
    if (!standing.ok()) return standing.status();
    standings_[restore.call] = *standing;
    return standing->written;
  }
  absl::StatusOr<int64_t> Begin(const CacheRestorer::Restore& restore, const std::string& what = "what",
                                bool from_start = false) {
    return Step(restore, [&](auto done) { restorer_->Begin(restore, what, from_start, std::move(done)); });
  }
  absl::StatusOr<int64_t> Note(const CacheRestorer::Restore& restore, int64_t written) {
    return Step(restore, [&](auto done) { restorer_->Note(restore, written, std::move(done)); });
  }
  absl::StatusOr<int64_t> End(const CacheRestorer::Restore& restore, int64_t written) {
    return Step(restore, [&](auto done) { restorer_->End(restore, written, std::move(done)); });
  }
  // As if nothing had been heard of the restore's calls for some seconds.
  void LetLapse(const CacheRestorer::Restore& restore) {
    redis_.Command({"HSET", keys_.Cache(Kind::kRestore, restore.id), "until", "1"});
  }
  int64_t KeyCount() { return *redis_.Command({"DBSIZE"}).view().Integer(); }

  fakes::RedisServer& redis_ = fakes::EmptyRedis(GetParam());
  const Keys keys_{fakes::kNamespace};
  const fakes::Waiter<absl::Status> states_;
  const fakes::Waiter<std::string> turns_;
  fakes::LoopThread thread_;
  std::unique_ptr<redis::Client> client_;
  std::unique_ptr<CacheScan> scan_;
  std::unique_ptr<CacheStore> store_;
  std::unique_ptr<CacheRestorer> restorer_;
  std::map<std::string, CacheRestorer::Standing> standings_;  // Of each call.

  const CacheRestorer::Restore one_ = {.id = "r", .call = "one", .keep_existing = false};
  const CacheRestorer::Restore two_ = {.id = "r", .call = "two", .keep_existing = false};
  const CacheRestorer::Restore keeping_ = {.id = "k", .call = "three", .keep_existing = true};
};

INSTANTIATE_TEST_SUITE_P(Redis, ScanTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Cluster" : "Single"; });

TEST_P(ScanTest, KeysOfAnyLettersAreFoundByTheirPrefix) {
  const std::vector<std::string> all = {"a",    "a*b",  "a?c",  "a[b]",      "a\\d", "{tag}",  "a}b{",
                                        "100%", "%7B",  "a\nb", "schlüssel", "鍵",   "😀 key", " ",
                                        "*",    "[a-z", "a*",   "\\",        "a\\",  "a%"};
  for (const std::string& key : all) Save(key);
  EXPECT_THAT(Walk(Kind::kValue), UnorderedElementsAreArray(all));
  for (const std::string& prefix : all) {
    std::vector<std::string> expected;
    std::copy_if(all.begin(), all.end(), std::back_inserter(expected),
                 [&](const std::string& key) { return key.substr(0, prefix.size()) == prefix; });
    EXPECT_THAT(Walk(Kind::kValue, prefix), UnorderedElementsAreArray(expected)) << "prefix " << prefix;
  }
  EXPECT_THAT(Walk(Kind::kList), IsEmpty());
  EXPECT_THAT(Walk(Kind::kLock), IsEmpty());
}

TEST_P(ScanTest, ManyKeysAreAllFoundInShortSteps) {
  std::vector<std::string> all;
  for (int i = 0; i < 2000; ++i) all.push_back(absl::StrCat("key ", i));
  for (const std::string& key : all) Save(key);
  std::vector<std::string> found = Walk(Kind::kValue);
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  EXPECT_THAT(found, UnorderedElementsAreArray(all));
  const auto page = Ask<CacheScan::Page>([&](auto done) { scan_->Next(Kind::kValue, "", {}, std::move(done)); });
  EXPECT_LT(page->keys.size(), 400u);
  EXPECT_FALSE(page->next.done);
}

TEST_P(ScanTest, OtherNamespacesAndKindsAreNotSeen) {
  Save("mine");
  Push("my list", "x");
  for (const std::string other : {"actioncluster2", "actioncluste", "actioncluster-c"}) {
    redis_.Command({"SET", Keys(other).Cache(Kind::kValue, "theirs"), "x"});
  }
  redis_.Command({"SET", "v{actioncluster:c:mine", "x"});
  redis_.Command({"SET", "v{actioncluster:c:mine}}", "x"});
  EXPECT_THAT(Walk(Kind::kValue), ElementsAre("mine"));
  EXPECT_THAT(Walk(Kind::kList), ElementsAre("my list"));
}

TEST_P(ScanTest, ValuesAreReadSmallOnesTogetherAndLargeOnesAlone) {
  Save("small", "s");
  Save("large", std::string(100'000, 'l'));
  Save("foreign");
  const auto values = Ask<std::vector<CacheScan::Peek>>([&](auto done) {
    scan_->ReadSmallValues({"small", "none", "large"}, std::move(done));
  });
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_EQ(values->at(0).entry->content.body, "s");
  EXPECT_FALSE(values->at(1).entry.has_value() || values->at(1).is_large);
  EXPECT_FALSE(values->at(2).entry.has_value());
  EXPECT_TRUE(values->at(2).is_large);
  const auto large = Ask<std::optional<CacheEntry>>([&](auto done) { scan_->ReadValue("large", std::move(done)); });
  EXPECT_EQ((*large)->content.body.size(), 100'000u);
  redis_.Command({"SET", keys_.Cache(Kind::kValue, "foreign"), "no record"});
  const auto foreign = Ask<std::optional<CacheEntry>>([&](auto done) { scan_->ReadValue("foreign", std::move(done)); });
  EXPECT_TRUE(absl::IsInternal(foreign.status()));
}

TEST_P(ScanTest, ItemsAreBoundedInNumberAndInBytes) {
  for (int i = 0; i < 10; ++i) Push("l", absl::StrCat(i));
  const auto some = Ask<CacheScan::Items>([&](auto done) { scan_->ReadItems("l", 3, 4, std::move(done)); });
  EXPECT_EQ(some->length, 10);
  ASSERT_EQ(some->items.size(), 4u);
  EXPECT_EQ(some->items[0].body, "3");
  for (int i = 0; i < 4; ++i) Push("large", std::string(700'000, 'x'));
  const auto large = Ask<CacheScan::Items>([&](auto done) { scan_->ReadItems("large", 0, 100, std::move(done)); });
  EXPECT_EQ(large->length, 4);
  EXPECT_EQ(large->items.size(), 2u);
  // Small ones are looked at some at a time, large ones one by one.
  for (int i = 0; i < 40; ++i) Push("mixed", std::string(i < 20 ? 10 : 700'000, 'x'));
  redis_.Command({"CONFIG", "RESETSTAT"});
  const auto mixed = Ask<CacheScan::Items>([&](auto done) { scan_->ReadItems("mixed", 0, 1000, std::move(done)); });
  EXPECT_EQ(mixed->items.size(), 22u);
  const auto stats = redis_.Command({"INFO", "commandstats"});
  EXPECT_TRUE(absl::StrContains(*stats.view().String(), "cmdstat_lrange:calls=5,")) << *stats.view().String();
  const auto none = Ask<CacheScan::Items>([&](auto done) { scan_->ReadItems("none", 0, 100, std::move(done)); });
  EXPECT_EQ(none->length, 0);
}

TEST_P(ScanTest, RemovedIsWhatWasThere) {
  Save("a");
  Save("b");
  Push("a", "x");
  const auto values = Ask<int64_t>([&](auto done) {
    scan_->Remove(Kind::kValue, {"a", "b", "none"}, std::move(done));
  });
  EXPECT_EQ(*values, 2);
  EXPECT_THAT(Walk(Kind::kValue), IsEmpty());
  EXPECT_THAT(Walk(Kind::kList), ElementsAre("a"));
}

TEST_P(ScanTest, AListAppearsWithItsLastPartAndWakesWhoWaits) {
  const auto none = Ask<Attempt<CacheContent>>(
      [&](auto done) { store_->Pop("l", "", CacheWaiter{.boot = "boot", .number = 7}, std::move(done)); });
  ASSERT_FALSE(none->got.has_value());
  ASSERT_TRUE(Begin(one_).ok());
  EXPECT_THAT(Write(one_, {Part("l", 0, false, {"1", "2"})}), ElementsAre(Outcome::kStaged));
  EXPECT_THAT(Items("l"), IsEmpty());
  EXPECT_EQ(turns_.size(), 0u);
  EXPECT_THAT(Write(one_, {Part("l", 2, true, {"3"})}), ElementsAre(Outcome::kWritten));
  EXPECT_THAT(Items("l"), ElementsAre("1", "2", "3"));
  EXPECT_EQ(turns_.Next(), "l 7");
}

TEST_P(ScanTest, WhatIsWrittenTwiceIsThereOnceThoughItemsWereTakenMeanwhile) {
  ASSERT_TRUE(Begin(one_).ok());
  const std::vector<CacheRestorer::Entry> batch = {Value("v", "x"), Part("l", 0, false, {"1", "2"}, 1),
                                                   Part("l", 2, true, {"3"}, 1)};
  const auto outcomes = {Outcome::kWritten, Outcome::kStaged, Outcome::kWritten};
  EXPECT_THAT(Write(one_, batch), testing::ElementsAreArray(outcomes));
  const auto first = Ask<Attempt<CacheContent>>([&](auto done) { store_->Pop("l", "", {}, std::move(done)); });
  EXPECT_EQ(first->got->body, "1");
  // The node died before it was noted; another call goes on.
  LetLapse(one_);
  ASSERT_EQ(*Begin(two_), 0);
  EXPECT_THAT(Write(two_, batch), testing::ElementsAreArray(outcomes));
  EXPECT_THAT(Items("l"), ElementsAre("2", "3"));
  // Another restore of the same writes it anew.
  const CacheRestorer::Restore other = {.id = "other", .call = "four", .keep_existing = false};
  ASSERT_TRUE(Begin(other).ok());
  EXPECT_THAT(Write(other, batch), testing::ElementsAreArray(outcomes));
  EXPECT_THAT(Items("l"), ElementsAre("1", "2", "3"));
}

TEST_P(ScanTest, AListIsWrittenAnewWhenItsRestoreBeginsAnew) {
  ASSERT_TRUE(Begin(one_).ok());
  const std::vector<CacheRestorer::Entry> batch = {Part("l", 0, false, {"1", "2"}), Part("l", 2, true, {"3"})};
  Write(one_, batch);
  // It was cut before it was noted, and cleared.
  redis_.Command({"DEL", keys_.Cache(Kind::kRestore, "r")});
  redis_.Command({"DEL", keys_.Cache(Kind::kList, "l")});
  ASSERT_EQ(*Begin(two_), 0);
  EXPECT_THAT(Write(two_, batch), ElementsAre(Outcome::kStaged, Outcome::kWritten));
  EXPECT_THAT(Items("l"), ElementsAre("1", "2", "3"));
  // Or that is asked for.
  redis_.Command({"DEL", keys_.Cache(Kind::kList, "l")});
  LetLapse(two_);
  ASSERT_EQ(*Begin(one_, "something else", /*from_start=*/true), 0);
  EXPECT_THAT(Write(one_, batch), ElementsAre(Outcome::kStaged, Outcome::kWritten));
  EXPECT_THAT(Items("l"), ElementsAre("1", "2", "3"));
}

TEST_P(ScanTest, OneCallWaitsUntilTheOtherMayNotWriteAnyMore) {
  ASSERT_EQ(*Begin(one_), 0);
  EXPECT_EQ(standings_["one"].wait, absl::ZeroDuration());
  ASSERT_EQ(*Begin(two_), 0);
  EXPECT_GT(standings_["two"].wait, absl::ZeroDuration());
  EXPECT_LE(standings_["two"].wait, absl::Seconds(3));
  const std::vector<CacheRestorer::Entry> batch = {Value("v", "x"), Part("l", 0, true, {"1"}, 1)};
  EXPECT_THAT(Write(two_, batch), ElementsAre(Outcome::kLate, Outcome::kLate));
  EXPECT_THAT(Walk(Kind::kValue), IsEmpty());
  // One that comes third has not longer to wait.
  const CacheRestorer::Restore last = {.id = "r", .call = "last", .keep_existing = false};
  ASSERT_EQ(*Begin(last), 0);
  EXPECT_LE(standings_["last"].wait, standings_["two"].wait);
  LetLapse(last);
  ASSERT_TRUE(Note(last, 0).ok());
  EXPECT_THAT(Write(last, batch), ElementsAre(Outcome::kWritten, Outcome::kWritten));
  // What was held up for so long comes too late.
  standings_["one"].may_write = 1;
  EXPECT_THAT(Write(one_, {Value("v", "stale")}), ElementsAre(Outcome::kLate));
}

TEST_P(ScanTest, WhoeverRepeatsAnEndedRestoreHearsThatAllIsWritten) {
  ASSERT_TRUE(Begin(one_).ok());
  ASSERT_TRUE(End(one_, 17).ok());
  ASSERT_EQ(*Begin(two_), 17);
  EXPECT_EQ(standings_["two"].wait, absl::ZeroDuration()) << "nobody writes any more";
  ASSERT_TRUE(End(two_, 17).ok());
  const int64_t ttl = *redis_.Command({"TTL", keys_.Cache(Kind::kRestore, "r")}).view().Integer();
  EXPECT_TRUE(ttl > 100 && ttl <= 120) << ttl;
  EXPECT_EQ(*Begin(two_, "what", /*from_start=*/true), 0);
}

TEST_P(ScanTest, WhatIsWrittenOrRemovedIsToldBeforeAndAfter) {
  const fakes::Waiter<std::string> changes;
  thread_.Run([&] {
    restorer_->OnChange([changes](const std::string& key) { changes.Add("written " + key); });
    scan_->OnChange([changes](const std::string& key) { changes.Add("removed " + key); });
  });
  ASSERT_TRUE(Begin(one_).ok());
  Write(one_, {Value("v", "x"), Part("l", 0, true, {"1"}, 1)});
  for (int i = 0; i < 2; ++i) EXPECT_EQ(changes.Next(), "written v");
  for (const Kind kind : {Kind::kList, Kind::kValue}) {
    ASSERT_TRUE(Ask<int64_t>([&](auto done) { scan_->Remove(kind, {"v"}, std::move(done)); }).ok());
  }
  for (int i = 0; i < 2; ++i) EXPECT_EQ(changes.Next(), "removed v");
  EXPECT_EQ(changes.size(), 0u);
}

TEST_P(ScanTest, TwoCallsDoNotMixTheirParts) {
  ASSERT_TRUE(Begin(one_).ok());
  Write(one_, {Part("l", 0, false, {"1", "2"})});
  LetLapse(one_);
  ASSERT_TRUE(Begin(two_).ok());
  EXPECT_THAT(Write(two_, {Part("l", 2, true, {"c"})}), ElementsAre(Outcome::kGap));
  EXPECT_THAT(Write(two_, {Part("l", 0, false, {"a", "b"})}), ElementsAre(Outcome::kStaged));
  EXPECT_THAT(Write(one_, {Part("l", 2, true, {"3"})}), ElementsAre(Outcome::kGap));
  EXPECT_THAT(Write(two_, {Part("l", 2, true, {"c"})}), ElementsAre(Outcome::kWritten));
  EXPECT_THAT(Items("l"), ElementsAre("a", "b", "c"));
}

TEST_P(ScanTest, OnlyTheCallThatBeganLastGoesOn) {
  EXPECT_EQ(*Begin(one_), 0);
  EXPECT_EQ(*Note(one_, 17), 17);
  EXPECT_EQ(*Begin(two_), 17);
  EXPECT_TRUE(absl::IsAborted(Note(one_, 18).status()));
  EXPECT_TRUE(absl::IsAborted(End(one_, 18).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Begin(one_, "something else").status()));
  EXPECT_GT(*redis_.Command({"TTL", keys_.Cache(Keys::CacheKind::kRestore, "r")}).view().Integer(), 6 * 24 * 3600);
  redis_.Command({"DEL", keys_.Cache(Keys::CacheKind::kRestore, "r")});
  const absl::Status cleared = Note(two_, 18).status();
  EXPECT_TRUE(absl::IsAborted(cleared));
  EXPECT_TRUE(absl::StrContains(cleared.message(), "was cleared")) << cleared;
  EXPECT_EQ(KeyCount(), 0) << "a note begins nothing";
}

TEST_P(ScanTest, WhatIsThereIsKeptIfThatIsAskedFor) {
  Save("v", "mine");
  Push("l", "mine");
  ASSERT_TRUE(Begin(keeping_).ok());
  EXPECT_THAT(Write(keeping_, {Value("v", "x"), Value("new", "x"), Part("l", 0, false, {"1"}),
                               Part("l", 1, true, {"2"}), Part("m", 0, false, {"1"}, 4)}),
              ElementsAre(Outcome::kKept, Outcome::kWritten, Outcome::kKept, Outcome::kKept, Outcome::kStaged));
  EXPECT_THAT(Items("l"), ElementsAre("mine"));
  // It comes while its parts are written.
  Push("m", "theirs");
  EXPECT_THAT(Write(keeping_, {Part("m", 1, true, {"2"}, 4)}), ElementsAre(Outcome::kKept));
  EXPECT_THAT(Items("m"), ElementsAre("theirs"));
}

TEST_P(ScanTest, ARestoreLeavesNothingElse) {
  ASSERT_TRUE(Begin(one_).ok());
  Write(one_, {Part("l", 0, false, {"1"}), Part("l", 1, true, {"2"}), Value("v", "x")});
  EXPECT_EQ(*redis_.Command({"TTL", keys_.Cache(Kind::kList, "l")}).view().Integer(), -1);
  ASSERT_TRUE(Note(one_, 3).ok());
  thread_.Run([&] { restorer_->Forget({"l"}); });
  ASSERT_TRUE(End(one_, 3).ok());
  EXPECT_EQ(KeyCount(), 3) << "the value, the list, and that it has ended";
}

TEST_P(ScanTest, ValuesComeBackWithTheirTimes) {
  const absl::Time now = absl::Now();
  const absl::Time created = absl::FromUnixMicros(1'700'000'000'123'456);
  const absl::Time expires = absl::FromUnixMillis(absl::ToUnixMillis(now + absl::Hours(1)));
  CacheRestorer::Value value = {.content = {.kind = CacheContent::Kind::kInteger, .body = "-9223372036854775808"},
                                .created_at = created,
                                .expires_at = expires};
  CacheRestorer::Value late = value;
  late.expires_at = now - absl::Seconds(1);
  Save("late", "mine");
  ASSERT_TRUE(Begin(one_).ok());
  EXPECT_THAT(Write(one_, {{.key = "v", .what = value}, {.key = "late", .what = late}}),
              ElementsAre(Outcome::kWritten, Outcome::kExpired));
  const auto entry = Ask<std::optional<CacheEntry>>([&](auto done) { scan_->ReadValue("v", std::move(done)); });
  EXPECT_EQ((*entry)->content, value.content);
  EXPECT_EQ((*entry)->created_at, created);
  EXPECT_EQ((*entry)->expires_at, expires);
  EXPECT_GT((*entry)->version, 0);
  EXPECT_EQ(*redis_.Command({"PEXPIRETIME", keys_.Cache(Kind::kValue, "v")}).view().Integer(),
            absl::ToUnixMillis(expires));
}

}  // namespace
}  // namespace actioncluster
