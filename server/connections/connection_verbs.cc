#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "actioncluster/internal/v1/envelope.pb.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "backplane/pubsub/interest.h"
#include "server/connections/connection_impl.h"
#include "server/connections/proto_value.h"
#include "server/grpc/content.h"
#include "server/methods/offered_names.h"

// What clients ask.
namespace actioncluster {
namespace {

using google::protobuf::Value;

// Of verbs of one connection that wait for their turn.
constexpr size_t kMaxWaitingBytes = size_t{8} << 20;
constexpr size_t kMaxCalls = 64;

Value True() {
  Value value;
  value.set_bool_value(true);
  return value;
}

absl::Status WrongArguments(absl::string_view signature) {
  return absl::InvalidArgumentError(absl::StrCat("the arguments must be those of ", signature));
}

absl::Status TooMuchAtOnce(absl::string_view limit) {
  return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "too much is asked at once", {{"limit", std::string(limit)}});
}

bool HasTexts(const google::protobuf::ListValue& args, int count) {
  if (args.values_size() < count) return false;
  return std::all_of(args.values().begin(), args.values().begin() + count,
                     [](const Value& value) { return value.has_string_value(); });
}

}  // namespace

void ConnectionHost::Impl::Reply(const Client& client, const std::string& message_id, absl::StatusOr<Value> result) {
  v1::OpenResponse frame;
  v1::OpenResponse::Reply& reply = *frame.mutable_reply();
  reply.set_message_id(message_id);
  if (result.ok()) {
    *reply.mutable_result() = *std::move(result);
  } else {
    *reply.mutable_error() = ToProto(result.status());
  }
  client.stream->Send(std::move(frame));
}

void ConnectionHost::Impl::Verb(HostId id, v1::OpenRequest::Verb verb) {
  const auto found = clients.find(id);
  if (found == clients.end()) return;
  const ClientPtr client = found->second;
  ++client->verbs_handled;
  if (verb.verb() == "call") return CallVerb(client, std::move(verb));
  const size_t bytes = verb.ByteSizeLong();
  if (client->waiting_bytes != 0 && client->waiting_bytes + bytes > kMaxWaitingBytes) {
    return Reply(*client, verb.message_id(), TooMuchAtOnce("verbs"));
  }
  client->waiting_bytes += bytes;
  auto shared = std::make_shared<const v1::OpenRequest::Verb>(std::move(verb));
  Do(client, absl::InfiniteFuture(),
     Guard([client, shared](Impl& self, Ended ended) { self.DoVerb(client, *shared, std::move(ended)); }),
     Guard([client, shared, bytes](Impl& self, const absl::Status& status) {
       client->waiting_bytes -= bytes;
       // Others have sent their own.
       if (!status.ok()) self.Reply(*client, shared->message_id(), status);
     }));
}

void ConnectionHost::Impl::DoVerb(const ClientPtr& client, const v1::OpenRequest::Verb& verb, Ended ended) {
  const std::string& name = verb.verb();
  const auto answer = [this, client, message_id = verb.message_id()](Value value) {
    Reply(*client, message_id, std::move(value));
  };
  const auto then_true = [answer, this](Ended done) {
    return Guard([answer, done = std::move(done)](Impl&, const absl::Status& status) mutable {
      if (status.ok()) answer(True());
      std::move(done)(status);
    });
  };
  if (name == "detailsView") {
    answer(MessageToValue(Details(*client)));
    return std::move(ended)(absl::OkStatus());
  }
  if (name == "roomAdd" || name == "roomLeave" || name == "roomView") {
    if (verb.args().values_size() != 1 || !HasTexts(verb.args(), 1)) {
      return std::move(ended)(WrongArguments(absl::StrCat(name, "(room)")));
    }
    const std::string& room = verb.args().values(0).string_value();
    if (absl::Status valid = ValidateName(room, "room"); !valid.ok()) return std::move(ended)(valid);
    if (name == "roomAdd") return Join(client, room, then_true(std::move(ended)));
    if (name == "roomLeave") return Leave(client, room, /*removed=*/false, then_true(std::move(ended)));
    return ViewRoom(client, room, verb.message_id(), std::move(ended));
  }
  if (name == "say") return SayVerb(client, verb, then_true(std::move(ended)));
  if (name == "quit") {
    v1::OpenResponse::Goodbye goodbye;
    goodbye.set_reason("quit");
    answer(True());
    std::move(ended)(absl::OkStatus());
    return Remove(client, Why::kOver, &goodbye, absl::OkStatus());
  }
  ParamVerb(client, verb, std::move(ended));
}

void ConnectionHost::Impl::ViewRoom(const ClientPtr& client, const std::string& room, const std::string& message_id,
                                    Ended ended) {
  v1::RoomServiceStatusRequest request;
  request.set_room(room);
  parts.reader.Status(request,
                      Guard([client, room, message_id, ended = std::move(ended)](
                                Impl& self, const absl::StatusOr<v1::RoomServiceStatusResponse>& status) mutable {
                        if (!status.ok()) return std::move(ended)(status.status());
                        if (!client->seats.contains(room)) {
                          return std::move(ended)(
                              MakeError(v1::ERROR_REASON_NOT_MEMBER, absl::StrCat("only members see the room ", room)));
                        }
                        self.Reply(*client, message_id, MessageToValue(*status));
                        std::move(ended)(absl::OkStatus());
                      }));
}

