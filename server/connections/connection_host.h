#ifndef ACTIONCLUSTER_SERVER_CONNECTIONS_CONNECTION_HOST_H_
#define ACTIONCLUSTER_SERVER_CONNECTIONS_CONNECTION_HOST_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "actioncluster/v1/connections.pb.h"
#include "actioncluster/v1/rooms.pb.h"
#include "backplane/bus/bus.h"
#include "backplane/chat/room_feed.h"
#include "backplane/chat/room_store.h"
#include "backplane/keys/keys.h"
#include "backplane/membership/membership.h"
#include "backplane/presence/presence.h"
#include "backplane/redis/loop.h"
#include "backplane/rpc/rpc.h"
#include "server/connections/client_stream.h"
#include "server/connections/room_hooks.h"
#include "server/connections/room_reader.h"
#include "server/methods/node_methods.h"

namespace actioncluster {

struct ConnectionSettings {
  absl::Duration resume_window = absl::Minutes(2);
  std::vector<std::string> client_methods;  // What clients may `call`: names, `*` is any run of characters.
  absl::Duration call_timeout = absl::Seconds(5);
};

// The connections that this node holds: their claims, their verbs, what other nodes ask of them, and what is said to them.
//
// Whatever changes a connection, by its client's verbs or by calls from anywhere, is done one step after the other, in the order in which it came. A step that waits (for Redis, for a hook) holds up that
// connection only. When a connection goes, its steps that have not ended end with CONNECTION_NOT_FOUND.
//
// What Redis could not be told, as it was away, is told when it is back: until then others may take what is gone for there, and hear from this node that it is not.
//
// Confined to the I/O thread.
class ConnectionHost final : public RoomFeed::Listener {
 public:
  using HostId = uint64_t;

  struct Parts {
    Loop& loop;
    Bus& bus;
    Membership& membership;
    Presence& presence;
    RoomStore& rooms;
    RoomFeed& feed;
    RoomHooks& hooks;
    RoomReader& reader;
    Rpc& rpc;
    const Keys& keys;
  };

  // What it refers to outlives this. Before Bus::Begin.
  ConnectionHost(const Parts& parts, ConnectionSettings settings);
  ~ConnectionHost() override;

  // For other nodes' calls, and this one's: `node.connection.apply` and the like.
  void ServeCalls(NodeMethods* methods);

  // From streams. The hello is valid, as the stream has seen to it; its claims are within their limit. `remote_address`: as `ip:port`.
  HostId Attach(std::shared_ptr<ClientStream> stream, v1::OpenRequest::Hello hello, std::string remote_address);
  // The verb's arguments are valid JSON.
  void Verb(HostId id, v1::OpenRequest::Verb verb);
  void Answer(HostId id, const std::string& call_id, Outcome outcome);
  // The stream is gone. `finished`: its client closed its half, so the connection is over; otherwise it is lost, and may be resumed.
  void Detach(HostId id, bool finished);

  // This node holds it. Free of round trips.
  bool Holds(absl::string_view connection_id) const;
  // Those that stand.
  size_t connections() const;
  // What is not yet told to Redis, and who not yet that this node drains: both have to be before the node goes.
  size_t unsettled() const;

  // The membership has changed its mind about whether this node serves, or under which boot: connections of a former boot are lost.
  void OnServing(bool serving);
  void OnBackplane(const absl::Status& state);
  // All clients are told where else to go, and lost, some at a time: where they go they come all at once. Those that come from now on are refused.
  void Drain(const std::vector<std::string>& alternatives);
  // Ends all streams with this status.
  void CloseAll(const absl::Status& why);

  // RoomFeed::Listener
  void OnSaying(const RoomFeed::Incoming& saying) override;
  void OnChange(const internal::v1::RoomChange& change, absl::Time at) override;
  void OnInterrupted() override;
  void OnResumed() override;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_CONNECTIONS_CONNECTION_HOST_H_
