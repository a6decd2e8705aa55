#include "backplane/redis/subscriber_core.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"

namespace actioncluster::redis {

SubscriberCore::SubscriberCore(const LinkOptions& options, MessageHandler on_message)
    : stall_timeout_(options.stall_timeout), handshake_(options, {}), on_message_(std::move(on_message)) {}

void SubscriberCore::Subscribe(absl::string_view name, absl::Time now, Confirmed confirmed) {
  const auto [it, is_new] = wanted_.try_emplace(std::string(name));
  Channel& channel = it->second;
  if (confirmed) channel.waiting.push_back(std::move(confirmed));
  if (is_new && open_) {
    out_.append(Command({"SUBSCRIBE", name}).wire());
    channel.subscription = ++last_subscription_;
    Await({Awaited::Kind::kSubscribe, now, std::string(name), channel.subscription});
  }
  if (channel.confirmed && !channel.waiting.empty()) {
    late_.push_back(it->first);
    late_since_ = std::min(late_since_, now);
  }
}

void SubscriberCore::Unsubscribe(absl::string_view name, absl::Time now, Confirmed gone) {
  const auto it = wanted_.find(name);
  const bool wanted = it != wanted_.end();
  // The callbacks that are dropped may own more than we know: not while the map changes.
  Channel dropped;
  if (wanted) {
    dropped = std::move(it->second);
    wanted_.erase(it);
  }
  if (!wanted || !open_) {
    if (!gone) return;
    gone_.push_back(std::move(gone));
    late_since_ = std::min(late_since_, now);
    return;
  }
  out_.append(Command({"UNSUBSCRIBE", name}).wire());
  Await({Awaited::Kind::kUnsubscribe, now, std::string(name), 0, std::move(gone)});
}

void SubscriberCore::Await(Awaited awaited) { awaited_.push_back(std::move(awaited)); }

void SubscriberCore::Opened(absl::Time now) {
  reader_ = ReplyReader();
  open_ = true;
  last_heard_ = now;
  const size_t replies = handshake_.Start(&out_);
  for (size_t i = 0; i < replies; ++i) Await({Awaited::Kind::kHandshake, now, {}});
  if (!wanted_.empty()) {
    std::vector<std::string> args = {"SUBSCRIBE"};
    for (auto& [name, channel] : wanted_) {
      args.push_back(name);
      channel.subscription = ++last_subscription_;
      Await({Awaited::Kind::kSubscribe, now, name, channel.subscription});
    }
    out_.append(Command(args).wire());
  }
  opening_ = awaited_.size();
}

absl::Status SubscriberCore::Feed(absl::string_view bytes, absl::Time now) {
  last_heard_ = now;
  reader_.Feed(bytes);
  while (true) {
    absl::StatusOr<std::optional<Reply>> reply = reader_.Next();
    if (!reply.ok()) return BackplaneUnavailable(reply.status().message());
    if (!reply->has_value()) return absl::OkStatus();
    if (absl::Status status = Handle((*reply)->view()); !status.ok()) return status;
  }
}

absl::Status SubscriberCore::Handle(ReplyView reply) {
  if (!awaited_.empty() && awaited_.front().kind == Awaited::Kind::kHandshake) {
    awaited_.pop_front();
    if (absl::Status status = handshake_.Accept(reply); !status.ok()) return status;
    --opening_;
    return absl::OkStatus();
  }
  if (reply.is_error()) return BackplaneUnavailable(absl::StrCat("a subscription was refused: ", reply.error()));
  const absl::StatusOr<absl::string_view> type = reply.is_array() ? reply[0].String() : reply.String();
  if (!type.ok()) return BackplaneUnavailable(type.status().message());
  // A connection without channels gets a plain PONG.
  if (!reply.is_array() && *type == "PONG") return Answered(Awaited::Kind::kPing, "");
  return HandlePush(*type, reply);
}

absl::Status SubscriberCore::HandlePush(absl::string_view type, ReplyView reply) {
  if (type == "pong" && reply.size() == 2) return Answered(Awaited::Kind::kPing, "");
  const absl::StatusOr<absl::string_view> channel = reply[1].String();
  if (reply.size() == 3 && channel.ok()) {
    if (type == "subscribe") return Answered(Awaited::Kind::kSubscribe, *channel);
    if (type == "unsubscribe") return Answered(Awaited::Kind::kUnsubscribe, *channel);
    const absl::StatusOr<absl::string_view> payload = reply[2].String();
    if (type == "message" && payload.ok()) {
      on_message_(*channel, *payload);
      return absl::OkStatus();
    }
  }
  return BackplaneUnavailable("a subscriber got a reply that is none of a subscriber's");
}

absl::Status SubscriberCore::Answered(Awaited::Kind kind, absl::string_view channel) {
  if (awaited_.empty() || awaited_.front().kind != kind || awaited_.front().channel != channel) {
    return BackplaneUnavailable("a subscriber got a reply that it did not ask for");
  }
  Awaited awaited = std::move(awaited_.front());
  awaited_.pop_front();
  if (opening_ > 0) --opening_;
  if (kind == Awaited::Kind::kSubscribe) Confirm(awaited);
  if (awaited.gone) std::move(awaited.gone)();
  return absl::OkStatus();
}

void SubscriberCore::Confirm(const Awaited& awaited) {
  const auto it = wanted_.find(awaited.channel);
  if (it == wanted_.end() || it->second.subscription != awaited.subscription) return;
  it->second.confirmed = true;
  RunWaiting(awaited.channel);
}

void SubscriberCore::RunWaiting(const std::string& name) {
  const auto count = [&] {
    const auto it = wanted_.find(name);
    return it != wanted_.end() && it->second.confirmed ? it->second.waiting.size() : 0;
  };
  // One that subscribes again must not keep us here.
  for (size_t left = count(); left > 0 && count() > 0; --left) {
    std::deque<Confirmed>& waiting = wanted_.find(name)->second.waiting;
    Confirmed confirmed = std::move(waiting.front());
    waiting.pop_front();
    std::move(confirmed)();
  }
}

void SubscriberCore::TakeOutput(std::string* out) {
  out->append(out_);
  out_.clear();
}

absl::Status SubscriberCore::Tick(absl::Time now, absl::Time* next) {
  if (now >= late_since_) {
    late_since_ = absl::InfiniteFuture();
    for (const std::string& name : std::exchange(late_, {})) RunWaiting(name);
    for (Confirmed& gone : std::exchange(gone_, {})) std::move(gone)();
  }
  *next = late_since_;
  if (!open_) return absl::OkStatus();
  if (awaited_.empty() && now >= last_heard_ + stall_timeout_ / 2) {
    out_.append(Command({"PING"}).wire());
    Await({Awaited::Kind::kPing, now, {}});
  }
  if (awaited_.empty()) {
    *next = std::min(*next, last_heard_ + stall_timeout_ / 2);
    return absl::OkStatus();
  }
  const bool probed = awaited_.front().kind == Awaited::Kind::kPing;
  const absl::Duration limit = probed ? stall_timeout_ / 2 : stall_timeout_;
  const absl::Time stalled = awaited_.front().sent_at + limit;
  *next = std::min(*next, stalled);
  if (now < stalled) return absl::OkStatus();
  return BackplaneUnavailable(absl::StrCat("no reply for ", absl::FormatDuration(limit)));
}

void SubscriberCore::Closed(const absl::Status&) {
  open_ = false;
  opening_ = 0;
  out_.clear();
  for (auto& [name, channel] : wanted_) channel.confirmed = false;
  for (Awaited& awaited : std::exchange(awaited_, {})) {
    if (awaited.gone) std::move(awaited.gone)();
  }
}

}  // namespace actioncluster::redis
