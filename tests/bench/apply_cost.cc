#include "tests/bench/apply_cost.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "backplane/domain/clock.h"
#include "glog/logging.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/connection_calls.h"

namespace actioncluster::bench {
namespace {

constexpr int kCalls = 2000;
constexpr int kWarmUp = 200;
constexpr int kWorkers = 7;                         // Of one start: its ports are those that a test gets at once.
constexpr absl::Duration kIdle = absl::Seconds(2);  // In which is seen what nodes do anyway.

// What Redis has done so far.
struct Done {
  double commands = 0;
  double published = 0;
  absl::Time at;
};

double NumberAfter(absl::string_view text, absl::string_view name) {
  for (absl::string_view line : absl::StrSplit(text, absl::ByAnyChar("\r\n"))) {
    if (!absl::ConsumePrefix(&line, name)) continue;
    const std::vector<absl::string_view> words = absl::StrSplit(line, ',');
    double number = 0;
    CHECK(absl::SimpleAtod(words[0], &number)) << line;
    return number;
  }
  return 0;
}

Done DoneBy(fakes::RedisServer& redis) {
  const redis::Reply stats = redis.Command({"INFO", "all"});
  const std::string text(stats.view().String().value_or(""));
  return {.commands = NumberAfter(text, "total_commands_processed:"),
          .published = NumberAfter(text, "cmdstat_publish:calls=") + NumberAfter(text, "cmdstat_spublish:calls="),
          .at = MonotonicNow()};
}

bool Measure(int count) {
  cluster::Cluster nodes(0, {.lease = absl::Seconds(10), .flags = {}, .redis = {}});
  for (int left = count; left > 0; left -= kWorkers) {
    nodes.Start({.workers = std::min(left, kWorkers), .flags = {}, .environment = {}, .data_dir = ""});
  }
  const auto client = cluster::Open(nodes.node(2), "client");
  const auto apply = [&nodes] {
    const auto answered = cluster::Ask(nodes.node(1), &cluster::Connections::Apply, cluster::ApplyOf("client"));
    return answered.ok() && answered.response.connection().node_id() == nodes.node(2).id();
  };
  for (int i = 0; i < kWarmUp; ++i) apply();
  const Done before = DoneBy(nodes.redis());
  absl::SleepFor(kIdle);
  const Done idle = DoneBy(nodes.redis());
  std::vector<double> took_us;
  int failed = 0;
  for (int i = 0; i < kCalls; ++i) {
    const absl::Time begun = MonotonicNow();
    failed += apply() ? 0 : 1;
    took_us.push_back(absl::ToDoubleMicroseconds(MonotonicNow() - begun));
  }
  const Done after = DoneBy(nodes.redis());
  const double ratio = absl::FDivDuration(after.at - idle.at, idle.at - before.at);
  std::ranges::sort(took_us);
  std::printf("apply: %2d nodes: p50 %.0f us, p99 %.0f us; of Redis: %.2f messages, %.2f commands a call%s\n", count,
              took_us[kCalls / 2], took_us[kCalls * 99 / 100],
              (after.published - idle.published - ratio * (idle.published - before.published)) / kCalls,
              (after.commands - idle.commands - ratio * (idle.commands - before.commands)) / kCalls,
              failed == 0 ? "" : absl::StrCat("  FAILED: ", failed).c_str());
  std::fflush(stdout);
  return failed == 0;
}

}  // namespace

bool MeasureApply(const std::vector<int>& nodes) {
  bool ok = true;
  for (const int count : nodes) ok = Measure(count) && ok;
  return ok;
}

}  // namespace actioncluster::bench
