#ifndef ACTIONCLUSTER_SERVER_METHODS_METHOD_HOST_H_
#define ACTIONCLUSTER_SERVER_METHODS_METHOD_HOST_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "backplane/bus/bus.h"
#include "backplane/keys/keys.h"
#include "backplane/membership/membership.h"
#include "backplane/redis/loop.h"
#include "backplane/rpc/local_methods.h"
#include "server/methods/method_table.h"
#include "server/methods/node_methods.h"

namespace actioncluster {

// Runs the calls that arrive at this node, and keeps what it offers to the cluster in step with the applications that are attached: a method's channel is
// confirmed before the directory names this node for it, and given up after the directory no longer does. So a node that is found for a method hears it.
//
// Confined to the I/O thread.
class MethodHost final : public LocalMethods {
 public:
  using AppId = MethodTable::AppId;

  // The references outlive this.
  MethodHost(Loop& loop, Bus& bus, Membership& membership, const Keys& keys, NodeMethods& node_methods);

  AppId Attach(std::shared_ptr<Application> application);
  // `registered` hears OK when every node finds the methods here, or BACKPLANE_UNAVAILABLE, at once while the bus does not carry; never inside this call. Dropped unrun if the application goes before.
  void Register(AppId id, std::set<std::string> methods, size_t max_in_flight, absl::Duration heartbeat_timeout,
                bool stays, absl::AnyInvocable<void(absl::Status) &&> registered);
  void Heard(AppId id);
  void Reply(AppId id, const std::string& call_id, Outcome outcome);
  void Detach(AppId id);

  // From now on applications are told where else to go; those that stay until they are there are called meanwhile.
  void Drain(std::vector<std::string> alternatives) { table_.Drain(std::move(alternatives)); }
  // From now on calls of what applications offer are declined.
  void Decline() { table_.Decline(); }
  void CloseAll(const absl::Status& why);

  size_t running() const { return table_.running(); }
  size_t applications() const { return table_.applications(); }
  size_t staying() const { return table_.staying(); }
  // Whether any application here offers something.
  bool offers_any() const { return table_.offers_any(); }

  // Says which connections this node holds; without it, none. Before calls arrive.
  void SetHolds(absl::AnyInvocable<bool(absl::string_view connection_id) const> holds) { holds_ = std::move(holds); }

  void Run(IncomingCall call, absl::AnyInvocable<void(Outcome) &&> done) override;
  void Cancel(const NodeRef& caller, uint64_t id) override { table_.Cancel(caller, id); }
  void CallerLost(const NodeRef& caller) override { table_.CallerLost(caller); }
  bool Holds(absl::string_view connection_id) const override { return holds_ != nullptr && holds_(connection_id); }

 private:
  // An application that waits for channels of its methods to be confirmed.
  struct Registration {
    AppId app;
    std::set<std::string> unconfirmed;
    absl::AnyInvocable<void(absl::Status) &&> registered;
  };

  void ListenToNew();
  void Confirmed(const std::string& method);
  // Ends those that wait for channels, if the bus does not carry: nobody knows when it will.
  void FailUnheard();
  void Offer();
  void StopListeningToWithdrawn();
  void ArmTimer(absl::Time due);

  Loop& loop_;
  Bus& bus_;
  Membership& membership_;
  const Keys& keys_;
  NodeMethods& node_methods_;
  absl::AnyInvocable<bool(absl::string_view connection_id) const> holds_;
  MethodTable table_;
  std::map<std::string, bool> channels_;  // By method: whether its channel is confirmed.
  std::vector<Registration> registrations_;
  absl::Time armed_for_ = absl::InfiniteFuture();
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
  Timer timer_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_METHODS_METHOD_HOST_H_
