#include "backplane/redis/command_core.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "backplane/redis/error_reply.h"
#include "glog/logging.h"

namespace actioncluster::redis {
namespace {

// Someone may flush the scripts again and again; a script that we never load stays unknown for ever.
constexpr int kMaxLoads = 8;

}  // namespace

CommandCore::CommandCore(const LinkOptions& options, const std::vector<Script>& scripts)
    : stall_timeout_(options.stall_timeout), handshake_(options, scripts) {}

void CommandCore::Execute(Command command, absl::Time deadline, absl::Time now, Completion done) {
  CHECK(ready_);
  next_deadline_ = std::min(next_deadline_, deadline);
  Pending pending{.done = std::move(done), .deadline = deadline, .sent_at = now, .script_wire = {}};
  const bool is_script = command.is_script();
  std::string wire = std::move(command).TakeWire();
  if (reloading_) {
    if (is_script) pending.script_wire = std::exchange(wire, std::string());
    held_.push_back({std::move(pending), std::move(wire)});
  } else if (is_script) {
    out_.append(wire);
    pending.script_wire = std::move(wire);
    in_flight_.push_back(std::move(pending));
  } else {
    Send(std::move(pending), wire, now);
  }
}

void CommandCore::Send(Pending pending, absl::string_view wire, absl::Time now) {
  out_.append(wire.data(), wire.size());
  pending.sent_at = now;
  in_flight_.push_back(std::move(pending));
}

void CommandCore::AwaitHandshake(size_t replies, absl::Time now) {
  for (size_t i = 0; i < replies; ++i) {
    in_flight_.push_back(Pending{.done = nullptr, .sent_at = now, .script_wire = {}, .is_handshake = true});
  }
}

void CommandCore::Opened(absl::Time now) {
  DCHECK(in_flight_.empty());
  reader_ = ReplyReader();
  out_.clear();
  AwaitHandshake(handshake_.Start(&out_), now);
}

absl::Status CommandCore::Feed(absl::string_view bytes, absl::Time now) {
  reader_.Feed(bytes);
  while (true) {
    absl::StatusOr<std::optional<Reply>> reply = reader_.Next();
    if (!reply.ok()) return BackplaneUnavailable(reply.status().message());
    if (!reply->has_value()) return absl::OkStatus();
    if (absl::Status status = Handle(**std::move(reply), now); !status.ok()) return status;
  }
}

absl::Status CommandCore::Handle(Reply reply, absl::Time now) {
  if (in_flight_.empty()) {
    return BackplaneUnavailable(absl::StrCat("a reply that nobody asked for: ", reply.view().error()));
  }
  Pending pending = std::move(in_flight_.front());
  in_flight_.pop_front();
  if (pending.is_handshake) {
    if (absl::Status status = handshake_.Accept(reply.view()); !status.ok()) return status;
    if (handshake_.done()) SendHeld(now);
    return absl::OkStatus();
  }
  if (!pending.done) return absl::OkStatus();
  if (!reply.view().is_error()) {
    std::move(pending.done)(std::move(reply));
  } else if (ErrorCode(reply.view().error()) != "NOSCRIPT" || !HoldForReload(pending, now)) {
    std::move(pending.done)(ErrorReplyStatus(reply.view().error()));
  }
  return absl::OkStatus();
}

bool CommandCore::HoldForReload(Pending& pending, absl::Time now) {
  if (pending.script_wire.empty() || pending.loads == kMaxLoads) return false;
  if (!reloading_) {
    const size_t replies = handshake_.LoadScripts(&out_);
    if (replies == 0) return false;
    AwaitHandshake(replies, now);
    reloading_ = true;
  }
  ++pending.loads;
  resend_.push_back(std::move(pending));
  return true;
}

void CommandCore::SendHeld(absl::Time now) {
  ready_ = true;
  reloading_ = false;
  for (Pending& pending : resend_) {
    out_.append(pending.script_wire);
    pending.sent_at = now;
    in_flight_.push_back(std::move(pending));
  }
  resend_.clear();
  for (Held& held : held_) {
    out_.append(held.wire.empty() ? held.pending.script_wire : held.wire);
    held.pending.sent_at = now;
    in_flight_.push_back(std::move(held.pending));
  }
  held_.clear();
}

void CommandCore::TakeOutput(std::string* out) {
  if (out->empty()) {
    out->swap(out_);
  } else {
    out->append(out_);
    out_.clear();
  }
}

absl::Status CommandCore::Tick(absl::Time now, absl::Time* next) {
  if (now >= next_deadline_) Expire(now);
  *next = next_deadline_;
  if (in_flight_.empty()) return absl::OkStatus();
  const absl::Time stalled = in_flight_.front().sent_at + stall_timeout_;
  *next = std::min(*next, stalled);
  if (now < stalled) return absl::OkStatus();
  return BackplaneUnavailable(absl::StrCat("no reply for ", absl::FormatDuration(stall_timeout_)));
}

void CommandCore::Expire(absl::Time now) {
  std::vector<Completion> expired;
  next_deadline_ = absl::InfiniteFuture();
  // True if it has ended.
  const auto expire = [&](Pending& pending) {
    if (!pending.done) return false;
    if (pending.deadline > now) {
      next_deadline_ = std::min(next_deadline_, pending.deadline);
      return false;
    }
    expired.push_back(std::move(pending.done));
    pending.done = nullptr;
    return true;
  };
  for (Pending& pending : in_flight_) expire(pending);
  // These have no place in the line to keep.
  resend_.erase(std::remove_if(resend_.begin(), resend_.end(), expire), resend_.end());
  held_.erase(std::remove_if(held_.begin(), held_.end(), [&](Held& held) { return expire(held.pending); }),
              held_.end());
  for (Completion& done : expired) std::move(done)(absl::DeadlineExceededError("Redis did not reply in time"));
}

void CommandCore::Closed(const absl::Status& why) {
  ready_ = false;
  reloading_ = false;
  out_.clear();
  next_deadline_ = absl::InfiniteFuture();
  std::vector<Completion> ended;
  for (Pending& pending : in_flight_) ended.push_back(std::move(pending.done));
  for (Pending& pending : resend_) ended.push_back(std::move(pending.done));
  for (Held& held : held_) ended.push_back(std::move(held.pending.done));
  in_flight_.clear();
  resend_.clear();
  held_.clear();
  for (Completion& done : ended) {
    if (done) std::move(done)(why);
  }
}

}  // namespace actioncluster::redis
