#include "backplane/rpc/pending_calls.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "backplane/domain/error.h"
#include "backplane/membership/directory.h"
#include "glog/logging.h"

namespace actioncluster {

void PendingCalls::EndWith(Sinks sinks, absl::StatusOr<CallResult> result) {
  if (auto* every = std::get_if<Every>(&sinks)) {
    std::move(every->done)(result.status());
  } else if (auto* sent = std::get_if<Sent>(&sinks)) {
    std::move(sent->done)(std::move(result));
  } else {
    std::move(std::get<First>(sinks).done)(std::move(result));
  }
}

void PendingCalls::Open(CallId id, std::string method, absl::Time deadline, Sinks sinks) {
  auto call = std::make_shared<Call>();
  call->id = id;
  call->method = std::move(method);
  call->deadline = deadline;
  call->sinks = std::move(sinks);
  CHECK(calls_.emplace(id, call).second) << "a call's id was used twice: " << id;
  deadlines_.emplace(deadline, id);
  size_.store(static_cast<uint32_t>(calls_.size()), std::memory_order_relaxed);
}

bool PendingCalls::Expect(CallId id, std::vector<NodeRef> nodes, std::deque<NodeRef> fallbacks,
                          const std::string& local_boot, Ask ask, absl::Time now) {
  const CallPtr call = Find(id);
  if (call == nullptr) return false;
  CHECK(!nodes.empty() && !HasOpenShare(*call))
      << "a call is told whom to expect, and once they have ended whom else: " << id;
  ++call->round;
  call->local_boot = local_boot;
  call->fallbacks = std::move(fallbacks);
  call->ask = std::move(ask);
  call->asked_at = now;
  for (NodeRef& node : nodes) {
    const bool local = node.boot == local_boot;
    call->shares.push_back({.node = std::move(node), .local = local});
  }
  return true;
}

uint32_t PendingCalls::RoundOf(CallId id) const {
  const CallPtr call = Find(id);
  return call == nullptr ? 0 : call->round;
}

void PendingCalls::OnDeclined(CallId id, Declined declined) {
  if (const CallPtr call = Find(id)) call->declined = std::move(declined);
}

bool PendingCalls::Accept(CallId id, absl::string_view boot, Outcome outcome, uint32_t round) {
  const CallPtr call = Find(id);
  Share* share = call == nullptr || call->round != round ? nullptr : FindOpen(*call, boot);
  if (share == nullptr) return false;
  if (outcome.kind == Outcome::Kind::kDeclined) {
    EndShare(call, *share, VerdictOf(outcome.error), outcome.error);
    return true;
  }
  const bool failed = outcome.kind == Outcome::Kind::kError;
  const bool late = failed && ReasonOf(outcome.error) == v1::ERROR_REASON_RPC_TIMEOUT;
  if (late && !IsNodeMethod(call->method)) return true;
  const absl::Status error = failed ? WithMetadata(outcome.error, "node_id", share->node.id) : absl::OkStatus();
  share->open = false;
  if (auto* every = std::get_if<Every>(&call->sinks)) {
    if (failed) {
      every->on_share(share->node.id, error);
    } else {
      every->on_share(share->node.id, std::move(outcome.result));
    }
    AfterShare(call);
  } else if (failed) {
    Finish(call, error);
  } else {
    Finish(call, CallResult{share->node.id, std::move(outcome.result)});
  }
  return true;
}

void PendingCalls::Delivered(CallId id, const std::vector<std::string>& boots) {
  const CallPtr call = Find(id);
  if (call == nullptr) return;
  for (const std::string& boot : boots) {
    Share* share = FindOpen(*call, boot);
    if (share == nullptr) continue;
    share->delivery = Delivery::kDelivered;
    if (share->lost) EndAsLost(call, *share);
  }
}

void PendingCalls::Doubtful(CallId id, const std::vector<std::string>& boots) {
  const CallPtr call = Find(id);
  if (call == nullptr) return;
  for (const std::string& boot : boots) {
    Share* share = FindOpen(*call, boot);
    if (share == nullptr) continue;
    share->delivery = Delivery::kDoubtful;
    if (share->lost) {
      EndAsLost(call, *share);
    } else {
      EndIfWithdrawn(call, *share);
    }
  }
}

void PendingCalls::Unsent(CallId id, const std::vector<std::string>& boots, const absl::Status& why) {
  const CallPtr call = Find(id);
  if (call == nullptr) return;
  for (const std::string& boot : boots) {
    if (Share* share = FindOpen(*call, boot)) EndShare(call, *share, Verdict::kMayHaveRun, why);
  }
}

void PendingCalls::Unreachable(CallId id, absl::string_view boot) {
  const CallPtr call = Find(id);
  Share* share = call == nullptr ? nullptr : FindOpen(*call, boot);
  if (share == nullptr) return;
  EndShare(call, *share, Verdict::kOutOfReach,
           BackplaneUnavailable(absl::StrCat("node ", share->node.id, " cannot be reached now")));
}

void PendingCalls::Lost(absl::string_view boot) {
  for (const CallPtr& call : All()) {
    Share* share = FindOpen(*call, boot);
    if (share == nullptr) continue;
    if (!share->local && share->delivery == Delivery::kUnknown) {
      share->lost = true;
    } else {
      EndAsLost(call, *share);
    }
  }
}

void PendingCalls::Forgotten(absl::string_view boot, const absl::Status& why) {
  for (const CallPtr& call : All()) {
    if (Share* share = FindOpen(*call, boot)) EndShare(call, *share, Verdict::kMayHaveRun, why);
  }
}

void PendingCalls::Withdrawn(absl::string_view boot, absl::FunctionRef<bool(absl::string_view)> offers) {
  for (const CallPtr& call : All()) {
    Share* share = FindOpen(*call, boot);
    if (share == nullptr || share->local || offers(call->method)) continue;
    share->withdrawn = true;
    EndIfWithdrawn(call, *share);
  }
}

void PendingCalls::BusBroken(const absl::Status& why) {
  for (const CallPtr& call : All()) {
    for (Share& share : call->shares) {
      if (share.open && !share.local && !call->ended) EndShare(call, share, Verdict::kMayHaveRun, why);
    }
  }
}

void PendingCalls::End(CallId id, const absl::Status& status) {
  const CallPtr call = Find(id);
  if (call == nullptr) return;
  if (status.ok()) {
    Finish(call, CallResult{});
  } else {
    Finish(call, status);
  }
}

void PendingCalls::EndAll(const absl::Status& status) {
  for (const CallPtr& call : All()) End(call->id, status);
}

PendingCalls::Abandoned PendingCalls::Cancel(CallId id) {
  Abandoned abandoned;
  const CallPtr call = Find(id);
  if (call == nullptr) return abandoned;
  abandoned.method = call->method;
  for (const Share& share : call->shares) {
    if (share.open) abandoned.nodes.push_back(share.node);
  }
  Finish(call, absl::CancelledError("the caller has cancelled the call"));
  return abandoned;
}

absl::Time PendingCalls::Expire(absl::Time now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const CallPtr call = Find(deadlines_.begin()->second);
    std::vector<std::string> missing;
    for (const Share& share : call->shares) {
      if (share.open) missing.push_back(share.node.id);
    }
    std::sort(missing.begin(), missing.end());
    ErrorMetadata metadata;
    if (!missing.empty()) metadata["missing_nodes"] = absl::StrJoin(missing, ",");
    if (missing.size() == 1) metadata["node_id"] = missing.front();
    Finish(call, MakeError(v1::ERROR_REASON_RPC_TIMEOUT, "the call's deadline has passed", metadata));
  }
  return deadlines_.empty() ? absl::InfiniteFuture() : deadlines_.begin()->first;
}

