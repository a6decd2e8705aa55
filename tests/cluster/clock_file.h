#ifndef ACTIONCLUSTER_TESTS_CLUSTER_CLOCK_FILE_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_CLOCK_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace actioncluster::cluster {

// By how many seconds the wall clock of a process is wrong: right at first, and changed while it runs. See clock_shift.cc.
class ClockFile {
 public:
  explicit ClockFile(const std::string& path);
  ~ClockFile();
  ClockFile(const ClockFile&) = delete;
  ClockFile& operator=(const ClockFile&) = delete;

  // What such a process needs.
  std::vector<std::string> environment() const;
  void Step(int64_t seconds);

 private:
  const std::string path_;
  int64_t* shift_ = nullptr;
};

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_CLOCK_FILE_H_
