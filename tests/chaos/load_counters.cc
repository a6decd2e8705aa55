#include "tests/chaos/load_counters.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "glog/logging.h"
#include "tests/cluster/ask.h"
#include "tests/cluster/program.h"

namespace actioncluster::chaos {
namespace {

using client::Cache;
using cluster::SetDuration;

constexpr size_t kClients = 4;
constexpr int kKeys = 2;
constexpr absl::Duration kExpireAfter =
    absl::Seconds(2);  // A lock whose holder could not unlock it holds the others up so long.
constexpr absl::Duration kWait = absl::Seconds(3);

std::string KeyOf(uint64_t number) { return absl::StrCat("counter-", number); }

// The number of each client's last round; 0: none.
std::vector<int64_t> Parse(const std::string& data) {
  std::vector<int64_t> lasts(kClients, 0);
  const std::vector<std::string> words = absl::StrSplit(data, ' ', absl::SkipEmpty());
  for (size_t i = 0; i < words.size(); ++i) CHECK(i < kClients && absl::SimpleAtoi(words[i], &lasts[i])) << data;
  return lasts;
}

}  // namespace

CounterLoad::CounterLoad(LoadOptions options)
    : Load("cache: locks", std::move(options), kClients), numbers_(kClients), rounds_(kClients) {
  for (size_t client = 0; client < kClients; ++client) clients_.push_back(NewClient(client));
}

void CounterLoad::Start() {
  for (size_t client = 0; client < kClients; ++client) AddClient([this](size_t i) { Step(i); });
}

void CounterLoad::Step(size_t client) {
  const std::string key = KeyOf(Choose(random(client), 1, kKeys));
  // Four calls, of which the first waits in line.
  (void)meter_.Do(client, 4 * options().timeout + kWait, [&] { return Round(client, key); });
}

absl::Status CounterLoad::Round(size_t client, const std::string& key) {
  Cache cache(*clients_[client]);
  const int64_t number = ++numbers_[client];
  // Another holder in each round: what is left of the round before, and comes late, has a token that does not hold any more.
  const std::string holder = absl::StrCat("client-", client, "-", number);
  v1::LockRequest lock;
  lock.set_key(key);
  lock.set_holder(holder);
  SetDuration(kExpireAfter, lock.mutable_expire_after());
  SetDuration(kWait, lock.mutable_wait_for());
  const absl::StatusOr<v1::LockResponse> locked = cache.Lock(lock);
  if (!locked.ok()) return locked.status();
  if (!locked->acquired()) return absl::DeadlineExceededError("held by another");

  v1::LoadRequest load;
  load.set_key(key);
  load.set_holder(holder);
  const absl::StatusOr<v1::LoadResponse> loaded = cache.Load(load);
  if (!loaded.ok() && !absl::IsNotFound(loaded.status())) return loaded.status();
  std::vector<int64_t> lasts = Parse(loaded.ok() ? loaded->data() : "");
  Rounds& mine = rounds(client, key);
  Compare(client, lasts[client], mine);

  lasts[client] = number;
  v1::SaveRequest save;
  save.set_key(key);
  save.set_data(absl::StrJoin(lasts, " "));
  save.set_token(locked->token());
  const absl::Status saved = cache.Save(save).status();
  if (saved.ok()) {
    mine.acknowledged.insert(number);
  } else if (!absl::IsAborted(saved)) {  // LEASE_LOST: it was not done, and will not be.
    mine.maybe.insert(number);
  }

  v1::UnlockRequest unlock;
  unlock.set_key(key);
  unlock.set_token(locked->token());
  // Fails as it likes: it is the save that counts, and the lock ends by itself.
  (void)cache.Unlock(unlock);
  return saved;
}

void CounterLoad::Compare(size_t client, int64_t last, Rounds& rounds) {
  const int64_t latest = rounds.acknowledged.empty() ? 0 : *rounds.acknowledged.rbegin();
  if (last > latest && !rounds.maybe.contains(last))
    rounds.problems.push_back(absl::StrCat("client ", client, "'s round ", last, " is there, though it was refused"));
  // Rounds up to the last one were done before it, and those that may have been were or were not.
  for (const int64_t number : rounds.acknowledged) ++(number > last ? rounds.lost : rounds.executed);
  rounds.executed += rounds.maybe.contains(last) ? 1 : 0;
  rounds.maybe.clear();
  rounds.acknowledged.clear();
  if (last != 0) {
    rounds.acknowledged.insert(last);  // Counted; it must stay until the next.
    --rounds.executed;
  }
}

bool CounterLoad::Settle(absl::Duration limit) {
  for (uint64_t number = 1; number <= kKeys; ++number) {
    v1::LoadRequest load;
    load.set_key(KeyOf(number));
    // Until the last lock has ended.
    const bool read = cluster::Await(
        [&] {
          const absl::StatusOr<v1::LoadResponse> loaded = Cache(*clients_[0]).Load(load);
          if (loaded.ok()) final_[load.key()] = loaded->data();
          return loaded.ok() || absl::IsNotFound(loaded.status());
        },
        limit);
    if (!read) return false;
  }
  return true;
}

void CounterLoad::Judge(KindResult& result) {
  for (size_t client = 0; client < kClients; ++client) {
    for (auto& [key, rounds] : rounds_[client]) {
      Compare(client, Parse(final_[key])[client], rounds);
      result.executed += rounds.executed + static_cast<int64_t>(rounds.acknowledged.size());
      result.lost += rounds.lost;
      result.problems.insert(result.problems.end(), rounds.problems.begin(), rounds.problems.end());
    }
  }
}

}  // namespace actioncluster::chaos
