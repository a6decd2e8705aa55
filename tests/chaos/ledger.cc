#include "tests/chaos/ledger.h"

#include <algorithm>
#include <array>
#include <iomanip>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace actioncluster::chaos {
namespace {

constexpr absl::Duration kRecovery = absl::Seconds(2);  // On top of the lease.
constexpr double kFlat = 1.2;
constexpr absl::Duration kLong = absl::Minutes(20);  // Until then histories and caches may still fill.

constexpr std::array<std::pair<const char*, int64_t Sample::*>, 4> kSeries = {{
    {"memory of nodes", &Sample::node_bytes},
    {"file descriptors of nodes", &Sample::node_files},
    {"keys in Redis", &Sample::redis_keys},
    {"memory of Redis", &Sample::redis_bytes},
}};

std::string Seconds(absl::Duration duration) {
  return duration == absl::InfiniteDuration() ? "never" : absl::StrFormat("%.2f s", absl::ToDoubleSeconds(duration));
}

int64_t Sum(const Ledger& ledger, int64_t KindResult::*what) {
  return std::accumulate(ledger.kinds.begin(), ledger.kinds.end(), int64_t{0},
                         [what](int64_t sum, const KindResult& kind) { return sum + kind.*what; });
}

int64_t CountOf(const std::map<std::string, int64_t>& failed) {
  return std::accumulate(failed.begin(), failed.end(), int64_t{0},
                         [](int64_t sum, const auto& entry) { return sum + entry.second; });
}

std::vector<absl::Duration> AllRecoveries(const Ledger& ledger) {
  std::vector<absl::Duration> all;
  for (const KindResult& kind : ledger.kinds) all.insert(all.end(), kind.recoveries.begin(), kind.recoveries.end());
  return all;
}

double Mean(const std::vector<Sample>& samples, size_t begin, size_t end, int64_t Sample::*what) {
  double sum = 0;
  for (size_t i = begin; i < end; ++i) sum += static_cast<double>(samples[i].*what);
  return sum / static_cast<double>(end - begin);
}

void PrintSamples(const Ledger& ledger, std::ostream& out) {
  if (ledger.samples.empty()) return;
  out << "\n    after  nodes' MiB  nodes' files  Redis's keys  Redis's MiB\n";
  for (const Sample& sample : ledger.samples) {
    out << absl::StrFormat("%7.0f s  %10.1f  %12d  %12d  %11.1f\n", absl::ToDoubleSeconds(sample.at),
                           static_cast<double>(sample.node_bytes) / (1 << 20), sample.node_files, sample.redis_keys,
                           static_cast<double>(sample.redis_bytes) / (1 << 20));
  }
  for (const auto& [name, what] : kSeries) {
    out << absl::StrFormat("  %s: last quarter / second quarter = %.3f\n", name, Growth(ledger.samples, what));
  }
}

}  // namespace

Spread SpreadOf(std::vector<absl::Duration> durations) {
  if (durations.empty()) return {};
  std::ranges::sort(durations);
  return {.median = durations[durations.size() / 2], .max = durations.back()};
}

double Growth(const std::vector<Sample>& samples, int64_t Sample::*what) {
  const size_t quarter = samples.size() / 4;
  if (quarter < 2) return 1;
  const double before = Mean(samples, quarter, 2 * quarter, what);
  return before == 0 ? 1 : Mean(samples, samples.size() - quarter, samples.size(), what) / before;
}

std::vector<std::string> Broken(const Ledger& ledger) {
  std::vector<std::string> broken = ledger.problems;
  for (const KindResult& kind : ledger.kinds) {
    const auto report = [&](absl::string_view what) { broken.push_back(absl::StrCat(kind.kind, ": ", what)); };
    if (kind.acknowledged == 0) report("nothing was acknowledged, so nothing is known");
    if (kind.stuck > 0) report(absl::StrCat(kind.stuck, " stuck"));
    const Spread recovery = SpreadOf(kind.recoveries);
    if (recovery.max > ledger.lease + kRecovery) {
      report(
          absl::StrCat("recovered after ", Seconds(recovery.max), ", not within ", Seconds(ledger.lease + kRecovery)));
    }
    if (ledger.may_lose) continue;
    if (kind.lost > 0) report(absl::StrCat(kind.lost, " lost"));
    if (kind.duplicated > kind.excused)
      report(absl::StrCat(kind.duplicated - kind.excused, " duplicated though no lease ran out"));
    if (kind.disordered > 0) report(absl::StrCat(kind.disordered, " out of order"));
    for (const std::string& problem : kind.problems) report(problem);
  }
  for (const auto& [name, what] : kSeries) {
    const double growth = ledger.took < kLong ? 1 : Growth(ledger.samples, what);
    if (growth > kFlat) broken.push_back(absl::StrFormat("%s: grow by %.0f %%", name, 100 * (growth - 1)));
  }
  return broken;
}

