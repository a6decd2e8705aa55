#include "backplane/redis/reply.h"

#include <hiredis/hiredis.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace actioncluster::redis {
namespace {

absl::Status Unexpected(absl::string_view wanted, const redisReply* reply) {
  std::string what = "nil";
  if (reply != nullptr) {
    switch (reply->type) {
      case REDIS_REPLY_STRING:
      case REDIS_REPLY_STATUS:
        what = absl::StrCat("a string of ", reply->len, " bytes");
        break;
      case REDIS_REPLY_INTEGER:
        what = "a number";
        break;
      case REDIS_REPLY_ARRAY:
        what = absl::StrCat("an array of ", reply->elements);
        break;
      case REDIS_REPLY_ERROR:
        what = absl::StrCat("the error \"", absl::string_view(reply->str, reply->len), "\"");
        break;
      default:
        break;
    }
  }
  return absl::InternalError(absl::StrCat("Redis should have replied ", wanted, ", and replied ", what));
}

}  // namespace

bool ReplyView::is_nil() const { return reply_ == nullptr || reply_->type == REDIS_REPLY_NIL; }

bool ReplyView::is_array() const { return reply_ != nullptr && reply_->type == REDIS_REPLY_ARRAY; }

bool ReplyView::is_error() const { return reply_ != nullptr && reply_->type == REDIS_REPLY_ERROR; }

absl::StatusOr<absl::string_view> ReplyView::String() const {
  if (reply_ == nullptr || (reply_->type != REDIS_REPLY_STRING && reply_->type != REDIS_REPLY_STATUS)) {
    return Unexpected("a string", reply_);
  }
  return absl::string_view(reply_->str, reply_->len);
}

absl::StatusOr<int64_t> ReplyView::Integer() const {
  if (reply_ != nullptr && reply_->type == REDIS_REPLY_INTEGER) return reply_->integer;
  int64_t value;
  const absl::StatusOr<absl::string_view> text = String();
  if (!text.ok() || !absl::SimpleAtoi(*text, &value)) return Unexpected("a number", reply_);
  return value;
}

size_t ReplyView::size() const { return is_array() ? reply_->elements : 0; }

ReplyView ReplyView::operator[](size_t index) const {
  return ReplyView(index < size() ? reply_->element[index] : nullptr);
}

absl::string_view ReplyView::error() const {
  return is_error() ? absl::string_view(reply_->str, reply_->len) : absl::string_view();
}

void Reply::Free::operator()(redisReply* reply) const { freeReplyObject(reply); }

}  // namespace actioncluster::redis
