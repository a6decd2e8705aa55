#include "backplane/membership/membership_store.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "backplane/redis/command.h"
#include "backplane/redis/reply.h"
#include "backplane/scripts/scripts.h"

namespace actioncluster {
namespace {

using internal::v1::NodeRecord;
using redis::Command;
using redis::Reply;
using redis::ReplyView;
using Departed = MembershipStore::Departed;

// Turns a parser of replies into what the client calls.
template <class T, class Parse>
redis::Client::Completion Parsed(Parse parse, MembershipStore::Completion<T> done) {
  return [parse = std::move(parse), done = std::move(done)](absl::StatusOr<Reply> reply) mutable {
    if (!reply.ok()) {
      std::move(done)(AsBackplaneError(reply.status()));
    } else {
      std::move(done)(parse(reply->view()));
    }
  };
}

template <class Message>
bool ParseMessage(ReplyView reply, Message* message) {
  const absl::StatusOr<absl::string_view> bytes = reply.String();
  return bytes.ok() && message->ParseFromArray(bytes->data(), static_cast<int>(bytes->size()));
}

absl::StatusOr<Departed> ParseDeparted(ReplyView reply) {
  const absl::StatusOr<absl::string_view> boot = reply[0].String();
  if (!boot.ok()) return boot.status();
  const absl::StatusOr<int64_t> generation = reply[2].Integer();
  if (!generation.ok()) return generation.status();
  Departed departed{NodeRecord(), *generation};
  if (!ParseMessage(reply[1], &departed.node)) departed.node.Clear();
  departed.node.set_boot_id(std::string(*boot));
  return departed;
}

absl::StatusOr<std::vector<Departed>> ParseGone(ReplyView reply) {
  std::vector<Departed> gone;
  for (size_t i = 0; i < reply.size(); ++i) {
    absl::StatusOr<Departed> departed = ParseDeparted(reply[i]);
    if (!departed.ok()) return departed.status();
    gone.push_back(*std::move(departed));
  }
  return gone;
}

absl::StatusOr<MembershipStore::Joined> ParseJoined(ReplyView reply, const std::string& cluster_namespace) {
  const absl::StatusOr<absl::string_view> outcome = reply[0].String();
  if (!outcome.ok()) return outcome.status();
  if (*outcome == "token") {
    return absl::FailedPreconditionError(absl::StrCat("the nodes of namespace `", cluster_namespace,
                                                      "` use another server token: give this node the same one, "
                                                      "or another namespace"));
  }
  MembershipStore::Joined joined;
  if (!ParseMessage(reply[1], &joined.record) || joined.record.id().empty()) {
    return absl::InternalError("the join script returned no record");
  }
  const absl::StatusOr<int64_t> generation = reply[2].Integer();
  if (!generation.ok()) return generation.status();
  absl::StatusOr<std::vector<Departed>> gone = ParseGone(reply[3]);
  if (!gone.ok()) return gone.status();
  joined.generation = *generation;
  joined.gone = *std::move(gone);
  return joined;
}

absl::StatusOr<std::optional<MembershipStore::Renewal>> ParseRenewal(ReplyView reply) {
  const absl::StatusOr<absl::string_view> outcome = reply[0].String();
  if (!outcome.ok()) return outcome.status();
  if (*outcome == "lost") return std::nullopt;
  const absl::StatusOr<int64_t> generation = reply[1].Integer();
  if (!generation.ok()) return generation.status();
  const absl::StatusOr<int64_t> wait_ms = reply[2].Integer();
  if (!wait_ms.ok()) return wait_ms.status();
  absl::StatusOr<std::vector<Departed>> gone = ParseGone(reply[3]);
  if (!gone.ok()) return gone.status();
  const absl::Duration earliest = *wait_ms < 0 ? absl::InfiniteDuration() : absl::Milliseconds(*wait_ms);
  return MembershipStore::Renewal{*generation, earliest, *std::move(gone)};
}

absl::StatusOr<std::optional<int64_t>> ParseUpdated(ReplyView reply) {
  if (reply.is_nil()) return std::nullopt;
  const absl::StatusOr<int64_t> generation = reply.Integer();
  if (!generation.ok()) return generation.status();
  return *generation;
}

absl::StatusOr<std::optional<Departed>> ParseLeft(ReplyView reply) {
  if (reply.is_nil()) return std::nullopt;
  absl::StatusOr<Departed> departed = ParseDeparted(reply);
  if (!departed.ok()) return departed.status();
  return *std::move(departed);
}

absl::StatusOr<MembershipStore::State> ParseState(ReplyView generation, ReplyView grace_until_ms) {
  MembershipStore::State state;
  if (!generation.is_nil()) {
    const absl::StatusOr<int64_t> number = generation.Integer();
    if (!number.ok()) return number.status();
    state.generation = *number;
  }
  if (!grace_until_ms.is_nil()) {
    const absl::StatusOr<int64_t> ms = grace_until_ms.Integer();
    if (!ms.ok()) return ms.status();
    state.grace_until = absl::FromUnixMillis(*ms);
  }
  return state;
}

absl::StatusOr<MembershipStore::Contents> ParseContents(ReplyView reply) {
  MembershipStore::Contents contents;
  const absl::StatusOr<MembershipStore::State> state = ParseState(reply[0], reply[2]);
  if (!state.ok()) return state.status();
  const absl::StatusOr<int64_t> now_us = reply[1].Integer();
  if (!now_us.ok()) return now_us.status();
  contents.state = *state;
  contents.now = absl::FromUnixMicros(*now_us);
  const ReplyView nodes = reply[3];
  for (size_t i = 0; i < nodes.size(); ++i) {
    MembershipStore::Node node;
    const absl::StatusOr<int64_t> ends_ms = nodes[i][2].Integer();
    if (!ends_ms.ok()) return ends_ms.status();
    if (!ParseMessage(nodes[i][0], &node.record)) continue;
    if (!ParseMessage(nodes[i][1], &node.stats)) node.stats.Clear();
    node.lease_ends = absl::FromUnixMillis(*ends_ms);
    contents.nodes.push_back(std::move(node));
  }
  return contents;
}

}  // namespace

MembershipStore::MembershipStore(redis::Client& commands, const Keys& keys, absl::Duration lease)
    : commands_(commands),
      keys_({keys.MembershipLeases(), keys.MembershipRecords(), keys.MembershipStats(), keys.MembershipNames(),
             keys.MembershipState()}),
      namespace_(keys.cluster_namespace()),
      lease_ms_(absl::StrCat(absl::ToInt64Milliseconds(lease))) {}

void MembershipStore::Join(const JoinRequest& request, Completion<Joined> done) {
  commands_.Execute(
      Command::Call(scripts::kMembershipJoin, keys_,
                    {request.record.boot_id(), lease_ms_, request.fingerprint, request.name_prefix,
                     request.preferred_name, request.succeeds_boot, request.record.SerializeAsString()}),
      Parsed<Joined>([cluster = namespace_](ReplyView reply) { return ParseJoined(reply, cluster); }, std::move(done)));
}

void MembershipStore::Renew(const std::string& boot, const internal::v1::NodeStats& stats, absl::Time deadline,
                            Completion<std::optional<Renewal>> done) {
  commands_.Execute(Command::Call(scripts::kMembershipRenew, keys_, {boot, lease_ms_, stats.SerializeAsString()}),
                    deadline, Parsed<std::optional<Renewal>>(ParseRenewal, std::move(done)));
}

void MembershipStore::Update(const NodeRecord& record, Completion<std::optional<int64_t>> done) {
  commands_.Execute(Command::Call(scripts::kMembershipUpdate, keys_, {record.boot_id(), record.SerializeAsString()}),
                    Parsed<std::optional<int64_t>>(ParseUpdated, std::move(done)));
}

void MembershipStore::Leave(const std::string& boot, Completion<std::optional<Departed>> done) {
  commands_.Execute(Command::Call(scripts::kMembershipLeave, keys_, {boot}),
                    Parsed<std::optional<Departed>>(ParseLeft, std::move(done)));
}

void MembershipStore::ReadState(Completion<State> done) {
  commands_.Execute(Command({"HMGET", keys_.back(), "generation", "grace_until_ms"}),
                    Parsed<State>([](ReplyView reply) { return ParseState(reply[0], reply[1]); }, std::move(done)));
}

void MembershipStore::Read(Completion<Contents> done) {
  commands_.Execute(Command::Call(scripts::kMembershipRead, keys_, {lease_ms_}),
                    Parsed<Contents>(ParseContents, std::move(done)));
}

}  // namespace actioncluster
