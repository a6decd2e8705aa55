#include "tests/chaos/load.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "glog/logging.h"
#include "tests/cluster/program.h"

namespace actioncluster::chaos {

uint64_t Choose(std::mt19937_64& random, uint64_t least, uint64_t most) {
  // Not std::uniform_int_distribution, which each library may do in its own way: a seed means the same everywhere.
  return least + random() % (most - least + 1);
}

Load::Load(std::string kind, LoadOptions options, size_t clients)
    : meter_(clients), kind_(std::move(kind)), options_(std::move(options)), clients_(clients) {
  for (size_t client = 0; client < clients; ++client) randoms_.emplace_back(options_.seed + client);
}

void Load::AddClient(std::function<void(size_t client)> step) {
  const size_t client = threads_.size();
  CHECK_LT(client, clients_);
  ++running_;
  threads_.emplace_back([this, client, step = std::move(step)] { Run(client, step); });
}

void Load::Run(size_t client, const std::function<void(size_t client)>& step) {
  const absl::Duration mean = absl::Seconds(static_cast<double>(clients_) / options_.rate);
  // A step that took long is not made up for.
  for (absl::Time next = absl::Now(); !stopping_.WaitForNotificationWithTimeout(next - absl::Now());
       next = std::max(absl::Now(), next + mean * static_cast<double>(Choose(random(client), 500, 1500)) / 1000)) {
    step(client);
  }
  --running_;
}

bool Load::StopClients(absl::Duration limit) {
  if (!stopping_.HasBeenNotified()) stopping_.Notify();
  if (!cluster::Await([this] { return running_ == 0; }, limit)) return false;
  threads_.clear();
  return true;
}

std::unique_ptr<client::Client> Load::NewClient(size_t client) const {
  client::ClientOptions options;
  options.addresses = options_.addresses;
  std::ranges::rotate(options.addresses,
                      options.addresses.begin() + static_cast<std::ptrdiff_t>(client % options.addresses.size()));
  options.api_token = options_.api_token;
  options.timeout = options_.timeout;
  absl::StatusOr<std::unique_ptr<client::Client>> made = client::Client::Create(std::move(options));
  CHECK(made.ok()) << made.status();
  return *std::move(made);
}

}  // namespace actioncluster::chaos
