#ifndef ACTIONCLUSTER_SERVER_METHODS_METHOD_TABLE_H_
#define ACTIONCLUSTER_SERVER_METHODS_METHOD_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "backplane/rpc/local_methods.h"
#include "server/methods/application.h"

namespace actioncluster {

// The applications attached to this node, what they offer, and the calls they run. Applications that offer the same method are replicas: the least busy
// gets the call.
//
// A call ends exactly once: by its application's reply, at its deadline (the application is told), or when the application goes or falls silent: then with
// HANDLER_FAILED, and nobody else is asked, as it may have run. Until then, or until its reply if that comes first, it takes one of its application's places.
//
// Does no I/O and reads no clock; times are monotonic. Confined to the I/O thread. `done` callbacks may run inside any of the calls.
class MethodTable {
 public:
  using AppId = uint64_t;
  using Done = absl::AnyInvocable<void(Outcome) &&>;

  AppId Attach(std::shared_ptr<Application> application, absl::Time now);

  // Replaces what the application offers. `heartbeat_timeout`: it is dead after so much silence; InfiniteDuration: never. `stays`: it goes on running calls while the node drains.
  // False: the application is not attached any more.
  bool Register(AppId id, std::set<std::string> methods, size_t max_in_flight, absl::Duration heartbeat_timeout,
                bool stays = false);

  // The application lives.
  void Heard(AppId id, absl::Time now);
  // All of them are taken to live: this process was stopped, and has not heard them meanwhile.
  void HeardAll(absl::Time now);

  // False: no such call is open on this application: it has ended already, or never was.
  bool Reply(AppId id, const std::string& call_id, Outcome outcome);

  // Its stream is gone. Its calls end.
  void Detach(AppId id);

  // Runs a call on the least busy application that offers the method. Declines if there is none (METHOD_NOT_FOUND), if all are at their limit or that one
  // has too much to read (LIMIT_EXCEEDED), or if the node drains and none of them stays, or after Decline (BACKPLANE_UNAVAILABLE).
  void Run(IncomingCall call, Done done, absl::Time now);
  void Cancel(const NodeRef& caller, uint64_t id);
  void CallerLost(const NodeRef& caller);

  // Ends what is due, and applications that are silent for too long; gives when to be called next. After each Attach, Register and Run that time may be sooner.
  absl::Time Expire(absl::Time now);
  absl::Time next_due() const;

  // From now on all applications are told that the node drains, those that come later too. Only those that stay are called any more.
  void Drain(std::vector<std::string> alternatives);
  // From now on every call is declined.
  void Decline() { declining_ = true; }

  // Ends every stream with this status, and every call.
  void CloseAll(const absl::Status& why);

  // What is offered by anyone.
  std::set<std::string> Methods() const;
  size_t running() const { return calls_.size(); }
  size_t applications() const { return apps_.size(); }
  bool offers_any() const { return !replicas_.empty(); }
  // Applications that offer something, and stay while the node drains until they are attached elsewhere.
  size_t staying() const;

 private:
  using CallKey = uint64_t;  // Counts the calls of this node; as a decimal it is the call_id on the stream.
  struct App {
    std::shared_ptr<Application> stream;
    std::set<std::string> methods;
    size_t max_in_flight = 0;
    std::set<CallKey> in_flight;
    uint64_t last_picked = 0;
    absl::Time last_heard;
    absl::Duration heartbeat_timeout = absl::InfiniteDuration();
    bool stays = false;
  };
  struct Running {
    AppId app;
    NodeRef caller;
    uint64_t caller_id;
    absl::Time deadline;
    Done done;
  };

  App* LeastBusy(const std::string& method, AppId* id, bool* offered);
  void End(CallKey key, Outcome outcome);
  void Tell(CallKey key);

  std::map<AppId, App> apps_;
  std::map<std::string, std::set<AppId>> replicas_;  // By method.
  absl::flat_hash_map<CallKey, Running> calls_;
  std::map<std::pair<NodeRef, uint64_t>, CallKey> by_caller_;
  std::set<std::pair<absl::Time, CallKey>> by_deadline_;
  AppId next_app_ = 1;
  CallKey next_call_ = 1;
  uint64_t picks_ = 0;
  bool draining_ = false;
  bool declining_ = false;
  std::vector<std::string> alternatives_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_METHODS_METHOD_TABLE_H_
