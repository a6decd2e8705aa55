#include "backplane/rpc/responder.h"

#include <utility>

#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "backplane/rpc/messages.h"
#include "glog/logging.h"

namespace actioncluster {
namespace {

constexpr absl::Duration kAgainEvery = absl::Milliseconds(20);
// Past these the oldest answers are given up.
constexpr size_t kMaxUnsentBytes = 32 << 20;

}  // namespace

Responder::Responder(Loop& loop, Bus& bus, Membership& membership, const Keys& keys, LocalMethods& local,
                     RpcCounters& counters)
    : bus_(bus), membership_(membership), keys_(keys), local_(local), counters_(counters) {
  again_.emplace(loop, [this] { SendAgain(); });
}

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
    Send({.caller = call.caller,
          .id = call.id,
          .deadline = call.deadline,
          .boot = boot,
          .outcome = {.kind = Outcome::Kind::kDeclined,
                      .result = {},
                      .error = BackplaneUnavailable("the node has no lease now")}});
    return;
  }
  auto done = [weak = weak_from_this(), caller = call.caller, id = call.id, deadline = call.deadline, boot,
               notification = call.notification](Outcome outcome) {
    const std::shared_ptr<Responder> self = weak.lock();
    if (self == nullptr) return;
    if (outcome.kind != Outcome::Kind::kDeclined) ++self->counters_.executed;
    if (notification) return;
    self->Send({.caller = caller, .id = id, .deadline = deadline, .boot = boot, .outcome = std::move(outcome)});
  };
  local_.Run(std::move(call), std::move(done));
}

void Responder::OnCancel(const internal::v1::Envelope& envelope) {
  local_.Cancel({envelope.sender_id(), envelope.sender_boot()}, envelope.cancel_call().call_id());
}

void Responder::Stop() {
  again_.reset();
  unsent_.clear();
}

size_t Responder::SizeOf(const Answer& answer) { return sizeof(Answer) + answer.outcome.result.body.size(); }

void Responder::Send(Answer answer) {
  if (!again_.has_value()) return;
  // The caller asked another life of this node, and has been told that it is lost.
  if (membership_.self().boot != answer.boot) return;
  const std::string channel = keys_.ChannelBoot(answer.caller.boot);
  internal::v1::Envelope envelope;
  *envelope.mutable_reply() = ToProto(answer.id, answer.outcome);
  bus_.Publish(channel, std::move(envelope),
               [weak = weak_from_this(), answer = std::move(answer)](const absl::StatusOr<int64_t>& receivers) mutable {
                 if (receivers.ok()) return;
                 if (const std::shared_ptr<Responder> self = weak.lock()) {
                   self->Keep(std::move(answer), receivers.status());
                 }
               });
}

void Responder::Keep(Answer answer, const absl::Status& why) {
  if (!again_.has_value()) return;
  LOG_EVERY_T(WARNING, 1) << "a reply was not sent, and will be sent again: " << why;
  if (unsent_.empty()) again_->Set(MonotonicNow() + kAgainEvery);
  unsent_bytes_ += SizeOf(answer);
  unsent_.push_back(std::move(answer));
  while (unsent_bytes_ > kMaxUnsentBytes) {
    unsent_bytes_ -= SizeOf(unsent_.front());
    unsent_.pop_front();
  }
}

void Responder::SendAgain() {
  const absl::Time now = MonotonicNow();
  std::erase_if(unsent_, [&](const Answer& answer) {
    if (now < answer.deadline) return false;
    unsent_bytes_ -= SizeOf(answer);
    return true;
  });
  if (unsent_.empty()) return;
  if (!bus_.state().ok()) {
    again_->Set(now + kAgainEvery);
    return;
  }
  unsent_bytes_ = 0;
  for (Answer& answer : std::exchange(unsent_, {})) Send(std::move(answer));
}

}  // namespace actioncluster
