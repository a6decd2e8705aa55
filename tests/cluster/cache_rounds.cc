#include "tests/cluster/cache_rounds.h"

#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "glog/logging.h"
#include "tests/cluster/cache_calls.h"

namespace actioncluster::cluster {
namespace {

constexpr absl::Duration kWait = absl::Minutes(2);  // In line, for the lock.

enum class Fate { kWhole, kDiesWaiting, kDiesWithTheLock, kDiesAfterTheWrite };

Fate FateOf(bool dying, int64_t number) {
  if (!dying) return Fate::kWhole;
  switch (number % 10) {
    case 2:
      return Fate::kDiesWaiting;
    case 5:
      return Fate::kDiesWithTheLock;
    case 8:
      return Fate::kDiesAfterTheWrite;
    default:
      return Fate::kWhole;
  }
}

}  // namespace

RoundsValue ParseRounds(const std::string& data) {
  RoundsValue value;
  if (data.empty()) return value;
  const std::vector<std::string> words = absl::StrSplit(data, ' ');
  CHECK(words.size() == 2 && absl::SimpleAtoi(words[0], &value.sum) && absl::SimpleAtoi(words[1], &value.token))
      << data;
  return value;
}

CacheRounds::CacheRounds(Cluster& cluster, Options options) : options_(std::move(options)) {
  for (const Node& node : cluster.nodes()) nodes_.push_back(&node);
  std::vector<std::thread> threads;
  for (size_t client = 0; client < static_cast<size_t>(options_.clients); ++client) {
    threads.emplace_back([this, client] { Run(client); });
  }
  for (std::thread& thread : threads) thread.join();
}

std::vector<std::string> CacheRounds::problems() const {
  absl::MutexLock lock(&mutex_);
  return problems_;
}

void CacheRounds::Run(size_t client) {
  while (true) {
    const int64_t number = begun_++;
    if (number >= options_.rounds) return;
    Round(client, number);
  }
}

void CacheRounds::Round(size_t client, int64_t number) {
  const Node& node = *nodes_[client % nodes_.size()];
  const Fate fate = FateOf(options_.dying, number);
  // A client that comes again is another one: it does not have what the former has left locked.
  const std::string holder = absl::StrCat("client-", client, options_.dying ? absl::StrCat("-", number) : "");
  const v1::LockRequest request = LockOf(options_.key, holder, options_.expire_after, kWait);
  if (fate == Fate::kDiesWaiting) {
    WaitForLock(node, request);  // And gone again.
    ++abandoned_;
    return;
  }
  const auto locked = Ask(node, &Cache::Lock, request, 2 * kWait);
  if (!locked.ok() || !locked.response.acquired())
    return Report(absl::StrCat("Lock: ", Describe(locked.status), " held by ", locked.response.held_by()));
  const int64_t token = locked.response.token();
  if (fate == Fate::kDiesWithTheLock) {
    ++abandoned_;
    return;
  }

  auto load = On<v1::LoadRequest>(options_.key);
  load.set_holder(holder);
  const auto loaded = Ask(node, &Cache::Load, load);
  if (options_.dying && ReasonOf(loaded.status) == "KEY_LOCKED") {
    ++refused_;
    return;
  }
  if (!loaded.ok() && loaded.status.error_code() != grpc::NOT_FOUND)
    return Report(absl::StrCat("Load: ", Describe(loaded.status)));
  const RoundsValue before = ParseRounds(loaded.response.data());
  // If the lock has expired meanwhile, the next one may have written already.
  if (!options_.dying && before.token >= token)
    return Report(absl::StrCat("the lock ", token, " came after ", before.token));

  v1::SaveRequest save = SaveOf(options_.key, absl::StrCat(before.sum + 1, " ", token));
  save.set_token(token);
  const auto saved = Ask(node, &Cache::Save, save);
  if (options_.dying && ReasonOf(saved.status) == "LEASE_LOST") {
    ++refused_;
    return;
  }
  if (!saved.ok()) return Report(absl::StrCat("Save: ", Describe(saved.status)));
  // Under this lock, that it still had.
  if (before.token >= token) Report(absl::StrCat("the lock ", token, " has written after ", before.token));
  ++acknowledged_;
  if (fate == Fate::kDiesAfterTheWrite) {
    ++abandoned_;
    return;
  }
  const auto unlocked = Ask(node, &Cache::Unlock, UnlockOf(options_.key, token));
  if (options_.dying && ReasonOf(unlocked.status) == "LEASE_LOST") return;
  if (!unlocked.ok() || !unlocked.response.released()) Report(absl::StrCat("Unlock: ", Describe(unlocked.status)));
}

void CacheRounds::Report(const std::string& problem) {
  absl::MutexLock lock(&mutex_);
  problems_.push_back(problem);
}

}  // namespace actioncluster::cluster
