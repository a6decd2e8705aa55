#include "tests/cluster/clock_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"

namespace actioncluster::cluster {

ClockFile::ClockFile(const std::string& path) : path_(path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  PCHECK(fd >= 0 && ftruncate(fd, sizeof(int64_t)) == 0) << path;
  void* const memory = mmap(nullptr, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  PCHECK(memory != MAP_FAILED);
  close(fd);
  shift_ = static_cast<int64_t*>(memory);
}

ClockFile::~ClockFile() { munmap(shift_, sizeof(int64_t)); }

std::vector<std::string> ClockFile::environment() const {
  // In a build with AddressSanitizer, its runtime would otherwise insist on being first.
  return {absl::StrCat("LD_PRELOAD=", CLOCK_SHIFT_LIBRARY), absl::StrCat("ACTIONTEST_CLOCK_SHIFT_FILE=", path_),
          "ASAN_OPTIONS=verify_asan_link_order=0"};
}

void ClockFile::Step(int64_t seconds) { __atomic_fetch_add(shift_, seconds, __ATOMIC_RELAXED); }

}  // namespace actioncluster::cluster
