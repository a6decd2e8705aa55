#ifndef ACTIONCLUSTER_TESTS_CLUSTER_CONNECTION_CALLS_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_CONNECTION_CALLS_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "actioncluster/v1/connections.grpc.pb.h"
#include "actioncluster/v1/rooms.grpc.pb.h"
#include "tests/cluster/ask.h"
#include "tests/cluster/cluster.h"
#include "tests/fakes/waiter.h"

// ConnectionService and RoomService as clients of a node call them, in a line each. All for any thread.
namespace actioncluster::cluster {

// As in `Ask(node, &Connections::Get, request)`.
using Connections = v1::ConnectionService::Stub;
using Rooms = v1::RoomService::Stub;

// Any rpc of either service. The limit is its deadline.
template <class Request, class Response>
Answered<Response> Ask(const Node& node,
                       grpc::Status (Connections::*rpc)(grpc::ClientContext*, const Request&, Response*),
                       const Request& request, absl::Duration limit = 2 * kPatience) {
  return AskStub(node.connections(), rpc, request, limit);
}
template <class Request, class Response>
Answered<Response> Ask(const Node& node, grpc::Status (Rooms::*rpc)(grpc::ClientContext*, const Request&, Response*),
                       const Request& request, absl::Duration limit = 2 * kPatience) {
  return AskStub(node.rooms(), rpc, request, limit);
}

v1::ApplyRequest ApplyOf(const std::string& connection_id, const std::string& method = "",
                         absl::string_view arguments = "[]");
v1::InvokeRequest InvokeOf(const std::string& connection_id, const std::string& method,
                           absl::string_view arguments = "[]", absl::Duration timeout = kPatience);
v1::ConnectionServiceGetRequest GetOf(const std::string& connection_id);
v1::AddMemberRequest AddOf(const std::string& connection_id, const std::string& room);
v1::RemoveMemberRequest RemoveOf(const std::string& connection_id, const std::string& room);
// In the name of a member, or of the server side.
v1::BroadcastRequest BroadcastOf(const std::string& room, absl::string_view json, const std::string& from = "");

// These must succeed: otherwise the test hears why.
void CreateRoom(const Node& node, const std::string& room, v1::RoomServiceCreateRequest request = {});
v1::RoomServiceStatusResponse StatusOf(const Node& node, const std::string& room);
// The ids of a room's members, sorted.
std::vector<std::string> MembersOf(const Node& node, const std::string& room);
// The ids of all connections that match, page by page, as they come.
std::vector<std::string> Listed(const Node& node, v1::ConnectionServiceListRequest request = {});

v1::OpenRequest::Hello HelloOf(const std::string& id);
// Comes back as the one that was welcomed so; after these offsets in rooms with a history.
v1::OpenRequest::Hello Resuming(const v1::OpenResponse::Welcome& welcome,
                                const std::map<std::string, uint64_t>& offsets = {});
v1::OpenRequest VerbOf(const std::string& verb, absl::string_view arguments = "[]", const std::string& message_id = "");
// Of an error the reason, or its code if it has none; empty: there is none.
std::string ErrorIn(const v1::OpenResponse::Reply& reply);

// A client's stream of ConnectionService.Open, on gRPC's own threads: a test can have thousands. What comes is there to
// be awaited, each kind of frame by itself.
class RawClient final : public grpc::ClientBidiReactor<v1::OpenRequest, v1::OpenResponse> {
 public:
  using Frame = v1::OpenResponse;
  struct Options {
    bool read_on = true;  // Otherwise it is stuck after its welcome, until Read.
    // Called on another thread for what is said, directly too, and missed: instead of messages(), directs() and
    // missed().
    std::function<void(const Frame& frame)> on_message = nullptr;
    // Likewise for what the client is asked, instead of invokes(): gives the answer, as JSON.
    std::function<std::string(const Frame::Invoke& invoke)> on_invoke = nullptr;
  };

