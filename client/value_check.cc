#include "client/value_check.h"

#include <cmath>

#include "client/utf8.h"

namespace actioncluster::client {
namespace {

using google::protobuf::Value;

constexpr int kMaxNesting = 32;

const char* FaultWithin(const Value& value, int nesting) {
  if (nesting < 0) return "is nested more than 32 deep";
  if (value.kind_case() == Value::KIND_NOT_SET) return "has a value that is not set";
  if (value.has_number_value() && !std::isfinite(value.number_value())) return "has a number that is not finite";
  if (value.has_string_value() && !IsUtf8(value.string_value())) return "has a string that is not UTF-8";
  for (const Value& element : value.list_value().values()) {
    if (const char* fault = FaultWithin(element, nesting - 1)) return fault;
  }
  for (const auto& [name, field] : value.struct_value().fields()) {
    if (!IsUtf8(name)) return "has a name that is not UTF-8";
    if (const char* fault = FaultWithin(field, nesting - 1)) return fault;
  }
  return nullptr;
}

}  // namespace

const char* FaultIn(const Value& value) { return FaultWithin(value, kMaxNesting); }

}  // namespace actioncluster::client