std::vector<std::string> PendingCalls::AwaitedSince(absl::Time before) const {
  absl::btree_set<std::string> boots;
  for (const auto& [id, call] : calls_) {
    if (call->asked_at >= before) continue;
    for (const Share& share : call->shares) {
      if (share.open && !share.local) boots.insert(share.node.boot);
    }
  }
  return {boots.begin(), boots.end()};
}

std::vector<std::pair<CallId, uint32_t>> PendingCalls::AwaitedOf(absl::string_view boot) const {
  std::vector<std::pair<CallId, uint32_t>> awaited;
  for (const auto& [id, call] : calls_) {
    if (std::holds_alternative<Sent>(call->sinks)) continue;
    const Share* share = FindOpen(*call, boot);
    if (share != nullptr && !share->local) awaited.emplace_back(id, call->round);
  }
  return awaited;
}

uint32_t PendingCalls::CountUpTo(CallId newest) const {
  return static_cast<uint32_t>(
      std::count_if(calls_.begin(), calls_.end(), [newest](const auto& call) { return call.first <= newest; }));
}

PendingCalls::CallPtr PendingCalls::Find(CallId id) const {
  const auto it = calls_.find(id);
  return it == calls_.end() ? nullptr : it->second;
}

std::vector<PendingCalls::CallPtr> PendingCalls::All() const {
  std::vector<CallPtr> all;
  all.reserve(calls_.size());
  for (const auto& [id, call] : calls_) all.push_back(call);
  return all;
}

