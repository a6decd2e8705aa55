#include "actioncluster/connection.h"

#include <cstddef>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "actioncluster/json.h"
#include "actioncluster/status.h"
#include "client/attachment.h"
#include "client/callback_scope.h"
#include "client/clock.h"
#include "client/connection_hub.h"
#include "client/connection_session.h"
#include "client/handler_pool.h"
#include "client/limits.h"
#include "client/utf8.h"
#include "client/value_check.h"
#include "google/protobuf/util/json_util.h"

namespace actioncluster::client {
namespace {

using Verb = v1::OpenRequest::Verb;

v1::OpenRequest::Hello HelloOf(const ConnectionOptions& options) {
  v1::OpenRequest::Hello hello;
  hello.set_id(options.id);
  hello.set_type(options.type);
  hello.set_fingerprint(options.fingerprint);
  *hello.mutable_claims() = options.claims;
  hello.set_can_chat(options.can_chat);
  return hello;
}

// What no node could read.
absl::Status CheckHello(const v1::OpenRequest::Hello& hello) {
  for (const std::string* text : {&hello.id(), &hello.type(), &hello.fingerprint()}) {
    if (!IsUtf8(*text)) return absl::InvalidArgumentError("id, type and fingerprint must be UTF-8");
  }
  google::protobuf::Value claims;
  *claims.mutable_struct_value() = hello.claims();
  const char* const fault = FaultIn(claims);
  return fault == nullptr ? absl::OkStatus() : absl::InvalidArgumentError(absl::StrCat("claims: it ", fault));
}

absl::Status CheckVerb(const Verb& verb) {
  if (!IsUtf8(verb.verb())) return absl::InvalidArgumentError("a verb must be UTF-8");
  if (verb.ByteSizeLong() > kMaxContentBytes + 1024) {
    return absl::ResourceExhaustedError(absl::StrCat("a verb has at most ", kMaxContentBytes, " bytes"));
  }
  for (const google::protobuf::Value& value : verb.args().values()) {
    if (const char* fault = FaultIn(value)) return absl::InvalidArgumentError(absl::StrCat("an argument ", fault));
  }
  return absl::OkStatus();
}

Verb VerbOf(const std::string& name, google::protobuf::ListValue args) {
  Verb verb;
  verb.set_verb(name);
  *verb.mutable_args() = std::move(args);
  return verb;
}

Verb SayingBytes(const std::string& room, std::string data) {
  Verb verb = VerbOf("say", Args(room));
  verb.set_data(std::move(data));
  return verb;
}

Connection::OnReply Telling(Connection::OnDone on_done) {
  return [on_done = std::move(on_done)](absl::StatusOr<Connection::Reply> reply) mutable {
    std::move(on_done)(reply.status());
  };
}

// A reply, and the thread that waits for it.
struct Waiter {
  absl::Notification done;
  absl::StatusOr<Connection::Reply> reply;
};

std::function<void(std::shared_ptr<CallState>, absl::Time)> RunnerOf(std::map<std::string, Handler> methods,
                                                                     std::shared_ptr<HandlerPool> pool) {
  return [handlers = std::make_shared<const std::map<std::string, Handler>>(std::move(methods)),
          pool = std::move(pool)](std::shared_ptr<CallState> call, absl::Time until) {
    if (!handlers->contains(call->call().method())) {
      CallState::Reply reply;
      *reply.mutable_error() =
          ToProto(absl::UnimplementedError(absl::StrCat("this client has no method ", call->call().method())));
      return call->Answer(std::move(reply));
    }
    pool->Run([handlers, call = std::move(call), until] {
      // Those that wait behind a slow one may be nobody's any more.
      if (MonotonicNow() >= until) return call->Abandon();
      CallState::Run(call, handlers->at(call->call().method()));
    });
  };
}

}  // namespace

struct Connection::Impl {
  Impl(Client& of, ConnectionOptions options) : client(of) {
    if (!options.methods.empty()) pool = std::make_shared<HandlerPool>(options.threads);
    v1::OpenRequest::Hello hello = HelloOf(options);
    absl::Status fault = CheckHello(hello);
    hub = std::make_shared<ConnectionHub>(std::move(hello),
                                          ConnectionHandlers{.on_message = std::move(options.on_message),
                                                             .on_direct = std::move(options.on_direct),
                                                             .on_missed = std::move(options.on_missed),
                                                             .on_left = std::move(options.on_left),
                                                             .run = RunnerOf(std::move(options.methods), pool),
                                                             .fault = std::move(fault)});
    attachment = Attachment::Create(
        client,
        [&of, hub = hub](const std::shared_ptr<grpc::Channel>& channel, Session::Observer observer) {
          return std::make_shared<ConnectionSession>(of, channel, hub, std::move(observer));
        },
        [hub = hub, listener = std::move(options.on_event)](const AttachmentEvent& event) {
          if (event.kind == AttachmentEvent::Kind::kEnded) {
            hub->End(event.status.ok() ? absl::CancelledError("the connection is closed") : event.status);
          }
          if (listener != nullptr) listener(event);
        },
        [hub = hub](const absl::Status& why) { return hub->IsFinal(why); });
    attachment->Start();
  }

