#include "backplane/rpc/moving_methods.h"

#include <algorithm>

namespace actioncluster {

void MovingMethods::OnNode(const NodeEvent& event, absl::Time now) {
  absl::erase_if(drained_, [now](const auto& drained) { return drained.second.until <= now; });
  // One that is lost has told nobody to go, unless it had drained before.
  if (!event.node.draining()) return;
  Drained& drained = drained_[event.node.boot_id()];
  drained.node_id = event.node.id();
  drained.methods.insert(event.node.methods().begin(), event.node.methods().end());
  drained.until = now + kLimit;
}

bool MovingMethods::Contains(absl::string_view method, absl::Time now) const {
  return std::any_of(drained_.begin(), drained_.end(), [&](const auto& drained) {
    return now < drained.second.until && drained.second.methods.contains(method);
  });
}

bool MovingMethods::HasDrained(absl::string_view node_id, absl::Time now) const {
  return std::any_of(drained_.begin(), drained_.end(), [&](const auto& drained) {
    return now < drained.second.until && drained.second.node_id == node_id;
  });
}

}  // namespace actioncluster