PendingCalls::Share* PendingCalls::FindOpen(Call& call, absl::string_view boot) {
  if (call.ended) return nullptr;
  for (Share& share : call.shares) {
    if (share.open && share.node.boot == boot) return &share;
  }
  return nullptr;
}

bool PendingCalls::HasOpenShare(const Call& call) {
  return std::any_of(call.shares.begin(), call.shares.end(), [](const Share& share) { return share.open; });
}

PendingCalls::Verdict PendingCalls::VerdictOf(const absl::Status& decline) {
  if (decline.code() == absl::StatusCode::kResourceExhausted) return Verdict::kOverloaded;
  if (ReasonOf(decline) == v1::ERROR_REASON_METHOD_NOT_FOUND) return Verdict::kNotOffered;
  return Verdict::kNotNow;
}

void PendingCalls::EndShare(const CallPtr& call, Share& share, Verdict verdict, const absl::Status& why) {
  share.open = false;
  // A peer that declines with OK says nothing; what it declined has not been run all the same.
  const absl::Status error =
      WithMetadata(why.ok() ? BackplaneUnavailable(absl::StrCat("node ", share.node.id, " declined")) : why, "node_id",
                   share.node.id);
  if (call->status.ok() || verdict > call->verdict) {
    call->verdict = verdict;
    call->status = error;
  }
  if (auto* every = std::get_if<Every>(&call->sinks)) every->on_share(share.node.id, error);
  AfterShare(call);
}

void PendingCalls::AfterShare(const CallPtr& call) {
  if (call->ended || HasOpenShare(*call)) return;
  if (std::holds_alternative<Every>(call->sinks)) {
    Finish(call, CallResult{});
  } else if (call->verdict != Verdict::kMayHaveRun && !call->fallbacks.empty()) {
    const NodeRef next = std::move(call->fallbacks.front());
    call->fallbacks.pop_front();
    call->shares.push_back({.node = next, .local = next.boot == call->local_boot});
    call->ask(next);
  } else if (call->verdict < Verdict::kOverloaded && call->declined != nullptr) {
    call->declined(call->status);
  } else {
    Finish(call, call->status);
  }
}

void PendingCalls::EndIfWithdrawn(const CallPtr& call, Share& share) {
  if (!share.withdrawn || share.delivery != Delivery::kDoubtful) return;
  EndShare(call, share, Verdict::kMayHaveRun,
           BackplaneUnavailable(absl::StrCat("node ", share.node.id, " withdrew the method while it was called")));
}

void PendingCalls::EndAsLost(const CallPtr& call, Share& share) {
  EndShare(call, share, Verdict::kMayHaveRun,
           MakeError(v1::ERROR_REASON_HANDLER_FAILED,
                     absl::StrCat("node ", share.node.id, " was lost while it ran the call"), {{"lost", "true"}}));
}

void PendingCalls::Finish(const CallPtr& call, absl::StatusOr<CallResult> result) {
  if (call->ended) return;
  call->ended = true;
  deadlines_.erase({call->deadline, call->id});
  calls_.erase(call->id);
  size_.store(static_cast<uint32_t>(calls_.size()), std::memory_order_relaxed);
  EndWith(std::move(call->sinks), std::move(result));
}

}  // namespace actioncluster
