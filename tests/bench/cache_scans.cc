#include "tests/bench/cache_scans.h"

#include <grpcpp/client_context.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "backplane/domain/clock.h"
#include "glog/logging.h"
#include "tests/bench/cache_load.h"
#include "tests/bench/closed_loop.h"
#include "tests/cluster/cluster.h"

namespace actioncluster::bench {
namespace {

constexpr int kFillers = 4;
constexpr int kParts = 3;
constexpr int64_t kBatch = 1000;
constexpr absl::Duration kAtLeast = absl::Seconds(2);  // A scan that takes less is repeated.

using Stub = v1::CacheService::Stub;
// Scans all there is, in a round; gives how many it has seen.
using Scan = std::function<int64_t(Stub& stub, int round)>;

// Each round's Clear takes a part of the keys.
std::string PartOf(int round) { return absl::StrCat("bulk-", round, "/"); }

void Fill(Stub& stub, int64_t keys) {
  std::atomic<int64_t> next = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kFillers; ++i) {
    threads.emplace_back([&] {
      for (int64_t first = next.fetch_add(kBatch); first < keys; first = next.fetch_add(kBatch)) {
        v1::SaveManyRequest request;
        for (int64_t number = first; number < std::min(keys, first + kBatch); ++number) {
          v1::SaveRequest& entry = *request.add_entries();
          entry.set_key(absl::StrCat(PartOf(static_cast<int>(number % kParts)), number));
          entry.set_data(CacheKeys::Value());
        }
        grpc::ClientContext context;
        v1::SaveManyResponse response;
        const grpc::Status status = stub.SaveMany(&context, request, &response);
        CHECK(status.ok()) << status.error_message();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

int64_t ListKeys(Stub& stub, int) {
  grpc::ClientContext context;
  const auto stream = stub.ListKeys(&context, {});
  int64_t seen = 0;
  for (v1::ListKeysResponse response; stream->Read(&response);) seen += response.keys_size();
  CHECK(stream->Finish().ok());
  return seen;
}

int64_t Size(Stub& stub, int) {
  grpc::ClientContext context;
  v1::SizeResponse response;
  CHECK(stub.Size(&context, {}, &response).ok());
  return response.size();
}

int64_t Dump(Stub& stub, int) {
  grpc::ClientContext context;
  const auto stream = stub.Dump(&context, {});
  int64_t seen = 0;
  for (v1::DumpResponse response; stream->Read(&response);) seen += response.has_entry() ? 1 : 0;
  CHECK(stream->Finish().ok());
  return seen;
}

int64_t Clear(Stub& stub, int round) {
  grpc::ClientContext context;
  v1::ClearRequest request;
  request.set_prefix(PartOf(round));
  v1::ClearResponse response;
  CHECK(stub.Clear(&context, request, &response).ok());
  return response.values();
}

// p99 of each interval, and what a second has seen.
struct Intervals {
  std::vector<absl::Duration> p99;
  std::vector<double> rate;

  void Add(const Measurement& measured) {
    CHECK_EQ(measured.failures, 0U) << "Loads failed";
    p99.push_back(measured.p99);
    rate.push_back(measured.PerSecond());
  }
};

template <class T>
T Median(std::vector<T> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// Loads through one node, a scan through `scanner`. Gives the ratio.
double MeasureScan(const std::string& what, int rounds, int in_flight, Stub& loader, Stub& scanner, bool repeatable,
                   const Scan& scan) {
  const Operation load = LoadCall(loader);
  Intervals quiet;
  Intervals scanning;
  int64_t seen = 0;
  absl::Duration took;
  for (int round = 0; round < rounds; ++round) {
    std::atomic<bool> over = false;
    const absl::Time begun = MonotonicNow();
    std::thread scans([&] {
      int times = 0;
      do {
        seen = scan(scanner, round);
        ++times;
      } while (repeatable && MonotonicNow() < begun + kAtLeast);
      took = (MonotonicNow() - begun) / times;
      over = true;
    });
    scanning.Add(RunWhile(
        in_flight, [&over] { return !over; }, load));
    const absl::Duration length = std::max(MonotonicNow() - begun, kAtLeast);
    scans.join();
    quiet.Add(RunClosedLoop(in_flight, length, load));
  }
  const double p99_quiet = absl::ToDoubleMicroseconds(Median(quiet.p99));
  const double p99_scanning = absl::ToDoubleMicroseconds(Median(scanning.p99));
  std::printf("%-28s %9d %10.0f %10.0f %9.0f %9.0f %7.2f  %lld in %s\n", what.c_str(), in_flight, Median(quiet.rate),
              Median(scanning.rate), p99_quiet, p99_scanning, p99_scanning / p99_quiet, static_cast<long long>(seen),
              absl::FormatDuration(took).c_str());
  std::fflush(stdout);
  return p99_scanning / p99_quiet;
}

}  // namespace

double MeasureScans(const ScanOptions& options) {
  cluster::Cluster nodes(2, {.lease = absl::Seconds(5), .flags = {}, .redis = {}});
  Stub& one = nodes.node(1).cache();
  Stub& two = nodes.node(2).cache();
  CacheKeys::Fill(one);
  const absl::Time begun = MonotonicNow();
  Fill(one, options.keys);
  std::printf("\n%lld keys saved in %s\n", static_cast<long long>(options.keys),
              absl::FormatDuration(MonotonicNow() - begun).c_str());
  std::printf("%-28s %9s %10s %10s %9s %9s %7s  %s\n", "Loads while", "in flight", "quiet /s", "then /s", "quiet p99",
              "then p99", "x quiet", "it saw");
  RunClosedLoop(options.in_flight.back(), kAtLeast, LoadCall(one));
  double worst = 0;
  const auto is_wanted = [&](const std::string& what) {
    return options.which.empty() || std::ranges::find(options.which, what) != options.which.end();
  };
  const auto measure = [&](const std::string& what, bool repeatable, const Scan& scan) {
    if (!is_wanted(what)) return;
    for (const int in_flight : options.in_flight) {
      worst = std::max(worst, MeasureScan(absl::StrCat(what, ", other node"), options.rounds, in_flight, one, two,
                                          repeatable, scan));
      worst = std::max(
          worst, MeasureScan(absl::StrCat(what, ", same node"), options.rounds, in_flight, one, one, repeatable, scan));
    }
  };
  measure("ListKeys", true, ListKeys);
  measure("Size", true, Size);
  measure("Dump", true, Dump);
  // Once only: then they are gone.
  if (!is_wanted("Clear")) return worst;
  const int in_flight = options.in_flight.back();
  worst = std::max(worst, MeasureScan("Clear of a third, same node", std::min(options.rounds, kParts), in_flight, one,
                                      one, false, Clear));
  return worst;
}

}  // namespace actioncluster::bench
