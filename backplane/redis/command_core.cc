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

std::string WaitFor(const LinkOptions& options) {
  if (options.ack_replicas == 0) return "";
  const std::string replicas = absl::StrCat(options.ack_replicas);
  const std::string timeout = absl::StrCat(absl::ToInt64Milliseconds(options.ack_timeout));
  return Command({"WAIT", replicas, timeout}).wire();
}

}  // namespace

CommandCore::CommandCore(const LinkOptions& options, const std::vector<Script>& scripts)
    : stall_timeout_(options.stall_timeout),
      wants_master_(options.endpoint.sentinels.has_value()),
      ack_replicas_(options.ack_replicas),
      wait_(WaitFor(options)),
      handshake_(options, scripts) {}

void CommandCore::Execute(Command command, absl::Time deadline, absl::Time now, Completion done) {
  CHECK(ready_);
  next_deadline_ = std::min(next_deadline_, deadline);
  Pending pending;
  pending.done = std::move(done);
  pending.deadline = deadline;
  pending.is_script = command.is_script();
  pending.wire = std::move(command).TakeWire();
  if (reloading_) {
    held_.push_back(std::move(pending));
  } else {
    Send(std::move(pending), now);
  }
}

void CommandCore::Send(Pending pending, absl::Time now) {
  out_.append(pending.wire);
  if (!pending.is_script) pending.wire = std::string();
  pending.sent_at = now;
  last_sent_at_ = now;
  in_flight_.push_back(std::move(pending));
  wait_is_due_ = !wait_.empty();
}

void CommandCore::AwaitHandshake(size_t replies, absl::Time now) {
  for (size_t i = 0; i < replies; ++i) {
    Pending step;
    step.sent_at = now;
    step.is_handshake = true;
    in_flight_.push_back(std::move(step));
  }
}

void CommandCore::Opened(absl::Time now) {
  DCHECK(in_flight_.empty());
  reader_ = ReplyReader();
  out_.clear();
  wait_is_due_ = false;
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
  if (pending.is_wait) {
    Confirm(reply);
    return absl::OkStatus();
  }
  const absl::string_view error = ErrorCode(reply.view().error());
  const bool demoted = wants_master_ && error == "READONLY";
  if (pending.done) {
    if (!reply.view().is_error()) {
      if (wait_.empty()) {
        std::move(pending.done)(std::move(reply));
      } else {
        unconfirmed_.push_back({std::move(pending.done), pending.deadline, std::move(reply)});
      }
    } else if (error != "NOSCRIPT" || !HoldForReload(pending, now)) {
      std::move(pending.done)(ErrorReplyStatus(reply.view().error()));
    }
  }
  return demoted ? BackplaneUnavailable("it is no master any more") : absl::OkStatus();
}

void CommandCore::Confirm(const Reply& reply) {
  const absl::StatusOr<int64_t> replicas = reply.view().Integer();
  absl::Status why;
  if (!replicas.ok()) {
    why = BackplaneUnavailable(
        absl::StrCat("written, but Redis does not say on how many replicas: ", reply.view().error()));
  } else if (*replicas < ack_replicas_) {
    why = BackplaneUnavailable(
        absl::StrCat("written, but on ", *replicas, " of ", ack_replicas_, " replicas: a failover may undo it"));
  }
  for (Unconfirmed& one : std::exchange(unconfirmed_, {})) {
    if (!one.done) continue;
    if (why.ok()) {
      std::move(one.done)(std::move(one.reply));
    } else {
      std::move(one.done)(why);
    }
  }
}

bool CommandCore::HoldForReload(Pending& pending, absl::Time now) {
  if (!pending.is_script || pending.loads == kMaxLoads) return false;
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
  for (Pending& pending : resend_) Send(std::move(pending), now);
  resend_.clear();
  for (Pending& pending : held_) Send(std::move(pending), now);
  held_.clear();
}

void CommandCore::TakeOutput(std::string* out) {
  if (wait_is_due_) {
    wait_is_due_ = false;
    out_.append(wait_);
    Pending wait;
    wait.sent_at = last_sent_at_;
    wait.is_wait = true;
    in_flight_.push_back(std::move(wait));
  }
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
  const auto expire = [&](auto& pending) {
    if (!pending.done) return false;
    if (pending.deadline > now) {
      next_deadline_ = std::min(next_deadline_, pending.deadline);
      return false;
    }
    expired.push_back(std::move(pending.done));
    pending.done = nullptr;
    return true;
  };
  for (Unconfirmed& one : unconfirmed_) expire(one);
  for (Pending& pending : in_flight_) expire(pending);
  // These have no place in the line to keep.
  for (std::deque<Pending>* unsent : {&resend_, &held_}) {
    unsent->erase(std::remove_if(unsent->begin(), unsent->end(), expire), unsent->end());
  }
  for (Completion& done : expired) std::move(done)(absl::DeadlineExceededError("Redis did not reply in time"));
}

void CommandCore::Closed(const absl::Status& why) {
  ready_ = false;
  reloading_ = false;
  out_.clear();
  next_deadline_ = absl::InfiniteFuture();
  std::vector<Completion> ended;
  for (Unconfirmed& one : std::exchange(unconfirmed_, {})) ended.push_back(std::move(one.done));
  for (std::deque<Pending>* line : {&in_flight_, &resend_, &held_}) {
    for (Pending& pending : std::exchange(*line, {})) ended.push_back(std::move(pending.done));
  }
  for (Completion& done : ended) {
    if (done) std::move(done)(why);
  }
}

}  // namespace actioncluster::redis
