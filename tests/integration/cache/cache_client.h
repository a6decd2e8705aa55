#ifndef ACTIONCLUSTER_TESTS_INTEGRATION_CACHE_CACHE_CLIENT_H_
#define ACTIONCLUSTER_TESTS_INTEGRATION_CACHE_CACHE_CLIENT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "backplane/cache/cache.h"
#include "backplane/cache/cache_store.h"
#include "backplane/keys/keys.h"
#include "backplane/redis/client.h"
#include "backplane/scripts/scripts.h"
#include "glog/logging.h"
#include "tests/fakes/loop_thread.h"
#include "tests/fakes/redis_server.h"
#include "tests/fakes/waiter.h"

namespace actioncluster {

// The store's steps, blocking. One thread.
class CacheClient {
 public:
  static constexpr int64_t kMaxListLength = 5;

  explicit CacheClient(const fakes::RedisServer& redis) {
    thread_.Run([&] {
      redis::LinkOptions options;
      options.endpoint = redis.endpoint();
      client_ = std::make_unique<redis::Client>(thread_.loop(), options, scripts::All());
      client_->OnState([states = states_](const absl::Status& state) { states.Add(state); });
      store_ = std::make_unique<CacheStore>(*client_, keys_, kMaxListLength,
                                            [this](const CacheLineRef&, std::vector<CacheWaiter> waiters) {
                                              for (CacheWaiter& waiter : waiters) turns_.Add(std::move(waiter));
                                            });
      store_->OnChange([this](const std::string& key) { changes_.Add(key); });
    });
    CHECK(states_.NextThat([](const absl::Status& state) { return state.ok(); }).ok());
  }
  ~CacheClient() {
    thread_.Run([&] {
      client_.reset();
      store_.reset();
    });
  }

  // Calls a method of the store, and gives what its callback heard.
  template <class T, class Start>
  absl::StatusOr<T> Ask(Start start) {
    const fakes::Waiter<absl::StatusOr<T>> waiter;
    thread_.Run([&] { start(*store_, waiter.Callback()); });
    return waiter.Next();
  }

