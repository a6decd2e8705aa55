#ifndef ACTIONCLUSTER_SERVER_SERVICES_CACHE_WAITS_H_
#define ACTIONCLUSTER_SERVER_SERVICES_CACHE_WAITS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"

namespace actioncluster {

// The unary calls of this node that wait in lines of the cache, so that a node that stops can end them. Confined to the I/O thread.
class CacheWaits {
 public:
  using Id = uint64_t;
  // Ends the call with this status. It may call Remove.
  using End = absl::AnyInvocable<void(const absl::Status& why) &&>;

  // After CloseAll it is ended at once, inside the call.
  Id Add(End end) {
    if (closed_.has_value()) {
      std::move(end)(*closed_);
      return 0;
    }
    ends_.emplace(++last_, std::move(end));
    return last_;
  }
  // The call has ended. Does nothing if it is not here.
  void Remove(Id id) { ends_.erase(id); }

  void CloseAll(const absl::Status& why) {
    closed_ = why;
    for (auto& [id, end] : std::exchange(ends_, {})) std::move(end)(why);
  }

  size_t size() const { return ends_.size(); }

 private:
  Id last_ = 0;
  absl::flat_hash_map<Id, End> ends_;
  std::optional<absl::Status> closed_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_CACHE_WAITS_H_
