#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "actioncluster/internal/v1/envelope.pb.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "server/connections/connection_impl.h"
#include "server/grpc/content.h"
#include "server/grpc/time_proto.h"

// What other nodes ask of the connections here, and this one for its own callers.
namespace actioncluster {
namespace {

constexpr size_t kMaxStateBytes = size_t{64} * 1024;
constexpr size_t kMaxInvokes = 256;
constexpr int kDefaultPage = 100;
constexpr int kMaxPage = 1000;
// So much of a page's bytes fits, with its last connection, into what gRPC's clients take.
constexpr size_t kMaxPageBytes = size_t{3} << 20;

// What an internal call asks; false: no message of ours.
template <class Request>
bool ParseRequest(const IncomingCall& call, Request* request) {
  return call.arguments.kind == Content::Kind::kBytes && request->ParseFromString(call.arguments.body);
}

Outcome Garbled() { return Failed(absl::InternalError("a node asks what no node of this version does")); }

// The text that is argument `index`; null: there is none.
const std::string* TextArgument(const google::protobuf::ListValue& args, int index) {
  return args.values_size() > index && args.values(index).has_string_value() ? &args.values(index).string_value()
                                                                             : nullptr;
}

absl::Status WrongArguments(absl::string_view signature) {
  return absl::InvalidArgumentError(absl::StrCat("the arguments must be those of ", signature));
}

// Who was lost is the application, not the connection, which an asker would take it for.
absl::Status WithoutLoss(const absl::Status& error) {
  ErrorMetadata metadata = MetadataOf(error);
  if (metadata.erase("lost") == 0) return error;
  return MakeError(ReasonOf(error), error.message(), metadata);
}

size_t BytesOf(const google::protobuf::Map<std::string, std::string>& map) {
  size_t bytes = 0;
  for (const auto& [key, value] : map) bytes += key.size() + value.size();
  return bytes;
}

}  // namespace

Outcome Failed(absl::Status error) { return {.kind = Outcome::Kind::kError, .result = {}, .error = std::move(error)}; }

Outcome NotHere(const std::string& connection_id) {
  return {.kind = Outcome::Kind::kDeclined, .result = {}, .error = NoSuchConnection(connection_id)};
}

Outcome Answered(const google::protobuf::Message& message) {
  return {.kind = Outcome::Kind::kResult,
          .result = {.kind = Content::Kind::kBytes, .body = message.SerializeAsString()},
          .error = {}};
}

absl::Status PutIntoState(const std::string& key, const google::protobuf::Value& value, absl::string_view what,
                          google::protobuf::Map<std::string, std::string>* map) {
  if (absl::Status valid = ValidateName(key, "key"); !valid.ok()) return valid;
  std::string bytes = value.SerializeAsString();
  const auto former = map->find(key);
  const size_t before = former == map->end() ? 0 : key.size() + former->second.size();
  if (BytesOf(*map) - before + key.size() + bytes.size() > kMaxStateBytes) {
    return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED,
                     absl::StrCat("a connection's ", what, " have at most ", kMaxStateBytes, " bytes"),
                     {{"limit", std::string(what)}});
  }
  (*map)[key] = std::move(bytes);
  return absl::OkStatus();
}

void ConnectionHost::ServeCalls(NodeMethods* methods) {
  using Handler = void (Impl::*)(const IncomingCall& call, OutcomeDone done);
  const auto serve = [this, methods](const std::string& name, Handler handler) {
    methods->Serve(name,
                   [this, handler](IncomingCall call, OutcomeDone done) { (*impl_.*handler)(call, std::move(done)); });
  };
  serve("node.connection.apply", &Impl::OnApply);
  serve("node.connection.invoke", &Impl::OnInvoke);
  serve("node.connection.add", &Impl::OnAdd);
  serve("node.connection.remove", &Impl::OnRemove);
  serve("node.connection.say", &Impl::OnSay);
  serve("node.connections", &Impl::OnList);
}

ClientPtr ConnectionHost::Impl::Find(const std::string& connection_id) const {
  const auto found = by_id.find(connection_id);
  return found == by_id.end() ? nullptr : found->second;
}

