#ifndef ACTIONCLUSTER_TESTS_INTEGRATION_BUS_BUS_NODE_H_
#define ACTIONCLUSTER_TESTS_INTEGRATION_BUS_BUS_NODE_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "backplane/bus/bus.h"
#include "backplane/redis/client.h"
#include "glog/logging.h"
#include "tests/fakes/loop_thread.h"
#include "tests/fakes/redis_server.h"
#include "tests/fakes/waiter.h"

namespace actioncluster {

inline constexpr absl::string_view kTestToken = "the token of the test cluster";

inline internal::v1::Envelope CallEnvelope(absl::string_view method) {
  internal::v1::Envelope envelope;
  envelope.mutable_call()->set_method(std::string(method));
  return envelope;
}

inline Sealer TestSealer(absl::string_view token = kTestToken,
                         absl::string_view cluster_namespace = fakes::kNamespace) {
  absl::StatusOr<Sealer> sealer = Sealer::Create(token, cluster_namespace);
  CHECK(sealer.ok()) << sealer.status();
  return *std::move(sealer);
}

// What a node has of the bus: a thread, a command connection and a Bus. Hears calls.
class BusNode {
 public:
  struct Options {
    redis::Endpoint endpoint;
    std::optional<redis::Endpoint> subscriber;  // By default the same.
    std::string cluster_namespace = fakes::kNamespace;
    std::string token{kTestToken};
    // Fast, but with room for a busy machine.
    BusOptions bus = {.canary_every = absl::Milliseconds(100), .canary_timeout = absl::Seconds(1)};
  };
  struct Heard {
    internal::v1::Envelope envelope;
    absl::Time sent_at;
  };

  explicit BusNode(const Options& options) : keys_(options.cluster_namespace, options.endpoint.database) {
    thread_.Run([&] {
      client_ = std::make_unique<redis::Client>(thread_.loop(), Link(options.endpoint), std::vector<redis::Script>());
      bus_ = std::make_unique<Bus>(thread_.loop(), *client_, Link(options.subscriber.value_or(options.endpoint)), keys_,
                                   TestSealer(options.token, options.cluster_namespace), options.bus);
      bus_->OnState(states_.Callback());
      bus_->Handle(internal::v1::Envelope::kCall,
                   [heard = heard_](const internal::v1::Envelope& envelope, absl::Time sent_at) {
                     heard.Add(Heard{envelope, sent_at});
                   });
    });
  }
  ~BusNode() { Stop(); }

  // Destroys bus and client; what they still owe is called.
  void Stop() {
    thread_.Run([&] {
      bus_.reset();
      client_.reset();
    });
  }

  // Returns when the bus listens.
  void Begin(const std::string& boot) {
    fakes::Waiter<bool> listening;
    thread_.Run([&] {
      bus_->Begin(boot, [listening] { listening.Add(true); });
      bus_->SetName("node-of-" + boot);
    });
    listening.Next();
  }
  // Also awaits the first canary.
  void BeginWell(const std::string& boot) {
    Begin(boot);
    AwaitState(true);
  }
  void Listen(const std::string& channel) {
    fakes::Waiter<bool> listening;
    thread_.Run([&] { bus_->Listen(channel, [listening] { listening.Add(true); }); });
    listening.Next();
  }
  void StopListening(const std::string& channel) {
    thread_.Run([&] { bus_->StopListening(channel); });
  }

  // Gives how many calls it had heard, and not yet read, when it was deaf.
  fakes::Waiter<size_t> EndBoot() {
    fakes::Waiter<size_t> deaf;
    thread_.Run([&] { bus_->EndBoot([deaf, heard = heard_] { deaf.Add(heard.size()); }); });
    return deaf;
  }
  // Many at once; the results come in this order.
  fakes::Waiter<absl::StatusOr<int64_t>> PublishMany(const std::string& channel, const internal::v1::Envelope& envelope,
                                                     int count) {
    fakes::Waiter<absl::StatusOr<int64_t>> done;
    thread_.Run([&] {
      for (int i = 0; i < count; ++i) bus_->Publish(channel, envelope, done.Callback());
    });
    return done;
  }

  absl::StatusOr<int64_t> Publish(const std::string& channel, internal::v1::Envelope envelope) {
    fakes::Waiter<absl::StatusOr<int64_t>> done;
    thread_.Run([&] { bus_->Publish(channel, std::move(envelope), done.Callback()); });
    return done.Next();
  }
  absl::StatusOr<std::vector<std::string>> FindDeaf(const std::vector<std::string>& boots) {
    fakes::Waiter<absl::StatusOr<std::vector<std::string>>> done;
    thread_.Run([&] { bus_->FindDeaf(boots, done.Callback()); });
    return done.Next();
  }

  absl::Status state() {
    return thread_.Run([&] { return bus_->state(); });
  }
  // Returns as soon as the state is so; announcements from before may be left in states().
  void AwaitState(bool ok) {
    while (state().ok() != ok) (void)states_.Next();
  }

  // The method of the next call that is heard.
  std::string NextMethod() { return NextCall().envelope.call().method(); }
  Heard NextCall() { return heard_.Next(); }
  size_t unread() const { return heard_.size(); }

  uint64_t rejected(Rejection rejection) const { return counters().rejected[static_cast<size_t>(rejection)]; }
  uint64_t rejected() const {
    uint64_t sum = 0;
    for (const auto& count : counters().rejected) sum += count;
    return sum;
  }
  const BusCounters& counters() const { return bus_->counters(); }
  const Keys& keys() const { return keys_; }
  const fakes::Waiter<absl::Status>& states() const { return states_; }
  fakes::LoopThread& thread() { return thread_; }
  Bus& bus() { return *bus_; }

 private:
  static redis::LinkOptions Link(const redis::Endpoint& endpoint) {
    redis::LinkOptions options;
    options.endpoint = endpoint;
    return options;
  }

  const Keys keys_;
  fakes::LoopThread thread_;
  fakes::Waiter<absl::Status> states_;
  fakes::Waiter<Heard> heard_;
  std::unique_ptr<redis::Client> client_;
  std::unique_ptr<Bus> bus_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_TESTS_INTEGRATION_BUS_BUS_NODE_H_