  absl::StatusOr<SaveOutcome> Save(const SaveOptions& options) {
    return Ask<SaveOutcome>([&](CacheStore& store, auto done) { store.Save(options, std::move(done)); });
  }
  absl::StatusOr<SaveOutcome> Save(const std::string& body, CacheClaim claim = {}) {
    return Save(SaveOf(body, std::move(claim)));
  }
  static SaveOptions SaveOf(const std::string& body, CacheClaim claim = {}) {
    SaveOptions options;
    options.key = kKey;
    options.content = {.kind = CacheContent::Kind::kBytes, .body = body};
    options.claim = std::move(claim);
    return options;
  }
  absl::StatusOr<CacheEntry> Look(const std::string& holder = "") {
    return Ask<CacheEntry>([&](CacheStore& store, auto done) { store.Look(kKey, holder, std::move(done)); });
  }
  absl::StatusOr<Attempt<CacheEntry>> Load(const LoadOptions& options, std::optional<CacheWaiter> waiter = {}) {
    return Ask<Attempt<CacheEntry>>(
        [&](CacheStore& store, auto done) { store.Load(options, waiter, std::move(done)); });
  }
  absl::StatusOr<bool> Destroy(const CacheClaim& claim = {}) {
    return Ask<bool>([&](CacheStore& store, auto done) { store.Destroy(kKey, claim, std::move(done)); });
  }
  absl::StatusOr<IncrementOutcome> Increment(int64_t by, const CacheRequestId& request_id = "") {
    IncrementOptions options;
    options.key = kKey;
    options.by = by;
    options.request_id = request_id;
    return Ask<IncrementOutcome>([&](CacheStore& store, auto done) { store.Increment(options, std::move(done)); });
  }
  absl::StatusOr<Attempt<LockGrant>> Lock(const std::string& holder, std::optional<CacheWaiter> waiter = {},
                                          absl::Duration expire_after = absl::Minutes(1)) {
    return Ask<Attempt<LockGrant>>([&](CacheStore& store, auto done) {
      store.Lock({.key = kKey, .holder = holder, .expire_after = expire_after}, waiter, std::move(done));
    });
  }
  // The token.
  int64_t MustLock(const std::string& holder, std::optional<CacheWaiter> waiter = {},
                   absl::Duration expire_after = absl::Minutes(1)) {
    const auto attempt = Lock(holder, std::move(waiter), expire_after);
    CHECK(attempt.ok() && attempt->got.has_value()) << attempt.status() << " " << holder;
    return attempt->got->token;
  }
  absl::StatusOr<bool> Unlock(const CacheClaim& claim) {
    return Ask<bool>([&](CacheStore& store, auto done) { store.Unlock(kKey, claim, std::move(done)); });
  }
  absl::StatusOr<bool> GiveBack(const LockGrant& grant) {
    return Ask<bool>([&](CacheStore& store, auto done) { store.GiveBack(kKey, grant, std::move(done)); });
  }
  absl::StatusOr<std::optional<HeldLock>> CheckLock() {
    return Ask<std::optional<HeldLock>>([&](CacheStore& store, auto done) { store.CheckLock(kKey, std::move(done)); });
  }
  absl::StatusOr<int64_t> Push(const std::string& item, const CacheRequestId& request_id = "") {
    const PushOptions options = {.key = kKey, .item = Item(item), .request_id = request_id};
    return Ask<int64_t>([&](CacheStore& store, auto done) { store.Push(options, std::move(done)); });
  }
  absl::StatusOr<int64_t> PutBack(const std::string& item) {
    return Ask<int64_t>([&](CacheStore& store, auto done) { store.PutBack(kKey, Item(item), std::move(done)); });
  }
  static CacheContent Item(const std::string& item) { return {.kind = CacheContent::Kind::kBytes, .body = item}; }
  absl::StatusOr<Attempt<CacheContent>> Pop(std::optional<CacheWaiter> waiter = {},
                                            const CacheRequestId& request_id = "") {
    return Ask<Attempt<CacheContent>>(
        [&](CacheStore& store, auto done) { store.Pop(kKey, request_id, waiter, std::move(done)); });
  }
  // What came: "" if nothing.
  std::string Popped(std::optional<CacheWaiter> waiter = {}, const CacheRequestId& request_id = "") {
    const auto attempt = Pop(std::move(waiter), request_id);
    CHECK(attempt.ok()) << attempt.status();
    return attempt->got.has_value() ? attempt->got->body : "";
  }
  absl::StatusOr<int64_t> ListLength() {
    return Ask<int64_t>([&](CacheStore& store, auto done) { store.ListLength(kKey, std::move(done)); });
  }
  absl::StatusOr<CacheStore::Watch> Wait(CacheLineRef::Kind kind, const std::string& boot, bool waiting,
                                         const std::vector<uint64_t>& gone = {}) {
    return Ask<CacheStore::Watch>([&](CacheStore& store, auto done) {
      store.Wait({.kind = kind, .key = kKey}, boot, waiting, gone, std::move(done));
    });
  }

  // Whose turns have come, in that order.
  const fakes::Waiter<CacheWaiter>& turns() const { return turns_; }
  uint64_t NextTurn() { return turns_.Next().number; }

  // Of which keys the store has said that a step may have changed them; forgets them.
  size_t TakeChanges() {
    size_t count = changes_.size();
    for (size_t i = 0; i < count; ++i) CHECK_EQ(kKey, changes_.Next());
    return count;
  }

  static constexpr char kKey[] = "the {key} of 100%";
  const Keys& keys() const { return keys_; }

 private:
  const Keys keys_{fakes::kNamespace};
  const fakes::Waiter<absl::Status> states_;
  const fakes::Waiter<CacheWaiter> turns_;
  const fakes::Waiter<std::string> changes_;
  fakes::LoopThread thread_;
  std::unique_ptr<redis::Client> client_;
  std::unique_ptr<CacheStore> store_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_TESTS_INTEGRATION_CACHE_CACHE_CLIENT_H_
