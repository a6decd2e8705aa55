#include "tests/bench/pubsub.h"

#include <cstdio>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "backplane/redis/client.h"
#include "backplane/redis/loop.h"
#include "backplane/redis/subscriber.h"
#include "glog/logging.h"

namespace actioncluster::bench {
namespace {

constexpr char kRequests[] = "bench:requests";
constexpr char kReplies[] = "bench:replies";

void Publish(redis::Client& client, absl::string_view channel, absl::string_view payload) {
  client.Execute(redis::Command({"PUBLISH", channel, payload}),
                 [](const absl::StatusOr<redis::Reply>& reply) { LOG_IF(ERROR, !reply.ok()) << reply.status(); });
}

// `ready` runs once. To be called in the turn of the loop that made the client.
void WhenReady(redis::Client& client, absl::AnyInvocable<void() &&> ready) {
  client.OnState([ready = std::move(ready)](const absl::Status& state) mutable {
    if (state.ok() && ready) std::exchange(ready, nullptr)();
  });
}

redis::LinkOptions To(const redis::Endpoint& endpoint) {
  redis::LinkOptions options;
  options.endpoint = endpoint;
  return options;
}

}  // namespace

int ServePubSub(const std::string& redis_url) {
  const absl::StatusOr<redis::Endpoint> endpoint = redis::ParseEndpoint(redis_url);
  CHECK(endpoint.ok()) << endpoint.status();
  Loop loop;
  redis::Client client(loop, To(*endpoint), {});
  redis::Subscriber subscriber(loop, To(*endpoint),
                               [&client](absl::string_view, absl::string_view id) { Publish(client, kReplies, id); });
  int connections = 0;
  const auto connected = [&connections] {
    if (++connections < 2) return;
    std::puts("ready");
    std::fflush(stdout);
  };
  WhenReady(client, connected);
  subscriber.Subscribe(kRequests, connected);
  loop.Run();
  return 0;
}

struct Asker::Core {
  Core(Loop& loop_to_use, const redis::Endpoint& endpoint)
      : loop(loop_to_use),
        client(loop, To(endpoint), {}),
        subscriber(loop, To(endpoint), [this](absl::string_view, absl::string_view id) { Replied(id); }) {}

  void Ask(absl::AnyInvocable<void(bool) &&> done) {
    const uint64_t id = next_id++;
    pending.emplace(id, std::move(done));
    Publish(client, kRequests, absl::StrCat(id));
  }
  void Replied(absl::string_view text) {
    uint64_t id = 0;
    CHECK(absl::SimpleAtoi(text, &id));
    const auto call = pending.find(id);
    if (call == pending.end()) return;  // Not the first of its replies.
    absl::AnyInvocable<void(bool)&&> done = std::move(call->second);
    pending.erase(call);
    std::move(done)(true);
  }

  Loop& loop;
  redis::Client client;
  redis::Subscriber subscriber;
  absl::flat_hash_map<uint64_t, absl::AnyInvocable<void(bool) &&>> pending;
  uint64_t next_id = 1;
};

Asker::Asker(const redis::Endpoint& endpoint) {
  absl::BlockingCounter connections(2);
  io_.Run([&] {
    core_ = std::make_unique<Core>(io_.loop(), endpoint);
    WhenReady(core_->client, [&connections] { connections.DecrementCount(); });
    core_->subscriber.Subscribe(kReplies, [&connections] { connections.DecrementCount(); });
  });
  connections.Wait();
}

Asker::~Asker() {
  io_.Run([this] { core_.reset(); });
}

Operation Asker::operation() {
  return [this](absl::AnyInvocable<void(bool) &&> done) {
    if (io_.loop().InLoop()) return core_->Ask(std::move(done));
    io_.loop().Post([this, done = std::move(done)]() mutable { core_->Ask(std::move(done)); });
  };
}

}  // namespace actioncluster::bench