  // Says hello at once.
  RawClient(const Node& node, const v1::OpenRequest::Hello& hello) : RawClient(node, hello, Options()) {}
  RawClient(const Node& node, const v1::OpenRequest::Hello& hello, Options options)
      : RawClient(node.connections(), hello, std::move(options)) {}
  RawClient(v1::ConnectionService::StubInterface& stub, const v1::OpenRequest::Hello& hello, Options options);
  // A first frame of one's own.
  RawClient(v1::ConnectionService::StubInterface& stub, v1::OpenRequest first, Options options);
  // Cancels, and awaits the end.
  ~RawClient() override;
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  // Awaits the welcome. Fails the test, and is empty, if the stream ended instead.
  Frame::Welcome AwaitWelcome();
  // Likewise; nothing: it ended instead.
  std::optional<Frame::Welcome> AwaitWelcomeOrEnd();
  bool has_ended() const { return done_.HasBeenNotified(); }
  // Sends a verb, and awaits its reply; others' that come before are dropped.
  Frame::Reply Do(const std::string& verb, absl::string_view arguments = "[]");
  // As Do, and it must succeed.
  google::protobuf::Value Done(const std::string& verb, absl::string_view arguments = "[]");
  void Send(v1::OpenRequest frame);
  // To an `invoke`.
  void Answer(const std::string& call_id, absl::string_view json);

  // Of one that is stuck: begins to read.
  void Read();
  // As a client that dies.
  void HangUp() { context_.TryCancel(); }
  // Closes its half: the connection is over.
  void Close();
  // How the stream ended; awaits that, once.
  grpc::Status AwaitEnd() const { return end_.Next(); }

  // What is said, but for `on_message`.
  const fakes::Waiter<Frame::Message>& messages() const { return messages_; }
  const fakes::Waiter<Frame::Direct>& directs() const { return directs_; }
  const fakes::Waiter<Frame::Missed>& missed() const { return missed_; }
  const fakes::Waiter<Frame::Reply>& replies() const { return replies_; }
  const fakes::Waiter<Frame::Invoke>& invokes() const { return invokes_; }
  const fakes::Waiter<Frame::Left>& lefts() const { return lefts_; }
  // Without a reason: the stream ended.
  const fakes::Waiter<Frame::Goodbye>& goodbyes() const { return goodbyes_; }
  const fakes::Waiter<v1::Error>& errors() const { return errors_; }
  // The next message's value as JSON; of bytes, these.
  std::string NextText() const;

 private:
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Release() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Sort();
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  const Options options_;
  grpc::ClientContext context_;
  Frame frame_;
  absl::Mutex mutex_;
  bool held_ ABSL_GUARDED_BY(mutex_) = true;  // gRPC waits for us: there may be more to write or to read.
  bool stuck_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<v1::OpenRequest> writes_ ABSL_GUARDED_BY(mutex_);
  uint64_t verbs_ ABSL_GUARDED_BY(mutex_) = 0;
  fakes::Waiter<Frame::Welcome> welcome_;  // Without a connection: the stream ended.
  fakes::Waiter<Frame::Message> messages_;
  fakes::Waiter<Frame::Direct> directs_;
  fakes::Waiter<Frame::Missed> missed_;
  fakes::Waiter<Frame::Reply> replies_;
  fakes::Waiter<Frame::Invoke> invokes_;
  fakes::Waiter<Frame::Left> lefts_;
  fakes::Waiter<Frame::Goodbye> goodbyes_;
  fakes::Waiter<v1::Error> errors_;
  fakes::Waiter<grpc::Status> end_;
  absl::Notification done_;
};

// Opened, and welcomed, when it returns.
std::unique_ptr<RawClient> Open(const Node& node, const std::string& id);
// And put into the room.
std::unique_ptr<RawClient> OpenIn(const Node& node, const std::string& id, const std::string& room);

// What a node tells of who comes into a room and goes.
class RoomWatch {
 public:
  RoomWatch(const Node& node, const std::string& room);
  ~RoomWatch();
  RoomWatch(const RoomWatch&) = delete;
  RoomWatch& operator=(const RoomWatch&) = delete;

  v1::WatchRoomResponse Next() const { return events_.Next(); }
  // The ids of the next event, sorted; fails the test if it is of another kind.
  std::vector<std::string> Next(v1::WatchRoomResponse::Kind kind) const;
  // How it ended; awaits that.
  grpc::Status AwaitEnd() const { return end_.Next(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::WatchRoomResponse>> stream_;
  fakes::Waiter<v1::WatchRoomResponse> events_;
  fakes::Waiter<grpc::Status> end_;
  std::thread reader_;
};

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_CONNECTION_CALLS_H_
