#ifndef ACTIONCLUSTER_TESTS_INTEGRATION_SERVER_HOST_CLIENT_H_
#define ACTIONCLUSTER_TESTS_INTEGRATION_SERVER_HOST_CLIENT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "actioncluster/v1/connections.pb.h"
#include "backplane/rpc/local_methods.h"
#include "server/connections/client_stream.h"
#include "server/connections/connection_host.h"
#include "server/methods/application.h"
#include "tests/fakes/waiter.h"
#include "tests/integration/server/local_node.h"

namespace actioncluster {

// A client's stream without a client: notes what it is sent, and takes messages for as long as the test lets it. What it sends belongs to the I/O thread, what it has noted to any.
class FakeStream final : public ClientStream {
 public:
  // All frames, in order; a gap and a goodbye too.
  const fakes::Waiter<v1::OpenResponse>& frames() const { return frames_; }
  const fakes::Waiter<absl::Status>& end() const { return end_; }

  // I/O thread. So many messages find room from now on.
  void SetRoom(int64_t messages) { room_ = messages; }
  // Messages that were sent without room for them.
  int64_t pushed_out() const { return pushed_out_; }

  void Send(v1::OpenResponse frame) override { frames_.Add(std::move(frame)); }
  bool SendInvoke(v1::OpenResponse frame) override;
  void SendDirect(v1::OpenResponse frame) override { frames_.Add(std::move(frame)); }
  void SendMessage(const grpc::ByteBuffer& frame, size_t bytes, OutboxWriter writer) override;
  bool HasRoom(size_t) const override { return room_ > 0; }
  void MarkGap() override;
  uint64_t missed() const override { return 0; }
  void Close(v1::OpenResponse::Goodbye goodbye, const absl::Status& why) override;
  void Refuse(const absl::Status& why) override { end_.Add(why); }

 private:
  int64_t room_ = int64_t{1} << 40;
  int64_t pushed_out_ = 0;
  const fakes::Waiter<v1::OpenResponse> frames_;
  const fakes::Waiter<absl::Status> end_;
};

// A connection of a node's host, by a fake stream. One thread, not the I/O thread.
class HostClient {
 public:
  // `room`: as in SetRoom.
  HostClient(LocalNode& node, const v1::OpenRequest::Hello& hello, std::optional<int64_t> room = std::nullopt);
  HostClient(LocalNode& node, const std::string& id);
  // Lost, if it is not gone.
  ~HostClient() { Detach(/*finished=*/false); }

  // The first frame must be this.
  v1::OpenResponse::Welcome AwaitWelcome() const;
  // Its welcome; nothing: it was refused.
  std::optional<v1::OpenResponse::Welcome> AwaitWelcomeOrEnd() const;
  // The reply to the verb, whatever comes before it. `arguments`: a JSON array.
  v1::OpenResponse::Reply Verb(const std::string& verb, absl::string_view arguments);
  void Detach(bool finished);
  void SetRoom(int64_t messages);
  // The next frame must be a message with data.
  std::string NextText() const;
  FakeStream& stream() const { return *stream_; }
  const fakes::Waiter<v1::OpenResponse>& frames() const { return stream_->frames(); }
  absl::Status AwaitEnd() const { return stream_->end().Next(); }

 private:
  LocalNode& node_;
  const std::shared_ptr<FakeStream> stream_ = std::make_shared<FakeStream>();
  ConnectionHost::HostId id_ = 0;
  int verbs_ = 0;
};

// An application that is attached to a node by no stream, offers one method, and answers when the test says so.
class HostApplication {
 public:
  // Offers it when this returns. `method`: as in the directory.
  HostApplication(LocalNode& node, const std::string& method);
  ~HostApplication() { Detach(); }

  struct Asked {
    std::string call_id;
    IncomingCall call;
  };
  const fakes::Waiter<Asked>& asked() const { return application_->asked; }
  // It has no objection.
  void Approve(const Asked& asked);
  void Detach();

 private:
  struct Application final : public actioncluster::Application {
    bool SendCall(const std::string& call_id, IncomingCall call) override {
      asked.Add({.call_id = call_id, .call = std::move(call)});
      return true;
    }
    void SendCancel(const std::string&) override {}
    void SendDraining(const std::vector<std::string>&) override {}
    void Close(const absl::Status&) override {}

    const fakes::Waiter<Asked> asked;
  };

  LocalNode& node_;
  const std::shared_ptr<Application> application_ = std::make_shared<Application>();
  MethodHost::AppId id_ = 0;
};

v1::OpenRequest::Hello HelloOf(const std::string& id);
// Of one that comes back with nothing but its token.
v1::OpenRequest::Hello Resuming(const v1::OpenResponse::Welcome& welcome);
void AddOffset(const std::string& room, uint64_t offset, v1::OpenRequest::Hello* hello);

// Polls; false: it does not become true.
bool AwaitThat(absl::FunctionRef<bool()> condition);
// All commands that the node sent before have been answered, and what follows at once from that has been done.
void AwaitCommands(LocalNode& node);
// By the server side; the room exists from then on. 0: without a history.
void CreateRoom(LocalNode& node, const std::string& room, uint32_t history = 0);
void DestroyRoom(LocalNode& node, const std::string& room);
// Gives its offset.
uint64_t Broadcast(LocalNode& node, const std::string& room, const std::string& data);
std::vector<std::string> MembersOf(LocalNode& node, const std::string& room);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_TESTS_INTEGRATION_SERVER_HOST_CLIENT_H_
