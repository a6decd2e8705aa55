#include "tests/integration/rpc/node_stack.h"

#include <utility>

#include "backplane/bus/sealer.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "backplane/scripts/scripts.h"
#include "glog/logging.h"

namespace actioncluster {

void FakeMethods::Run(IncomingCall call, Done done) {
  ran.Add(call);
  const auto handler = handlers.find(call.method);
  if (handler == handlers.end()) {
    std::move(done)({.kind = Outcome::Kind::kDeclined,
                     .result = {},
                     .error = MakeError(v1::ERROR_REASON_METHOD_NOT_FOUND, "no handler")});
    return;
  }
  handler->second(call, std::move(done));
}

void FakeMethods::Cancel(const NodeRef&, uint64_t id) { cancelled.Add(id); }

FakeMethods::Handler Returns(const std::string& bytes) {
  return [bytes](const IncomingCall&, FakeMethods::Done done) {
    std::move(done)({.kind = Outcome::Kind::kResult, .result = {Content::Kind::kBytes, bytes}, .error = {}});
  };
}

FakeMethods::Handler Fails(const absl::Status& error) {
  return [error](const IncomingCall&, FakeMethods::Done done) {
    std::move(done)({.kind = Outcome::Kind::kError, .result = {}, .error = error});
  };
}

FakeMethods::Handler Declines(const absl::Status& why) {
  return [why](const IncomingCall&, FakeMethods::Done done) {
    std::move(done)({.kind = Outcome::Kind::kDeclined, .result = {}, .error = why});
  };
}

FakeMethods::Handler Hangs() {
  return [kept = std::vector<FakeMethods::Done>()](const IncomingCall&, FakeMethods::Done done) mutable {
    kept.push_back(std::move(done));
  };
}

std::map<std::string, FakeMethods::Handler> OnlyMethod(const std::string& method, FakeMethods::Handler handler) {
  std::map<std::string, FakeMethods::Handler> handlers;
  handlers.emplace(method, std::move(handler));
  return handlers;
}

NodeStack::Parts::Parts(Loop& loop, const redis::LinkOptions& commands, const redis::LinkOptions& subscriber,
                        FakeMethods& methods)
    : client(loop, commands, scripts::All()),
      bus(loop, client, subscriber, keys, Sealer::Create(NodeStack::kToken, keys.cluster_namespace()).value()),
      presence(client, keys),
      membership(loop, client, bus, keys, MembershipOptions{.name_prefix = "node-", .succeeds_boot = "", .self = {}}) {
  rpc.emplace(loop, bus, membership, presence, keys, methods);
}

NodeStack::NodeStack(const fakes::RedisServer& redis, std::map<std::string, FakeMethods::Handler> handlers,
                     const Ways& ways) {
  methods_.handlers = std::move(handlers);
  const fakes::Waiter<absl::Status> joined;
  const fakes::Waiter<absl::Status> heard;
  const fakes::Waiter<absl::Status> offered;
  thread_.Run([&] {
    const auto link = [&](const std::optional<redis::Endpoint>& way) {
      return redis::LinkOptions{.endpoint = way.value_or(redis.endpoint()), .client_name = ""};
    };
    parts_ = std::make_unique<Parts>(thread_.loop(), link(ways.commands), link(ways.subscriber), methods_);
    parts_->membership.Join(joined.Callback());
  });
  CHECK_EQ(joined.Next(), absl::OkStatus());
  std::vector<std::string> names;
  thread_.Run([&] {
    for (const auto& [method, handler] : methods_.handlers) {
      names.push_back(method);
      parts_->bus.Listen(parts_->keys.ChannelMethod(method), [heard] { heard.Add(absl::OkStatus()); });
    }
  });
  for (size_t i = 0; i < names.size(); ++i) CHECK_EQ(heard.Next(), absl::OkStatus());
  thread_.Run([&] { parts_->membership.SetMethods(names, offered.Callback()); });
  CHECK_EQ(offered.Next(), absl::OkStatus());
}

NodeStack::~NodeStack() {
  thread_.Run([this] { parts_.reset(); });
}

void NodeStack::Refresh() {
  const fakes::Waiter<absl::Status> done;
  thread_.Run([&] { parts_->membership.Refresh(done.Callback()); });
  CHECK_EQ(done.Next(), absl::OkStatus());
}

void NodeStack::Leave() {
  const fakes::Waiter<absl::Status> done;
  thread_.Run([&] { parts_->membership.Leave(done.Callback()); });
  CHECK_EQ(done.Next(), absl::OkStatus());
}

NodeRef NodeStack::self() {
  return thread_.Run([this] { return parts_->membership.self(); });
}

void NodeStack::Claim(const std::string& connection_id) {
  const fakes::Waiter<absl::StatusOr<Presence::Claimed>> done;
  // Whoever had it: all nodes know the token.
  thread_.Run(
      [&] { parts_->presence.Claim(connection_id, parts_->membership.self(), "token", "token", done.Callback()); });
  CHECK_EQ(done.Next().status(), absl::OkStatus());
}

void NodeStack::Withdraw() {
  thread_.Run([&] {
    for (const auto& [method, handler] : methods_.handlers) {
      parts_->bus.StopListening(parts_->keys.ChannelMethod(method));
    }
  });
  Announce({});
}

void NodeStack::Announce(const std::vector<std::string>& methods) {
  const fakes::Waiter<absl::Status> done;
  thread_.Run([&] { parts_->membership.SetMethods(methods, done.Callback()); });
  CHECK_EQ(done.Next(), absl::OkStatus());
}

void NodeStack::SetDraining() {
  const fakes::Waiter<absl::Status> done;
  thread_.Run([&] { parts_->membership.SetDraining(true, done.Callback()); });
  CHECK_EQ(done.Next(), absl::OkStatus());
}

absl::StatusOr<CallResult> NodeStack::Call(const std::string& method, CallTarget target, absl::Duration timeout) {
  return StartCall(method, std::move(target), timeout).Next();
}

fakes::Waiter<absl::StatusOr<CallResult>> NodeStack::StartCall(const std::string& method, CallTarget target,
                                                               absl::Duration timeout, Rpc::CallId* id) {
  const fakes::Waiter<absl::StatusOr<CallResult>> waiter;
  const Rpc::CallId call = rpc().Call({.method = method,
                                       .arguments = {Content::Kind::kBytes, "arguments"},
                                       .target = std::move(target),
                                       .deadline = MonotonicNow() + timeout},
                                      waiter.Callback());
  if (id != nullptr) *id = call;
  return waiter;
}

NodeStack::All NodeStack::CallAll(const std::string& method, absl::Duration timeout) {
  return StartCallAll(method, timeout).Next();
}

fakes::Waiter<NodeStack::All> NodeStack::StartCallAll(const std::string& method, absl::Duration timeout) {
  const fakes::Waiter<All> waiter;
  const auto all = std::make_shared<All>();
  rpc().CallAll(
      {.method = method, .arguments = {}, .target = AllNodes{}, .deadline = MonotonicNow() + timeout},
      [all](const std::string& node_id, absl::StatusOr<Content> result) {
        CHECK(all->shares.emplace(node_id, std::move(result)).second) << "a share came twice";
      },
      [all, waiter](absl::Status end) {
        all->end = std::move(end);
        waiter.Add(std::move(*all));
      });
  return waiter;
}

absl::StatusOr<int> NodeStack::Notify(const std::string& method, CallTarget target) {
  const fakes::Waiter<absl::StatusOr<int>> waiter;
  rpc().Notify(
      {.method = method, .arguments = {}, .target = std::move(target), .deadline = MonotonicNow() + fakes::kPatience},
      waiter.Callback());
  return waiter.Next();
}

void NodeStack::Listen(const std::string& channel) {
  const fakes::Waiter<bool> listening;
  thread_.Run([&] { parts_->bus.Listen(channel, [listening] { listening.Add(true); }); });
  listening.Next();
}

bool NodeStack::IsWell() {
  return thread_.Run([this] { return parts_->bus.state().ok(); });
}

void NodeStack::DestroyRpc() {
  thread_.Run([this] { parts_->rpc.reset(); });
}

}  // namespace actioncluster
