#include "server/grpc/content.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"

namespace actioncluster {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Value;

constexpr int kMaxNesting = 32;
constexpr size_t kMaxNameBytes = 256;

// Null: the value is fine. Otherwise what is wrong with it.
const char* FaultIn(const Value& value, int nesting);

const char* FaultIn(const ListValue& values, int nesting) {
  for (const Value& value : values.values()) {
    if (const char* fault = FaultIn(value, nesting)) return fault;
  }
  return nullptr;
}

const char* FaultIn(const Value& value, int nesting) {
  switch (value.kind_case()) {
    case Value::KIND_NOT_SET:
      return "has a value that is not set, which is not JSON (null has a kind of its own)";
    case Value::kNumberValue:
      return std::isfinite(value.number_value()) ? nullptr : "has a number that is NaN or infinite, which is not JSON";
    case Value::kListValue:
      if (nesting == 0) return "is nested more than 32 deep";
      return FaultIn(value.list_value(), nesting - 1);
    case Value::kStructValue:
      if (nesting == 0) return "is nested more than 32 deep";
      for (const auto& [key, field] : value.struct_value().fields()) {
        if (const char* fault = FaultIn(field, nesting - 1)) return fault;
      }
      return nullptr;
    case Value::kNullValue:
    case Value::kStringValue:
    case Value::kBoolValue:
      return nullptr;
  }
  return nullptr;
}

absl::Status ToStatus(const char* fault, absl::string_view field) {
  return fault == nullptr ? absl::OkStatus() : absl::InvalidArgumentError(absl::StrCat(field, " ", fault));
}

}  // namespace

absl::Status ValidateJson(const Value& value, absl::string_view field) {
  return ToStatus(FaultIn(value, kMaxNesting), field);
}

absl::Status ValidateJson(const ListValue& values, absl::string_view field) {
  return ToStatus(FaultIn(values, kMaxNesting), field);
}

absl::StatusOr<Content> WithinLimit(Content content, absl::string_view field) {
  if (content.body.size() <= kMaxContentBytes) return content;
  return MakeError(
      v1::ERROR_REASON_LIMIT_EXCEEDED,
      absl::StrCat(field, " has ", content.body.size(), " bytes; at most ", kMaxContentBytes, " are carried"),
      {{"limit", "content_bytes"}});
}

absl::Status ValidateName(absl::string_view name, absl::string_view field) {
  if (name.empty()) return absl::InvalidArgumentError(absl::StrCat(field, " must not be empty"));
  if (name.size() > kMaxNameBytes) {
    return absl::InvalidArgumentError(absl::StrCat(field, " must have at most ", kMaxNameBytes, " bytes"));
  }
  return absl::OkStatus();
}

}  // namespace actioncluster
