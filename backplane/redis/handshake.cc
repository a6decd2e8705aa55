#include "backplane/redis/handshake.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "backplane/redis/error_reply.h"

namespace actioncluster::redis {
namespace {

// What Redis says to whoever connects, before it reads anything: there is nothing of ours in it.
constexpr absl::string_view kFull = "ERR max number of clients";

}  // namespace

Handshake::Handshake(const LinkOptions& options, const std::vector<Script>& scripts) {
  const Endpoint& endpoint = options.endpoint;
  if (!endpoint.user.empty()) {
    greeting_.push_back({"AUTH", Command({"AUTH", endpoint.user, endpoint.password}).wire(), "OK", true});
  } else if (!endpoint.password.empty()) {
    greeting_.push_back({"AUTH", Command({"AUTH", endpoint.password}).wire(), "OK", true});
  }
  if (endpoint.sentinels.has_value()) greeting_.push_back({"ROLE", Command({"ROLE"}).wire(), "master"});
  if (endpoint.database != 0) {
    greeting_.push_back({"SELECT", Command({"SELECT", absl::StrCat(endpoint.database)}).wire(), "OK"});
  }
  if (!options.client_name.empty()) {
    greeting_.push_back({"CLIENT SETNAME", Command({"CLIENT", "SETNAME", options.client_name}).wire(), "OK"});
  }
  greeting_.push_back({"PING", Command({"PING"}).wire(), "PONG"});
  for (const Script& script : scripts) {
    if (script.body.empty()) continue;
    loading_.push_back({absl::StrCat("SCRIPT LOAD of ", script.name), Command({"SCRIPT", "LOAD", script.body}).wire(),
                        std::string(script.sha1)});
  }
}

size_t Handshake::Start(std::string* out) {
  awaited_.clear();
  return Send(greeting_, out) + Send(loading_, out);
}

size_t Handshake::LoadScripts(std::string* out) { return Send(loading_, out); }

size_t Handshake::Send(const std::vector<Step>& steps, std::string* out) {
  for (const Step& step : steps) {
    out->append(step.wire);
    awaited_.push_back(&step);
  }
  return steps.size();
}

absl::Status Handshake::Accept(ReplyView reply) {
  const Step& step = *awaited_.front();
  awaited_.pop_front();
  if (reply.is_error()) {
    const bool may_quote_password = step.has_password && !absl::StartsWith(reply.error(), kFull);
    return BackplaneUnavailable(
        absl::StrCat(step.name, " was refused: ", may_quote_password ? ErrorCode(reply.error()) : reply.error()));
  }
  const absl::StatusOr<absl::string_view> text = reply.is_array() ? reply[0].String() : reply.String();
  if (!text.ok()) return BackplaneUnavailable(absl::StrCat(step.name, ": ", text.status().message()));
  if (*text != step.reply) {
    return BackplaneUnavailable(absl::StrCat(step.name, " was answered by something else than ", step.reply));
  }
  return absl::OkStatus();
}

}  // namespace actioncluster::redis
