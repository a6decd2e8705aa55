#include "client/cli/event.h"

#include <sys/eventfd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace actioncluster::cli {

Event::Event() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (fd_.is_open()) return;
  std::perror("actioncluster: eventfd");
  std::abort();
}

void Event::Set() {
  const uint64_t one = 1;
  // It fails only if it is set already, 2^64 times.
  [[maybe_unused]] const ssize_t written = write(fd_.get(), &one, sizeof one);
}

void Event::Clear() {
  uint64_t count;
  // It fails if it is not set.
  [[maybe_unused]] const ssize_t got = read(fd_.get(), &count, sizeof count);
}

}  // namespace actioncluster::cli
