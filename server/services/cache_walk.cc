#include "server/services/cache_walk.h"

#include <algorithm>
#include <utility>

#include "backplane/domain/clock.h"

namespace actioncluster {
namespace {

// Timers are exact to a millisecond: shorter rests would be longer than that.
constexpr absl::Duration kWork = absl::Milliseconds(1);
// What takes longer than this is no work, but waits for somebody.
constexpr absl::Duration kLongest = absl::Milliseconds(3);

}  // namespace

CacheWalk::CacheWalk(Loop& loop, CacheScan& scan, CacheKind kind, std::string prefix)
    : scan_(scan), kind_(kind), prefix_(std::move(prefix)), since_(MonotonicNow()), rest_(loop, [this] { Step(); }) {}

void CacheWalk::Worked(absl::Duration time) { worked_ += std::min(time, kLongest); }

void CacheWalk::Next(CacheScan::Then<std::vector<std::string>> given) {
  given_ = std::move(given);
  const absl::Time now = MonotonicNow();
  Worked(now - since_);
  if (worked_ < kWork) return Step();
  rest_.Set(now + std::min(std::exchange(worked_, absl::ZeroDuration()), kLongest));
}

void CacheWalk::Step() {
  since_ = MonotonicNow();
  scan_.Next(kind_, prefix_, cursor_,
             [this, alive = std::weak_ptr<const bool>(alive_)](absl::StatusOr<CacheScan::Page> page) {
               if (alive.expired()) return;
               const absl::Time now = MonotonicNow();
               Worked(now - std::exchange(since_, now));
               CacheScan::Then<std::vector<std::string>> given = std::exchange(given_, nullptr);
               if (!page.ok()) return std::move(given)(page.status());
               cursor_ = std::move(page->next);
               std::move(given)(std::move(page->keys));
             });
}

}  // namespace actioncluster
