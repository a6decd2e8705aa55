#include "server/services/cache_operations.h"

namespace actioncluster::cache_operations {
namespace {

// An operation that is no more than checked options.
template <class Operation, class Options>
absl::StatusOr<Operation> With(absl::StatusOr<Options> options) {
  if (!options.ok()) return options.status();
  Operation operation;
  operation.options = *std::move(options);
  return operation;
}

// One that has a key and a claim.
template <class Operation, class Request>
absl::StatusOr<Operation> WithClaim(const Request& request, const CacheLimits& limits) {
  if (absl::Status valid = ValidateCacheKey(request.key(), limits); !valid.ok()) return valid;
  absl::StatusOr<CacheClaim> claim = CacheClaimOf(request);
  if (!claim.ok()) return claim.status();
  Operation operation;
  operation.key = request.key();
  operation.claim = *std::move(claim);
  return operation;
}

}  // namespace

absl::StatusOr<Save> Save::Of(const Request& request, const CacheLimits& limits) {
  return With<Save>(SaveOptionsOf(request, limits));
}

absl::StatusOr<CompareAndSave> CompareAndSave::Of(const Request& request, const CacheLimits& limits) {
  return With<CompareAndSave>(SaveOptionsOf(request, limits));
}

absl::StatusOr<Load> Load::Of(const Request& request, const CacheLimits& limits) {
  absl::StatusOr<Load> load = With<Load>(LoadOptionsOf(request, limits));
  if (!load.ok()) return load;
  load->allow_near = request.allow_near() && load->options.is_plain();
  if (request.has_wait_for_lock()) {
    const absl::StatusOr<absl::Duration> wait = CacheWaitOf(request.wait_for_lock(), "wait_for_lock");
    if (!wait.ok()) return wait.status();
    load->wait = *wait;
  }
  return load;
}

std::optional<Load::Outcome> Load::FindNear(NearCache* near) const {
  if (near == nullptr || !allow_near) return std::nullopt;
  std::optional<CacheEntry> entry = near->Find(options.key, MonotonicNow());
  if (!entry.has_value()) return std::nullopt;
  return Outcome{.entry = *std::move(entry), .near = true};
}

CallId Load::Start(const Place& place, absl::Time until, Then<Outcome> done) const {
  return place.cache.Load(options, until, allow_near,
                          [done = std::move(done)](absl::StatusOr<CacheEntry> entry) mutable {
                            if (entry.ok()) {
                              std::move(done)(Outcome{.entry = *std::move(entry)});
                            } else {
                              std::move(done)(entry.status());
                            }
                          });
}

absl::StatusOr<Destroy> Destroy::Of(const Request& request, const CacheLimits& limits) {
  return WithClaim<Destroy>(request, limits);
}

absl::StatusOr<Increment> Increment::Of(const Request& request, const CacheLimits& limits) {
  return With<Increment>(IncrementOptionsOf(request, limits));
}

absl::StatusOr<Lock> Lock::Of(const Request& request, const CacheLimits& limits) {
  absl::StatusOr<Lock> lock = With<Lock>(LockOptionsOf(request, limits));
  if (!lock.ok() || !request.has_wait_for()) return lock;
  const absl::StatusOr<absl::Duration> wait = CacheWaitOf(request.wait_for(), "wait_for");
  if (!wait.ok()) return wait.status();
  lock->wait = *wait;
  return lock;
}

absl::StatusOr<Unlock> Unlock::Of(const Request& request, const CacheLimits& limits) {
  absl::StatusOr<Unlock> unlock = WithClaim<Unlock>(request, limits);
  if (unlock.ok() && request.holder().empty() && request.token() == 0) {
    return absl::InvalidArgumentError("it takes holder or token");
  }
  return unlock;
}

absl::StatusOr<CheckLock> CheckLock::Of(const Request& request, const CacheLimits& limits) {
  if (absl::Status valid = ValidateCacheKey(request.key(), limits); !valid.ok()) return valid;
  if (absl::Status valid = ValidateCacheHolder(request.holder()); !valid.ok()) return valid;
  CheckLock check;
  check.key = request.key();
  check.holder = request.holder();
  return check;
}

CallId CheckLock::Start(const Place& place, absl::Time /*until*/, Then<Outcome> done) const {
  place.cache.store().CheckLock(
      key, [done = std::move(done), who = holder](absl::StatusOr<std::optional<HeldLock>> lock) mutable {
        if (!lock.ok()) return std::move(done)(lock.status());
        const bool obtainable = !lock->has_value() || (*lock)->holder == who;
        std::move(done)(Outcome{.lock = *std::move(lock), .obtainable = obtainable});
      });
  return 0;
}

void CheckLock::Set(Outcome found, Response* response) {
  response->set_obtainable(found.obtainable);
  if (!found.lock.has_value()) return;
  response->set_held_by(std::move(found.lock->holder));
  *response->mutable_expires_at() = TimeToProto(found.lock->expires_at);
}

absl::StatusOr<Push> Push::Of(const Request& request, const CacheLimits& limits) {
  return With<Push>(PushOptionsOf(request, limits));
}

absl::StatusOr<Pop> Pop::Of(const Request& request, const CacheLimits& limits) {
  if (absl::Status valid = ValidateCacheKey(request.key(), limits); !valid.ok()) return valid;
  if (absl::Status valid = ValidateCacheRequestId(request.request_id()); !valid.ok()) return valid;
  Pop pop{.key = request.key(), .request_id = request.request_id()};
  if (!request.has_wait_for()) return pop;
  const absl::StatusOr<absl::Duration> wait = CacheWaitOf(request.wait_for(), "wait_for");
  if (!wait.ok()) return wait.status();
  pop.wait = *wait;
  return pop;
}

absl::StatusOr<ListLength> ListLength::Of(const Request& request, const CacheLimits& limits) {
  if (absl::Status valid = ValidateCacheKey(request.key(), limits); !valid.ok()) return valid;
  ListLength length;
  length.key = request.key();
  return length;
}

}  // namespace actioncluster::cache_operations