  Client& client;
  std::shared_ptr<HandlerPool> pool;  // Null: there are no methods.
  std::shared_ptr<ConnectionHub> hub;
  std::shared_ptr<Attachment> attachment;
};

Connection::Connection(Client& client, ConnectionOptions options)
    : impl_(std::make_unique<Impl>(client, std::move(options))) {}

absl::StatusOr<std::unique_ptr<Connection>> Connection::Connect(Client& client, ConnectionOptions options,
                                                                absl::Duration limit) {
  auto connection = std::make_unique<Connection>(client, std::move(options));
  if (absl::Status attached = connection->AwaitAttached(limit); !attached.ok()) return attached;
  return connection;
}

Connection::~Connection() { Close(); }

absl::Status Connection::AwaitAttached(absl::Duration limit) { return impl_->attachment->AwaitAttached(limit); }

std::string Connection::id() const { return impl_->hub->id(); }

void Connection::Verb(v1::OpenRequest::Verb verb, absl::Duration timeout, OnReply on_reply) {
  if (absl::Status fault = CheckVerb(verb); !fault.ok()) return std::move(on_reply)(std::move(fault));
  const absl::StatusOr<uint64_t> id = impl_->hub->Ask(std::move(verb), MonotonicNow() + timeout, on_reply);
  if (!id.ok()) std::move(on_reply)(id.status());
}

absl::StatusOr<Connection::Reply> Connection::Verb(v1::OpenRequest::Verb verb, absl::Duration timeout) {
  if (CallbackScope::inside()) {
    return absl::FailedPreconditionError("a callback cannot wait for a verb: give the verb a callback of its own");
  }
  if (absl::Status fault = CheckVerb(verb); !fault.ok()) return fault;
  const auto waiter = std::make_shared<Waiter>();
  OnReply on_reply = [waiter](absl::StatusOr<Reply> reply) {
    waiter->reply = std::move(reply);
    waiter->done.Notify();
  };
  const absl::StatusOr<uint64_t> id = impl_->hub->Ask(std::move(verb), MonotonicNow() + timeout, on_reply);
  if (!id.ok()) return id.status();
  // On time even if all of gRPC's threads are held up in callbacks.
  if (!waiter->done.WaitForNotificationWithTimeout(timeout)) {
    impl_->hub->GiveUp(*id);
    waiter->done.WaitForNotification();
  }
  return std::move(waiter->reply);
}

absl::StatusOr<Connection::Reply> Connection::Verb(const std::string& verb, google::protobuf::ListValue args) {
  return Verb(VerbOf(verb, std::move(args)), impl_->client.options().timeout);
}

absl::Status Connection::Join(const std::string& room) { return Verb("roomAdd", Args(room)).status(); }

absl::Status Connection::Leave(const std::string& room) { return Verb("roomLeave", Args(room)).status(); }

absl::Status Connection::Say(const std::string& room, google::protobuf::Value value) {
  return Verb("say", Args(room, std::move(value))).status();
}

absl::Status Connection::SayBytes(const std::string& room, std::string data) {
  return Verb(SayingBytes(room, std::move(data)), impl_->client.options().timeout).status();
}

void Connection::Say(const std::string& room, google::protobuf::Value value, OnDone on_done) {
  Verb(VerbOf("say", Args(room, std::move(value))), impl_->client.options().timeout, Telling(std::move(on_done)));
}

void Connection::SayBytes(const std::string& room, std::string data, OnDone on_done) {
  Verb(SayingBytes(room, std::move(data)), impl_->client.options().timeout, Telling(std::move(on_done)));
}

absl::StatusOr<v1::Connection> Connection::Details() {
  const absl::StatusOr<Reply> reply = Verb("detailsView");
  if (!reply.ok()) return reply.status();
  v1::Connection details;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const auto parsed = google::protobuf::util::JsonStringToMessage(ToJson(reply->result()), &details, options);
  if (!parsed.ok()) return absl::InternalError("the node's details of the connection cannot be read");
  return details;
}

void Connection::Close(absl::Duration grace) {
  impl_->hub->Shut(absl::CancelledError("the connection is closed"));
  impl_->attachment->Stop(grace);
  // All calls have ended: what has not begun need not.
  if (impl_->pool != nullptr) impl_->pool->Stop();
}

}  // namespace actioncluster::client
