#ifndef ACTIONCLUSTER_TESTS_BENCH_TABLE_H_
#define ACTIONCLUSTER_TESTS_BENCH_TABLE_H_

#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "tests/bench/closed_loop.h"
#include "tests/cluster/program.h"

// What all measurements have in common.
namespace actioncluster::bench {

struct TableOptions {
  double seconds = 3;  // Of each measurement.
  std::vector<int> in_flight = {1, 64};
};

// `[--seconds S] [--in-flight N,N,...]`. False: it is something else.
bool Parse(const std::vector<std::string>& args, TableOptions* options);

// A process whose CPU time is shown.
struct Process {
  std::string name;
  pid_t pid;
};

// Measures, and prints a line for each measurement.
class Table {
 public:
  explicit Table(TableOptions options);

  // With as many in flight as the options say.
  void Measure(const std::string& what, const std::vector<Process>& processes, const Operation& operation);
  // With this many. One operation counts for `each`: rate and CPU time are of so many.
  void Measure(const std::string& what, int in_flight, int each, const std::vector<Process>& processes,
               const Operation& operation);
  // By a loop of its own, that runs for so long.
  void MeasureLoop(const std::string& what, int in_flight, int each, const std::vector<Process>& processes,
                   absl::FunctionRef<Measurement(absl::Duration length)> loop);
  // What something else has measured; without the line's end.
  void Print(const std::string& what, int in_flight, double per_second, double p50_us, double p99_us);

  const TableOptions& options() const { return options_; }
  bool failed() const { return failed_; }

 private:
  const TableOptions options_;
  std::string first_;           // What is measured first: the echo.
  std::map<int, double> echo_;  // By in flight. With a number that the echo was not measured with, the largest counts.
  bool failed_ = false;
};

// This program again, in another role, when it has said `ready`.
std::unique_ptr<cluster::Program> StartRole(const std::vector<std::string>& role);

// The bare gRPC echo, which all else is compared with; the role `echo ADDRESS` is ServeEcho.
void MeasureEcho(Table& table);

}  // namespace actioncluster::bench

#endif  // ACTIONCLUSTER_TESTS_BENCH_TABLE_H_
