#ifndef ACTIONCLUSTER_BACKPLANE_TASKS_TASK_SIGNALS_H_
#define ACTIONCLUSTER_BACKPLANE_TASKS_TASK_SIGNALS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "actioncluster/internal/v1/envelope.pb.h"
#include "backplane/bus/bus.h"
#include "backplane/keys/keys.h"
#include "backplane/membership/membership.h"
#include "backplane/redis/loop.h"
#include "backplane/tasks/task_store.h"

namespace actioncluster {

// Passes hints about queues on to the nodes that they are for, over the bus; those for this node do not leave it. At most once: whoever acts on hints also looks by
// itself now and then.
//
// Confined to the I/O thread; listeners are called on it, never inside Send.
class TaskSignals {
 public:
  // Whoever runs this node's workers.
  class WorkListener {
   public:
    virtual ~WorkListener() = default;
    // There may be something for these groups.
    virtual void OnWake(const std::string& queue, const std::vector<uint64_t>& groups) = 0;
    virtual void OnRevoked(const std::string& queue, const std::string& id, int64_t token, bool cancelled) = 0;
    // The queue is new: nobody waits at it yet.
    virtual void OnAppeared(const std::string& queue) = 0;
  };
  using ChangeListener = absl::AnyInvocable<void(const std::string& queue, const std::vector<std::string>& ids)>;

  // The references outlive this. Before Bus::Begin.
  TaskSignals(Loop& loop, Bus& bus, const Membership& membership, const Keys& keys);

  // Each once, before the bus begins.
  void SetWorkListener(WorkListener* listener) { work_ = listener; }
  void SetChangeListener(ChangeListener listener) { changed_ = std::move(listener); }
  // Hears of queues for which a wake found nobody: they have to be swept, so that another is woken.
  void SetUnheardListener(absl::AnyInvocable<void(const std::string& queue)> listener) {
    unheard_ = std::move(listener);
  }

  void Send(const std::string& queue, TaskHints hints);

 private:
  void SendTo(const std::string& boot, internal::v1::TaskSignal signal);
  void DeliverHere(internal::v1::TaskSignal signal);
  void Deliver(const internal::v1::TaskSignal& signal);

  Loop& loop_;
  Bus& bus_;
  const Membership& membership_;
  const Keys& keys_;
  WorkListener* work_ = nullptr;
  ChangeListener changed_;
  absl::AnyInvocable<void(const std::string&)> unheard_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_TASKS_TASK_SIGNALS_H_
