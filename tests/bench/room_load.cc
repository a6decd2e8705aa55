#include "tests/bench/room_load.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "backplane/domain/clock.h"
#include "glog/logging.h"
#include "tests/bench/cpu_time.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/connection_calls.h"

namespace actioncluster::bench {
namespace {

using cluster::RawClient;

constexpr int kNodes = 3;
constexpr int kStreamsPerChannel = 500;
constexpr int kMakers = 16;  // Of rooms, at once.
constexpr absl::Duration kPatience = absl::Seconds(30);

std::string RoomName(uint64_t room) { return absl::StrCat("room-", room); }

// What one member hears. Message N is for room N % rooms, said by its member (N / rooms) % members: so each member
// knows which of each sender comes next.
class Hearing {
 public:
  Hearing(uint64_t room, uint64_t rooms, uint64_t members, std::atomic<uint64_t>* heard)
      : rooms_(rooms), members_(members), heard_(heard) {
    for (uint64_t member = 0; member < members; ++member) next_.push_back(room + member * rooms);
  }

  // On gRPC's threads, one at a time.
  void Add(const RawClient::Frame& frame) {
    const absl::Time now = MonotonicNow();
    missed_ += frame.missed().count();
    if (!frame.has_message()) return;
    const std::vector<absl::string_view> words = absl::StrSplit(frame.message().data(), ' ');
    uint64_t number = 0;
    int64_t said_ns = 0;
    CHECK(absl::SimpleAtoi(words.at(0), &number) && absl::SimpleAtoi(words.at(1), &said_ns));
    uint64_t& next = next_[number / rooms_ % members_];
    if (number == next) {
      next += rooms_ * members_;
      ++in_order_;
    } else {
      ++wrong_;
    }
    took_us_.push_back(static_cast<float>(absl::ToDoubleMicroseconds(now - absl::FromUnixNanos(said_ns))));
    ++*heard_;
  }

  uint64_t in_order() const { return in_order_; }
  uint64_t wrong() const { return wrong_ + missed_; }
  const std::vector<float>& took_us() const { return took_us_; }

 private:
  const uint64_t rooms_;
  const uint64_t members_;
  std::atomic<uint64_t>* const heard_;
  std::vector<uint64_t> next_;  // By sender.
  uint64_t in_order_ = 0;
  uint64_t wrong_ = 0;
  uint64_t missed_ = 0;
  std::vector<float> took_us_;
};

class Crowd {
 public:
  Crowd(cluster::Cluster& nodes, const RoomLoad& load)
      : rooms_(static_cast<uint64_t>(load.rooms)), members_(static_cast<uint64_t>(load.connections / load.rooms)) {
    MakeRooms(nodes);
    const uint64_t count = rooms_ * members_;
    for (uint64_t i = 0; i < count; ++i) {
      // The members of a room are on different nodes.
      const int number = 1 + static_cast<int>((i / rooms_ + i % rooms_) % kNodes);
      hearings_.push_back(std::make_unique<Hearing>(i % rooms_, rooms_, members_, &heard_));
      clients_.push_back(std::make_unique<RawClient>(
          StubOf(nodes.node(number)), cluster::HelloOf(absl::StrCat("client-", i)),
          RawClient::Options{.on_message = [hearing = hearings_.back().get()](const RawClient::Frame& frame) {
            hearing->Add(frame);
          }}));
    }
    for (const auto& client : clients_) {
      CHECK(client->AwaitWelcomeOrEnd().has_value()) << cluster::Describe(client->AwaitEnd());
    }
    for (uint64_t i = 0; i < count; ++i) {
      clients_[i]->Send(cluster::VerbOf("roomAdd", absl::StrCat("[\"", RoomName(i % rooms_), "\"]")));
    }
    for (const auto& client : clients_) CHECK_EQ(cluster::ErrorIn(client->replies().Next()), "");
  }

  // Says so many, at this rate.
  void Say(uint64_t messages, double rate) {
    const absl::Time begun = MonotonicNow();
    for (uint64_t number = 0; number < messages; ++number) {
      absl::SleepFor(begun + static_cast<double>(number) * absl::Seconds(1 / rate) - MonotonicNow());
      const uint64_t room = number % rooms_;
      v1::OpenRequest say = cluster::VerbOf("say", absl::StrCat("[\"", RoomName(room), "\"]"));
      say.mutable_verb()->set_data(absl::StrCat(number, " ", absl::ToUnixNanos(MonotonicNow())));
      clients_[room + number / rooms_ % members_ * rooms_]->Send(std::move(say));
    }
    const absl::Time end = MonotonicNow() + kPatience;
    while (heard_ < messages * members_ && MonotonicNow() < end) absl::SleepFor(absl::Milliseconds(10));
  }
  // Of what was said: replies that say why not.
  uint64_t CountRefused() const {
    uint64_t refused = 0;
    for (const auto& client : clients_) {
      while (client->replies().size() > 0) refused += client->replies().Next().has_error() ? 1 : 0;
    }
    return refused;
  }

