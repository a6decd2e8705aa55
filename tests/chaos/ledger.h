#ifndef ACTIONCLUSTER_TESTS_CHAOS_LEDGER_H_
#define ACTIONCLUSTER_TESTS_CHAOS_LEDGER_H_

#include <cstdint>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace actioncluster::chaos {

// What has become of one kind of load.
struct KindResult {
  std::string kind = {};
  int64_t attempted = 0;
  int64_t acknowledged = 0;
  std::map<std::string, int64_t> failed = {};  // By reason.
  int64_t executed = 0;                        // Found to have had its effect: acknowledged or not.
  int64_t lost = 0;                            // Acknowledged, and without effect.
  int64_t duplicated = 0;                      // Further effects of what had one.
  int64_t excused = 0;                         // Those among them that came after a lease had run out.
  int64_t disordered = 0;                      // Effects that came before another that should have been first.
  int64_t stuck = 0;                           // Operations that did not end in time, and what never came to its end.
  absl::Duration longest_gap = absl::ZeroDuration();  // Between two successes of one client.
  std::vector<absl::Duration> recoveries = {};        // Of each client, after each fault. Infinite: it did not.
  std::vector<std::string> problems = {};             // What cannot be, besides these.
};

// One moment of a long run.
struct Sample {
  absl::Duration at = absl::ZeroDuration();
  int64_t node_bytes = 0;  // Resident memory of all nodes.
  int64_t node_files = 0;  // Their open file descriptors.
  int64_t redis_keys = 0;
  int64_t redis_bytes = 0;
};

// What a drill has found.
struct Ledger {
  std::string scenario = {};
  uint64_t seed = 0;
  int nodes = 0;
  absl::Duration lease = absl::ZeroDuration();
  int ack_replicas = 0;
  absl::Duration took = absl::ZeroDuration();
  int64_t faults = 0;
  absl::Duration fault_length = absl::ZeroDuration();  // The longest.
  bool may_lose = false;                               // Redis was lost with what its replicas had not heard of yet.
  int64_t unasked_failovers = 0;                       // By sentinels to which the machine was too slow.
  std::vector<int64_t> lags = {};                      // In bytes, when that happened.
  std::vector<KindResult> kinds = {};
  std::vector<Sample> samples = {};
  std::vector<std::string> problems = {};  // What broke the drill as a whole.
};

// The least, the middle and the greatest of some durations; all infinite if one is; zero without any.
struct Spread {
  absl::Duration median = absl::ZeroDuration();
  absl::Duration max = absl::ZeroDuration();
};
Spread SpreadOf(std::vector<absl::Duration> durations);

// How much more there is of something in the last quarter of the samples than in the second one: 1 is flat. The first quarter is left to caches that fill. 1 as well with less than 8 samples.
double Growth(const std::vector<Sample>& samples, int64_t Sample::*what);

// The invariants that are broken, each in a line; none: all is well.
std::vector<std::string> Broken(const Ledger& ledger);

// For people: a table, and what is broken.
void Print(const Ledger& ledger, std::ostream& out);
// A row of the README's table, and that table's head.
void PrintMarkdownHead(std::ostream& out);
void PrintMarkdown(const Ledger& ledger, std::ostream& out);

}  // namespace actioncluster::chaos

#endif  // ACTIONCLUSTER_TESTS_CHAOS_LEDGER_H_
