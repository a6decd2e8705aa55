#include "backplane/rpc/asker.h"

#include <algorithm>
#include <cstddef>
#include <deque>
#include <utility>
#include <variant>

#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "backplane/rpc/messages.h"

namespace actioncluster {
namespace {

// To more nodes than these, one message on the method's channel costs less.
constexpr size_t kMaxSingleCancels = 4;

bool ToWhoeverOffers(const CallTarget& target) {
  return std::holds_alternative<AllNodes>(target) || std::holds_alternative<AnyNode>(target);
}

bool OrItsSuccessor(const CallTarget& target) {
  const auto* const one = std::get_if<OneNode>(&target);
  return one != nullptr && one->or_successor;
}

}  // namespace

template <class F>
auto Asker::Guard(F f) {
  return [weak = weak_from_this(), f = std::move(f)](auto&&... arguments) mutable {
    const std::shared_ptr<Asker> self = weak.lock();
    if (self != nullptr && !self->stopped_) f(*self, std::forward<decltype(arguments)>(arguments)...);
  };
}

Asker::Asker(Loop& loop, Bus& bus, Membership& membership, Presence& presence, const Keys& keys, LocalMethods& local,
             RpcCounters& counters)
    : loop_(loop),
      bus_(bus),
      membership_(membership),
      presence_(presence),
      keys_(keys),
      local_(local),
      counters_(counters),
      prober_(std::make_shared<Prober>(loop, bus, pending_)) {
  deadline_timer_.emplace(loop, [this] {
    deadline_ = absl::InfiniteFuture();
    ArmDeadline(pending_.Expire(MonotonicNow()));
  });
  waiting_timer_.emplace(loop, [this] { EndWaiting(); });
}

void Asker::Begin(const RequestPtr& request) {
  const IncomingCall& call = request->call;
  ++counters_.calls;
  pending_.Open(call.id, call.method, call.deadline, std::move(request->sinks));
  if (call.deadline <= MonotonicNow()) {
    pending_.Expire(MonotonicNow());
    return;
  }
  ArmDeadline(call.deadline);
  if (!membership_.Serving()) {
    pending_.End(call.id, BackplaneUnavailable("this node is not in the cluster now"));
    return;
  }
  const absl::Status size = CheckMessageSize(call.method.size() + call.arguments.body.size() +
                                             call.connection_id.size() + call.subject.size());
  if (!size.ok()) {
    pending_.End(call.id, size);
    return;
  }
  LookUp(request, /*refreshed=*/false);
}

// Finds out which boot holds the connection, if the call is to one.
void Asker::LookUp(const RequestPtr& request, bool refreshed) {
  const IncomingCall& call = request->call;
  if (call.connection_id.empty()) {
    Resolve(request, refreshed);
    return;
  }
  if (local_.Holds(call.connection_id)) {
    request->holder = membership_.self().boot;
    Resolve(request, refreshed);
    return;
  }
  using Record = absl::StatusOr<std::optional<internal::v1::ConnectionRecord>>;
  presence_.Lookup(call.connection_id, Guard([request, refreshed](Asker& self, const Record& record) {
                     if (!record.ok()) {
                       self.pending_.End(request->call.id, record.status());
                       return;
                     }
                     if (record->has_value()) request->holder = (*record)->boot_id();
                     self.Resolve(request, refreshed);
                   }));
}

void Asker::Resolve(const RequestPtr& request, bool refreshed) {
  const CallId id = request->call.id;
  if (!pending_.Waits(id)) return;
  absl::StatusOr<Addressees> addressees = FindAddressees(membership_.directory(), request->call.method, request->target,
                                                         membership_.self(), request->holder, random_);
  const absl::Status found = addressees.ok() ? WithoutAsked(*request, &*addressees) : addressees.status();
  if (found.ok()) return AskFirst(request, *std::move(addressees));
  if (refreshed) return EndOrWait(request, found);
  membership_.Refresh(Guard([request](Asker& self, const absl::Status& status) {
    if (status.ok()) {
      // The connection may have moved from a boot that is gone by now.
      self.LookUp(request, /*refreshed=*/true);
    } else {
      self.pending_.End(request->call.id, status);
    }
  }));
}

absl::Status Asker::WithoutAsked(const Request& request, Addressees* addressees) {
  if (request.asked.empty()) return absl::OkStatus();
  std::deque<NodeRef> left(addressees->nodes.begin(), addressees->nodes.end());
  const size_t at_once = left.size();
  left.insert(left.end(), addressees->fallbacks.begin(), addressees->fallbacks.end());
  std::erase_if(left, [&](const NodeRef& node) { return request.asked.contains(node.boot); });
  if (left.empty()) return request.declined;
  const auto rest = left.begin() + static_cast<ptrdiff_t>(std::min(at_once, left.size()));
  addressees->nodes.assign(left.begin(), rest);
  addressees->fallbacks.assign(rest, left.end());
  return absl::OkStatus();
}

void Asker::EndOrWait(const RequestPtr& request, const absl::Status& why) {
  const absl::Time now = MonotonicNow();
  request->wait_until = std::min(request->wait_until, now + MovingMethods::kLimit);
  if (now >= request->wait_until || !MayCome(*request, now)) return pending_.End(request->call.id, why);
  waiting_.push_back({.request = request, .why = why});
  // The first has waited longest.
  waiting_timer_->Set(waiting_.front().request->wait_until);
}

bool Asker::MayCome(const Request& request, absl::Time now) const {
  if (ToWhoeverOffers(request.target)) return moving_.Contains(request.call.method, now);
  if (!OrItsSuccessor(request.target)) return false;
  const std::string& id = std::get<OneNode>(request.target).node_id;
  // A drain may take longer than what was heard of it counts.
  const internal::v1::NodeRecord* node = membership_.directory().FindNode(id);
  return (node != nullptr && node->draining()) || moving_.HasDrained(id, now);
}

// Its node may have been asked before it offered the method.
void Asker::WakeWaiting(const NodeEvent& event) {
  for (Waiting& waiting : std::exchange(waiting_, {})) {
    waiting.request->asked.erase(event.node.boot_id());
    Resolve(waiting.request, /*refreshed=*/true);
  }
}

void Asker::EndWaiting() {
  const absl::Time now = MonotonicNow();
  for (Waiting& waiting : std::exchange(waiting_, {})) {
    if (waiting.request->wait_until <= now) {
      pending_.End(waiting.request->call.id, waiting.why);
    } else if (pending_.Waits(waiting.request->call.id)) {
      waiting_.push_back(std::move(waiting));
    }
  }
  if (!waiting_.empty()) waiting_timer_->Set(waiting_.front().request->wait_until);
}

void Asker::AskFirst(const RequestPtr& request, Addressees addressees) {
  if (request->sent != nullptr) *request->sent = static_cast<int>(addressees.nodes.size());
  request->call.caller = membership_.self();
  for (const NodeRef& node : addressees.nodes) request->asked.insert(node.boot);
  const bool waits = pending_.Expect(request->call.id, addressees.nodes, std::move(addressees.fallbacks),
                                     request->call.caller.boot, Guard([request](Asker& self, const NodeRef& node) {
                                       request->asked.insert(node.boot);
                                       self.Ask(request, {node});
                                     }),
                                     MonotonicNow());
  if (!waits) return;
  request->call.round = pending_.RoundOf(request->call.id);
  if (ToWhoeverOffers(request->target) || OrItsSuccessor(request->target)) {
    pending_.OnDeclined(request->call.id, Guard([request](Asker& self, const absl::Status& why) {
                          request->declined = why;
                          self.AskAnew(request);
                        }));
  }
  prober_->Arm();
  Ask(request, addressees.nodes);
}

// What this node knew was older than what they know, or they have changed since.
void Asker::AskAnew(const RequestPtr& request) {
  membership_.Refresh(Guard([request](Asker& self, const absl::Status& status) {
    if (status.ok()) {
      self.Resolve(request, /*refreshed=*/true);
    } else {
      self.pending_.End(request->call.id, request->declined);
    }
  }));
}

void Asker::Ask(const RequestPtr& request, const std::vector<NodeRef>& nodes) {
  const bool notification = request->call.notification;
  std::vector<std::string> others;
  for (const NodeRef& node : nodes) {
    if (node.boot != request->call.caller.boot) others.push_back(node.boot);
  }
  const absl::Status state = others.empty() ? absl::OkStatus() : bus_.state();
  if (notification && !state.ok()) {
    pending_.End(request->call.id, state);
    return;
  }
  if (others.size() < nodes.size()) RunHere(request);
  if (!state.ok()) {
    pending_.Unsent(request->call.id, others, state);
  } else if (!others.empty()) {
    Send(request, others);
  } else if (notification) {
    loop_.Post(Guard([request](Asker& self) { self.pending_.End(request->call.id, absl::OkStatus()); }));
  }
}

void Asker::RunHere(const RequestPtr& request) {
  local_.Run(request->call, Guard([request, round = request->call.round](Asker& self, Outcome outcome) {
               if (outcome.kind != Outcome::Kind::kDeclined) ++self.counters_.executed;
               if (request->call.notification) return;
               self.loop_.Post(self.Guard([request, round, outcome = std::move(outcome)](Asker& asker) mutable {
                 asker.pending_.Accept(request->call.id, request->call.caller.boot, std::move(outcome), round);
               }));
             }));
}

void Asker::Send(const RequestPtr& request, const std::vector<std::string>& boots) {
  internal::v1::Envelope envelope;
  *envelope.mutable_call() = ToProto(request->call, MonotonicNow());
  // On the method's channel a node that we do not know yet runs it too; a single node is asked on its own.
  const std::string channel = boots.size() == 1 ? keys_.ChannelBoot(boots.front()) : ChannelOf(request->call.method);
  bus_.Publish(channel, std::move(envelope),
               Guard([request, boots](Asker& self, const absl::StatusOr<int64_t>& receivers) {
                 if (receivers.ok()) {
                   self.Sent(request, boots, *receivers);
                   return;
                 }
                 const absl::Status& why = receivers.status();  // BACKPLANE_UNAVAILABLE, whatever Redis said.
                 if (request->call.notification) {
                   self.pending_.End(request->call.id, why);
                 } else {
                   self.pending_.Unsent(request->call.id, boots, why);
                 }
               }));
}

void Asker::Sent(const RequestPtr& request, const std::vector<std::string>& boots, int64_t receivers) {
  const CallId id = request->call.id;
  if (request->call.notification) {
    if (receivers == 0 && *request->sent == 1) {
      pending_.Unreachable(id, boots.front());
    } else {
      pending_.End(id, absl::OkStatus());
    }
    return;
  }
  if (boots.size() == 1 && receivers == 0) {
    pending_.Unreachable(id, boots.front());
    return;
  }
  const int64_t own = boots.size() > 1 && HearsItself(request->call.method) ? 1 : 0;
  if (receivers - own >= static_cast<int64_t>(boots.size())) {
    pending_.Delivered(id, boots);
  } else {
    FindWhoMissedIt(id, boots);
  }
}

void Asker::FindWhoMissedIt(CallId id, const std::vector<std::string>& boots) {
  using Deaf = absl::StatusOr<std::vector<std::string>>;
  bus_.FindDeaf(boots, Guard([id, boots](Asker& self, const Deaf& deaf) {
                  if (deaf.ok()) {
                    for (const std::string& boot : *deaf) self.pending_.Unreachable(id, boot);
                  }
                  self.pending_.Doubtful(id, boots);
                }));
}

void Asker::Cancel(CallId id) {
  const PendingCalls::Abandoned abandoned = pending_.Cancel(id);
  std::vector<std::string> channels;
  for (const NodeRef& node : abandoned.nodes) {
    if (node.boot == membership_.self().boot) {
      local_.Cancel(node, id);
    } else {
      channels.push_back(keys_.ChannelBoot(node.boot));
    }
  }
  if (channels.size() > kMaxSingleCancels) channels = {ChannelOf(abandoned.method)};
  for (const std::string& channel : channels) {
    internal::v1::Envelope envelope;
    envelope.mutable_cancel_call()->set_call_id(id);
    // Lost, it costs the runner the rest of its deadline.
    bus_.Publish(channel, std::move(envelope), [](const absl::StatusOr<int64_t>&) {});
  }
}

void Asker::Stop(const absl::Status& why) {
  stopped_ = true;
  deadline_timer_.reset();
  waiting_timer_.reset();
  waiting_.clear();
  prober_.reset();
  pending_.EndAll(why);
}

void Asker::OnReply(const internal::v1::Envelope& envelope) {
  const internal::v1::Reply& reply = envelope.reply();
  if (!pending_.Accept(reply.call_id(), envelope.sender_boot(), FromProto(reply), reply.round())) {
    ++counters_.unmatched;
  }
}

void Asker::OnInterruption(const internal::v1::Envelope& envelope) {
  internal::v1::Envelope inquiry;
  for (const auto& [id, round] : pending_.AwaitedOf(envelope.sender_boot())) {
    internal::v1::CallRef* call = inquiry.mutable_call_inquiry()->add_calls();
    call->set_id(id);
    call->set_round(round);
  }
  if (!inquiry.has_call_inquiry()) return;
  // If it is not sent, the bus breaks, and all these end.
  bus_.Publish(keys_.ChannelBoot(envelope.sender_boot()), std::move(inquiry), [](const absl::StatusOr<int64_t>&) {});
}

void Asker::OnDenial(const internal::v1::Envelope& envelope) {
  const absl::Status why = BackplaneUnavailable("the call was lost when the node's connection to Redis was");
  for (const internal::v1::CallRef& call : envelope.call_denial().calls()) {
    pending_.Accept(call.id(), envelope.sender_boot(), {.kind = Outcome::Kind::kDeclined, .result = {}, .error = why},
                    call.round());
  }
}

void Asker::OnNode(const NodeEvent& event) {
  switch (event.kind) {
    case NodeEvent::Kind::kLost:
      // A Redis that comes back empty knows nobody. Those who run our calls are then well, and will rejoin.
      if (const absl::Status verdict = membership_.Verdict(); !verdict.ok()) {
        pending_.Forgotten(event.node.boot_id(), verdict);
        break;
      }
      [[fallthrough]];
    case NodeEvent::Kind::kLeft:
      pending_.Lost(event.node.boot_id());
      break;
    case NodeEvent::Kind::kUpdated:
    case NodeEvent::Kind::kDraining:
      pending_.Withdrawn(event.node.boot_id(), [&](absl::string_view method) { return Offers(event.node, method); });
      break;
    case NodeEvent::Kind::kJoined:
      break;
  }
  moving_.OnNode(event, MonotonicNow());
  WakeWaiting(event);
}

void Asker::OnServing(bool serving) {
  if (serving) return;
  const NodeRef former = membership_.self();
  pending_.EndAll(BackplaneUnavailable("this node has lost its place in the cluster"));
  local_.CallerLost(former);
}

void Asker::OnBusState(const absl::Status& state) {
  if (!state.ok()) pending_.BusBroken(state);
}

bool Asker::HearsItself(absl::string_view method) const {
  const internal::v1::NodeRecord* own = membership_.directory().FindBoot(membership_.self().boot);
  return own != nullptr && Offers(*own, method);
}

std::string Asker::ChannelOf(absl::string_view method) const {
  return IsNodeMethod(method) ? keys_.ChannelAll() : keys_.ChannelMethod(method);
}

void Asker::ArmDeadline(absl::Time when) {
  if (when >= deadline_) return;
  deadline_ = when;
  deadline_timer_->Set(when);
}

}  // namespace actioncluster