void ConnectionHost::Impl::SayVerb(const ClientPtr& client, const v1::OpenRequest::Verb& verb, Ended ended) {
  if (!client->hello.can_chat()) {
    return std::move(ended)(absl::PermissionDeniedError("the connection said in its hello that it would not chat"));
  }
  const int wanted = verb.has_data() ? 1 : 2;
  if (verb.args().values_size() != wanted || !HasTexts(verb.args(), 1)) {
    return std::move(ended)(WrongArguments("say(room, value), or say(room) with data"));
  }
  Content content;
  if (verb.has_data()) {
    content = {.kind = Content::Kind::kBytes, .body = verb.data()};
  } else {
    content = {.kind = Content::Kind::kJson, .body = verb.args().values(1).SerializeAsString()};
  }
  absl::StatusOr<Content> fits = WithinLimit(std::move(content), "what is said");
  if (!fits.ok()) return std::move(ended)(fits.status());
  Say(client, verb.args().values(0).string_value(), *std::move(fits),
      [ended = std::move(ended)](const absl::StatusOr<RoomSaid>& said) mutable { std::move(ended)(said.status()); });
}

void ConnectionHost::Impl::ParamVerb(const ClientPtr& client, const v1::OpenRequest::Verb& verb, Ended ended) {
  auto& params = *client->state.mutable_params();
  const google::protobuf::ListValue& args = verb.args();
  const std::string key = HasTexts(args, 1) ? args.values(0).string_value() : std::string();
  Value result = True();
  if (verb.verb() == "paramAdd") {
    if (key.empty() || args.values_size() != 2) return std::move(ended)(WrongArguments("paramAdd(key, value)"));
    if (absl::Status put = PutIntoState(key, args.values(1), "params", &params); !put.ok())
      return std::move(ended)(put);
  } else if (verb.verb() == "paramDelete") {
    if (key.empty() || args.values_size() != 1) return std::move(ended)(WrongArguments("paramDelete(key)"));
    params.erase(key);
  } else if (verb.verb() == "paramView") {
    if (key.empty() || args.values_size() != 1) return std::move(ended)(WrongArguments("paramView(key)"));
    const auto found = params.find(key);
    result.set_null_value(google::protobuf::NULL_VALUE);
    if (found != params.end()) result.ParseFromString(found->second);
  } else if (verb.verb() == "paramsView") {
    result.mutable_struct_value();
    for (const auto& [name, value] : params) {
      (*result.mutable_struct_value()->mutable_fields())[name].ParseFromString(value);
    }
  } else if (verb.verb() == "paramsDelete") {
    params.clear();
  } else {
    return std::move(ended)(
        MakeError(v1::ERROR_REASON_METHOD_NOT_FOUND, absl::StrCat("there is no verb ", verb.verb())));
  }
  const bool changed = verb.verb() != "paramView" && verb.verb() != "paramsView";
  Reply(*client, verb.message_id(), std::move(result));
  if (changed) Store(client, [](const absl::Status&) {});
  std::move(ended)(absl::OkStatus());
}

// Not in its turn: a method may take long, and others do not wait for it.
void ConnectionHost::Impl::CallVerb(const ClientPtr& client, v1::OpenRequest::Verb verb) {
  const auto refuse = [this, client, message_id = verb.message_id()](const absl::Status& why) {
    Reply(*client, message_id, why);
  };
  if (client->phase != Client::Phase::kOpen) {
    return refuse(absl::FailedPreconditionError("calls have to wait for the welcome"));
  }
  if (verb.args().values_size() == 0 || !HasTexts(verb.args(), 1)) {
    return refuse(WrongArguments("call(method, args…)"));
  }
  const std::string method = verb.args().values(0).string_value();
  const bool open = std::any_of(settings.client_methods.begin(), settings.client_methods.end(),
                                [&method](const std::string& pattern) { return MatchesPattern(pattern, method); });
  // A pattern means methods, not what applications offer for connections and rooms.
  if (!open || IsNodeMethod(method) || IsReservedName(method)) {
    return refuse(MakeError(v1::ERROR_REASON_METHOD_NOT_FOUND, absl::StrCat("clients cannot call ", method)));
  }
  if (client->calls >= kMaxCalls) return refuse(TooMuchAtOnce("calls"));
  ++client->calls;
  google::protobuf::ListValue args = std::move(*verb.mutable_args());
  args.mutable_values()->DeleteSubrange(0, 1);
  internal::v1::CallSubject subject;
  subject.set_connection(Subject(*client));
  CallSpec spec{.method = method,
                .arguments = {.kind = Content::Kind::kJson, .body = args.SerializeAsString()},
                .target = AnyNode{},
                .deadline = MonotonicNow() + settings.call_timeout,
                .subject = subject.SerializeAsString()};
  parts.rpc.Call(std::move(spec),
                 Guard([client, refuse, message_id = verb.message_id()](Impl&, absl::StatusOr<CallResult> result) {
                   --client->calls;
                   if (!result.ok()) return refuse(result.status());
                   v1::OpenResponse frame;
                   frame.mutable_reply()->set_message_id(message_id);
                   SetResult(std::move(result->result), frame.mutable_reply());
                   client->stream->Send(std::move(frame));
                 }));
}

}  // namespace actioncluster
