#include "backplane/cache/shared_cache.h"

#include <memory>
#include <utility>

#include "backplane/cache/cache_wire.h"

namespace actioncluster {
namespace {

// Waits for something that the store gives by attempts. What it came to last, for each of the calls that follow.
template <class T>
class StoreWait : public LineWait {
 protected:
  explicit StoreWait(CacheStore& store) : store_(store) {}

  CacheStore::Then<Attempt<T>> Note(absl::AnyInvocable<void(Outcome) &&> tried) {
    return [this, tried = std::move(tried)](absl::StatusOr<Attempt<T>> attempt) mutable {
      last_ = std::move(attempt);
      if (!last_.ok()) return std::move(tried)({.result = LineTable::Result::kFailed, .changes_in = std::nullopt});
      std::move(tried)({.result = last_->got.has_value() ? LineTable::Result::kGot : LineTable::Result::kWaits,
                        .changes_in = last_->changes_in});
    };
  }

  CacheStore& store_;
  absl::StatusOr<Attempt<T>> last_ = Attempt<T>{};
};

// The attempts of those who do not wait.
void LoadNow(CacheStore& store, const LoadOptions& options, SharedCache::Then<CacheEntry> done) {
  store.Load(options, std::nullopt,
             [key = options.key, done = std::move(done)](absl::StatusOr<Attempt<CacheEntry>> attempt) mutable {
               if (!attempt.ok()) return std::move(done)(attempt.status());
               if (!attempt->got.has_value()) return std::move(done)(cache_wire::KeyLocked(key, attempt->held_by));
               std::move(done)(*std::move(attempt->got));
             });
}

LockOutcome OutcomeOf(const Attempt<LockGrant>& attempt) {
  LockOutcome outcome;
  outcome.acquired = attempt.got.has_value();
  outcome.held_by = attempt.held_by;
  if (outcome.acquired) {
    outcome.token = attempt.got->token;
    outcome.expires_at = attempt.got->expires_at;
  }
  return outcome;
}

void LockNow(CacheStore& store, const LockOptions& options, SharedCache::Then<LockOutcome> done) {
  store.Lock(options, std::nullopt,
             [done = std::move(done)](const absl::StatusOr<Attempt<LockGrant>>& attempt) mutable {
               if (!attempt.ok()) return std::move(done)(attempt.status());
               std::move(done)(OutcomeOf(*attempt));
             });
}

void PopNow(CacheStore& store, const std::string& key, const CacheRequestId& request_id,
            SharedCache::Then<std::optional<CacheContent>> done) {
  store.Pop(key, request_id, std::nullopt,
            [done = std::move(done)](absl::StatusOr<Attempt<CacheContent>> attempt) mutable {
              if (!attempt.ok()) return std::move(done)(attempt.status());
              std::move(done)(std::move(attempt->got));
            });
}

class LoadWait final : public StoreWait<CacheEntry> {
 public:
  LoadWait(CacheStore& store, const LoadOptions& options, SharedCache::Then<CacheEntry> done)
      : StoreWait(store), options_(options), done_(std::move(done)) {}

  void Try(const CacheWaiter& waiter, absl::AnyInvocable<void(Outcome) &&> tried) override {
    store_.Load(options_, waiter, Note(std::move(tried)));
  }
  void Finish() override {
    if (!last_.ok()) return std::move(done_)(last_.status());
    std::move(done_)(*std::move(last_->got));
  }
  // Its holder may have got the lock by another call meanwhile.
  void TimedOut() override { LoadNow(store_, options_, std::move(done_)); }
  void GiveBack() override {}

 private:
  const LoadOptions options_;
  SharedCache::Then<CacheEntry> done_;
};

class LockWait final : public StoreWait<LockGrant> {
 public:
  LockWait(CacheStore& store, const LockOptions& options, SharedCache::Then<LockOutcome> done)
      : StoreWait(store), options_(options), done_(std::move(done)) {}

  void Try(const CacheWaiter& waiter, absl::AnyInvocable<void(Outcome) &&> tried) override {
    store_.Lock(options_, waiter, Note(std::move(tried)));
  }
  void Finish() override {
    if (!last_.ok()) return std::move(done_)(last_.status());
    std::move(done_)(OutcomeOf(*last_));
  }
  // The same holder may have it by another call meanwhile; and it is true then who has it.
  void TimedOut() override { LockNow(store_, options_, std::move(done_)); }
  void GiveBack() override {
    // Another call of the same holder had it before, and has it still.
    if (!last_->got->renewed) store_.GiveBack(options_.key, *last_->got, [](const absl::StatusOr<bool>&) {});
  }

