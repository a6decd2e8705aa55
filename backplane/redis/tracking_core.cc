#include "backplane/redis/tracking_core.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "glog/logging.h"

namespace actioncluster::redis {
namespace {

constexpr absl::string_view kChannel = "__redis__:invalidate";

bool Is(const absl::StatusOr<absl::string_view>& text, absl::string_view expected) {
  return text.ok() && *text == expected;
}

absl::Status Unexpected(absl::string_view instead_of) {
  return BackplaneUnavailable(absl::StrCat("a tracking connection got something else than ", instead_of));
}

}  // namespace

TrackingCore::TrackingCore(const LinkOptions& options, const std::vector<std::string>& prefixes,
                           absl::Duration ask_every, TrackingListener& listener)
    : prefixes_(prefixes),
      ask_every_(ask_every),
      stall_timeout_(options.stall_timeout),
      handshake_(options, {}),
      listener_(listener) {}

void TrackingCore::Opened(absl::Time) {
  reader_ = ReplyReader();
  handshake_.Start(&out_);
  out_.append(Command({"CLIENT", "ID"}).wire());
  phase_ = Phase::kGreeting;
}

absl::Status TrackingCore::Feed(absl::string_view bytes, absl::Time now) {
  reader_.Feed(bytes);
  while (true) {
    absl::StatusOr<std::optional<Reply>> reply = reader_.Next();
    if (!reply.ok()) return BackplaneUnavailable(reply.status().message());
    if (!reply->has_value()) return absl::OkStatus();
    if (absl::Status status = Handle((*reply)->view(), now); !status.ok()) return status;
  }
}

absl::Status TrackingCore::Handle(ReplyView reply, absl::Time now) {
  if (phase_ == Phase::kGreeting) {
    if (absl::Status status = handshake_.Accept(reply); !status.ok()) return status;
    if (handshake_.done()) phase_ = Phase::kId;
    return absl::OkStatus();
  }
  if (reply.is_error()) return BackplaneUnavailable(absl::StrCat("client tracking was refused: ", reply.error()));
  switch (phase_) {
    case Phase::kId:
      return Track(reply, now);
    case Phase::kTracking:
      if (!Is(reply.String(), "OK")) return Unexpected("OK");
      phase_ = Phase::kSubscription;
      return absl::OkStatus();
    case Phase::kSubscription:
      if (reply.size() != 3 || !Is(reply[0].String(), "subscribe") || !Is(reply[1].String(), kChannel)) {
        return Unexpected("its subscription");
      }
      phase_ = Phase::kTold;
      is_answered_ = true;
      Ask(now);
      return absl::OkStatus();
    default:
      return HandlePush(reply);
  }
}

absl::Status TrackingCore::Track(ReplyView id, absl::Time now) {
  const absl::StatusOr<int64_t> number = id.Integer();
  if (!number.ok()) return Unexpected("its number");
  std::vector<std::string> args = {"CLIENT", "TRACKING", "ON", "REDIRECT", absl::StrCat(*number), "BCAST"};
  args.reserve(args.size() + 2 * prefixes_.size());
  for (const std::string& prefix : prefixes_) {
    args.emplace_back("PREFIX");
    args.push_back(prefix);
  }
  out_.append(Command(args).wire());
  out_.append(Command({"SUBSCRIBE", kChannel}).wire());
  asked_at_ = now;
  is_answered_ = false;
  phase_ = Phase::kTracking;
  return absl::OkStatus();
}

absl::Status TrackingCore::HandlePush(ReplyView reply) {
  if (reply.size() == 2 && Is(reply[0].String(), "pong")) {
    const absl::StatusOr<absl::string_view> number = reply[1].String();
    return number.ok() ? Answered(*number) : Unexpected("an answer");
  }
  if (reply.size() == 3 && Is(reply[0].String(), "message") && Is(reply[1].String(), kChannel)) {
    return HandleMessage(reply[2]);
  }
  return Unexpected("what it is told");
}

absl::Status TrackingCore::HandleMessage(ReplyView keys) {
  if (keys.is_nil()) {  // FLUSHALL, FLUSHDB
    listener_.Doubt();
    return absl::OkStatus();
  }
  if (!keys.is_array()) {
    // Not Redis itself: anybody who may publish can say that.
    LOG_EVERY_N(WARNING, 1000) << "redis tracking foreign message channel=" << kChannel << " count=" << google::COUNTER;
    listener_.Doubt();
    return absl::OkStatus();
  }
  std::vector<absl::string_view> names;
  names.reserve(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    const absl::StatusOr<absl::string_view> name = keys[i].String();
    if (!name.ok()) return Unexpected("names of keys");
    names.push_back(*name);
  }
  listener_.Changed(names);
  return absl::OkStatus();
}

absl::Status TrackingCore::Answered(absl::string_view number) {
  if (is_answered_ || number != absl::StrCat(questions_)) return Unexpected("the answer that it waits for");
  is_answered_ = true;
  listener_.Proven(asked_before_);
  return absl::OkStatus();
}

void TrackingCore::Ask(absl::Time now) {
  out_.append(Command({"PING", absl::StrCat(++questions_)}).wire());
  asked_before_ = std::exchange(asked_at_, now);
  is_answered_ = false;
}

void TrackingCore::TakeOutput(std::string* out) {
  out->append(out_);
  out_.clear();
}

absl::Status TrackingCore::Tick(absl::Time now, absl::Time* next) {
  *next = absl::InfiniteFuture();
  if (!ready()) return absl::OkStatus();  // The link waits no longer than for connect_timeout.
  if (is_answered_ && now >= asked_at_ + ask_every_) Ask(now);
  *next = asked_at_ + (is_answered_ ? ask_every_ : stall_timeout_);
  if (is_answered_ || now < *next) return absl::OkStatus();
  return BackplaneUnavailable(absl::StrCat("no answer for ", absl::FormatDuration(stall_timeout_)));
}

void TrackingCore::Closed(const absl::Status&) {
  phase_ = Phase::kClosed;
  out_.clear();
  listener_.Doubt();
}

}  // namespace actioncluster::redis
