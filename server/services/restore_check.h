#ifndef ACTIONCLUSTER_SERVER_SERVICES_RESTORE_CHECK_H_
#define ACTIONCLUSTER_SERVER_SERVICES_RESTORE_CHECK_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "actioncluster/v1/cache.pb.h"
#include "backplane/cache/cache_restorer.h"
#include "server/services/cache_proto.h"

namespace actioncluster {

// Whether the frames of a Restore are what cache.proto states, one after the other; the first that is not ends it. Errors are INVALID_ARGUMENT or LIMIT_EXCEEDED, and say which entry it is:
// its index, from 0, and its key, in the message and in the metadata.
//
// Does no I/O. One thread.
class RestoreCheck {
 public:
  explicit RestoreCheck(const CacheLimits& limits);

  // The next frame. An entry that is good may be kept; after `end` there is nothing more to take.
  absl::Status Take(const v1::RestoreRequest& frame);

  const v1::RestoreRequest::Begin& begin() const { return begin_; }
  bool complete() const { return complete_; }
  int64_t entries() const { return entries_; }
  // The entry that was taken last, serialized.
  const std::string& text() const { return text_; }

  // Once it is complete: the same for the same entries in the same order, if the same is to be done with them.
  std::string Digest() const;

 private:
  absl::Status TakeBegin(const v1::RestoreRequest::Begin& begin);
  absl::Status TakeEntry(const v1::DumpEntry& entry);
  absl::Status CheckEntry(const v1::DumpEntry& entry);
  absl::Status CheckPart(const v1::DumpEntry& entry);

  const CacheLimits limits_;
  bool begun_ = false;
  bool complete_ = false;
  v1::RestoreRequest::Begin begin_;
  int64_t entries_ = 0;
  std::string list_;    // The list that is not at its end.
  int64_t offset_ = 0;  // How many of its items there were. 0: there is no such list.
  std::string text_;
  std::string what_;  // A digest of all entries so far.
};

// Turns entries that are good into what is written, one after the other, from the first of a restore or the first of a list.
class RestoreParser {
 public:
  // `index` of the entry in the restore. INTERNAL: it was not good.
  absl::StatusOr<CacheRestorer::Entry> Parse(const v1::DumpEntry& entry, int64_t index);

 private:
  int64_t first_entry_ = 0;  // Of the list.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_RESTORE_CHECK_H_
