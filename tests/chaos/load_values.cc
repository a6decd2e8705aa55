#include "tests/chaos/load_values.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/cluster/ask.h"
#include "tests/cluster/program.h"

namespace actioncluster::chaos {
namespace {

using client::Cache;

constexpr size_t kClients = 2;
constexpr size_t kKept = 100;       // By each client; then it destroys the oldest.
constexpr size_t kDestroyed = 100;  // So many it looks for again at the end.
constexpr absl::Duration kExpireAfter =
    absl::Hours(1);  // What nobody knows of goes some day; a drill's faults are shorter.

std::string ContentOf(const std::string& key) { return absl::StrCat("content of ", key); }

}  // namespace

ValueLoad::ValueLoad(LoadOptions options) : Load("cache: values", std::move(options), kClients), clients_(kClients) {
  for (size_t client = 0; client < kClients; ++client) clients_[client].client = NewClient(client);
}

void ValueLoad::Start() {
  for (size_t client = 0; client < kClients; ++client) AddClient([this](size_t i) { Step(i); });
}

void ValueLoad::Step(size_t number) {
  Client& client = clients_[number];
  if (client.there.size() < kKept) {
    (void)meter_.Do(number, options().timeout, [&] { return SaveNext(client, number); });
  } else {
    (void)meter_.Do(number, 2 * options().timeout, [&] { return DestroyOldest(client); });
  }
}

absl::Status ValueLoad::SaveNext(Client& client, size_t number) {
  v1::SaveRequest request;
  request.set_key(absl::StrCat("value-", number, "-", ++client.saved));
  request.set_data(ContentOf(request.key()));
  cluster::SetDuration(kExpireAfter, request.mutable_expire_after());
  const absl::StatusOr<v1::SaveResponse> response = Cache(*client.client).Save(request);
  if (!response.ok()) return response.status();
  if (response->replaced()) client.problems.push_back(absl::StrCat(request.key(), " was there before it was saved"));
  client.there.push_back(request.key());
  return absl::OkStatus();
}

absl::StatusOr<bool> ValueLoad::IsThere(Client& client, const std::string& key) {
  v1::LoadRequest request;
  request.set_key(key);
  const absl::StatusOr<v1::LoadResponse> response = Cache(*client.client).Load(request);
  if (absl::IsNotFound(response.status())) return false;
  if (!response.ok()) return response.status();
  if (response->data() != ContentOf(key)) client.problems.push_back(absl::StrCat(key, " has another's content"));
  return true;
}

absl::Status ValueLoad::DestroyOldest(Client& client) {
  const std::string key = client.there.front();
  const absl::StatusOr<bool> there = IsThere(client, key);
  if (!there.ok()) return there.status();
  client.there.pop_front();
  ++(*there ? client.executed : client.lost);
  v1::DestroyRequest request;
  request.set_key(key);
  const absl::StatusOr<v1::DestroyResponse> response = Cache(*client.client).Destroy(request);
  if (!response.ok()) return response.status();
  client.destroyed.push_back(key);
  if (client.destroyed.size() > kDestroyed) client.destroyed.pop_front();
  return absl::OkStatus();
}

bool ValueLoad::Settle(absl::Duration limit) {
  for (Client& client : clients_) {
    const auto look = [&](std::deque<std::string>& keys, int64_t* there, int64_t* away) {
      for (; !keys.empty(); keys.pop_front()) {
        absl::StatusOr<bool> found = false;
        if (!cluster::Await([&] { return (found = IsThere(client, keys.front())).ok(); }, limit)) return false;
        ++*(*found ? there : away);
      }
      return true;
    };
    int64_t gone = 0;
    if (!look(client.there, &client.executed, &client.lost) || !look(client.destroyed, &back_, &gone)) return false;
  }
  return true;
}

void ValueLoad::Judge(KindResult& result) {
  result.duplicated += back_;
  for (const Client& client : clients_) {
    result.executed += client.executed;
    result.lost += client.lost;
    result.problems.insert(result.problems.end(), client.problems.begin(), client.problems.end());
  }
}

}  // namespace actioncluster::chaos
