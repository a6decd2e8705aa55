#include "server/services/restore_spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"

namespace actioncluster {
namespace {

constexpr size_t kBuffer = size_t{256} * 1024;
constexpr size_t kLengthBytes = 4;

absl::Status NoRoom(absl::string_view why) {
  return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, why, {{"limit", "restore_bytes"}});
}

absl::Status DiskError(absl::string_view what, int error) {
  if (error == ENOSPC || error == EDQUOT) return NoRoom("the node's disk is full");
  return absl::InternalError(
      absl::StrCat("what is to be restored cannot be ", what, " the node's disk: ", std::strerror(error)));
}

// A file without a name; -1, with errno.
int OpenUnnamed(const std::string& directory) {
  const int fd = open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)) return fd;
  // The file system has none.
  std::string path = absl::StrCat(directory, "/restore-XXXXXX");
  const int named = mkostemp(path.data(), O_CLOEXEC);
  if (named >= 0) unlink(path.c_str());
  return named;
}

}  // namespace

bool RestoreDisk::Take(uint64_t bytes) {
  if (used_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= most_bytes_) return true;
  Give(bytes);
  return false;
}

absl::StatusOr<std::unique_ptr<RestoreSpool>> RestoreSpool::Create(RestoreDisk& disk) {
  const int fd = OpenUnnamed(disk.directory());
  if (fd < 0) return DiskError("written to", errno);
  return absl::WrapUnique(new RestoreSpool(disk, fd));
}

RestoreSpool::~RestoreSpool() {
  close(fd_);
  disk_.Give(taken_);
}

absl::Status RestoreSpool::Append(absl::string_view text) {
  const uint64_t bytes = kLengthBytes + text.size();
  if (!disk_.Take(bytes)) {
    return NoRoom(absl::StrCat("what this node is to restore is larger than ", disk_.most_bytes(), " bytes"));
  }
  taken_ += bytes;
  for (size_t i = 0; i < kLengthBytes; ++i) unwritten_ += static_cast<char>(text.size() >> (8 * i));
  absl::StrAppend(&unwritten_, text);
  return unwritten_.size() < kBuffer ? absl::OkStatus() : Flush();
}

absl::Status RestoreSpool::Flush() {
  absl::string_view left = unwritten_;
  while (!left.empty()) {
    const ssize_t written = write(fd_, left.data(), left.size());
    if (written >= 0) {
      left.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      return DiskError("written to", errno);
    }
  }
  unwritten_.clear();
  return absl::OkStatus();
}

absl::Status RestoreSpool::Rewind() {
  if (absl::Status flushed = Flush(); !flushed.ok()) return flushed;
  if (lseek(fd_, 0, SEEK_SET) != 0) return DiskError("read from", errno);
  unread_.clear();
  read_ = 0;
  return absl::OkStatus();
}

absl::StatusOr<bool> RestoreSpool::Fill(size_t bytes) {
  if (unread_.size() - read_ >= bytes) return true;
  unread_.erase(0, read_);
  read_ = 0;
  const size_t wanted = std::max(bytes, kBuffer);
  while (unread_.size() < bytes) {
    const size_t has = unread_.size();
    unread_.resize(wanted);
    const ssize_t got = read(fd_, unread_.data() + has, wanted - has);
    const int error = errno;
    unread_.resize(has + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return false;
    if (got < 0 && error != EINTR) return DiskError("read from", error);
  }
  return true;
}

absl::StatusOr<std::vector<std::string>> RestoreSpool::Read(size_t count, size_t bytes) {
  std::vector<std::string> texts;
  texts.reserve(count);
  for (size_t sum = 0; texts.size() < count && sum < bytes;) {
    const absl::StatusOr<bool> length_there = Fill(kLengthBytes);
    if (!length_there.ok()) return length_there.status();
    if (!*length_there) break;
    size_t length = 0;
    for (size_t i = 0; i < kLengthBytes; ++i) {
      length |= size_t{static_cast<unsigned char>(unread_[read_ + i])} << (8 * i);
    }
    const absl::StatusOr<bool> text_there = Fill(kLengthBytes + length);
    if (!text_there.ok()) return text_there.status();
    if (!*text_there) return absl::InternalError("what is to be restored has become shorter on the node's disk");
    texts.push_back(unread_.substr(read_ + kLengthBytes, length));
    read_ += kLengthBytes + length;
    sum += length;
  }
  return texts;
}

}  // namespace actioncluster
