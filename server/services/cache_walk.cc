#include "server/services/cache_walk.h"

#include <algorithm>
#include <utility>

#include "backplane/domain/clock.h"

namespace actioncluster {
namespace {

// Timers are exact to a millisecond: shorter rests would be longer than that.
constexpr absl::Duration kWork = absl::Milliseconds(1);
// What a step takes Redis and this node, about; the rest of the time it waits in line behind others, who are not to be held up by that.
constexpr absl::Duration kStep = absl::Microseconds(250);
constexpr absl::Duration kLongestRest = absl::Milliseconds(3);

}  // namespace

CacheWalk::CacheWalk(Loop& loop, CacheScan& scan, CacheKind kind, std::string prefix, absl::Duration most)
    : scan_(scan), kind_(kind), prefix_(std::move(prefix)), most_(most), rest_(loop, [this] { Step(); }) {}

void CacheWalk::Next(CacheScan::Then<std::vector<std::string>> given) {
  given_ = std::move(given);
  const absl::Time now = MonotonicNow();
  if (since_.has_value()) worked_ += kStep + std::min(now - *since_, most_);
  if (worked_ < kWork) return Step();
  rest_.Set(now + std::min(std::exchange(worked_, absl::ZeroDuration()), kLongestRest));
}

void CacheWalk::Step() {
  scan_.Next(kind_, prefix_, cursor_,
             [this, alive = std::weak_ptr<const bool>(alive_)](absl::StatusOr<CacheScan::Page> page) {
               if (alive.expired()) return;
               since_ = MonotonicNow();
               CacheScan::Then<std::vector<std::string>> given = std::exchange(given_, nullptr);
               if (!page.ok()) return std::move(given)(page.status());
               cursor_ = std::move(page->next);
               std::move(given)(std::move(page->keys));
             });
}

}  // namespace actioncluster