v1::Connection ConnectionHost::Impl::Details(const Client& client) const {
  v1::Connection details;
  details.set_id(client.id);
  details.set_type(client.hello.type());
  details.set_fingerprint(client.hello.fingerprint());
  details.set_node_id(parts.membership.self().id);
  details.set_remote_address(client.remote_address);
  *details.mutable_connected_at() = TimeToProto(client.connected_at);
  for (const auto& [room, seat] : client.seats) {
    if (!seat->entered) details.add_rooms(room);
  }
  for (const auto& [key, value] : client.state.attributes()) {
    (*details.mutable_attributes())[key].ParseFromString(value);
  }
  if (client.hello.has_claims()) *details.mutable_claims() = client.hello.claims();
  for (const auto& [key, value] : client.state.params()) (*details.mutable_params())[key].ParseFromString(value);
  details.set_can_chat(client.hello.can_chat());
  details.set_verbs_handled(client.verbs_handled);
  details.set_messages_sent(client.messages_sent);
  details.set_messages_missed(client.stream->missed());
  return details;
}

std::string ConnectionHost::Impl::Subject(const Client& client) const { return Details(client).SerializeAsString(); }

void ConnectionHost::Impl::OnApply(const IncomingCall& call, OutcomeDone done) {
  v1::ApplyRequest request;
  if (!ParseRequest(call, &request)) return std::move(done)(Garbled());
  const ClientPtr client = Find(call.connection_id);
  if (client == nullptr) return std::move(done)(NotHere(call.connection_id));
  const auto details = [this, client](OutcomeDone outcome, const absl::Status& status) {
    if (!status.ok()) return std::move(outcome)(Failed(status));
    v1::ApplyResponse response;
    *response.mutable_connection() = Details(*client);
    std::move(outcome)(Answered(response));
  };
  const std::string* first = TextArgument(request.args(), 0);
  if (request.method().empty()) return details(std::move(done), absl::OkStatus());
  if (request.method() == "set") return ApplySet(client, request, std::move(done));
  if (request.method() == "sendMessage") {
    return ApplySendMessage(client, std::move(request), call.caller.id, std::move(done));
  }
  if (request.method() == "roomAdd" || request.method() == "roomLeave") {
    const bool add = request.method() == "roomAdd";
    if (first == nullptr || request.args().values_size() != 1) {
      return std::move(done)(Failed(WrongArguments(add ? "roomAdd(room)" : "roomLeave(room)")));
    }
    return Do(
        client, call.deadline, Guard([client, add, room = *first](Impl& self, Ended ended) {
          if (add) return self.Join(client, room, std::move(ended));
          self.Leave(client, room, /*removed=*/true, std::move(ended));
        }),
        [details, done = std::move(done)](const absl::Status& status) mutable { details(std::move(done), status); });
  }
  if (request.method() == "destroy") {
    v1::OpenResponse::Goodbye goodbye;
    goodbye.set_reason("destroyed");
    if (first != nullptr) goodbye.set_message(*first);
    details(std::move(done), absl::OkStatus());
    return Remove(client, Why::kOver, &goodbye, absl::OkStatus());
  }
  ApplyMethod(client, std::move(request), call.deadline, std::move(done));
}

// A method that an application offers. Not in the connection's turn: it may apply others to it.
void ConnectionHost::Impl::ApplyMethod(const ClientPtr& client, v1::ApplyRequest request, absl::Time deadline,
                                       OutcomeDone done) {
  absl::StatusOr<Content> arguments = ArgumentsOf(request);
  if (!arguments.ok()) return std::move(done)(Failed(arguments.status()));
  internal::v1::CallSubject subject;
  subject.set_connection(Subject(*client));
  CallSpec spec{.method = absl::StrCat("connection/", request.method()),
                .arguments = *std::move(arguments),
                .target = AnyNode{},
                .deadline = deadline,
                .subject = subject.SerializeAsString()};
  parts.rpc.Call(std::move(spec),
                 Guard([client, done = std::move(done)](Impl& self, absl::StatusOr<CallResult> result) mutable {
                   if (!result.ok()) return std::move(done)(Failed(WithoutLoss(result.status())));
                   v1::ApplyResponse response;
                   *response.mutable_connection() = self.Details(*client);
                   SetResult(std::move(result->result), &response);
                   std::move(done)(Answered(response));
                 }));
}

