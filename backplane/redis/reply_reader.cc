#include "backplane/redis/reply_reader.h"

#include <hiredis/hiredis.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"

namespace actioncluster::redis {
namespace {

// hiredis moves what is left of its buffer after each KiB that it has read: small portions keep that cheap.
constexpr size_t kPortion = size_t{16} * 1024;
// Redis's own limit on a string is 512 MiB.
constexpr size_t kMaxUnfinished = size_t{576} << 20;
constexpr int kMaxElements = 1 << 24;

redisReplyObjectFunctions LimitedFunctions(const redisReplyObjectFunctions& defaults) {
  static const redisReplyObjectFunctions hiredis = defaults;
  redisReplyObjectFunctions limited = hiredis;
  // hiredis allocates an array when it reads its length, however absurd.
  limited.createArray = [](const redisReadTask* task, int elements) -> void* {
    return elements > kMaxElements ? nullptr : hiredis.createArray(task, elements);
  };
  return limited;
}

}  // namespace

void ReplyReader::Free::operator()(redisReader* reader) const { redisReaderFree(reader); }

ReplyReader::ReplyReader() : reader_(redisReaderCreate()) {
  CHECK(reader_ != nullptr);
  static redisReplyObjectFunctions functions = LimitedFunctions(*reader_->fn);
  reader_->fn = &functions;
}

void ReplyReader::Feed(absl::string_view bytes) {
  DCHECK(unread_.empty());
  unread_ = bytes;
}

absl::StatusOr<std::optional<Reply>> ReplyReader::Next() {
  while (true) {
    void* reply = nullptr;
    if (redisReaderGetReply(reader_.get(), &reply) != REDIS_OK) {
      unread_ = {};
      return absl::InternalError(absl::StrCat("not Redis's protocol: ", reader_->errstr));
    }
    if (reply != nullptr) return Reply(static_cast<redisReply*>(reply));
    if (unread_.empty()) return std::nullopt;
    const absl::string_view portion = unread_.substr(0, kPortion);
    unread_.remove_prefix(portion.size());
    if (reader_->len + portion.size() > kMaxUnfinished) {
      unread_ = {};
      return absl::InternalError("not Redis's protocol: a reply without end");
    }
    redisReaderFeed(reader_.get(), portion.data(), portion.size());
  }
}

}  // namespace actioncluster::redis
