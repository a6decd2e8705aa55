#ifndef ACTIONCLUSTER_TESTS_BENCH_CACHE_SCANS_H_
#define ACTIONCLUSTER_TESTS_BENCH_CACHE_SCANS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace actioncluster::bench {

struct ScanOptions {
  int64_t keys = 1'000'000;
  std::vector<int> in_flight = {1, 64};  // Loads.
  int rounds = 3;                        // Of a scan and a quiet interval each; the median counts.
  std::vector<std::string> which;        // Of ListKeys, Size, Dump and Clear. Empty: all.
};

// How long Loads take while the whole cache is listed, counted, dumped and cleared, beside quiet intervals that are as long, in between. Prints a line for each; gives the largest ratio of p99.
double MeasureScans(const ScanOptions& options);

}  // namespace actioncluster::bench

#endif  // ACTIONCLUSTER_TESTS_BENCH_CACHE_SCANS_H_
