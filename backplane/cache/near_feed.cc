#include "backplane/cache/near_feed.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"

namespace actioncluster {
namespace {

redis::LinkOptions Named(redis::LinkOptions link) {
  if (!link.client_name.empty()) link.client_name += "-near";
  return link;
}

}  // namespace

NearFeed::NearFeed(Loop& loop, redis::Client& commands, redis::LinkOptions link, const Keys& keys, NearCache& cache,
                   absl::Duration ask_every)
    : keys_(keys),
      cache_(cache),
      tracker_(loop, Named(std::move(link)),
               {keys.CachePrefix(Keys::CacheKind::kValue), keys.CachePrefix(Keys::CacheKind::kLock)}, ask_every,
               *this) {
  commands.OnState([this, alive = std::weak_ptr<const bool>(alive_)](const absl::Status& state) {
    if (state.ok() || alive.expired()) return;
    cache_.Doubt();
    tracker_.Reset(state);
  });
}

void NearFeed::Changed(const std::vector<absl::string_view>& names) {
  std::vector<std::string> changed;
  changed.reserve(names.size());
  for (const absl::string_view name : names) {
    std::optional<std::string> key = keys_.CacheKeyOf(Keys::CacheKind::kValue, name);
    if (!key.has_value()) key = keys_.CacheKeyOf(Keys::CacheKind::kLock, name);
    // Otherwise it is the name of no key: nothing is kept under it.
    if (key.has_value()) changed.push_back(*std::move(key));
  }
  cache_.Changed(changed);
}

}  // namespace actioncluster
