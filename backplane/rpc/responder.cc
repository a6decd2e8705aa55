#include "backplane/rpc/responder.h"

#include <utility>

#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "backplane/rpc/messages.h"
#include "glog/logging.h"

namespace actioncluster {
namespace {

constexpr absl::Duration kAgainEvery = absl::Milliseconds(20);
// Results of answers that wait; past these a call ends with an error instead.
constexpr size_t kMaxUnsentBytes = 32 << 20;

Outcome Declined(const absl::Status& why) { return {.kind = Outcome::Kind::kDeclined, .result = {}, .error = why}; }

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
  Answer answer = {
      .call = {call.caller.boot, call.id}, .deadline = call.deadline, .boot = membership_.self().boot, .outcome = {}};
  if (!call.notification) open_.insert(answer.call);
  if (!membership_.Serving()) {
    ++counters_.refused_late;
    answer.outcome = Declined(BackplaneUnavailable("the node has no lease now"));
    if (!call.notification) Send(std::move(answer));
    return;
  }
  auto done = [weak = weak_from_this(), answer = std::move(answer),
               notification = call.notification](Outcome outcome) mutable {
    const std::shared_ptr<Responder> self = weak.lock();
    if (self == nullptr) return;
    if (outcome.kind != Outcome::Kind::kDeclined) ++self->counters_.executed;
    if (notification) return;
    answer.outcome = std::move(outcome);
    self->Send(std::move(answer));
  };
  local_.Run(std::move(call), std::move(done));
}

void Responder::OnCancel(const internal::v1::Envelope& envelope) {
  local_.Cancel({envelope.sender_id(), envelope.sender_boot()}, envelope.cancel_call().call_id());
}

void Responder::OnInquiry(const internal::v1::Envelope& envelope) {
  for (const uint64_t id : envelope.call_inquiry().call_ids()) {
    CallKey call(envelope.sender_boot(), id);
    if (open_.contains(call)) continue;
    // If it is not sent, there is another inquiry after this interruption.
    Send({.call = std::move(call),
          .deadline = absl::InfinitePast(),
          .boot = membership_.self().boot,
          .outcome = Declined(BackplaneUnavailable("the call was lost when the node's connection to Redis was"))});
  }
}

void Responder::OnBusState(const absl::Status& state) {
  if (!state.ok()) {
    interrupted_ = true;
  } else if (interrupted_) {
    interrupted_ = false;
    TellOfInterruption();
  }
}

void Responder::TellOfInterruption() {
  internal::v1::Envelope envelope;
  envelope.mutable_interruption();
  // If it is not sent, the bus breaks, and it is told of that instead.
  bus_.Publish(keys_.ChannelAll(), std::move(envelope), [](const absl::StatusOr<int64_t>&) {});
}

void Responder::Stop() {
  again_.reset();
  unsent_.clear();
}

void Responder::Send(Answer answer) {
  if (!again_.has_value()) return;
  if (membership_.self().boot != answer.boot) {
    // The caller asked another life of this node, and has been told that it is lost.
    open_.erase(answer.call);
    return;
  }
  const std::string channel = keys_.ChannelBoot(answer.call.first);
  internal::v1::Envelope envelope;
  *envelope.mutable_reply() = ToProto(answer.call.second, answer.outcome);
  bus_.Publish(channel, std::move(envelope),
               [weak = weak_from_this(), answer = std::move(answer)](const absl::StatusOr<int64_t>& receivers) mutable {
                 const std::shared_ptr<Responder> self = weak.lock();
                 if (self == nullptr) return;
                 if (receivers.ok()) {
                   self->open_.erase(answer.call);
                 } else {
                   self->Keep(std::move(answer), receivers.status());
                 }
               });
}

void Responder::Keep(Answer answer, const absl::Status& why) {
  if (!again_.has_value()) return;
  LOG_EVERY_T(WARNING, 1) << "a reply was not sent, and will be sent again: " << why;
  if (unsent_.empty()) again_->Set(MonotonicNow() + kAgainEvery);
  if (unsent_bytes_ + answer.outcome.result.body.size() > kMaxUnsentBytes) {
    answer.outcome = {
        .kind = Outcome::Kind::kError,
        .result = {},
        .error = MakeError(v1::ERROR_REASON_HANDLER_FAILED, "the result was lost: too many had to wait for Redis")};
  }
  unsent_bytes_ += answer.outcome.result.body.size();
  unsent_.push_back(std::move(answer));
}

void Responder::SendAgain() {
  const absl::Time now = MonotonicNow();
  std::erase_if(unsent_, [&](const Answer& answer) {
    if (now < answer.deadline) return false;
    unsent_bytes_ -= answer.outcome.result.body.size();
    open_.erase(answer.call);
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
