#include "client/reply_check.h"

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "client/limits.h"
#include "client/utf8.h"

namespace actioncluster::client {
namespace {

using google::protobuf::Value;

constexpr int kMaxNesting = 32;

// Null: the value is fine.
const char* FaultIn(const Value& value, int nesting) {
  if (nesting < 0) return "is nested more than 32 deep";
  if (value.has_string_value() && !IsUtf8(value.string_value())) return "has a string that is not UTF-8";
  for (const Value& element : value.list_value().values()) {
    if (const char* fault = FaultIn(element, nesting - 1)) return fault;
  }
  for (const auto& [name, field] : value.struct_value().fields()) {
    if (!IsUtf8(name)) return "has a name that is not UTF-8";
    if (const char* fault = FaultIn(field, nesting - 1)) return fault;
  }
  return nullptr;
}

}  // namespace

absl::Status CheckReply(const v1::ServeRequest::Reply& reply) {
  // Of errors too, as far as they go: the node itself cuts them, if it can read them.
  if (const size_t bytes = reply.ByteSizeLong(); bytes - reply.call_id().size() > kMaxContentBytes + 1024) {
    return absl::UnknownError(
        absl::StrCat("the handler's answer has ", bytes, " bytes; at most ", kMaxContentBytes, " are carried"));
  }
  const char* fault = reply.has_result() ? FaultIn(reply.result(), kMaxNesting) : nullptr;
  return fault == nullptr ? absl::OkStatus() : absl::UnknownError(absl::StrCat("the handler's result ", fault));
}

}  // namespace actioncluster::client
