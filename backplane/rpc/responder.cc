#include "backplane/rpc/responder.h"

#include <algorithm>
#include <utility>

#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "backplane/rpc/messages.h"
#include "glog/logging.h"

namespace actioncluster {
namespace {

// Whether there is a connection again; and, doubled each time, an answer that Redis does not take although there is.
constexpr absl::Duration kFirstAgainIn = absl::Milliseconds(20);
constexpr absl::Duration kMaxAgainIn = absl::Seconds(1);
// Half of what Redis by default lets wait for a subscriber.
constexpr size_t kMaxUnsentBytes = 16 << 20;
// By so much the deadlines of the two ends may differ.
constexpr absl::Duration kLinger = absl::Seconds(2);

}  // namespace

Responder::Responder(Loop& loop, Bus& bus, Membership& membership, const Keys& keys, LocalMethods& local,
                     RpcCounters& counters)
    : bus_(bus), membership_(membership), keys_(keys), local_(local), counters_(counters), again_in_(kFirstAgainIn) {
  again_.emplace(loop, [this] { SendAgain(); });
}

void Responder::OnCall(const internal::v1::Envelope& envelope, absl::Time sent_at) {
  IncomingCall call = FromProto(envelope, sent_at);
  if (call.deadline <= MonotonicNow()) {
    ++counters_.refused_late;
    return;
  }
  ForgetUntil(MonotonicNow());
  const bool notification = call.notification;
  Answer answer = {.call = {call.caller.boot, call.id, call.round},
                   .deadline = call.deadline,
                   .boot = membership_.self().boot,
                   .outcome = {}};
  if (!notification) heard_.insert(answer.call);
  if (!membership_.Serving()) {
    ++counters_.refused_late;
    answer.outcome = {
        .kind = Outcome::Kind::kDeclined, .result = {}, .error = BackplaneUnavailable("the node has no lease now")};
    if (!notification) Send(std::move(answer));
    return;
  }
  auto done = [weak = weak_from_this(), answer = std::move(answer), notification](Outcome outcome) mutable {
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
  internal::v1::Envelope denial;
  for (const internal::v1::CallRef& call : envelope.call_inquiry().calls()) {
    if (heard_.contains(CallKey(envelope.sender_boot(), call.id(), call.round()))) continue;
    *denial.mutable_call_denial()->add_calls() = call;
  }
  if (!denial.has_call_denial()) return;
  // If it is not sent, this is an interruption, and there is another inquiry after it.
  bus_.Publish(keys_.ChannelBoot(envelope.sender_boot()), std::move(denial), [](const absl::StatusOr<int64_t>&) {});
}

void Responder::OnBusState(const absl::Status& state) {
  interrupted_ = interrupted_ || (well_ && !state.ok());
  well_ = state.ok();
  if (well_ && std::exchange(interrupted_, false)) TellOfInterruption();
}

void Responder::TellOfInterruption() {
  internal::v1::Envelope envelope;
  envelope.mutable_interruption();
  bus_.Publish(keys_.ChannelAll(), std::move(envelope),
               [weak = weak_from_this()](const absl::StatusOr<int64_t>& receivers) {
                 const std::shared_ptr<Responder> self = weak.lock();
                 if (self != nullptr && !receivers.ok()) self->interrupted_ = true;
               });
}

void Responder::Stop() {
  again_.reset();
  unsent_.clear();
}

size_t Responder::unsent() const {
  if (!membership_.Serving()) return 0;  // All others take this node for lost.
  const auto in_time = [now = MonotonicNow()](const Answer& answer) { return now < answer.deadline; };
  return static_cast<size_t>(std::count_if(unsent_.begin(), unsent_.end(), in_time));
}

size_t Responder::SizeOf(const Outcome& outcome) {
  return sizeof(Answer) + outcome.result.body.size() + outcome.error.message().size();
}

void Responder::Send(Answer answer) {
  if (!again_.has_value()) return;
  if (membership_.self().boot != answer.boot) {
    // The caller asked another life of this node, and has been told that it is lost.
    heard_.erase(answer.call);
    return;
  }
  const auto& [caller, id, round] = answer.call;
  internal::v1::Envelope envelope;
  *envelope.mutable_reply() = ToProto(id, answer.outcome);
  envelope.mutable_reply()->set_round(round);
  const std::string channel = keys_.ChannelBoot(caller);
  bus_.Publish(channel, std::move(envelope),
               [weak = weak_from_this(), answer = std::move(answer)](const absl::StatusOr<int64_t>& receivers) mutable {
                 const std::shared_ptr<Responder> self = weak.lock();
                 if (self == nullptr || !self->again_.has_value()) return;
                 if (receivers.ok()) {
                   self->Sent(std::move(answer), *receivers);
                 } else {
                   self->Keep(std::move(answer), receivers.status());
                 }
               });
}

void Responder::Sent(Answer answer, int64_t receivers) {
  again_in_ = kFirstAgainIn;
  // Its caller waits on for others, or is connected to another Redis, as after a failover.
  const bool may_wait = receivers == 0 || ReasonOf(answer.outcome.error) == v1::ERROR_REASON_RPC_TIMEOUT;
  if (may_wait) return Linger(std::move(answer.call), answer.deadline);
  heard_.erase(answer.call);
}

void Responder::Keep(Answer answer, const absl::Status& why) {
  LOG_EVERY_T(WARNING, 1) << "a reply was not sent, and will be sent again: " << why;
  if (answer.outcome.kind == Outcome::Kind::kResult && unsent_bytes_ + SizeOf(answer.outcome) > kMaxUnsentBytes) {
    answer.outcome = {
        .kind = Outcome::Kind::kError,
        .result = {},
        .error = MakeError(v1::ERROR_REASON_HANDLER_FAILED, "the result was lost: too many had to wait for Redis")};
  }
  unsent_bytes_ += SizeOf(answer.outcome);
  if (unsent_.empty()) {
    again_->Set(MonotonicNow() + again_in_);
    again_in_ = std::min(2 * again_in_, kMaxAgainIn);
  }
  unsent_.push_back(std::move(answer));
}

void Responder::SendAgain() {
  const absl::Time now = MonotonicNow();
  if (!bus_.CanPublish()) {
    again_->Set(now + kFirstAgainIn);
    return;
  }
  unsent_bytes_ = 0;
  for (Answer& answer : std::exchange(unsent_, {})) {
    if (now < answer.deadline) {
      Send(std::move(answer));
    } else {
      Linger(std::move(answer.call), answer.deadline);
    }
  }
}

void Responder::Linger(CallKey call, absl::Time deadline) {
  ForgetUntil(MonotonicNow());
  forget_after_.emplace(deadline + kLinger, std::move(call));
}

void Responder::ForgetUntil(absl::Time now) {
  while (!forget_after_.empty() && forget_after_.begin()->first <= now) {
    heard_.erase(forget_after_.begin()->second);
    forget_after_.erase(forget_after_.begin());
  }
}

}  // namespace actioncluster
