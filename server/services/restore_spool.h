#ifndef ACTIONCLUSTER_SERVER_SERVICES_RESTORE_SPOOL_H_
#define ACTIONCLUSTER_SERVER_SERVICES_RESTORE_SPOOL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// Where what is to be restored lies until it is complete: files that have no name, and are gone with the process.
namespace actioncluster {

// A directory, and how much all files there may have together. Any thread.
class RestoreDisk {
 public:
  RestoreDisk(std::string directory, uint64_t most_bytes) : directory_(std::move(directory)), most_bytes_(most_bytes) {}

  const std::string& directory() const { return directory_; }
  uint64_t most_bytes() const { return most_bytes_; }

  // False: there is no room for so many more.
  bool Take(uint64_t bytes);
  void Give(uint64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }

 private:
  const std::string directory_;
  const uint64_t most_bytes_;
  std::atomic<uint64_t> used_ = 0;
};

// One such file: texts are written one after the other, then read in that order. What is written lies in memory until there is enough of it. One thread at a time; its
// functions wait for the disk.
//
// Errors: LIMIT_EXCEEDED (limit=restore_bytes): there is no room; INTERNAL: the disk failed.
class RestoreSpool {
 public:
  // The disk outlives it.
  static absl::StatusOr<std::unique_ptr<RestoreSpool>> Create(RestoreDisk& disk);
  ~RestoreSpool();
  RestoreSpool(const RestoreSpool&) = delete;
  RestoreSpool& operator=(const RestoreSpool&) = delete;

  absl::Status Append(absl::string_view text);

  // From the first text on again. After all have been written.
  absl::Status Rewind();
  // The next texts: at most `count`, and no more once they have `bytes`. None: there are no more.
  absl::StatusOr<std::vector<std::string>> Read(size_t count, size_t bytes);

 private:
  RestoreSpool(RestoreDisk& disk, int fd) : disk_(disk), fd_(fd) {}
  absl::Status Flush();
  // False: the file ends here.
  absl::StatusOr<bool> Fill(size_t bytes);

  RestoreDisk& disk_;
  const int fd_;
  uint64_t taken_ = 0;  // Of the disk.
  std::string unwritten_;
  std::string unread_;
  size_t read_ = 0;  // So much of it was given.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_RESTORE_SPOOL_H_