  uint64_t members() const { return members_; }
  const std::vector<std::unique_ptr<Hearing>>& hearings() const { return hearings_; }

 private:
  void MakeRooms(cluster::Cluster& nodes) const {
    std::atomic<uint64_t> next = 0;
    std::vector<std::thread> makers;
    for (int i = 0; i < kMakers; ++i) {
      makers.emplace_back([&] {
        for (uint64_t room = next++; room < rooms_; room = next++) {
          v1::RoomServiceCreateRequest request;
          request.set_room(RoomName(room));
          CHECK(cluster::Ask(nodes.node(1), &cluster::Rooms::Create, request).ok());
        }
      });
    }
    for (std::thread& maker : makers) maker.join();
  }
  v1::ConnectionService::Stub& StubOf(const cluster::Node& node) {
    auto& [stub, streams] = stubs_[node.id()];
    if (streams++ % kStreamsPerChannel == 0) {
      all_stubs_.push_back(v1::ConnectionService::NewStub(node.NewChannel()));
      stub = all_stubs_.back().get();
    }
    return *stub;
  }

  const uint64_t rooms_;
  const uint64_t members_;
  std::atomic<uint64_t> heard_ = 0;
  std::map<std::string, std::pair<v1::ConnectionService::Stub*, int>> stubs_;  // The newest, by node.
  std::vector<std::unique_ptr<v1::ConnectionService::Stub>> all_stubs_;
  std::vector<std::unique_ptr<Hearing>> hearings_;
  std::vector<std::unique_ptr<RawClient>> clients_;  // Gone first.
};

float Quantile(std::vector<float>* values, double quantile) {
  if (values->empty()) return 0;
  const auto at = values->begin() + static_cast<std::ptrdiff_t>(quantile * static_cast<double>(values->size() - 1));
  std::nth_element(values->begin(), at, values->end());
  return *at;
}

}  // namespace

bool MeasureRooms(const RoomLoad& load) {
  cluster::Cluster nodes(kNodes, {.lease = absl::Seconds(5), .flags = {}, .redis = {}});
  const absl::Time opening = MonotonicNow();
  Crowd crowd(nodes, load);
  const absl::Duration opened = MonotonicNow() - opening;
  const auto used = [&nodes] {
    absl::Duration sum = CpuTimeOf(nodes.redis().pid());
    for (const cluster::Node& node : nodes.nodes()) sum += CpuTimeOf(node.pid());
    return sum;
  };
  const absl::Duration before = used();
  const auto messages = static_cast<uint64_t>(load.rate * load.seconds);
  crowd.Say(messages, load.rate);
  const absl::Duration cpu = used() - before;

  const uint64_t refused = crowd.CountRefused();
  uint64_t in_order = 0;
  uint64_t wrong = 0;
  std::vector<float> took_us;
  for (const auto& hearing : crowd.hearings()) {
    in_order += hearing->in_order();
    wrong += hearing->wrong();
    took_us.insert(took_us.end(), hearing->took_us().begin(), hearing->took_us().end());
  }
  const uint64_t expected = messages * crowd.members();
  const float p50 = Quantile(&took_us, 0.5);
  const float p99 = Quantile(&took_us, 0.99);
  const float slowest = Quantile(&took_us, 1);
  std::printf(
      "rooms: %d connections in %d rooms over %d nodes, opened and joined in %.1f s\n"
      "rooms: %llu messages, %llu refused; %llu deliveries expected, %llu came once and in order, %llu otherwise\n"
      "rooms: delivered after p50 %.0f us, p99 %.0f us, at most %.0f us; %.1f us of CPU a delivery, nodes and Redis\n",
      static_cast<int>(crowd.hearings().size()), load.rooms, kNodes, absl::ToDoubleSeconds(opened),
      static_cast<unsigned long long>(messages), static_cast<unsigned long long>(refused),
      static_cast<unsigned long long>(expected), static_cast<unsigned long long>(in_order),
      static_cast<unsigned long long>(wrong), static_cast<double>(p50), static_cast<double>(p99),
      static_cast<double>(slowest),
      absl::ToDoubleMicroseconds(cpu) / static_cast<double>(std::max<uint64_t>(expected, 1)));
  std::fflush(stdout);
  return refused == 0 && wrong == 0 && in_order == expected;
}

}  // namespace actioncluster::bench