void ConnectionHost::Impl::ApplySet(const ClientPtr& client, const v1::ApplyRequest& request, OutcomeDone done) {
  const std::string* key = TextArgument(request.args(), 0);
  if (key == nullptr || request.args().values_size() != 2) {
    return std::move(done)(Failed(WrongArguments("set(key, value)")));
  }
  const google::protobuf::Value& value = request.args().values(1);
  if (value.has_null_value()) {
    client->state.mutable_attributes()->erase(*key);
  } else if (absl::Status put = PutIntoState(*key, value, "attributes", client->state.mutable_attributes());
             !put.ok()) {
    return std::move(done)(Failed(put));
  }
  // Whoever hears that it is set finds it after a comeback too.
  Store(client, Guard([client, done = std::move(done)](Impl& self, const absl::Status& status) mutable {
          if (!status.ok()) return std::move(done)(Failed(status));
          v1::ApplyResponse response;
          *response.mutable_connection() = self.Details(*client);
          std::move(done)(Answered(response));
        }));
}

void ConnectionHost::Impl::ApplySendMessage(const ClientPtr& client, v1::ApplyRequest request,
                                            const std::string& from_node, OutcomeDone done) {
  v1::OpenResponse frame;
  v1::OpenResponse::Direct& direct = *frame.mutable_direct();
  if (request.has_data()) {
    direct.set_data(std::move(*request.mutable_data()));
  } else if (request.args().values_size() == 1) {
    *direct.mutable_value() = std::move(*request.mutable_args()->mutable_values(0));
  } else {
    return std::move(done)(Failed(WrongArguments("sendMessage(value)")));
  }
  direct.set_from_node_id(from_node);
  ++client->messages_sent;
  client->stream->SendDirect(std::move(frame));
  v1::ApplyResponse response;
  *response.mutable_connection() = Details(*client);
  std::move(done)(Answered(response));
}

void ConnectionHost::Impl::OnInvoke(const IncomingCall& call, OutcomeDone done) {
  v1::InvokeRequest request;
  if (!ParseRequest(call, &request)) return std::move(done)(Garbled());
  const ClientPtr client = Find(call.connection_id);
  if (client == nullptr) return std::move(done)(NotHere(call.connection_id));
  if (client->invokes.size() >= kMaxInvokes) {
    return std::move(done)(Failed(MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED,
                                            "the client has too much to answer already", {{"limit", "invokes"}})));
  }
  const std::string call_id = absl::StrCat(++client->invoked);
  v1::OpenResponse frame;
  v1::OpenResponse::Invoke& invoke = *frame.mutable_invoke();
  invoke.set_call_id(call_id);
  invoke.set_method(std::move(*request.mutable_method()));
  if (request.has_args()) *invoke.mutable_args() = std::move(*request.mutable_args());
  if (request.has_data()) invoke.set_data(std::move(*request.mutable_data()));
  *invoke.mutable_timeout() = DurationToProto(std::max(call.deadline - MonotonicNow(), absl::ZeroDuration()));
  if (!client->stream->SendInvoke(std::move(frame))) {
    return std::move(done)(Failed(
        MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "the client has too much to read already", {{"limit", "outbox"}})));
  }
  auto answered = [node_id = parts.membership.self().id, done = std::move(done)](Outcome outcome) mutable {
    if (outcome.kind != Outcome::Kind::kResult) return std::move(done)(std::move(outcome));
    v1::InvokeResponse response;
    response.set_node_id(node_id);
    SetResult(std::move(outcome.result), &response);
    std::move(done)(Answered(response));
  };
  client->invokes.emplace(call_id, std::move(answered));
  At(call.deadline, Guard([weak = std::weak_ptr<Client>(client), call_id](Impl&) {
       const ClientPtr client = weak.lock();
       if (client == nullptr) return;
       const auto waits = client->invokes.find(call_id);
       if (waits == client->invokes.end()) return;
       OutcomeDone late = std::move(waits->second);
       client->invokes.erase(waits);
       std::move(late)(Failed(MakeError(v1::ERROR_REASON_RPC_TIMEOUT, "the client did not answer in time")));
     }));
}

