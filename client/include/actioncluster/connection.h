#ifndef ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_CONNECTION_H_
#define ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_CONNECTION_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "actioncluster/attachment_event.h"
#include "actioncluster/client.h"
#include "actioncluster/method_host.h"
#include "actioncluster/v1/connections.pb.h"
#include "google/protobuf/struct.pb.h"

namespace actioncluster::client {

// Messages that a connection has not heard, and will not.
struct MissedMessages {
  // So many, of rooms and direct ones, as they were not read in time.
  uint64_t count = 0;
  // Besides, nobody knows how many of these rooms; also none, if nothing was said there meanwhile.
  std::vector<std::string> rooms;
};

struct ConnectionOptions {
  // Unique in the cluster. Empty: the node makes one up, which is kept over comebacks.
  std::string id = "";
  // See connections.proto, as the next two.
  std::string type = "";
  std::string fingerprint = "";
  google::protobuf::Struct claims = {};
  // It may say something in rooms.
  bool can_chat = true;

  // What is said in rooms, to this connection alone, and what is missing. Each may be null.
  //
  // They run on one of gRPC's threads, one at a time, in the order of what they tell. While one runs nothing is read: a slow one is a slow client, whose node drops messages and
  // says how many. They may call verbs with a callback, but none that waits, nor close or destroy the connection.
  std::function<void(const v1::OpenResponse::Message& message)> on_message = nullptr;
  std::function<void(const v1::OpenResponse::Direct& message)> on_direct = nullptr;
  std::function<void(const MissedMessages& missed)> on_missed = nullptr;
  // It is out of a room, and not by its own doing. The reason is the node's, `destroyed` or `removed`; or `lost`: it was away for too long, and is a new connection now.
  std::function<void(const v1::OpenResponse::Left& left)> on_left = nullptr;

  // What others may ask it with Invoke, by the method's name; with handlers as a MethodHost has them. They run on threads of the connection, and may block them. The call's
  // `deadline` is by this machine's clock.
  std::map<std::string, Handler> methods = {};
  int threads = 2;  // That run these handlers; at least 1, if there are any.

  AttachmentListener on_event = nullptr;
};

// A client's connection to the cluster: a stream to one node at a time, by which it is reached from all of them, as long as this lives.
//
// When its stream is lost, or its node drains, it comes back at another node as the one it was: with its id, its rooms, and what the server side keeps of it. What was said meanwhile in
// rooms with a history is heard then: each message once, in order, as far as the history goes. What cannot be had any more is told by `on_missed`; so are rooms without a history,
// and those where it had heard nothing yet: something may have been said there. Messages to it alone are not kept: who sends one while it is away hears that there is no such connection.
//
// Some ends are for good: CONNECTION_EXISTS (the id is somebody else's), and what the goodbyes `taken_over`, `destroyed` and `quit` say. Then the last event is kEnded, with a status
// of ABORTED whose metadata (see status.h) has that word as `goodbye`. Besides these it ends as attachment_event.h says.
//
// Thread-safe.
class Connection {
 public:
  // A verb's: `result` or `data`, or neither.
  using Reply = v1::OpenResponse::Reply;
  // Runs once, on one of gRPC's threads, or in the call that the verb was, or ends by it. As a handler, it may not wait for another verb.
  using OnReply = absl::AnyInvocable<void(absl::StatusOr<Reply> reply) &&>;
  using OnDone = absl::AnyInvocable<void(const absl::Status& status) &&>;

  // Begins to connect. The client outlives this.
  Connection(Client& client, ConnectionOptions options);
  // Likewise, and waits until it stands. DEADLINE_EXCEEDED: not within `limit`; or why it never will.
  static absl::StatusOr<std::unique_ptr<Connection>> Connect(Client& client, ConnectionOptions options,
                                                             absl::Duration limit);
  // Close.
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // OK while it stands. DEADLINE_EXCEEDED: not within `limit`; or why it has ended.
  absl::Status AwaitAttached(absl::Duration limit);
  // Empty: it was not given, and it has not stood yet.
  std::string id() const;

  // A verb of connections.proto. They are sent in the order of the calls; one that comes while there is no stream waits for the next. Errors: the node's; UNAVAILABLE: the stream was lost before the
  // reply, so it may have been done, or there was no stream within the timeout, so it was not; DEADLINE_EXCEEDED: there was no reply within the timeout, so it may have been done;
  // RESOURCE_EXHAUSTED: 1,024 are open already, or it is too large; INVALID_ARGUMENT: no node could read it; CANCELLED: the connection is closed; or why it has ended.
  // Those that wait: FAILED_PRECONDITION in a callback, where the reply could not come.
  // Timeout: ClientOptions::timeout, unless it is given.
  absl::StatusOr<Reply> Verb(const std::string& verb, google::protobuf::ListValue args = {});
  absl::StatusOr<Reply> Verb(v1::OpenRequest::Verb verb, absl::Duration timeout);
  void Verb(v1::OpenRequest::Verb verb, absl::Duration timeout, OnReply on_reply);

  // `roomAdd`, `roomLeave`, `say`.
  absl::Status Join(const std::string& room);
  absl::Status Leave(const std::string& room);
  absl::Status Say(const std::string& room, google::protobuf::Value value);
  absl::Status SayBytes(const std::string& room, std::string data);
  void Say(const std::string& room, google::protobuf::Value value, OnDone on_done);
  void SayBytes(const std::string& room, std::string data, OnDone on_done);
  // `detailsView`. INTERNAL: what the node says of it cannot be read.
  absl::StatusOr<v1::Connection> Details();

  // Ends it for good: verbs that are open and handlers that run may end within `grace`, then the node is told that it is over. No callback runs when it returns, so a handler that does not end
  // holds it up; none may call it. A connection that has no stream just then keeps its id for the resume window. Again: nothing happens.
  void Close(absl::Duration grace = absl::Seconds(5));

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_CONNECTION_H_
