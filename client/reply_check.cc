#include "client/reply_check.h"

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "client/limits.h"
#include "client/value_check.h"

namespace actioncluster::client {

absl::Status CheckReply(const v1::ServeRequest::Reply& reply) {
  // Of errors too, as far as they go: the node itself cuts them, if it can read them.
  if (const size_t bytes = reply.ByteSizeLong(); bytes - reply.call_id().size() > kMaxContentBytes + 1024) {
    return absl::UnknownError(
        absl::StrCat("the handler's answer has ", bytes, " bytes; at most ", kMaxContentBytes, " are carried"));
  }
  const char* fault = reply.has_result() ? FaultIn(reply.result()) : nullptr;
  return fault == nullptr ? absl::OkStatus() : absl::UnknownError(absl::StrCat("the handler's result ", fault));
}

}  // namespace actioncluster::client