void Print(const Ledger& ledger, std::ostream& out) {
  out << "== " << ledger.scenario << ": seed " << ledger.seed << ", " << ledger.nodes << " nodes, lease "
      << absl::FormatDuration(ledger.lease) << ", --ack-replicas " << ledger.ack_replicas << ", took "
      << Seconds(ledger.took) << ", " << ledger.faults << " faults";
  if (ledger.faults > 0) out << " of up to " << Seconds(ledger.fault_length);
  out << "\n\n";
  out << absl::StrFormat("  %-14s %9s %9s %7s %9s %6s %6s %8s %7s %6s %16s %8s\n", "load", "attempted", "acked",
                         "failed", "executed", "lost", "twice", "(excused)", "disord.", "stuck", "recovery (max)",
                         "gap");
  for (const KindResult& kind : ledger.kinds) {
    const Spread recovery = SpreadOf(kind.recoveries);
    out << absl::StrFormat("  %-14s %9d %9d %7d %9d %6d %6d %9d %7d %6d %7s %8s %8s\n", kind.kind, kind.attempted,
                           kind.acknowledged, CountOf(kind.failed), kind.executed, kind.lost, kind.duplicated,
                           kind.excused, kind.disordered, kind.stuck, Seconds(recovery.median),
                           absl::StrCat("(", Seconds(recovery.max), ")"), Seconds(kind.longest_gap));
  }
  out << "\n";
  for (const KindResult& kind : ledger.kinds) {
    if (kind.failed.empty()) continue;
    out << "  " << kind.kind << " failed by "
        << absl::StrJoin(kind.failed, ", ",
                         [](std::string* text, const auto& entry) {
                           absl::StrAppend(text, entry.first, " (", entry.second, ")");
                         })
        << "\n";
  }
  if (!ledger.lags.empty()) {
    out << "  replication lag in bytes when the master was lost: " << absl::StrJoin(ledger.lags, ", ") << "\n";
  }
  if (ledger.unasked_failovers > 0) {
    out << "  the machine was too slow: " << ledger.unasked_failovers << " failovers that nobody asked for\n";
  }
  if (ledger.may_lose) {
    for (const KindResult& kind : ledger.kinds) {
      for (const std::string& problem : kind.problems)
        out << "  with what was lost: " << kind.kind << ": " << problem << "\n";
    }
  }
  PrintSamples(ledger, out);
  const std::vector<std::string> broken = Broken(ledger);
  for (const std::string& one : broken) out << "  BROKEN: " << one << "\n";
  out << (broken.empty() ? "  all invariants hold\n" : "") << std::endl;
}

void PrintMarkdownHead(std::ostream& out) {
  out << "| drill | faults | acknowledged | lost | twice (lease ran out) | stuck | recovery: median, longest |\n"
      << "|---|---|---|---|---|---|---|\n";
}

void PrintMarkdown(const Ledger& ledger, std::ostream& out) {
  const Spread recovery = SpreadOf(AllRecoveries(ledger));
  out << "| " << ledger.scenario
      << (ledger.ack_replicas > 0 ? absl::StrCat(", `--ack-replicas ", ledger.ack_replicas, "`") : "") << " | "
      << ledger.faults << " | " << Sum(ledger, &KindResult::acknowledged) << " | " << Sum(ledger, &KindResult::lost)
      << " | " << Sum(ledger, &KindResult::duplicated) << " (" << Sum(ledger, &KindResult::excused) << ") | "
      << Sum(ledger, &KindResult::stuck) << " | "
      << (ledger.faults == 0 ? "–" : absl::StrCat(Seconds(recovery.median), ", ", Seconds(recovery.max))) << " |\n";
}

}  // namespace actioncluster::chaos