void ConnectionHost::Impl::OnAdd(const IncomingCall& call, OutcomeDone done) {
  v1::AddMemberRequest request;
  if (!ParseRequest(call, &request)) return std::move(done)(Garbled());
  const ClientPtr client = Find(call.connection_id);
  if (client == nullptr) return std::move(done)(NotHere(call.connection_id));
  Do(client, call.deadline,
     Guard([client, room = request.room()](Impl& self, Ended ended) { self.Join(client, room, std::move(ended)); }),
     [done = std::move(done)](const absl::Status& status) mutable {
       std::move(done)(status.ok() ? Answered(v1::AddMemberResponse()) : Failed(status));
     });
}

void ConnectionHost::Impl::OnRemove(const IncomingCall& call, OutcomeDone done) {
  v1::RemoveMemberRequest request;
  if (!ParseRequest(call, &request)) return std::move(done)(Garbled());
  const ClientPtr client = Find(call.connection_id);
  if (client == nullptr) return std::move(done)(NotHere(call.connection_id));
  Do(client, call.deadline, Guard([client, room = request.room()](Impl& self, Ended ended) {
       self.Leave(client, room, /*removed=*/true, std::move(ended));
     }),
     [done = std::move(done)](const absl::Status& status) mutable {
       std::move(done)(status.ok() ? Answered(v1::RemoveMemberResponse()) : Failed(status));
     });
}

void ConnectionHost::Impl::OnSay(const IncomingCall& call, OutcomeDone done) {
  v1::BroadcastRequest request;
  if (!ParseRequest(call, &request)) return std::move(done)(Garbled());
  const ClientPtr client = Find(call.connection_id);
  if (client == nullptr) return std::move(done)(NotHere(call.connection_id));
  absl::StatusOr<Content> content = ValueOf(request);
  if (!content.ok()) return std::move(done)(Failed(content.status()));
  auto response = std::make_shared<v1::BroadcastResponse>();
  Do(client, call.deadline,
     Guard([client, response, room = request.room(), content = *std::move(content)](Impl& self, Ended ended) mutable {
       self.Say(client, room, std::move(content),
                [response, ended = std::move(ended)](const absl::StatusOr<RoomSaid>& said) mutable {
                  if (said.ok()) {
                    response->set_receivers(said->receivers);
                    response->set_offset(said->offset);
                  }
                  std::move(ended)(said.status());
                });
     }),
     [response, done = std::move(done)](const absl::Status& status) mutable {
       std::move(done)(status.ok() ? Answered(*response) : Failed(status));
     });
}

// By id, those behind the page token, which is an id here.
void ConnectionHost::Impl::OnList(const IncomingCall& call, OutcomeDone done) {
  v1::ConnectionServiceListRequest request;
  if (!ParseRequest(call, &request)) return std::move(done)(Garbled());
  const int limit = request.page_size() == 0 ? kDefaultPage : std::min<int>(request.page_size(), kMaxPage);
  v1::ConnectionServiceListResponse response;
  size_t bytes = 0;
  for (auto next = by_id.upper_bound(request.page_token()); next != by_id.end(); ++next) {
    const Client& client = *next->second;
    if (client.phase != Client::Phase::kOpen) continue;
    if (!request.type().empty() && client.hello.type() != request.type()) continue;
    if (!request.room().empty()) {
      const auto seat = client.seats.find(request.room());
      if (seat == client.seats.end() || seat->second->entered) continue;
    }
    if (response.connections_size() >= limit || bytes >= kMaxPageBytes) {
      response.set_next_page_token(response.connections(response.connections_size() - 1).id());
      break;
    }
    *response.add_connections() = Details(client);
    bytes += response.connections(response.connections_size() - 1).ByteSizeLong();
  }
  std::move(done)(Answered(response));
}

}  // namespace actioncluster
