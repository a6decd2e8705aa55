#include "tests/integration/membership/member.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "backplane/bus/sealer.h"
#include "backplane/scripts/scripts.h"
#include "glog/logging.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using fakes::Waiter;

std::string Told(const NodeEvent& event) {
  static constexpr const char* kKinds[] = {"joined ", "left ", "lost ", "draining ", "updated "};
  return absl::StrCat(kKinds[static_cast<int>(event.kind)], event.node.id());
}

MembershipOptions OptionsOf(const Member::Options& options) {
  MembershipOptions membership{.name_prefix = "node-",
                               .succeeds_boot = options.succeeds_boot,
                               .lease = options.lease,
                               .self = internal::v1::NodeRecord()};
  membership.self.set_host("here");
  membership.self.set_pid(7);
  return membership;
}

redis::LinkOptions SubscriberLink(redis::LinkOptions link, const Member::Options& options) {
  link.endpoint = options.subscriber.value_or(link.endpoint);
  return link;
}

}  // namespace

Member::Parts::Parts(Loop& loop, const redis::LinkOptions& link, const Keys& keys, const Options& options)
    : client(loop, link, scripts::All()),
      bus(loop, client, SubscriberLink(link, options), keys,
          Sealer::Create(options.token, keys.cluster_namespace()).value()),
      membership(loop, client, bus, keys, OptionsOf(options)) {}

Member::Member(const fakes::RedisServer& redis, Options options) {
  redis::LinkOptions link;
  link.endpoint = redis.endpoint();
  thread_.Run([&] {
    parts_ = std::make_unique<Parts>(thread_.loop(), link, keys_, options);
    parts_->membership.OnNode([events = events_](const NodeEvent& event) { events.Add(Told(event)); });
    parts_->membership.OnServing([serving = serving_](bool now) { serving.Add(now); });
    parts_->membership.SetStatsSource([] {
      internal::v1::NodeStats stats;
      stats.set_calls_running(3);
      return stats;
    });
  });
}

Member::~Member() { Destroy(); }

void Member::Destroy() {
  thread_.Run([&] { parts_.reset(); });
}

absl::Status Member::Join() {
  const Waiter<absl::Status> done;
  JoinLater(done);
  return done.Next();
}

void Member::JoinWell() {
  EXPECT_EQ(Join(), absl::OkStatus());
  AwaitServing(true);
}

void Member::JoinLater(const Waiter<absl::Status>& done) {
  thread_.Run([&] { parts_->membership.Join(done.Callback()); });
}

absl::Status Member::Leave() {
  const Waiter<absl::Status> done;
  thread_.Run([&] { parts_->membership.Leave(done.Callback()); });
  return done.Next();
}

void Member::Pause(absl::Duration duration) {
  thread_.Run([&] { absl::SleepFor(duration); });
}

NodeRef Member::self() {
  return thread_.Run([&] { return parts_->membership.self(); });
}

bool Member::Serving() {
  return thread_.Run([&] { return parts_->membership.Serving(); });
}

absl::Status Member::SetMethods(std::vector<std::string> methods) {
  const Waiter<absl::Status> done;
  SetMethodsLater(std::move(methods), done);
  return done.Next();
}

void Member::SetMethodsLater(std::vector<std::string> methods, const Waiter<absl::Status>& done) {
  thread_.Run([&] { parts_->membership.SetMethods(std::move(methods), done.Callback()); });
}

absl::Status Member::SetDraining(bool draining) {
  const Waiter<absl::Status> done;
  thread_.Run([&] { parts_->membership.SetDraining(draining, done.Callback()); });
  return done.Next();
}

absl::Status Member::Refresh() {
  const Waiter<absl::Status> done;
  thread_.Run([&] { parts_->membership.Refresh(done.Callback()); });
  return done.Next();
}

void Member::AwaitRefreshed() {
  const absl::Time limit = absl::Now() + fakes::kPatience;
  absl::Status last;
  while (!(last = Refresh()).ok()) {
    ASSERT_LT(absl::Now(), limit) << last;
    absl::SleepFor(absl::Milliseconds(10));
  }
}

std::vector<Membership::Snapshot> Member::Snapshots() {
  const Waiter<absl::StatusOr<std::vector<Membership::Snapshot>>> done;
  thread_.Run([&] { parts_->membership.List(done.Callback()); });
  absl::StatusOr<std::vector<Membership::Snapshot>> nodes = done.Next();
  EXPECT_EQ(nodes.status(), absl::OkStatus());
  return nodes.ok() ? *std::move(nodes) : std::vector<Membership::Snapshot>();
}

std::vector<std::string> Member::Listed() {
  std::vector<std::string> names;
  for (const Membership::Snapshot& node : Snapshots()) names.push_back(node.record.id());
  return names;
}

std::vector<std::string> Member::Known() {
  return thread_.Run([&] {
    std::vector<std::string> names;
    for (const auto& [name, node] : parts_->membership.directory().nodes()) names.push_back(name);
    return names;
  });
}

std::vector<std::string> Member::Offering(const std::string& method) {
  return thread_.Run([&] {
    std::vector<std::string> names;
    for (const NodeRef& node : parts_->membership.directory().Offering(method)) names.push_back(node.id);
    return names;
  });
}

void Member::AwaitEvent(const std::string& event) const {
  events_.NextThat([&](const std::string& told) { return told == event; });
}

void Member::AwaitServing(bool serving) const {
  serving_.NextThat([&](bool now) { return now == serving; });
}

}  // namespace actioncluster
