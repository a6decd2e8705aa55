#include "tests/bench/cpu_time.h"

#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "glog/logging.h"
#include "tests/cluster/program.h"

namespace actioncluster::bench {

absl::Duration CpuTimeOf(pid_t pid) {
  const std::string stat = cluster::ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  // The second field is the name in parentheses, with any bytes in it; utime and stime are the 14th and 15th.
  const size_t name_end = stat.rfind(") ");
  CHECK_NE(name_end, std::string::npos) << "no process " << pid;
  const std::vector<std::string> fields = absl::StrSplit(stat.substr(name_end + 2), ' ');
  int64_t user = 0;
  int64_t system = 0;
  CHECK(fields.size() > 12 && absl::SimpleAtoi(fields[11], &user) && absl::SimpleAtoi(fields[12], &system)) << stat;
  return absl::Seconds(static_cast<double>(user + system) / static_cast<double>(sysconf(_SC_CLK_TCK)));
}

}  // namespace actioncluster::bench