 private:
  const LockOptions options_;
  SharedCache::Then<LockOutcome> done_;
};

class PopWait final : public StoreWait<CacheContent> {
 public:
  PopWait(CacheStore& store, std::string key, CacheRequestId request_id,
          SharedCache::Then<std::optional<CacheContent>> done)
      : StoreWait(store), key_(std::move(key)), request_id_(std::move(request_id)), done_(std::move(done)) {}

  void Try(const CacheWaiter& waiter, absl::AnyInvocable<void(Outcome) &&> tried) override {
    store_.Pop(key_, request_id_, waiter, Note(std::move(tried)));
  }
  void Finish() override {
    if (!last_.ok()) return std::move(done_)(last_.status());
    std::move(done_)(std::move(last_->got));
  }
  // The same call may have got an item meanwhile, where it was made before.
  void TimedOut() override {
    if (request_id_.empty()) return std::move(done_)(std::nullopt);
    PopNow(store_, key_, request_id_, std::move(done_));
  }
  void GiveBack() override {
    // Whoever named the call may repeat it, and gets the item then.
    if (request_id_.empty()) store_.PutBack(key_, *last_->got, [](const absl::StatusOr<int64_t>&) {});
  }

 private:
  const std::string key_;
  const CacheRequestId request_id_;
  SharedCache::Then<std::optional<CacheContent>> done_;
};

}  // namespace

SharedCache::CallId SharedCache::Load(const LoadOptions& options, absl::Time until, bool allow_near,
                                      Then<CacheEntry> done) {
  if (until > MonotonicNow()) {
    return lines_.Wait({CacheLineRef::Kind::kLock, options.key}, until,
                       std::make_unique<LoadWait>(store_, options, std::move(done)));
  }
  if (options.is_plain()) {
    Look(options, allow_near, std::move(done));
    return 0;
  }
  LoadNow(store_, options, std::move(done));
  return 0;
}

void SharedCache::Look(const LoadOptions& options, bool allow_near, Then<CacheEntry> done) {
  // What a holder sees of its locked key is nobody else's.
  std::optional<NearCache::Fill> fill;
  if (allow_near && near_ != nullptr && options.holder.empty() && clock_.known()) {
    fill = near_->Open(options.key, MonotonicNow());
  }
  if (!fill.has_value()) return store_.Look(options.key, options.holder, std::move(done));
  store_.Look(options.key, options.holder,
              [this, alive = std::weak_ptr<const bool>(alive_), key = options.key, fill = *fill,
               done = std::move(done)](absl::StatusOr<CacheEntry> entry) mutable {
                if (alive.expired()) return std::move(done)(std::move(entry));
                absl::Time expires = absl::InfiniteFuture();
                if (entry.ok() && entry->expires_at.has_value()) {
                  expires = clock_.ToMonotonic(*entry->expires_at) - clock_.Uncertainty(MonotonicNow());
                }
                near_->Close(key, fill, entry.ok() ? std::optional<CacheEntry>(*entry) : std::nullopt, expires);
                std::move(done)(std::move(entry));
              });
}

SharedCache::CallId SharedCache::Lock(const LockOptions& options, absl::Time until, Then<LockOutcome> done) {
  if (until > MonotonicNow()) {
    return lines_.Wait({CacheLineRef::Kind::kLock, options.key}, until,
                       std::make_unique<LockWait>(store_, options, std::move(done)));
  }
  LockNow(store_, options, std::move(done));
  return 0;
}

SharedCache::CallId SharedCache::Pop(const std::string& key, const CacheRequestId& request_id, absl::Time until,
                                     Then<std::optional<CacheContent>> done) {
  if (until > MonotonicNow()) {
    return lines_.Wait({CacheLineRef::Kind::kList, key}, until,
                       std::make_unique<PopWait>(store_, key, request_id, std::move(done)));
  }
  PopNow(store_, key, request_id, std::move(done));
  return 0;
}

}  // namespace actioncluster
