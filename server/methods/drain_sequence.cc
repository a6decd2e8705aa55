#include "server/methods/drain_sequence.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <string>
#include <utility>

#include "backplane/domain/clock.h"
#include "glog/logging.h"

namespace actioncluster {
namespace {

// A drain is rare, and nobody minds how exactly its end is met.
constexpr absl::Duration kCheckEvery = absl::Milliseconds(20);
// Of those that have not said that they stay only until they are elsewhere.
constexpr absl::Duration kLeaveLimit = absl::Seconds(3);
// Of the timeout, for those that have: what they still run then has the rest.
constexpr double kStayShare = 0.8;
// What others send before they have heard that nothing is offered here any more is still declined: they then ask elsewhere. A node that is gone could not tell them that it has not run it.
constexpr absl::Duration kSettle = absl::Milliseconds(100);

}  // namespace

DrainSequence::DrainSequence(Loop& loop, Membership& membership, MethodHost& host, const Rpc& rpc)
    : membership_(membership), host_(host), rpc_(rpc), timer_(loop, [this] { Check(); }) {}

void DrainSequence::Begin(absl::Duration timeout, Done done, Calls calls) {
  if (!begun_) {
    begun_ = true;
    newest_ = rpc_.newest();
    leave_until_ = MonotonicNow() + std::min(timeout / 2, kLeaveLimit);
    stay_until_ = MonotonicNow() + timeout * kStayShare;
    settle_ = host_.offers_any() ? kSettle : absl::ZeroDuration();
    // First, so that whoever is declined can find out why.
    membership_.SetDraining(true, [this, alive = std::weak_ptr<const bool>(alive_)](const absl::Status& status) {
      if (alive.expired()) return;  // Membership outlives this, and ends what it has begun.
      LOG_IF(WARNING, !status.ok()) << "the drain is not announced: " << status;
      Tell();
    });
  }
  if (calls == Calls::kAreOver) newest_ = std::numeric_limits<CallId>::max();
  waiters_.push_back({.until = MonotonicNow() + timeout, .done = std::move(done)});
  timer_.Set(MonotonicNow());
}

void DrainSequence::Tell() {
  if (std::exchange(told_, true)) return;
  std::vector<std::string> alternatives;
  for (const auto& [id, node] : membership_.directory().nodes()) {
    if (id != membership_.self().id && !node.draining() && !node.addresses().empty() && !IsOurs(node.addresses(0))) {
      alternatives.push_back(node.addresses(0));
    }
  }
  LOG(INFO) << "draining running=" << Busy() << " alternatives=" << alternatives.size();
  if (on_begin_) on_begin_(alternatives);
  host_.Drain(std::move(alternatives));
}

void DrainSequence::Check() {
  const absl::Time now = MonotonicNow();
  if (settled_at_ == absl::InfiniteFuture() && ((told_ && HaveLeft(now)) || now >= stay_until_)) {
    settled_at_ = now + settle_;
    Tell();
    host_.Decline();
  }
  const uint32_t busy = Busy();
  const bool over = busy == 0 && now >= settled_at_;
  const auto ending = std::stable_partition(waiters_.begin(), waiters_.end(),
                                            [&](const Waiter& waiter) { return !over && now < waiter.until; });
  std::vector<Waiter> ended(std::make_move_iterator(ending), std::make_move_iterator(waiters_.end()));
  waiters_.erase(ending, waiters_.end());
  if (!waiters_.empty()) timer_.Set(now + kCheckEvery);
  for (Waiter& waiter : ended) std::move(waiter.done)(busy);
}

bool DrainSequence::HaveLeft(absl::Time now) const {
  const auto none = [](const auto& staying) { return staying() == 0; };
  return host_.staying() == 0 && (now >= leave_until_ || std::all_of(leaving_.begin(), leaving_.end(), none));
}

uint32_t DrainSequence::Busy() const {
  size_t running = host_.running() + rpc_.unsent();
  for (const auto& also : also_) running += also();
  return static_cast<uint32_t>(running) + rpc_.WaitingUpTo(newest_);
}

bool DrainSequence::IsOurs(const std::string& address) const {
  const internal::v1::NodeRecord* self = membership_.directory().FindBoot(membership_.self().boot);
  return self != nullptr &&
         std::find(self->addresses().begin(), self->addresses().end(), address) != self->addresses().end();
}

}  // namespace actioncluster
