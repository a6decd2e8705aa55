#include "server/methods/drain_sequence.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "backplane/domain/clock.h"
#include "glog/logging.h"

namespace actioncluster {
namespace {

// A drain is rare, and nobody minds how exactly its end is met.
constexpr absl::Duration kCheckEvery = absl::Milliseconds(20);

}  // namespace

DrainSequence::DrainSequence(Loop& loop, Membership& membership, MethodHost& host, const Rpc& rpc)
    : membership_(membership), host_(host), rpc_(rpc), timer_(loop, [this] { Check(); }) {}

void DrainSequence::Begin(absl::Duration timeout, Done done) {
  if (!begun_) {
    begun_ = true;
    newest_ = rpc_.newest();
    std::vector<std::string> alternatives;
    for (const auto& [id, node] : membership_.directory().nodes()) {
      if (id != membership_.self().id && !node.draining() && !node.addresses().empty() && !IsOurs(node.addresses(0))) {
        alternatives.push_back(node.addresses(0));
      }
    }
    LOG(INFO) << "draining running=" << Busy() << " alternatives=" << alternatives.size();
    if (on_begin_) on_begin_(alternatives);
    host_.Drain(std::move(alternatives));
    membership_.SetDraining(true, [](const absl::Status& status) {
      LOG_IF(WARNING, !status.ok()) << "the drain is not announced: " << status;
    });
  }
  waiters_.push_back({.until = MonotonicNow() + timeout, .done = std::move(done)});
  timer_.Set(MonotonicNow());
}

void DrainSequence::Check() {
  const absl::Time now = MonotonicNow();
  const uint32_t busy = Busy();
  const auto over = std::stable_partition(waiters_.begin(), waiters_.end(),
                                          [&](const Waiter& waiter) { return busy > 0 && now < waiter.until; });
  std::vector<Waiter> ended(std::make_move_iterator(over), std::make_move_iterator(waiters_.end()));
  waiters_.erase(over, waiters_.end());
  if (!waiters_.empty()) timer_.Set(now + kCheckEvery);
  for (Waiter& waiter : ended) std::move(waiter.done)(busy);
}

// Callers that do not listen may go on to call: a drain does not wait for those calls, or it would never end.
uint32_t DrainSequence::Busy() const {
  size_t running = host_.running();
  for (const auto& also : also_) running += also();
  return static_cast<uint32_t>(running) + rpc_.WaitingUpTo(newest_);
}

bool DrainSequence::IsOurs(const std::string& address) const {
  const internal::v1::NodeRecord* self = membership_.directory().FindBoot(membership_.self().boot);
  return self != nullptr &&
         std::find(self->addresses().begin(), self->addresses().end(), address) != self->addresses().end();
}

}  // namespace actioncluster
