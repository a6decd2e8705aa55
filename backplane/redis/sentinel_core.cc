#include "backplane/redis/sentinel_core.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "backplane/domain/error.h"
#include "backplane/redis/command.h"

namespace actioncluster::redis {
namespace {

// To a sentinel we are somebody else, and it has no databases.
LinkOptions ForSentinels(const LinkOptions& options) {
  LinkOptions greeting;
  greeting.client_name = options.client_name;
  greeting.endpoint.user = options.endpoint.sentinels->user;
  greeting.endpoint.password = options.endpoint.sentinels->password;
  return greeting;
}

}  // namespace

SentinelCore::SentinelCore(const LinkOptions& options)
    : sentinels_(*options.endpoint.sentinels),
      handshake_(ForSentinels(options), {}),
      whys_(sentinels_.addresses.size()) {}

bool SentinelCore::Pass(absl::string_view why) {
  whys_[turn_] = absl::StrCat("sentinel ", asked().ToString(), ": ", why);
  Advance();
  if (++passed_ < sentinels_.addresses.size()) return true;
  complaint_ = absl::StrJoin(whys_, "; ");
  passed_ = 0;
  return false;
}

void SentinelCore::Distrust() {
  Advance();
  passed_ = 0;
}

void SentinelCore::Prefer(size_t index) {
  turn_ = index;
  passed_ = 0;
}

void SentinelCore::Advance() { turn_ = (turn_ + 1) % sentinels_.addresses.size(); }

void SentinelCore::Opened(absl::Time) {
  reader_ = ReplyReader();
  answer_.reset();
  out_.clear();
  handshake_.Start(&out_);
  out_.append(Command({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinels_.master}).wire());
}

absl::Status SentinelCore::Feed(absl::string_view bytes, absl::Time) {
  reader_.Feed(bytes);
  while (true) {
    absl::StatusOr<std::optional<Reply>> reply = reader_.Next();
    if (!reply.ok()) return BackplaneUnavailable(reply.status().message());
    if (!reply->has_value()) return absl::OkStatus();
    if (absl::Status status = Handle((*reply)->view()); !status.ok()) return status;
  }
}

absl::Status SentinelCore::Handle(ReplyView reply) {
  if (!handshake_.done()) return handshake_.Accept(reply);
  if (reply.is_error()) return BackplaneUnavailable(absl::StrCat("the question was refused: ", reply.error()));
  if (reply.is_nil()) return BackplaneUnavailable(absl::StrCat("knows no master ", sentinels_.master));
  const absl::StatusOr<absl::string_view> host = reply[0].String();
  const absl::StatusOr<int64_t> port = reply[1].Integer();
  if (reply.size() != 2 || !host.ok() || host->empty() || !port.ok() || *port < 1 || *port > 65535) {
    return BackplaneUnavailable("answered something else than an address");
  }
  answer_ = HostPort{.host = std::string(*host), .port = static_cast<int>(*port)};
  return absl::OkStatus();
}

void SentinelCore::TakeOutput(std::string* out) {
  out->append(out_);
  out_.clear();
}

absl::Status SentinelCore::Tick(absl::Time, absl::Time* next) {
  *next = absl::InfiniteFuture();  // The link waits no longer than it wants to.
  return absl::OkStatus();
}

void SentinelCore::Closed(const absl::Status&) { answer_.reset(); }

}  // namespace actioncluster::redis
