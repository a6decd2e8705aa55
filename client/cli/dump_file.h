#ifndef ACTIONCLUSTER_CLIENT_CLI_DUMP_FILE_H_
#define ACTIONCLUSTER_CLIENT_CLI_DUMP_FILE_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "actioncluster/v1/cache.pb.h"

// What the cache held, in a file: a line `actioncluster dump 1`; then frames; then the file ends.
//   an entry   `E`, the length of what follows in 4 bytes, a serialized DumpEntry, and the first 8 bytes of the chain
//   the end    `Z`, the number of entries in 8 bytes, and the chain, 32 bytes: it is last
// Numbers are little-endian. The chain is the SHA-256 of the chain before and of the frame up to here; before the first frame, of the line: so each entry proves itself and all before it, and
// the end's proves the whole file.
//
// For the main thread.
namespace actioncluster::cli {

// Writes such a file.
class DumpWriter {
 public:
  // Takes the file's bytes, in their order.
  using Sink = absl::AnyInvocable<absl::Status(absl::string_view bytes)>;

  explicit DumpWriter(Sink sink);

  // Errors are the sink's; RESOURCE_EXHAUSTED: the entry is larger than kMostDumpEntryBytes.
  absl::Status Add(const v1::DumpEntry& entry);
  // Without it the file is no good.
  absl::Status Finish();

  uint64_t entries() const { return entries_; }
  uint64_t bytes() const { return bytes_; }

 private:
  absl::Status Flush(size_t at_least);

  Sink sink_;
  std::string unwritten_;
  std::string chain_;
  uint64_t entries_ = 0;
  uint64_t bytes_ = 0;
};

// Reads such a file, and proves it: entry by entry. That all of it is good is known at its end.
//
// Errors: DATA_LOSS: where the file is no such file, or not as it was written; INVALID_ARGUMENT: it cannot be read.
class DumpReader {
 public:
  static absl::StatusOr<std::unique_ptr<DumpReader>> Open(const std::string& path);

  // The next entry; false: that was the end, and the whole file is good.
  absl::StatusOr<bool> Next(v1::DumpEntry* entry);
  // Names the file's content, once that is known.
  std::string Digest() const;

  uint64_t entries() const { return entries_; }  // So far.
  uint64_t position() const { return position_; }
  uint64_t size() const { return size_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  DumpReader(std::string path, std::FILE* file, uint64_t size);

  absl::Status ReadStart();
  absl::StatusOr<bool> ReadEnd(uint64_t from, std::string frame);
  // Exactly so many bytes of what begins at `from`.
  absl::StatusOr<std::string> Read(size_t count, uint64_t from);
  absl::Status Corrupt(uint64_t at, absl::string_view why) const;

  const std::string path_;
  const std::unique_ptr<std::FILE, Close> file_;
  const uint64_t size_;
  std::string chain_;
  uint64_t entries_ = 0;
  uint64_t position_ = 0;
};

// What an entry may have: 64 MiB is the largest value there can be.
inline constexpr size_t kMostDumpEntryBytes = size_t{160} * 1024 * 1024;

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_DUMP_FILE_H_
