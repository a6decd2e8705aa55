#include "backplane/rpc/responder.h"

#include <utility>

#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "backplane/rpc/messages.h"
#include "glog/logging.h"

namespace actioncluster {

Responder::Responder(Bus& bus, Membership& membership, const Keys& keys, LocalMethods& local, RpcCounters& counters)
    : bus_(bus), membership_(membership), keys_(keys), local_(local), counters_(counters) {}

void Responder::OnCall(const internal::v1::Envelope& envelope, absl::Time sent_at) {
  IncomingCall call = FromProto(envelope, sent_at);
  if (call.deadline <= MonotonicNow()) {
    ++counters_.refused_late;
    return;
  }
  const std::string boot = membership_.self().boot;
  if (!membership_.Serving()) {
    ++counters_.refused_late;
    if (call.notification) return;
    Reply(call.caller, call.id, boot,
          {.kind = Outcome::Kind::kDeclined, .result = {}, .error = BackplaneUnavailable("the node has no lease now")});
    return;
  }
  auto done = [weak = weak_from_this(), caller = call.caller, id = call.id, boot,
               notification = call.notification](const Outcome& outcome) {
    const std::shared_ptr<Responder> self = weak.lock();
    if (self == nullptr) return;
    if (outcome.kind != Outcome::Kind::kDeclined) ++self->counters_.executed;
    if (!notification) self->Reply(caller, id, boot, outcome);
  };
  local_.Run(std::move(call), std::move(done));
}

void Responder::OnCancel(const internal::v1::Envelope& envelope) {
  local_.Cancel({envelope.sender_id(), envelope.sender_boot()}, envelope.cancel_call().call_id());
}

void Responder::Reply(const NodeRef& caller, uint64_t id, const std::string& boot, const Outcome& outcome) {
  // The caller asked another life of this node, and has been told that it is lost.
  if (membership_.self().boot != boot) return;
  internal::v1::Envelope envelope;
  *envelope.mutable_reply() = ToProto(id, outcome);
  bus_.Publish(keys_.ChannelBoot(caller.boot), std::move(envelope), [](const absl::StatusOr<int64_t>& receivers) {
    if (receivers.ok()) return;
    LOG_EVERY_T(WARNING, 1) << "a reply was not sent: " << receivers.status();
  });
}

}  // namespace actioncluster
