#include "backplane/tasks/task_signals.h"

#include <map>
#include <utility>

#include "actioncluster/internal/v1/envelope.pb.h"

namespace actioncluster {

using internal::v1::Envelope;
using internal::v1::TaskSignal;

TaskSignals::TaskSignals(Loop& loop, Bus& bus, const Membership& membership, const Keys& keys)
    : loop_(loop), bus_(bus), membership_(membership), keys_(keys) {
  bus.Handle(Envelope::kTaskSignal, [this](const Envelope& envelope, absl::Time) { Deliver(envelope.task_signal()); });
}

void TaskSignals::Send(const std::string& queue, TaskHints hints) {
  std::map<std::string, TaskSignal> by_boot;
  for (const TaskHints::Wake& wake : hints.wakes) by_boot[wake.boot].add_woken_groups(wake.group);
  for (TaskHints::Change& change : hints.changes) by_boot[change.boot].add_changed(std::move(change.id));
  for (TaskHints::Revocation& revocation : hints.revoked) {
    TaskSignal::Revoked* revoked = by_boot[revocation.boot].add_revoked();
    revoked->set_id(std::move(revocation.id));
    revoked->set_token(revocation.token);
    revoked->set_cancelled(revocation.cancelled);
  }
  for (auto& [boot, signal] : by_boot) {
    signal.set_queue(queue);
    SendTo(boot, std::move(signal));
  }
  if (!hints.appeared) return;
  TaskSignal signal;
  signal.set_queue(queue);
  signal.set_appeared(true);
  Envelope envelope;
  *envelope.mutable_task_signal() = signal;
  bus_.Publish(keys_.ChannelAll(), std::move(envelope), [](const absl::StatusOr<int64_t>&) {});
  DeliverHere(std::move(signal));
}

void TaskSignals::SendTo(const std::string& boot, TaskSignal signal) {
  if (boot == membership_.self().boot) return DeliverHere(std::move(signal));
  const bool wakes = signal.woken_groups_size() > 0;
  std::string queue = signal.queue();
  Envelope envelope;
  *envelope.mutable_task_signal() = std::move(signal);
  bus_.Publish(keys_.ChannelBoot(boot), std::move(envelope),
               [this, alive = std::weak_ptr<const bool>(alive_), wakes,
                queue = std::move(queue)](const absl::StatusOr<int64_t>& receivers) {
                 // A node that has died, or was started anew, waits no more.
                 if (wakes && !alive.expired() && receivers.ok() && *receivers == 0 && unheard_) unheard_(queue);
               });
}

void TaskSignals::DeliverHere(TaskSignal signal) {
  loop_.Post([this, alive = std::weak_ptr<const bool>(alive_), signal = std::move(signal)] {
    if (!alive.expired()) Deliver(signal);
  });
}

void TaskSignals::Deliver(const TaskSignal& signal) {
  if (work_ != nullptr) {
    if (signal.woken_groups_size() > 0) {
      work_->OnWake(signal.queue(), {signal.woken_groups().begin(), signal.woken_groups().end()});
    }
    for (const TaskSignal::Revoked& revoked : signal.revoked()) {
      work_->OnRevoked(signal.queue(), revoked.id(), revoked.token(), revoked.cancelled());
    }
    if (signal.appeared()) work_->OnAppeared(signal.queue());
  }
  if (changed_ && signal.changed_size() > 0)
    changed_(signal.queue(), {signal.changed().begin(), signal.changed().end()});
}

}  // namespace actioncluster
