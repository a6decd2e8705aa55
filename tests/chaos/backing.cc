#include "tests/chaos/backing.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "glog/logging.h"
#include "tests/cluster/program.h"

namespace actioncluster::chaos {
namespace {

using cluster::Await;
using fakes::RedisServer;

constexpr size_t kSentinels = 3;
constexpr char kName[] = "main";
constexpr absl::Duration kLimit = absl::Seconds(30);
constexpr absl::Duration kPauseOfWrites = absl::Minutes(1);  // Longer than a failover may take; it is ended after that.

// On a connection that sentinels may close at any moment, as they do at a failover: what is asked is repeated.
redis::Reply Ask(RedisServer& server, const std::vector<std::string>& args) {
  std::optional<redis::Reply> reply;
  const bool answered = Await([&] { return (reply = server.TryCommand(args)).has_value(); }, kLimit);
  CHECK(answered) << args[0];
  return *std::move(reply);
}

std::string Text(const redis::Reply& reply) { return std::string(reply.view().String().value_or("")); }

// A line of INFO replication; empty if there is none.
std::string Replication(RedisServer& server, const std::string& name) {
  const std::string info = Text(Ask(server, {"INFO", "replication"}));
  for (absl::string_view line : absl::StrSplit(info, "\r\n")) {
    if (absl::ConsumePrefix(&line, absl::StrCat(name, ":"))) return std::string(line);
  }
  return "";
}

int64_t Offset(RedisServer& server) {
  int64_t offset = 0;
  CHECK(absl::SimpleAtoi(Replication(server, "master_repl_offset"), &offset));
  return offset;
}

bool IsMaster(RedisServer& server) { return Replication(server, "role") == "master"; }

// What the sentinel knows of the master's only replica.
std::string OfReplica(RedisServer& sentinel, const std::string& field) {
  const redis::Reply replicas = Ask(sentinel, {"SENTINEL", "REPLICAS", kName});
  if (replicas.view().size() != 1) return "";
  for (size_t i = 0; i + 1 < replicas.view()[0].size(); i += 2) {
    if (replicas.view()[0][i].String().value_or("") == field)
      return std::string(replicas.view()[0][i + 1].String().value_or(""));
  }
  return "";
}

}  // namespace

SingleRedis::SingleRedis()
    : server_({.password = "", .args = {"--appendonly", "yes", "--appendfsync", "always"}}), url_(server_.url()) {}

SingleRedis::SingleRedis(int network, std::string address)
    : server_({.tcp = true,
               .password = "",
               .network = network,
               .address = std::move(address),
               .args = {"--appendonly", "yes", "--appendfsync", "always", "--protected-mode", "no"}}),
      url_(absl::StrCat("redis://", fakes::kNodesUser, ":", fakes::kNodesPassword, "@", server_.tcp_endpoint().host,
                        ":", server_.port())) {}

SentinelRedis::SentinelRedis() {
  for (int i = 0; i < 2; ++i) {
    servers_.push_back(&redis_.emplace_back(
        RedisServer::Options{.tcp = true, .password = "", .args = {"--repl-diskless-sync-delay", "0"}}));
  }
  Ask(*servers_[1], {"REPLICAOF", "127.0.0.1", absl::StrCat(servers_[0]->port())});
  for (size_t i = 0; i < kSentinels; ++i) {
    sentinels_.emplace_back(
        RedisServer::Options{.password = "",
                             .sentinel = absl::StrCat("sentinel monitor ", kName, " 127.0.0.1 ", servers_[0]->port(),
                                                      " 2\nsentinel down-after-milliseconds ", kName,
                                                      " 2000\nsentinel failover-timeout ", kName, " 3000\n"),
                             .args = {}});
  }
  AwaitReady();
}

std::string SentinelRedis::url() const {
  std::string url = absl::StrCat("redis+sentinel://", fakes::kNodesUser, ":", fakes::kNodesPassword, "@");
  for (const RedisServer& sentinel : sentinels_)
    absl::StrAppend(&url, &sentinel == &sentinels_.front() ? "" : ",", "127.0.0.1:", sentinel.port());
  return absl::StrCat(url, "/", kName);
}

void SentinelRedis::Must(absl::FunctionRef<bool()> condition, absl::string_view what) {
  if (failure_.empty() && !Await(condition, kLimit)) failure_ = std::string(what);
}

void SentinelRedis::AwaitReady() {
  // All at once, as the master may change meanwhile.
  Must(
      [this] {
        const size_t agreed = AgreedMaster();
        if (agreed == servers_.size()) return false;
        if (agreed != master_) ++unasked_;
        master_ = agreed;
        return Replication(*servers_[1 - master_], "master_link_status") == "up" &&
               std::ranges::all_of(sentinels_, [](RedisServer& sentinel) {
                 return OfReplica(sentinel, "master-link-status") == "ok" && OfReplica(sentinel, "flags") == "slave" &&
                        Ask(sentinel, {"SENTINEL", "SENTINELS", kName}).view().size() == kSentinels - 1;
               });
      },
      "the sentinels do not see a master and a replica that follows it");
}

size_t SentinelRedis::AgreedMaster() {
  for (size_t i = 0; i < servers_.size(); ++i) {
    const bool agreed = std::ranges::all_of(sentinels_, [&](RedisServer& sentinel) { return IsNamed(sentinel, i); });
    if (agreed && IsMaster(*servers_[i])) return i;
  }
  return servers_.size();
}

std::string SentinelRedis::MasterBy(RedisServer& sentinel) const {
  const redis::Reply address = Ask(sentinel, {"SENTINEL", "GET-MASTER-ADDR-BY-NAME", kName});
  return address.view().size() == 2 ? std::string(address.view()[1].String().value_or("")) : "";
}

bool SentinelRedis::IsNamed(fakes::RedisServer& sentinel, size_t server) const {
  return MasterBy(sentinel) == absl::StrCat(servers_[server]->port());
}

void SentinelRedis::AwaitOther(absl::FunctionRef<void()> meanwhile) {
  const size_t other = 1 - master_;
  Must(
      [&] {
        meanwhile();
        return std::ranges::all_of(sentinels_, [&](RedisServer& sentinel) { return IsNamed(sentinel, other); }) &&
               IsMaster(*servers_[other]);
      },
      "the sentinels do not name the other server");
  master_ = other;
}

void SentinelRedis::FailOver(bool paused) {
  AwaitReady();
  RedisServer& replica = *servers_[1 - master_];
  if (paused) {
    Ask(master(), {"CLIENT", "PAUSE", absl::StrCat(absl::ToInt64Milliseconds(kPauseOfWrites)), "WRITE"});
    Must([&] { return Offset(replica) == Offset(master()); }, "the replica does not get all that its master has");
  }
  // It refuses while one is under way, or has just been, and gives one up that takes too long: then it has to be asked again.
  RedisServer& asked = sentinels_.front();
  AwaitOther([&] {
    if (!IsNamed(asked, 1 - master_)) Ask(asked, {"SENTINEL", "FAILOVER", kName});
  });
}

int64_t SentinelRedis::KillMaster(absl::Duration cut_off) {
  AwaitReady();
  RedisServer& replica = *servers_[1 - master_];
  // The replica is asked first: rather too much than too little.
  const int64_t heard = Offset(replica);
  if (cut_off > absl::ZeroDuration()) {
    // It would be connected again at once.
    replica.Pause();
    Ask(master(), {"CLIENT", "KILL", "TYPE", "replica"});
    absl::SleepFor(cut_off);
  }
  const int64_t lag = Offset(master()) - heard;
  master().Kill();
  killed_ = true;
  if (cut_off > absl::ZeroDuration()) replica.Resume();
  AwaitOther([] {});
  return lag;
}

void SentinelRedis::BringBack() {
  RedisServer& former = *servers_[1 - master_];
  if (std::exchange(killed_, false)) former.Start();
  // The sentinels would see to that themselves, ten seconds later.
  Ask(former, {"REPLICAOF", "127.0.0.1", absl::StrCat(master().port())});
  Ask(former, {"CLIENT", "UNPAUSE"});
  AwaitReady();
}

}  // namespace actioncluster::chaos
